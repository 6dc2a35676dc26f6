//! Statistics of a server.

pub(crate) mod counters;
#[cfg(feature = "metrics")]
mod report;

pub use counters::{
    AckStats, ClusterStats, DisconnectStats, EventStats, HandlerStats, RecoveryStats,
};
pub(crate) use counters::{Counters, Stripe};

/// A snapshot of a server's counters, from [`Server::stats`](crate::Server::stats).
/// [`Engine::stats`](crate::Engine::stats) has those of the transports.
///
/// Counts are totals since the server was created. `namespaces`, `sockets`, `rooms`, `inbox_*`,
/// `unfinished_bytes`, `recovery_log` and `cluster_requests` are current values. The fields are read one after another, so they may
/// differ by events in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Number of namespaces.
    pub namespaces: u64,
    /// Sockets over all namespaces. A client counts once per namespace. Includes sockets that wait
    /// for a middleware.
    pub sockets: u64,
    /// Rooms with sockets over all namespaces, without the rooms of the sockets' own ids.
    pub rooms: u64,
    /// Events that wait for a free handler, over all sockets.
    pub inbox_events: u64,
    /// The memory of these events in bytes, as
    /// [`max_inbox_bytes`](crate::ServerConfig::max_inbox_bytes) counts it.
    pub inbox_bytes: u64,
    /// Bytes of binary packets whose attachments have not all arrived, over all clients. Each client
    /// adds at most [`Limits::max_attachment_bytes`](crate::Limits::max_attachment_bytes) and a
    /// message.
    pub unfinished_bytes: u64,
    /// Sockets that were connected to a namespace.
    pub connected: u64,
    /// CONNECT packets that were refused with CONNECT_ERROR.
    pub refused: u64,
    /// Sockets that were disconnected, by reason.
    pub disconnected: DisconnectStats,
    /// Events in both directions.
    pub events: EventStats,
    /// Handlers, and their results.
    pub handlers: HandlerStats,
    /// Acks that are requested from clients.
    pub acks: AckStats,
    /// Clients that asked for their previous session.
    pub recoveries: RecoveryStats,
    /// The state kept for recovery. Empty without
    /// [`connection_state_recovery`](crate::ServerConfig::connection_state_recovery).
    pub recovery_log: RecoveryLogStats,
    /// Messages to and from other nodes. All 0 without an
    /// [`adapter`](crate::ServerConfig::adapter).
    pub cluster: ClusterStats,
    /// Requests that wait for other nodes.
    pub cluster_requests: u64,
}

/// The state kept for recovery, over all namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryLogStats {
    /// Number of events.
    pub events: u64,
    /// The size of the events in bytes, including bookkeeping.
    pub bytes: u64,
    /// Number of sessions of disconnected clients.
    pub sessions: u64,
}

impl Stats {
    /// Adds the counters.
    pub(crate) fn add_counters(&mut self, counters: &Counters) {
        self.inbox_events = counters.waiting.inbox_events.get();
        self.inbox_bytes = counters.waiting.inbox_bytes.get();
        self.unfinished_bytes = counters.waiting.unfinished_bytes.get();
        for stripe in counters.stripes() {
            self.connected += stripe.connected.get();
            self.refused += stripe.refused.get();
            stripe.disconnected.add_to(&mut self.disconnected);
            stripe.events.add_to(&mut self.events);
            stripe.handlers.add_to(&mut self.handlers);
            stripe.acks.add_to(&mut self.acks);
            stripe.recoveries.add_to(&mut self.recoveries);
            stripe.cluster.add_to(&mut self.cluster);
        }
    }
}
