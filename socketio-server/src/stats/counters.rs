//! The definition of all counters.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use engineio_server::internal::{Counter, Gauge, counters};

use crate::error::DisconnectReason;

/// All counters of a server, in several copies. Each thread adds to one of these stripes, so that
/// threads do not compete for cache lines. A thread always uses the same stripe. The first threads
/// have one of their own, the others share the rest.
#[derive(Debug)]
pub(crate) struct Counters {
    stripes: Box<[Stripe]>,
    /// Clients report these values at the end of a turn, and only if they have changed.
    pub(crate) waiting: WaitingGauges,
}

/// Data of clients that waits.
#[derive(Debug, Default)]
pub(crate) struct WaitingGauges {
    pub(crate) inbox_events: Gauge,
    pub(crate) inbox_bytes: Gauge,
    pub(crate) unfinished_bytes: Gauge,
}

impl Default for Counters {
    fn default() -> Self {
        let stripes = (0..STRIPES).map(|_| Stripe::default()).collect();
        Self { stripes, waiting: WaitingGauges::default() }
    }
}

/// The number of stripes that belong to one thread.
const OWNED: usize = 32;
/// The number of all stripes. Each takes some 600 bytes.
const STRIPES: usize = OWNED + 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: usize = match NEXT.fetch_add(1, Relaxed) {
        owned @ ..OWNED => owned,
        other => OWNED + other % (STRIPES - OWNED),
    };
}

impl Counters {
    /// Returns the stripe of this thread.
    pub(crate) fn here(&self) -> &Stripe {
        &self.stripes[MINE.with(|mine| *mine)]
    }

    /// Adds one to a counter. Serves the counters of each event, for which an atomic addition would
    /// take too long.
    pub(crate) fn one(&self, counter: impl FnOnce(&Stripe) -> &Counter) {
        let mine = MINE.with(|mine| *mine);
        let counter = counter(&self.stripes[mine]);
        if mine < OWNED { counter.one_of_owner() } else { counter.one() }
    }

    pub(super) fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes.iter()
    }
}

counters! {
    /// Sockets that were disconnected, by [`DisconnectReason`].
    DisconnectStats, DisconnectedCounters {
        /// "transport error".
        transport_error,
        /// "transport close".
        transport_close,
        /// "forced close".
        forced_close,
        /// "ping timeout".
        ping_timeout,
        /// "parse error".
        parse_error,
        /// "server shutting down".
        server_shutting_down,
        /// "client namespace disconnect".
        client_namespace_disconnect,
        /// "server namespace disconnect".
        server_namespace_disconnect,
        /// Without a reason: the task of the connection was dropped, for example at the end of a
        /// runtime. The disconnection handlers did not run.
        canceled,
    }
}

impl DisconnectStats {
    /// Returns the sum of all counts.
    pub fn total(&self) -> u64 {
        self.entries().map(|(_, count)| count).sum()
    }
}

impl DisconnectedCounters {
    pub(crate) fn one(&self, reason: DisconnectReason) {
        match reason {
            DisconnectReason::TransportError => &self.transport_error,
            DisconnectReason::TransportClose => &self.transport_close,
            DisconnectReason::ForcedClose => &self.forced_close,
            DisconnectReason::PingTimeout => &self.ping_timeout,
            DisconnectReason::ParseError => &self.parse_error,
            DisconnectReason::ServerShuttingDown => &self.server_shutting_down,
            DisconnectReason::ClientNamespaceDisconnect => &self.client_namespace_disconnect,
            DisconnectReason::ServerNamespaceDisconnect => &self.server_namespace_disconnect,
        }
        .one();
    }
}

