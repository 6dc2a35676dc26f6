//! What speaks without listening, for programs without a server.

use std::{fmt, sync::Arc};

use redis::Cmd;
use socketio_adapter::{AdapterError, Message, MessageError};

use crate::{
    classic::Classic, engine::Engine, nodes::ConfigError, sharded::Sharded, streams::Streams,
};

/// Publishes messages to the nodes of a cluster, and is none of them. Its connection is made by [`connected`](Self::connected), and again
/// whenever it is lost, until the publisher is dropped. Programs use `socketio-emitter`, which is made of it.
///
/// A message that asks for answers is published as any other; the answers go nowhere.
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
    /// To servers with [`RedisAdapter::classic`](crate::RedisAdapter::classic), as `@socket.io/redis-emitter` publishes.
    ///
    /// # Errors
    ///
    /// An address makes no sense.
    pub fn classic(options: Classic) -> Result<Self, ConfigError> {
        let engine = Engine::new(&options.nodes, &options.common)?;
        Ok(Self { protocol: Protocol::Classic(options), engine })
    }

    /// To servers with [`RedisAdapter::sharded`](crate::RedisAdapter::sharded). Node has no such emitter.
    ///
    /// # Errors
    ///
    /// An address makes no sense.
    pub fn sharded(options: Sharded) -> Result<Self, ConfigError> {
        let engine = Engine::new(&options.nodes, &options.common)?;
        Ok(Self { protocol: Protocol::Sharded(options), engine })
    }

    /// To servers with [`RedisAdapter::streams`](crate::RedisAdapter::streams), as `@socket.io/redis-streams-emitter` publishes.
    ///
    /// # Errors
    ///
    /// An address makes no sense.
    pub fn streams(options: Streams) -> Result<Self, ConfigError> {
        let engine = Engine::new(&options.nodes, &options.common)?;
        Ok(Self { protocol: Protocol::Streams(options), engine })
    }

    /// Connects, where that has not happened.
    ///
    /// # Errors
    ///
    /// Redis cannot be reached within `connection_timeout`. Attempts go on.
    pub async fn connected(&self) -> Result<(), AdapterError> {
        match self.protocol {
            Protocol::Classic(_) => self.engine.start_node().await,
            Protocol::Sharded(_) | Protocol::Streams(_) => self.engine.start_keys().await,
        }
    }

    /// Publishes a message. Resolves when Redis has it; what is published one after the other arrives in that order.
    ///
    /// # Errors
    ///
    /// Redis cannot be reached, or does not answer in time. Nobody tries again.
    pub async fn publish(&self, message: &Message) -> Result<(), AdapterError> {
        let (bytes, limit) = (message.body.bytes(), self.engine.limits.get_max_message_bytes());
        if bytes > limit {
            return Err(MessageError::TooLarge { bytes, limit }.into());
        }
        let command: Option<Cmd> = match &self.protocol {
            Protocol::Classic(options) => options.publication(message),
            Protocol::Sharded(options) => Some(options.publication(message)),
            Protocol::Streams(options) => Some(options.publication(message)),
        };
        let lane = match self.protocol {
            Protocol::Classic(_) => &self.engine.node,
            Protocol::Sharded(_) | Protocol::Streams(_) => &self.engine.keys,
        };
        match command {
            Some(command) => lane.query(&command).await.map(drop),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
