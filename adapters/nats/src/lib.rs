//! Cluster adapter of the Socket.IO server on NATS. On core NATS a node gets only what its rooms need: each room is a subject, to
//! which those nodes subscribe that have it. With JetStream, which is to be asked for, clients come back to any node and have
//! what they missed ([`NatsConfig::connection_state_recovery`]).
//!
//! - [`NatsConfig`]: the client, and every option with its default. [`connect_options`] are those that suit it.
//! - [`JetStream`]: what is kept for clients that come back, and for how long.
//! - [`NatsAdapter`]: what a server takes as its adapter. One connection per server, however many namespaces it has.
//! - [`Publisher`]: the half that sends, for programs without a server.
//!
//! ```no_run
//! use socketio_adapter_nats::{NatsAdapter, NatsConfig, connect_options};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = connect_options().connect("nats://localhost:4222").await?;
//! let adapter = NatsAdapter::new(NatsConfig::new(client))?; // for `ServerConfig::adapter`
//! # let _ = adapter;
//! # Ok(())
//! # }
//! ```
//!
//! # Subjects
//!
//! `{prefix}.{namespace}.all` is for everything but what follows, `{prefix}.{namespace}.room.{room}` for plain broadcasts to
//! one room, `{prefix}.{namespace}.node.{node}` for replies. Names are any text, subjects are not: each name is base64url
//! without padding, the empty one `-`. A room whose name is longer than 192 bytes has no subject of its own.
//!
//! With connection state recovery, `{prefix}.log.{namespace}` is for plain events, and for what joins, leaves and disconnects
//! sockets, of the whole namespace; `{prefix}.session.{private id}` holds a session. They belong to the streams `{prefix}-log` and
//! `{prefix}-sessions`, where dots of the prefix are `=`. A session is the time at which it ends, in milliseconds (8 bytes, the
//! highest first), and the map that Node's adapters keep, in msgpack.
//!
//! # Payloads
//!
//! A byte 1, the publisher's count of messages (8 bytes, the highest first), the length of its name (one byte) and the name, then
//! the cluster message in JSON, or in msgpack where binary is inside. By the count, a node puts what came by several subjects
//! into the order in which it was published.

mod adapter;
mod config;
mod error;
mod frame;
mod membership;
mod order;
mod publisher;
mod receiver;
mod recovery;
mod subject;
mod subscriptions;

pub use adapter::NatsAdapter;
pub use async_nats::{self, jetstream::stream::StorageType};
pub use config::{NatsConfig, connect_options};
pub use error::NatsError;
pub use publisher::Publisher;
pub use recovery::JetStream;
