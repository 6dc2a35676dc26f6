//! Connection state recovery across nodes. A JetStream stream that all nodes read holds the events,
//! a second stream holds the sessions.

mod events;
mod log;
mod offset;
mod options;
mod reader;
mod store;

pub(crate) use self::{events::Events, log::Log, reader::Reader, store::Sessions};
pub use options::JetStream;
