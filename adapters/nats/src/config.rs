//! Options of the adapter.

use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use socketio_adapter::{ClusterLimits, Heartbeats, internal::bounded_timeout};

use crate::recovery::JetStream;

/// Returns client options that suit a server. A hanging connection is detected within about 15 s
/// (NATS's default is two minutes), and the first connection is retried forever, like every later
/// one.
///
/// ```
/// let options = socketio_adapter_nats::connect_options().name("chat");
/// ```
pub fn connect_options() -> ConnectOptions {
    ConnectOptions::new().ping_interval(Duration::from_secs(5)).retry_on_initial_connect()
}

/// Configuration of a [`NatsAdapter`](crate::NatsAdapter) or a [`Publisher`](crate::Publisher).
#[derive(Clone, Debug)]
#[must_use]
pub struct NatsConfig {
    pub(crate) client: Client,
    pub(crate) prefix: String,
    pub(crate) room_subjects: bool,
    pub(crate) timeout: Duration,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) limits: ClusterLimits,
    pub(crate) recovery: Option<JetStream>,
}

impl NatsConfig {
    /// Creates a configuration for `client`. The options of the client hold servers, credentials
    /// and TLS. Its `no_echo` must stay off: a node sends itself a message to detect that its
    /// subscriptions are active.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            prefix: "socketio".into(),
            room_subjects: true,
            timeout: Duration::from_secs(5),
            heartbeats: Heartbeats::default(),
            limits: ClusterLimits::default(),
            recovery: None,
        }
    }

    /// Sets the first part of all subjects (default `socketio`).
    ///
    /// ```
    /// use socketio_adapter_nats::NatsConfig;
    ///
    /// fn change(config: NatsConfig) -> NatsConfig {
    ///     config.prefix("chat")
    /// }
    /// ```
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets whether each room has a subject of its own (default `true`).
    ///
    /// With such subjects, only the nodes that have the room receive a broadcast to it. The first
    /// socket of a room on a node misses broadcasts of other nodes until the subscription is
    /// active, shortly after the join. The setting must be the same on all nodes and emitters.
    ///
    /// ```
    /// use socketio_adapter_nats::NatsConfig;
    ///
    /// fn change(config: NatsConfig) -> NatsConfig {
    ///     config.room_subjects(false)
    /// }
    /// ```
    pub fn room_subjects(mut self, yes: bool) -> Self {
        self.room_subjects = yes;
        self
    }

    /// Sets how long joining, or passing a message to the client, may take (default 5 s, at least
    /// 1 ms).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_adapter_nats::NatsConfig;
    ///
    /// fn change(config: NatsConfig) -> NatsConfig {
    ///     config.timeout(Duration::from_secs(2))
    /// }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = bounded_timeout(timeout);
        self
    }

    /// Sets how nodes learn of each other (default: each node sends a heartbeat every 5 s, and
    /// counts as gone 10 s after its last one).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_adapter::Heartbeats;
    /// use socketio_adapter_nats::NatsConfig;
    ///
    /// fn change(config: NatsConfig) -> NatsConfig {
    ///     let (interval, timeout) = (Duration::from_secs(2), Duration::from_secs(6));
    ///     config.heartbeats(Heartbeats { interval, timeout })
    /// }
    /// ```
    pub fn heartbeats(mut self, heartbeats: Heartbeats) -> Self {
        self.heartbeats = heartbeats;
        self
    }

    /// Stores events and sessions in JetStream, so that clients can return to any node (default:
    /// not stored). The server needs its option of the same name too. The setting must be the same
    /// on all nodes and emitters: nodes without it do not receive the events of nodes that have it.
    ///
    /// The cost: an event waits until JetStream has stored it, and *every* node reads all events of
    /// its namespaces, whatever their rooms. Requests, replies and volatile events still travel
    /// over core NATS.
    ///
    /// ```
    /// use socketio_adapter_nats::{JetStream, NatsConfig};
    ///
    /// fn change(config: NatsConfig) -> NatsConfig {
    ///     config.connection_state_recovery(JetStream::default())
    /// }
    /// ```
    pub fn connection_state_recovery(mut self, jetstream: JetStream) -> Self {
        self.recovery = Some(jetstream);
        self
    }

    /// Sets the maximum size of one message in bytes (default 10 000 000). Larger messages are
    /// neither sent nor decoded. NATS itself allows 1 MB unless its `max_payload` is raised.
    ///
    /// ```
    /// use socketio_adapter_nats::NatsConfig;
    ///
    /// fn change(config: NatsConfig) -> NatsConfig {
    ///     config.max_message_bytes(1_000_000)
    /// }
    /// ```
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits = self.limits.max_message_bytes(bytes);
        self
    }
}
