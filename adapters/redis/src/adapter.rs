//! The adapter of a server, of one of three kinds.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use socketio_adapter::{
    AdapterError, BoxFuture, ClusterAdapter, ClusterMember, Discovery, Inbox, Link,
};

use crate::{
    classic::Classic,
    engine::Engine,
    nodes::{ConfigError, Nodes},
    sharded::Sharded,
    streams::{Streams, StreamsEngine},
    subscriber::{Kind, Topic},
};

/// A cluster adapter for Redis, for all namespaces of one server. Servers with adapters of the same
/// kind and options form a cluster on the same Redis, together with Node's servers.
///
/// ```
/// use std::time::Duration;
/// use socketio_adapter_redis::RedisAdapter;
///
/// let adapter = RedisAdapter::sharded("redis://127.0.0.1")
///     .channel_prefix("chat")
///     .response_timeout(Duration::from_secs(1))
///     .build()?;
/// // ServerConfig::default().adapter(adapter)
/// # drop(adapter);
/// # Ok::<(), socketio_adapter_redis::ConfigError>(())
/// ```
pub struct RedisAdapter {
    options: Options,
    engine: Arc<Engine>,
    streams: Option<Arc<StreamsEngine>>,
}

enum Options {
    Classic(Classic),
    Sharded(Sharded),
    Streams(Streams),
}

impl RedisAdapter {
    /// Starts to configure an adapter over plain pub/sub, like `createAdapter` of
    /// `@socket.io/redis-adapter`. Needs Redis 6 or newer.
    pub fn classic(nodes: impl Into<Nodes>) -> Classic {
        Classic::new(nodes.into())
    }

    /// Starts to configure an adapter over sharded pub/sub, like `createShardedAdapter` of
    /// `@socket.io/redis-adapter`. Needs Redis 7 or newer.
    pub fn sharded(nodes: impl Into<Nodes>) -> Sharded {
        Sharded::new(nodes.into())
    }

    /// Starts to configure an adapter over streams, like `@socket.io/redis-streams-adapter` 0.3.
    /// Short outages of Redis lose no broadcasts, and any node can recover a session. Needs Redis
    /// 6.2 or newer.
    pub fn streams(nodes: impl Into<Nodes>) -> Streams {
        Streams::new(nodes.into())
    }

    fn new(options: Options) -> Result<Arc<Self>, ConfigError> {
        let (nodes, common) = match &options {
            Options::Classic(options) => (&options.nodes, &options.common),
            Options::Sharded(options) => (&options.nodes, &options.common),
            Options::Streams(options) => (&options.nodes, &options.common),
        };
        let engine = Engine::new(nodes, common)?;
        let streams = match &options {
            Options::Streams(options) => Some(StreamsEngine::new(options, engine.clone())?),
            Options::Classic(_) | Options::Sharded(_) => None,
        };
        Ok(Arc::new(Self { options, engine, streams }))
    }

    /// Returns whether Redis has confirmed the subscription to a sharded channel. For tests and
    /// diagnosis.
    pub fn is_subscribed(&self, channel: &str) -> bool {
        let name = Bytes::copy_from_slice(channel.as_bytes());
        self.engine.sharded.is_active(&Topic { kind: Kind::Sharded, name })
    }
}

macro_rules! build {
    ($($kind:ident),*) => { $(
        impl $kind {
            /// Builds the adapter. It connects when the first namespace joins.
            ///
            /// # Errors
            ///
            /// Returns an error if an address or an option is invalid.
            pub fn build(self) -> Result<Arc<RedisAdapter>, ConfigError> {
                RedisAdapter::new(Options::$kind(self))
            }
        }
    )* };
}

build!(Classic, Sharded, Streams);

impl ClusterAdapter for RedisAdapter {
    fn discovery(&self) -> Discovery {
        Discovery::Count
    }

    fn keeps_log(&self) -> bool {
        self.streams.is_some()
    }

    fn join(
        &self,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            match (&self.options, &self.streams) {
                (Options::Classic(options), _) => options.join(&self.engine, member, inbox).await,
                (Options::Sharded(options), _) => options.join(&self.engine, member, inbox).await,
                (Options::Streams(_), Some(streams)) => streams.join(member, inbox).await,
                (Options::Streams(_), None) => Err(AdapterError::NotInCluster),
            }
        })
    }
}

impl fmt::Debug for RedisAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Addresses are omitted because they may contain passwords.
        let kind = match &self.options {
            Options::Classic(_) => "classic",
            Options::Sharded(_) => "sharded",
            Options::Streams(_) => "streams",
        };
        f.debug_struct("RedisAdapter").field("kind", &kind).finish_non_exhaustive()
    }
}
