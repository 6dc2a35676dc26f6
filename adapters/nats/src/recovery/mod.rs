//! Connection state recovery across nodes: events stand in a stream of JetStream that all nodes read, sessions in another one.

mod events;
mod log;
mod offset;
mod options;
mod reader;
mod store;

pub(crate) use self::{
    events::Events,
    log::{Log, is_kept},
    reader::Reader,
    store::Sessions,
};
pub use options::JetStream;
