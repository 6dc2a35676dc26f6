//! Handlers and their arguments.

mod context;
mod extract;
mod handler;

pub(crate) use self::handler::{erase, erase_typed};
pub use self::{
    extract::{Data, DisconnectDescription, EventName, Extract, MaybeExtract},
    handler::{Handler, TypedHandler},
};
