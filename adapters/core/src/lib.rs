//! The parts that all cluster adapters of the Socket.IO server share: rooms and flags, the messages
//! between nodes, requests and replies, connection state recovery, and the traits of a back-end.
//! The encodings of the messages are those of Node's adapters, so both can be in one cluster.
//!
//! This crate does no I/O, reads no clock, draws no randomness and spawns no tasks. It knows rooms
//! and clients by name, and has no sockets.
//!
//! - [`Selection`]: the recipients of a broadcast.
//! - [`Message`]: a message between nodes, with [`to_json`](Message::to_json),
//!   [`to_msgpack`](Message::to_msgpack) and [`decode`](Message::decode). Malformed input is a
//!   typed error.
//! - [`Cluster`]: one node of a cluster, as a state machine without I/O. Its documentation
//!   describes the run loop.
//! - [`ClusterAdapter`] and [`Link`]: the traits of a back-end. [`MemoryCluster`] implements them
//!   for servers of one process.
//! - [`recovery`]: the state kept for clients that lost their connection.
//! - [`ClusterLimits`]: limits on the resources that peers can make a node use.
//! - `conformance` (a feature): the conformance suite of all back-ends.
//!
//! # Back-ends
//!
//! | engine | peers | replies | per room |
//! |---|---|---|---|
//! | Redis pub/sub, classic and sharded | [`Discovery::Count`] | [`Link::reply`] to the node's channel | [`Body::only_room`], [`Link::room_appeared`] |
//! | Redis streams | [`Discovery::Count`] | to the node's channel | no; [`Link::sessions`] |
//! | PostgreSQL, MongoDB | [`Discovery::Heartbeats`] | to all | no |
//! | NATS | [`Discovery::Heartbeats`] | to the node's subject | [`Body::only_room`], [`Link::room_appeared`] |

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![warn(clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adapter;
mod budget;
mod cluster;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod internal;
mod limits;
mod memory;
mod message;
mod msgpack;
mod payload;
pub mod recovery;
mod selection;
mod wire;

pub use adapter::{
    BoxFuture, ClusterAdapter, ClusterMember, Discovery, Heartbeats, Inbox, Link, Published,
    RoomInterest,
};
pub use cluster::{Cluster, ClusterRequest, Outcome, Output, Replies, RequestRefused};
pub use error::{AdapterError, MessageError};
pub use limits::ClusterLimits;
pub use memory::{MemoryAdapter, MemoryCluster, MemoryLog, MemoryMessage};
pub use message::{Body, Message, NodeId, RequestId, SocketDetails};
pub use payload::{ack_args, event_args};
pub use recovery::Offset;
pub use selection::{Flags, IntoRooms, Room, Selection};
pub use socketio_parser::EncodeError;
pub use wire::Format;
