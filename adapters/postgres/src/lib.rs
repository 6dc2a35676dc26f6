//! Cluster adapter of the Socket.IO server for PostgreSQL. Messages travel by `LISTEN` and
//! `NOTIFY`, and through a table if they are binary or too large for a notification. The protocol
//! is that of `@socket.io/postgres-adapter` 0.5, so Node's servers and ours can be in one cluster.
//!
//! - [`PostgresConfig`]: the database, TLS, and every option with its default.
//! - [`PostgresAdapter`]: the adapter of a server. It uses two connections, however many namespaces
//!   the server has.
//! - [`EventLog`]: the tables of connection state recovery, with which every node can restore a
//!   session. Off by default.
//! - [`Publisher`]: the sending half, for programs without a server.
//!
//! ```no_run
//! use socketio_adapter_postgres::{PostgresAdapter, PostgresConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = PostgresConfig::new("postgres://app@localhost/app".parse()?);
//! let adapter = PostgresAdapter::new(config)?; // for `ServerConfig::adapter`
//! # let _ = adapter;
//! # Ok(())
//! # }
//! ```
//!
//! PostgreSQL delivers a notification only to current listeners. A node that lost its connection
//! misses messages until it listens again. With an [`EventLog`], it then reads the events that it
//! missed.

mod adapter;
mod config;
mod connect;
mod error;
mod listener;
mod publisher;
mod recovery;
mod registry;
mod table;
mod wire;

pub use adapter::PostgresAdapter;
pub use config::PostgresConfig;
pub use error::PostgresError;
pub use publisher::Publisher;
pub use recovery::EventLog;
pub use tokio_postgres;
