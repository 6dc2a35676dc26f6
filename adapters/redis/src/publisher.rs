//! The sending half of the adapter, for programs without a server.

use std::{fmt, sync::Arc};

use socketio_adapter::{AdapterError, Message};

use crate::{
    classic::Classic, engine::Engine, nodes::ConfigError, sharded::Sharded, streams::Streams,
};

/// Publishes messages to the nodes of a cluster without being one of them.
/// [`connected`](Self::connected) opens its connection, which reconnects by itself until the
/// publisher is dropped. Programs use `socketio-emitter`, which is built on it.
///
/// Replies to a published request are not received.
pub struct Publisher {
    protocol: Protocol,
    engine: Arc<Engine>,
}

enum Protocol {
    Classic(Classic),
    Sharded(Sharded),
    Streams(Streams),
}

impl Publisher {
    /// Creates a publisher to servers with [`RedisAdapter::classic`](crate::RedisAdapter::classic).
    /// It publishes like `@socket.io/redis-emitter`.
    ///
    /// # Errors
    ///
    /// Returns an error if an address is invalid.
    pub fn classic(options: Classic) -> Result<Self, ConfigError> {
        let engine = Engine::new(&options.nodes, &options.common)?;
        Ok(Self { protocol: Protocol::Classic(options), engine })
    }

    /// Creates a publisher to servers with [`RedisAdapter::sharded`](crate::RedisAdapter::sharded).
    /// Node has no such emitter.
    ///
    /// # Errors
    ///
    /// Returns an error if an address is invalid.
    pub fn sharded(options: Sharded) -> Result<Self, ConfigError> {
        let engine = Engine::new(&options.nodes, &options.common)?;
        Ok(Self { protocol: Protocol::Sharded(options), engine })
    }

    /// Creates a publisher to servers with [`RedisAdapter::streams`](crate::RedisAdapter::streams).
    /// It publishes like `@socket.io/redis-streams-emitter`.
    ///
    /// # Errors
    ///
    /// Returns an error if an address is invalid.
    pub fn streams(options: Streams) -> Result<Self, ConfigError> {
        let engine = Engine::new(&options.nodes, &options.common)?;
        Ok(Self { protocol: Protocol::Streams(options), engine })
    }

    /// Connects if necessary, and waits for the connection.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis cannot be reached within `connection_timeout`. The attempts
    /// continue.
    pub async fn connected(&self) -> Result<(), AdapterError> {
        match self.protocol {
            Protocol::Classic(_) => self.engine.start_node().await,
            Protocol::Sharded(_) | Protocol::Streams(_) => self.engine.start_keys().await,
        }
    }

    /// Publishes a message. Resolves when Redis has accepted it. Messages that are published one
    /// after another arrive in that order.
    ///
    /// # Errors
    ///
    /// Returns an error if the message exceeds `max_message_bytes`, if Redis cannot be reached, or if it does not
    /// respond in time. Publishing is not retried.
    pub async fn publish(&self, message: &Message) -> Result<(), AdapterError> {
        let limits = &self.engine.limits;
        let command = match &self.protocol {
            Protocol::Classic(options) => options.publication(message, limits)?,
            Protocol::Sharded(options) => Some(options.publication(message, limits)?),
            Protocol::Streams(options) => Some(options.publication(message, limits)?),
        };
        let connection = match self.protocol {
            Protocol::Classic(_) => &self.engine.node,
            Protocol::Sharded(_) | Protocol::Streams(_) => &self.engine.keys,
        };
        match command {
            Some(command) => connection.query(&command).await.map(drop),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
