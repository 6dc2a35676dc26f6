//! Cluster adapter of the Socket.IO server for MongoDB. Each message is a document of a collection,
//! and nodes read them from its change stream. The protocol is that of `@socket.io/mongo-adapter`
//! 0.4, so Node's servers and ours can be in one cluster.
//!
//! - [`MongoConfig`]: the collection, and every option with its default.
//! - [`MongoAdapter`]: the adapter of a server. It has one change stream, however many namespaces
//!   the server has.
//! - [`Publisher`]: the sending half, for programs without a server.
//!
//! ```no_run
//! use socketio_adapter_mongodb::{MongoAdapter, MongoConfig, mongodb::Client};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::with_uri_str("mongodb://localhost/?replicaSet=rs0").await?;
//! let config = MongoConfig::new(client.database("app").collection("socket.io-adapter-events"));
//! let adapter = MongoAdapter::new(config); // for `ServerConfig::adapter`
//! # let _ = adapter;
//! # Ok(())
//! # }
//! ```
//!
//! Change streams need a replica set. The application creates the collection, capped or with a TTL
//! index; see [`MongoConfig::add_created_at_field`].

mod adapter;
mod config;
mod document;
mod error;
mod id;
mod publisher;
mod recovery;
mod stream;

pub use adapter::MongoAdapter;
pub use config::MongoConfig;
pub use error::MongoError;
pub use mongodb;
pub use publisher::Publisher;
