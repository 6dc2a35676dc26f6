//! What a server has done and what it holds, in numbers.

mod counters;
#[cfg(feature = "metrics")]
mod report;
mod server;

pub use counters::{Acks, ClusterStats, Disconnected, Events, Handlers, Recoveries};
pub(crate) use counters::{Counters, Stripe};

/// A snapshot of a server's counters, from [`Server::stats`](crate::Server::stats). Those of the transports are the
/// engine's: [`Engine::stats`](engineio_server::Engine::stats).
///
/// Counts are totals since the server was made; `namespaces`, `sockets`, `rooms`, `recovery_log` and `cluster_requests`
/// are what there is now. The fields are read one after the other, so that they may differ by what happened in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Namespaces.
    pub namespaces: u64,
    /// Sockets, over all namespaces: a client counts once in each. Those a middleware has not let in yet are among them.
    pub sockets: u64,
    /// Rooms that have sockets, over all namespaces, without the ones of each socket's own id.
    pub rooms: u64,
    /// Sockets that were let into a namespace.
    pub connected: u64,
    /// CONNECTs that were answered with CONNECT_ERROR.
    pub refused: u64,
    /// Sockets that were disconnected, by reason.
    pub disconnected: Disconnected,
    /// Events, both ways.
    pub events: Events,
    /// Handlers, and how they ended.
    pub handlers: Handlers,
    /// Acknowledgements that are awaited of clients.
    pub acks: Acks,
    /// Clients that came back.
    pub recoveries: Recoveries,
    /// What is kept for clients that may come back; nothing without
    /// [`connection_state_recovery`](crate::ServerConfig::connection_state_recovery).
    pub recovery_log: RecoveryLog,
    /// Messages to and from the other nodes; none without an [`adapter`](crate::ServerConfig::adapter).
    pub cluster: ClusterStats,
    /// Requests that wait for other nodes.
    pub cluster_requests: u64,
}

/// What is kept for clients that may come back, over all namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryLog {
    /// Events.
    pub events: u64,
    /// Their bytes, with their bookkeeping.
    pub bytes: u64,
    /// Sessions of clients that are away.
    pub sessions: u64,
}

impl Stats {
    /// Adds what is counted.
    pub(crate) fn add_counters(&mut self, counters: &Counters) {
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
