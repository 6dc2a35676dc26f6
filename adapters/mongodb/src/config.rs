//! Options of the adapter.

use std::{fmt, time::Duration};

use mongodb::{Collection, bson::Document};
use socketio_adapter::{ClusterLimits, Heartbeats, internal::bounded_timeout};

/// Configuration of a [`MongoAdapter`](crate::MongoAdapter) or a [`Publisher`](crate::Publisher).
/// Options that Node's adapter has too have the same defaults.
#[derive(Clone)]
#[must_use]
pub struct MongoConfig {
    pub(crate) collection: Collection<Document>,
    pub(crate) add_created_at_field: bool,
    pub(crate) timeout: Duration,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) limits: ClusterLimits,
    pub(crate) max_events: usize,
}

impl MongoConfig {
    /// Creates a configuration for a collection, which all nodes of the cluster use. The adapter
    /// uses the client of the collection with its options, such as TLS and the write concern.
    pub fn new(collection: Collection<Document>) -> Self {
        Self {
            collection,
            add_created_at_field: false,
            timeout: Duration::from_secs(5),
            heartbeats: Heartbeats::default(),
            limits: ClusterLimits::default(),
            max_events: 100_000,
        }
    }

    /// Sets whether each document has its time in the field `createdAt` (default `false`). A
    /// collection that is not capped needs this field, together with a TTL index:
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_adapter_mongodb::mongodb::{
    ///     Collection, IndexModel, bson::{Document, doc}, error::Result, options::IndexOptions,
    /// };
    ///
    /// async fn prepare(collection: &Collection<Document>) -> Result<()> {
    ///     let hour = Duration::from_secs(3600);
    ///     let options = IndexOptions::builder().expire_after(hour).build();
    ///     let index = IndexModel::builder().keys(doc! { "createdAt": 1 }).options(options);
    ///     collection.create_index(index.build()).await.map(drop)
    /// }
    /// # let _ = prepare;
    /// ```
    pub fn add_created_at_field(mut self, add: bool) -> Self {
        self.add_created_at_field = add;
        self
    }

    /// Sets how long MongoDB may take to accept a message, or to open the change stream (default 5
    /// s, at least 1 ms).
    ///
    /// ```
    /// # use socketio_adapter_mongodb::MongoConfig;
    /// # fn example(config: MongoConfig) -> MongoConfig {
    /// config.timeout(std::time::Duration::from_secs(2))
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = bounded_timeout(timeout);
        self
    }

    /// Sets how nodes learn of each other (default: each node sends a heartbeat every 5 s, and
    /// counts as gone 10 s after its last one).
    ///
    /// ```
    /// # use socketio_adapter_mongodb::MongoConfig;
    /// # fn example(config: MongoConfig) -> MongoConfig {
    /// config.heartbeats(socketio_adapter::Heartbeats::default())
    /// # }
    /// ```
    pub fn heartbeats(mut self, heartbeats: Heartbeats) -> Self {
        self.heartbeats = heartbeats;
        self
    }

    /// Sets the maximum size of one message in bytes of BSON (default 10 000 000). Larger messages
    /// are neither sent nor decoded. MongoDB accepts 16 MiB.
    ///
    /// ```
    /// # use socketio_adapter_mongodb::MongoConfig;
    /// # fn example(config: MongoConfig) -> MongoConfig {
    /// config.max_message_bytes(1_000_000)
    /// # }
    /// ```
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits = self.limits.max_message_bytes(bytes);
        self
    }

    /// Sets how many events of all namespaces together a node can find again for clients that
    /// missed them (default 100 000, at least one), if the collection still contains them. A client
    /// whose last event is earlier gets a new session. Each event takes 20 bytes of memory. Only
    /// servers with connection state recovery use this.
    ///
    /// ```
    /// # use socketio_adapter_mongodb::MongoConfig;
    /// # fn example(config: MongoConfig) -> MongoConfig {
    /// config.max_events(1_000_000)
    /// # }
    /// ```
    pub fn max_events(mut self, events: usize) -> Self {
        self.max_events = events;
        self
    }
}

impl fmt::Debug for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoConfig")
            .field("collection", &self.collection.namespace())
            .field("add_created_at_field", &self.add_created_at_field)
            .finish_non_exhaustive()
    }
}
