//! The sending half of the adapter.

use std::future::IntoFuture;

use mongodb::{
    bson::{Bson, DateTime, Document, oid::ObjectId},
    error::Error,
};
use socketio_adapter::{Message, MessageError};

use crate::{
    config::MongoConfig,
    document::{check, encode},
    error::MongoError,
    id::new_id,
};

/// Publishes messages to all nodes of their namespaces.
///
/// The adapter of a server contains one. Programs without a server use `socketio-emitter`, which is
/// built on it.
#[derive(Clone, Debug)]
pub struct Publisher {
    pub(crate) config: MongoConfig,
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
        self.insert(new_id(), message).await
    }

    /// Publishes a message as the document with this id.
    pub(crate) async fn insert(&self, id: ObjectId, message: &Message) -> Result<(), MongoError> {
        let document = self.stamped(id, encode(message))?;
        self.within_timeout(self.config.collection.insert_one(document)).await?;
        Ok(())
    }

    /// Adds an id and, if configured, the time to a document that has all other fields.
    pub(crate) fn stamped(
        &self,
        id: impl Into<Bson>,
        mut document: Document,
    ) -> Result<Document, MessageError> {
        document.insert("_id", id);
        if self.config.add_created_at_field {
            document.insert("createdAt", DateTime::now());
        }
        check(&document, &self.config.limits)?;
        Ok(document)
    }

    /// Limits the time of an operation.
    pub(crate) async fn within_timeout<T>(
        &self,
        operation: impl IntoFuture<Output = Result<T, Error>>,
    ) -> Result<T, MongoError> {
        let timeout = self.config.timeout;
        let result = tokio::time::timeout(timeout, operation).await;
        Ok(result.map_err(|_| MongoError::Timeout(timeout))??)
    }
}
