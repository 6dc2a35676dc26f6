//! The options of the adapter.

use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use socketio_adapter::{ClusterLimits, Heartbeats};

use crate::recovery::JetStream;

/// Options of a client that suit a server: a connection that hangs is noticed within some 15 s (NATS's own default is two minutes),
/// and the first one is tried for as long as it takes, as every other one is.
pub fn connect_options() -> ConnectOptions {
    ConnectOptions::new().ping_interval(Duration::from_secs(5)).retry_on_initial_connect()
}

/// Which client, and how it is used.
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
    /// With a client of NATS, whose options hold servers, credentials and TLS. Its `no_echo` must stay off: a node finds out by
    /// a message to itself that its subscriptions are there.
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

    /// What all subjects begin with (default `socketio`).
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Whether each room has a subject of its own (default yes). Then what is sent to one room burdens those nodes alone that have
    /// it, and a room's first socket on a node hears of other nodes' broadcasts a moment after it joined. To be
    /// the same on all nodes and emitters.
    pub fn room_subjects(mut self, yes: bool) -> Self {
        self.room_subjects = yes;
        self
    }

    /// How long joining may take, or handing a message to the client (default 5 s).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How nodes make themselves known (default: every 5 s, gone after 10 s).
    pub fn heartbeats(mut self, heartbeats: Heartbeats) -> Self {
        self.heartbeats = heartbeats;
        self
    }

    /// Keeps events and sessions in JetStream (default: no), so that clients come back to any node where the server
    /// has its option of the same name. To be the same on all nodes and emitters: who has it not does not hear the events of those
    /// that have.
    ///
    /// The price: an event waits until JetStream has stored it, and *every* node reads all events of its namespaces, whatever rooms
    /// they are for. What asks for an answer, what answers, and volatile events take the way that they take without it.
    pub fn connection_state_recovery(mut self, jetstream: JetStream) -> Self {
        self.recovery = Some(jetstream);
        self
    }

    /// Bytes of one message (default 10 000 000). A larger one is neither sent nor decoded. NATS itself allows 1 MB unless its
    /// `max_payload` says otherwise.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits = self.limits.max_message_bytes(bytes);
        self
    }
}
