//! From an event to the user's function: what it may take, and what it may return.

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
