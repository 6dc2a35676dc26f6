//! The engines, one per feature.

#[cfg(any(feature = "redis", feature = "postgres", feature = "mongodb", feature = "nats"))]
use socketio_adapter::{AdapterError, BoxFuture, Message};

#[cfg(any(feature = "redis", feature = "postgres", feature = "mongodb", feature = "nats"))]
use crate::emitter::{Emitter, Publish};

#[cfg(feature = "redis")]
mod on_redis {
    use socketio_adapter_redis::{Classic, Publisher, Sharded, Streams};

    use super::{AdapterError, BoxFuture, Emitter, Message, Publish};

    impl Publish for Publisher {
        fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>> {
            Box::pin(async move { Publisher::publish(self, message).await })
        }
    }

    impl Emitter {
        /// Connects to a cluster on Redis pub/sub, whose servers use
        /// [`RedisAdapter::classic`](socketio_adapter_redis::RedisAdapter::classic) or Node's
        /// `createAdapter`. The options are those of the adapter.
        ///
        /// # Errors
        ///
        /// An option is invalid, or Redis cannot be reached.
        pub async fn redis(options: Classic) -> Result<Self, AdapterError> {
            connect(Publisher::classic(options)).await
        }

        /// Connects to a cluster on sharded pub/sub, whose servers use
        /// [`RedisAdapter::sharded`](socketio_adapter_redis::RedisAdapter::sharded) or Node's
        /// `createShardedAdapter`.
        ///
        /// # Errors
        ///
        /// An option is invalid, or Redis cannot be reached.
        pub async fn redis_sharded(options: Sharded) -> Result<Self, AdapterError> {
            connect(Publisher::sharded(options)).await
        }

        /// Connects to a cluster on Redis streams, whose servers use
        /// [`RedisAdapter::streams`](socketio_adapter_redis::RedisAdapter::streams) or Node's
        /// `@socket.io/redis-streams-adapter`. Clients that are disconnected recover the emitted
        /// events later.
        ///
        /// # Errors
        ///
        /// An option is invalid, or Redis cannot be reached.
        pub async fn redis_streams(options: Streams) -> Result<Self, AdapterError> {
            connect(Publisher::streams(options)).await
        }
    }

    async fn connect(
        publisher: Result<Publisher, socketio_adapter_redis::ConfigError>,
    ) -> Result<Emitter, AdapterError> {
        let publisher = publisher.map_err(|error| AdapterError::Refused(error.into()))?;
        publisher.connected().await?;
        Ok(Emitter::new(publisher))
    }
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use socketio_adapter_postgres::{PostgresConfig, Publisher};

    use super::{AdapterError, BoxFuture, Emitter, Message, Publish};

    impl Publish for Publisher {
        fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>> {
            Box::pin(async move { Ok(Publisher::publish(self, message).await?) })
        }
    }

    impl Emitter {
        /// Connects to a cluster on PostgreSQL, whose servers use
        /// [`PostgresAdapter`](socketio_adapter_postgres::PostgresAdapter) or Node's
        /// `@socket.io/postgres-adapter`. The options are those of the adapter. Options for
        /// listening have no effect.
        ///
        /// If the servers use
        /// [`connection_state_recovery`](PostgresConfig::connection_state_recovery), set it here
        /// too. Clients that are disconnected then recover the emitted events later.
        ///
        /// # Errors
        ///
        /// An option is invalid, or the database cannot be reached.
        pub async fn postgres(config: PostgresConfig) -> Result<Self, AdapterError> {
            let publisher = Publisher::start(config)?;
            publisher.connected().await?;
            Ok(Self::new(publisher))
        }
    }
}

#[cfg(feature = "mongodb")]
mod on_mongodb {
    use socketio_adapter_mongodb::{MongoConfig, Publisher};

    use super::{AdapterError, BoxFuture, Emitter, Message, Publish};

    impl Publish for Publisher {
        fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>> {
            Box::pin(async move { Ok(Publisher::publish(self, message).await?) })
        }
    }

    impl Emitter {
        /// Creates an emitter for a cluster on MongoDB, whose servers use
        /// [`MongoAdapter`](socketio_adapter_mongodb::MongoAdapter) or Node's
        /// `@socket.io/mongo-adapter`. The options are those of the adapter. Options for listening
        /// have no effect.
        pub fn mongodb(config: MongoConfig) -> Self {
            Self::new(Publisher::new(config))
        }
    }
}

#[cfg(feature = "nats")]
mod on_nats {
    use socketio_adapter_nats::{NatsConfig, Publisher};

    use super::{AdapterError, BoxFuture, Emitter, Message, Publish};

    impl Publish for Publisher {
        fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>> {
            Box::pin(async move {
                Publisher::publish(self, message).await?;
                // The program may exit after the emit.
                Ok(self.flush().await?)
            })
        }
    }

    impl Emitter {
        /// Creates an emitter for a cluster on NATS, whose servers use
        /// [`NatsAdapter`](socketio_adapter_nats::NatsAdapter). The options are those of the
        /// adapter. Options for listening have no effect.
        ///
        /// If the servers use [`connection_state_recovery`](NatsConfig::connection_state_recovery),
        /// set it here too. Clients that are disconnected then recover the emitted events later.
        ///
        /// # Errors
        ///
        /// An option is invalid.
        pub fn nats(config: NatsConfig) -> Result<Self, AdapterError> {
            Ok(Self::new(Publisher::new(config)?))
        }
    }
}
