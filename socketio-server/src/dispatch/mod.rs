//! From an event to the user's function: what it may take, and what it may return.

mod context;
mod extract;
mod handler;
mod reply;

pub use extract::{Auth, Data, Extract};
pub use handler::Handler;
pub use reply::{Answer, IntoReply, Json, Outcome};

pub(crate) use handler::{erase, erase_typed};
