//! Emits to the clients of a Socket.IO cluster from any process without a server: a job, a
//! command-line tool, another service.
//!
//! An [`Emitter`] publishes the same messages as Node's emitters, so the servers of the cluster may
//! be Node's or ours. Each engine is a feature that is off by default: `redis` (and `redis-tls`),
//! `postgres`, `mongodb`, `nats`.
//!
#![cfg_attr(feature = "postgres", doc = "```no_run")]
#![cfg_attr(not(feature = "postgres"), doc = "```ignore")]
//! use socketio_emitter::{Emitter, postgres::PostgresConfig};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = PostgresConfig::new("postgres://app@localhost/app".parse()?);
//! let emitter = Emitter::postgres(config).await?;
//! emitter.of("/shop").to("customers").emit("sale", &("shoes", 0.2)).await?;
//! emitter.in_("room").sockets_join("another room").await?;
//! # Ok(())
//! # }
//! ```
//!
//! An emitter receives no messages, so it has no acks and cannot fetch sockets. For these, join the
//! cluster as a server without clients.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod broadcast;
mod emitter;
mod engines;

pub use broadcast::Broadcast;
pub use emitter::{EmitError, Emitter, Publish};
pub use socketio_adapter::{AdapterError, EncodeError, IntoRooms, Message, Room};
#[cfg(feature = "mongodb")]
pub use socketio_adapter_mongodb as mongodb;
#[cfg(feature = "nats")]
pub use socketio_adapter_nats as nats;
#[cfg(feature = "postgres")]
pub use socketio_adapter_postgres as postgres;
#[cfg(feature = "redis")]
pub use socketio_adapter_redis as redis;
