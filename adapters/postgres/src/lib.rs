//! Cluster adapter of the Socket.IO server on PostgreSQL: `LISTEN` and `NOTIFY`, and a table for what is too large for them or
//! binary. Speaks what `@socket.io/postgres-adapter` 0.5 speaks, so that Node's servers and ours can be in one cluster.
//!
//! - [`PostgresConfig`]: the database, TLS, and every option with its default.
//! - [`PostgresAdapter`]: what a server takes as its adapter. Two connections per server, however many namespaces it has.
//! - [`Publisher`]: the half that sends, for programs without a server.
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
//! A notification is for those who listen at that moment: a node whose connection is gone misses what is sent until it listens
//! again.

mod adapter;
mod config;
mod connect;
mod error;
mod listener;
mod publisher;
mod registry;
mod table;
mod wire;

pub use adapter::PostgresAdapter;
pub use config::PostgresConfig;
pub use error::PostgresError;
pub use publisher::Publisher;
pub use tokio_postgres;