counters! {
    /// Events in both directions, without acks.
    EventStats, EventCounters {
        /// Events of clients that have joined the namespace, including those that were dropped.
        received,
        /// Received events that the [`RateLimit`](crate::RateLimit) refused.
        rate_limited,
        /// Received events that were dropped because the socket was disconnected before their
        /// handlers started. They were waiting in the inbox or for a middleware.
        dropped,
        /// Events to one socket that were queued, or kept until the socket returns.
        emitted,
        /// Broadcasts to this server's sockets, one per namespace, whatever the number of
        /// recipients. Includes broadcasts of other nodes.
        broadcasts,
        /// Volatile events that were dropped because the recipient's transport was busy.
        volatile_dropped,
        /// Packets that a recipient's full queue refused: events, acks, copies of a broadcast.
        queue_full,
        /// Clients that were closed because their queue was full: a broadcast met
        /// [`Overflow::Disconnect`](crate::Overflow), or there was no room for a packet of the
        /// protocol.
        slow_clients_closed,
    }
}

counters! {
    /// Handlers of events, connects and disconnects, and their results. Middlewares count only in
    /// the fields that mention them.
    HandlerStats, HandlerCounters {
        /// Handlers that were called.
        started,
        /// Handlers that returned an error.
        failed,
        /// Handlers and middlewares that panicked.
        panicked,
        /// Handlers that were not called because an extractor failed.
        not_extracted,
        /// Middlewares that failed. For CONNECT, only errors that were not made for the client are
        /// counted.
        middleware_failed,
        /// Handlers whose time was measured. 0 without
        /// [`measure_handlers`](crate::ServerConfig::measure_handlers).
        timed,
        /// The total time of these handlers from start to end, including waiting, in nanoseconds.
        nanoseconds,
    }
}

counters! {
    /// Acks that this server expects from its clients, one per recipient of a broadcast.
    AckStats, AckCounters {
        /// Acks that were requested.
        requested,
        /// Acks that arrived.
        received,
        /// Acks that did not arrive in time.
        expired,
        /// Acks that did not arrive before the socket was disconnected.
        disconnected,
        /// Acks that no longer have a waiter, because its future was dropped or the event could not
        /// be sent.
        abandoned,
        /// Acks that were not requested, because too many acks of that client were pending
        /// ([`Limits`](crate::Limits)).
        refused,
    }
}

impl AckStats {
    /// Returns the number of pending acks.
    pub fn pending(&self) -> u64 {
        let ended = self.received + self.expired + self.disconnected + self.abandoned;
        self.requested.saturating_sub(ended)
    }
}

counters! {
    /// Clients that asked for their previous session.
    RecoveryStats, RecoveryCounters {
        /// Clients that got their session and all missed events.
        recovered,
        /// Clients that got a new session or were closed, because the session or some missed events
        /// were no longer known.
        not_recovered,
        /// Sockets that were disconnected because their client claimed the session on another
        /// connection.
        taken_over,
    }
}

counters! {
    /// Messages and requests to other nodes, over all namespaces.
    ClusterStats, ClusterCounters {
        /// Messages that the adapter has sent.
        sent,
        /// Messages that the adapter failed to send.
        lost,
        /// Messages of other nodes.
        received,
        /// Malformed messages from the adapter's engine. They were dropped.
        undecodable,
        /// Messages that were refused because too many were waiting to be sent
        /// ([`ClusterLimits`](crate::ClusterLimits)).
        queue_full,
        /// Server-side events of other nodes that were dropped because too many handlers were
        /// running.
        too_many_handlers,
        /// Requests that ended at their deadline with the replies so far.
        timed_out,
    }
}

/// One copy of all counters. It is aligned to two cache lines, because processors fetch them in
/// pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Stripe {
    pub(crate) connected: Counter,
    pub(crate) refused: Counter,
    pub(crate) disconnected: DisconnectedCounters,
    pub(crate) events: EventCounters,
    pub(crate) handlers: HandlerCounters,
    pub(crate) acks: AckCounters,
    pub(crate) recoveries: RecoveryCounters,
    pub(crate) cluster: ClusterCounters,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stats::Stats;

    #[test]
    fn counts_of_all_threads_are_added() {
        let counters = Arc::new(Counters::default());
        let threads: Vec<_> = (0..2 * STRIPES)
            .map(|_| {
                let counters = counters.clone();
                std::thread::spawn(move || counters.here().events.received.one())
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut stats = Stats::default();
        stats.add_counters(&counters);
        assert_eq!(stats.events.received, 2 * STRIPES as u64);
    }
}
