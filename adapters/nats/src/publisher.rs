//! What speaks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_nats::connection::State;
use bytes::Bytes;
use socketio_adapter::{Message, NodeId};

use crate::{config::NatsConfig, error::NatsError, frame::Frame, subject::Subjects};

/// Publishes messages to the nodes of their namespaces.
///
/// Servers have one inside their adapter; programs without a server use `socketio-emitter`, which is made of it.
#[derive(Clone, Debug)]
pub struct Publisher {
    config: NatsConfig,
    count: Arc<AtomicU64>,
}

impl Publisher {
    /// With the client of the configuration.
    ///
    /// # Errors
    ///
    /// The configuration's prefix is none.
    pub fn new(config: NatsConfig) -> Result<Self, NatsError> {
        Subjects::new(&config.prefix, "/")?;
        Ok(Self { config, count: Arc::default() })
    }

    /// Publishes a message. Resolves when the client has it; what is published one after the other arrives in that order.
    ///
    /// # Errors
    ///
    /// At once where there is no connection, or the message is too large.
    pub async fn publish(&self, message: &Message) -> Result<(), NatsError> {
        let subjects = Subjects::new(&self.config.prefix, message.nsp.as_str())?;
        let room = message.body.only_room().filter(|_| self.config.room_subjects);
        let room = room.and_then(|room| subjects.room(room));
        self.send(room.unwrap_or_else(|| subjects.all()), &message.uid, message.encode()).await
    }

    /// Sends a message to one node.
    pub(crate) async fn reply(&self, to: &NodeId, message: &Message) -> Result<(), NatsError> {
        let subjects = Subjects::new(&self.config.prefix, message.nsp.as_str())?;
        self.send(subjects.node(to)?, &message.uid, message.encode()).await
    }

    /// Waits until the client has written what it was given.
    ///
    /// # Errors
    ///
    /// It has no connection, or does not get it written in time.
    pub async fn flush(&self) -> Result<(), NatsError> {
        self.check()?;
        let flushed = tokio::time::timeout(self.config.timeout, self.config.client.flush()).await;
        let flushed = flushed.map_err(|_| NatsError::Timeout(self.config.timeout))?;
        flushed.map_err(|error| NatsError::Client(error.into()))
    }

    /// Sends a node a message that says nothing.
    pub(crate) async fn remind(&self, subject: String, uid: &NodeId) -> Result<(), NatsError> {
        self.send(subject, uid, Bytes::new()).await
    }

    pub(crate) fn check(&self) -> Result<(), NatsError> {
        match self.config.client.connection_state() {
            State::Connected => Ok(()),
            _ => Err(NatsError::Away),
        }
    }

    async fn send(&self, subject: String, uid: &NodeId, message: Bytes) -> Result<(), NatsError> {
        // The client would keep it, and send it whenever it can.
        self.check()?;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let (bytes, most) = (message.len(), self.config.limits.get_max_message_bytes());
        if bytes > most {
            return Err(NatsError::TooLarge { bytes, limit: most });
        }
        let payload = Frame { uid: uid.clone(), count, message }.encode()?;
        let (bytes, limit) = (payload.len(), self.config.client.max_payload());
        if bytes > limit {
            return Err(NatsError::TooLarge { bytes, limit });
        }
        let sent = self.config.client.publish(subject, payload);
        let sent = tokio::time::timeout(self.config.timeout, sent).await;
        let sent = sent.map_err(|_| NatsError::Timeout(self.config.timeout))?;
        sent.map_err(|error| NatsError::Client(error.into()))
    }
}
