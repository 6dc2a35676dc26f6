//! Cluster adapter of the Socket.IO server for NATS.
//!
//! Over core NATS a node receives only what its rooms need: each room is a subject, and the nodes
//! that have the room subscribe to it. With JetStream, which must be enabled, clients can return to
//! any node and get the events they missed ([`NatsConfig::connection_state_recovery`]).
//!
//! - [`NatsConfig`]: the client, and every option with its default. [`connect_options`] returns
//!   suitable options for the client.
//! - [`JetStream`]: what is stored for returning clients, and for how long.
//! - [`NatsAdapter`]: the adapter of a server. It uses one connection, however many namespaces the
//!   server has.
//! - [`Publisher`]: the sending half, for programs without a server.
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
//! `{prefix}.{namespace}.room.{room}` carries broadcasts to exactly one room,
//! `{prefix}.{namespace}.node.{node}` carries replies, and `{prefix}.{namespace}.all` everything
//! else. Names can be any text, but subjects cannot. Each name is therefore encoded as base64url
//! without padding, the empty name as `-`. A room whose name exceeds 192 bytes has no subject of
//! its own.
//!
//! With connection state recovery, `{prefix}.log.{namespace}` carries events without acks, and the
//! messages that join, leave and disconnect sockets. `{prefix}.session.{private id}` holds a
//! session. The subjects belong to the streams `{prefix}-log` and `{prefix}-sessions`, in whose
//! names `=` replaces the dots of the prefix. A session consists of its expiry time in milliseconds
//! (8 bytes, big-endian) and the map that Node's adapters store, in msgpack.
//!
//! # Payloads
//!
//! A payload consists of a byte 1, the number of the message (counted by the publisher, 8 bytes,
//! big-endian), the length of the publisher's name (one byte), the name, and the cluster message.
//! The message is JSON, or msgpack if it contains binary. With the number, a node restores the
//! order of messages that arrived over several subjects.

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
