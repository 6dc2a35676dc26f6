//! The sending half of the adapter.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_nats::connection::State;
use bytes::Bytes;
use socketio_adapter::{Message, NodeId, Offset, internal::is_logged};

use crate::{config::NatsConfig, error::NatsError, frame::Frame, recovery::Log, subject::Subjects};

/// Publishes messages to the nodes of their namespaces.
///
/// The adapter of a server contains one. Programs without a server use `socketio-emitter`, which is
/// built on it.
#[derive(Clone)]
pub struct Publisher {
    config: NatsConfig,
    count: Arc<AtomicU64>,
    log: Option<Arc<Log>>,
}

impl Publisher {
    /// Creates a publisher that uses the client of the configuration.
    ///
    /// # Errors
    ///
    /// Returns [`NatsError::InvalidPrefix`] if the configured prefix is invalid.
    pub fn new(config: NatsConfig) -> Result<Self, NatsError> {
        Subjects::new(&config.prefix, "/")?;
        let NatsConfig { client, prefix, recovery, timeout, .. } = config.clone();
        let log =
            recovery.map(|options| Log::new(client, &prefix, options, timeout)).transpose()?;
        Ok(Self { config, count: Arc::default(), log })
    }

    /// Publishes a message. Resolves when the client, or JetStream for events in the log, has
    /// accepted it. Messages that are published one after another arrive in that order.
    ///
    /// # Errors
    ///
    /// Returns an error at once if there is no connection or the message is too large.
    pub async fn publish(&self, message: &Message) -> Result<(), NatsError> {
        if let Some(log) = self.log.as_ref().filter(|_| is_logged(&message.body)) {
            return self.append(log, message).await.map(drop);
        }
        let subjects = Subjects::new(&self.config.prefix, message.nsp.as_str())?;
        let room = message.body.only_room().filter(|_| self.config.room_subjects);
        let room = room.and_then(|room| subjects.room(room));
        self.send(room.unwrap_or_else(|| subjects.all()), &message.uid, message.encode()).await
    }

    /// Appends a message to the log. Returns its offset.
    pub(crate) async fn append(&self, log: &Log, message: &Message) -> Result<Offset, NatsError> {
        let subjects = Subjects::new(&self.config.prefix, message.nsp.as_str())?;
        let frame = self.frame(&message.uid, message.encode())?;
        let payload = self.encode(&frame)?;
        Ok(log.offset_of(log.append(&subjects.log(), payload).await?, &frame))
    }

    /// Returns the log if connection state recovery is enabled.
    pub(crate) fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref()
    }

    /// Publishes a message to one node.
    pub(crate) async fn reply(&self, to: &NodeId, message: &Message) -> Result<(), NatsError> {
        let subjects = Subjects::new(&self.config.prefix, message.nsp.as_str())?;
        self.send(subjects.node(to)?, &message.uid, message.encode()).await
    }

    /// Waits until the client has written all messages it accepted.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection, or if the `timeout` passes first.
    pub async fn flush(&self) -> Result<(), NatsError> {
        self.check()?;
        let flushed = tokio::time::timeout(self.config.timeout, self.config.client.flush()).await;
        let flushed = flushed.map_err(|_| NatsError::Timeout(self.config.timeout))?;
        flushed.map_err(|error| NatsError::Client(error.into()))
    }

    /// Sends an empty message, by which a node detects that its subscriptions are active.
    pub(crate) async fn send_probe(&self, subject: String, uid: &NodeId) -> Result<(), NatsError> {
        self.send(subject, uid, Bytes::new()).await
    }

    pub(crate) fn check(&self) -> Result<(), NatsError> {
        match self.config.client.connection_state() {
            State::Connected => Ok(()),
            _ => Err(NatsError::NotConnected),
        }
    }

    async fn send(&self, subject: String, uid: &NodeId, message: Bytes) -> Result<(), NatsError> {
        let payload = self.encode(&self.frame(uid, message)?)?;
        let sent = self.config.client.publish(subject, payload);
        let sent = tokio::time::timeout(self.config.timeout, sent).await;
        let sent = sent.map_err(|_| NatsError::Timeout(self.config.timeout))?;
        sent.map_err(|error| NatsError::Client(error.into()))
    }

    fn frame(&self, uid: &NodeId, message: Bytes) -> Result<Frame, NatsError> {
        // Without this check, the client would keep the message and send it after reconnecting.
        self.check()?;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        self.config.limits.check_size(message.len())?;
        Ok(Frame { uid: uid.clone(), count, message })
    }

    fn encode(&self, frame: &Frame) -> Result<Bytes, NatsError> {
        let payload = frame.encode()?;
        let (bytes, limit) = (payload.len(), self.config.client.max_payload());
        if bytes > limit { Err(NatsError::TooLarge { bytes, limit }) } else { Ok(payload) }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("config", &self.config).finish_non_exhaustive()
    }
}
