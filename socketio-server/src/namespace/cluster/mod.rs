//! A server in a cluster: it publishes, requests and replies through the
//! [adapter](socketio_adapter).

mod details;
mod membership;
mod namespace;
mod remote;
mod remote_emitter;
mod server_side;

#[cfg(feature = "admin")]
pub(crate) use details::details;
pub(crate) use membership::{
    EventNumber, InLog, LocalDelivery, Membership, Relay, TransferGuard, UnloggedEvent,
};
pub use remote::{FetchError, RemoteSocket};
pub use remote_emitter::RemoteEmitter;
pub use server_side::ServerEvent;
pub(crate) use server_side::ServerHandlers;
