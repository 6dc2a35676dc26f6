//! Handlers and their arguments.

mod context;
mod extract;
mod handler;
pub(crate) mod table;

pub(crate) use self::handler::{Callback, Erased, HandlerFuture, erase, erase_typed};
pub use self::{
    context::Context,
    extract::{Data, DisconnectDescription, EventName, Extract, MaybeExtract},
    handler::{Handler, TypedHandler},
};
