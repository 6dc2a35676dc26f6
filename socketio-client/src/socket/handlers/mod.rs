//! Handlers and their arguments.

mod context;
mod extract;
mod handler;

pub(crate) use self::handler::{Erased, HandlerFuture, erase, erase_typed};
pub use self::{
    context::Context,
    extract::{Data, DisconnectDescription, EventName, Extract, MaybeExtract},
    handler::{Handler, TypedHandler},
};
