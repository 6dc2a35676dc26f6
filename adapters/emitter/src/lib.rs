//! Emits to the clients of a Socket.IO cluster from any process, without a server: a job, a command, another service.
//!
//! An [`Emitter`] speaks as Node's emitters do, so the servers of the cluster may be Node's or ours. Each engine is a feature, off
//! by default: `redis` (and `redis-tls`), `postgres`, `nats`.
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
//! Nobody answers an emitter: there are no acknowledgements, and sockets cannot be fetched. For these, be a server without clients.

mod broadcast;
mod emitter;
mod engines;
mod error;
mod publish;

pub use broadcast::Broadcast;
pub use emitter::Emitter;
pub use error::EmitError;
pub use publish::Publish;
pub use socketio_adapter::{AdapterError, EncodeError, IntoRooms, Message, Room};
#[cfg(feature = "nats")]
pub use socketio_adapter_nats as nats;
#[cfg(feature = "postgres")]
pub use socketio_adapter_postgres as postgres;
#[cfg(feature = "redis")]
pub use socketio_adapter_redis as redis;
