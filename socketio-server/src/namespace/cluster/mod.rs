//! A server in a cluster: it publishes, requests and replies through the
//! [adapter](socketio_adapter).

pub(crate) mod details;
pub(crate) mod membership;
pub(crate) mod namespace;
pub(crate) mod node;
pub(crate) mod publish_order;
pub(crate) mod queue;
pub(crate) mod remote;
pub(crate) mod remote_emitter;
pub(crate) mod server_side;
pub(crate) mod warnings;

pub(crate) use membership::{Clustered, LocalDelivery, Membership, Relay, Saving};
pub(crate) use node::join_cluster;
pub use remote::{FetchError, RemoteSocket};
pub use remote_emitter::RemoteEmitter;
pub use server_side::ServerEvent;
pub(crate) use server_side::ServerHandlers;
