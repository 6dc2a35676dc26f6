//! Dispatch: from an event to the user's function, its arguments and its return value.

mod context;
mod extract;
mod extractors;
mod handler;
mod rewrite;

pub use extract::{Extract, MaybeExtract};
pub use extractors::{Auth, Data, DisconnectDescription, EventName, Extension, State};
pub use handler::{Handler, TypedHandler};
pub use rewrite::Rewrite;

pub(crate) use handler::{erase, erase_typed};
