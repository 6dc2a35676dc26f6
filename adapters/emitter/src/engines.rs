//! The engines, each behind its feature.

#[cfg(any(feature = "redis", feature = "postgres", feature = "nats"))]
use socketio_adapter::{AdapterError, BoxFuture, Message};

#[cfg(any(feature = "redis", feature = "postgres", feature = "nats"))]
use crate::{emitter::Emitter, publish::Publish};

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
        /// To servers with Redis pub/sub: those of [`RedisAdapter::classic`](socketio_adapter_redis::RedisAdapter::classic) and
        /// of `createAdapter` in Node. Options as there.
        ///
        /// # Errors
        ///
        /// An option makes no sense, or Redis cannot be reached.
        pub async fn redis(options: Classic) -> Result<Self, AdapterError> {
            connect(Publisher::classic(options)).await
        }

        /// To servers with sharded pub/sub: those of [`RedisAdapter::sharded`](socketio_adapter_redis::RedisAdapter::sharded)
        /// and of `createShardedAdapter` in Node.
        ///
        /// # Errors
        ///
        /// An option makes no sense, or Redis cannot be reached.
        pub async fn redis_sharded(options: Sharded) -> Result<Self, AdapterError> {
            connect(Publisher::sharded(options)).await
        }

        /// To servers with Redis streams: those of [`RedisAdapter::streams`](socketio_adapter_redis::RedisAdapter::streams) and
        /// of `@socket.io/redis-streams-adapter`. What is emitted is recovered by clients that are away meanwhile.
        ///
        /// # Errors
        ///
        /// An option makes no sense, or Redis cannot be reached.
        pub async fn redis_streams(options: Streams) -> Result<Self, AdapterError> {
            connect(Publisher::streams(options)).await
        }
    }

    async fn connect(
        made: Result<Publisher, socketio_adapter_redis::ConfigError>,
    ) -> Result<Emitter, AdapterError> {
        let publisher = made.map_err(|error| AdapterError::Refused(error.into()))?;
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
        /// To servers with PostgreSQL: those of [`PostgresAdapter`](socketio_adapter_postgres::PostgresAdapter) and of
        /// `@socket.io/postgres-adapter`. Options as there; those for listening mean nothing.
        ///
        /// # Errors
        ///
        /// An option makes no sense, or the database cannot be reached.
        pub async fn postgres(config: PostgresConfig) -> Result<Self, AdapterError> {
            let publisher = Publisher::start(config)?;
            publisher.connected().await?;
            Ok(Self::new(publisher))
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
                // A program may end when it has emitted.
                Ok(self.flush().await?)
            })
        }
    }

    impl Emitter {
        /// To servers with NATS: those of [`NatsAdapter`](socketio_adapter_nats::NatsAdapter). Options as there; those for
        /// listening mean nothing. With [`connection_state_recovery`](NatsConfig::connection_state_recovery), which is to be on
        /// here if it is on there, what is emitted is recovered by clients that are away meanwhile.
        ///
        /// # Errors
        ///
        /// An option makes no sense.
        pub fn nats(config: NatsConfig) -> Result<Self, AdapterError> {
            Ok(Self::new(Publisher::new(config)?))
        }
    }
}
