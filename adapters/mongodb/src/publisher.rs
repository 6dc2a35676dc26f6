//! The sending half of the adapter.

use mongodb::bson::DateTime;
use socketio_adapter::Message;

use crate::{config::MongoConfig, document::encode, error::MongoError};

/// Publishes messages to all nodes of their namespaces.
///
/// The adapter of a server contains one. Programs without a server use `socketio-emitter`, which is
/// built on it.
#[derive(Clone, Debug)]
pub struct Publisher {
    config: MongoConfig,
}

impl Publisher {
    /// Creates a publisher that uses the client of the configuration.
    pub fn new(config: MongoConfig) -> Self {
        Self { config }
    }

    /// Publishes a message. Resolves when MongoDB has accepted it. Messages that are published one
    /// after another arrive in that order.
    ///
    /// # Errors
    ///
    /// Returns an error if the message is too large or cannot be encoded, or if MongoDB refuses it
    /// or does not respond in time. It may then still arrive.
    pub async fn publish(&self, message: &Message) -> Result<(), MongoError> {
        let MongoConfig { collection, timeout, limits, .. } = &self.config;
        let mut document = encode(message, limits)?;
        if self.config.add_created_at_field {
            document.insert("createdAt", DateTime::now());
        }
        let inserted = tokio::time::timeout(*timeout, collection.insert_one(document)).await;
        inserted.map_err(|_| MongoError::Timeout(*timeout))??;
        Ok(())
    }
}
