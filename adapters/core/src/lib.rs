//! What every cluster adapter of the Socket.IO server shares: rooms and flags, the messages between nodes in both their
//! forms on the wire (those of Node's adapters, so that both can be in one cluster), the requests that nodes make of each other,
//! and what a back-end has to offer.
//!
//! This crate does no I/O, reads no clock, draws no randomness and starts nothing. It knows rooms and clients by name, never
//! sockets.
//!
//! - [`Selection`]: who a broadcast is for.
//! - [`Message`]: what nodes say to each other, with [`to_json`](Message::to_json), [`to_msgpack`](Message::to_msgpack) and
//!   [`decode`](Message::decode). What does not decode is a typed error.
//! - [`Cluster`]: one node's part, as a machine without I/O. Its run loop is described there.
//! - [`ClusterAdapter`] and [`Link`]: what a back-end implements. [`MemoryCluster`] is one, for servers of one process.
//! - [`recovery`]: what is kept for clients that lost their connection.
//! - [`ClusterLimits`]: what peers may make a node keep.
//! - `conformance` (a feature): the suite that every back-end runs.
//!
//! # Back-ends
//!
//! | engine | peers | replies | per room |
//! |---|---|---|---|
//! | Redis pub/sub, classic and sharded | [`Discovery::Count`] | [`Link::reply`] to the node's channel | [`Body::only_room`], [`Link::room_appeared`] |
//! | Redis streams | [`Discovery::Count`] | to the node's channel | no; [`Link::sessions`] |
//! | Postgres | [`Discovery::Heartbeats`] | to all | no |
//! | NATS | [`Discovery::Heartbeats`] | to the node's subject | [`Body::only_room`], [`Link::room_appeared`] |

mod adapter;
mod budget;
mod cluster;
#[cfg(feature = "conformance")]
pub mod conformance;
mod date;
mod error;
mod future;
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod memory;
mod message;
mod msgpack;
mod payload;
pub mod recovery;
mod selection;
mod wire;

pub use adapter::{
    ClusterAdapter, Discovery, Heartbeats, Inbox, Link, Published, RoomInterest, Seat,
};
pub use cluster::{Ask, Cluster, Gathered, Outcome, Output, Refused};
pub use date::{javascript_date, javascript_time};
pub use error::{AdapterError, MessageError};
pub use future::BoxFuture;
pub use limits::ClusterLimits;
pub use memory::{MemoryAdapter, MemoryCluster, MemoryLog, Parcel};
pub use message::{Body, Message, NodeId, RequestId, SocketDetails};
pub use payload::{answer_args, decode_answer, event_args};
pub use recovery::Offset;
pub use selection::{Flags, IntoRooms, Room, Selection};
pub use socketio_parser::EncodeError;
pub use wire::Format;
