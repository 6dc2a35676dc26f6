//! A server in a cluster: it publishes, requests and replies through the
//! [adapter](socketio_adapter).

mod details;
mod doubt;
mod membership;
mod namespace;
mod node;
mod queue;
mod remote;
mod remote_emitter;
mod server;
mod server_side;
mod turns;
mod warnings;

pub(crate) use membership::{Clustered, Membership, Published, Relay, Saving};
pub(crate) use node::join_cluster;
pub use remote::{FetchError, RemoteSocket};
pub use remote_emitter::RemoteEmitter;
pub use server_side::ServerEvent;
pub(crate) use server_side::ServerHandlers;
pub(crate) use turns::Action;
