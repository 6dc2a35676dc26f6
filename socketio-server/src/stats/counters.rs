//! The table of what is counted, and the atomics behind it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use engineio_server::{counters, counting::Counter};

use crate::error::DisconnectReason;

/// All counters of a server, several times: each thread adds to one of the stripes, so that threads do not pass a cache
/// line to each other with every event. A thread stays with its stripe; where there are more threads than stripes, some
/// share one.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    stripes: [Stripe; STRIPES],
}

/// A power of two; with some 400 bytes each.
const STRIPES: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: usize = NEXT.fetch_add(1, Relaxed) % STRIPES;
}

impl Counters {
    /// The counters that this thread adds to.
    pub(crate) fn here(&self) -> &Stripe {
        &self.stripes[MINE.with(|mine| *mine)]
    }

    pub(super) fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes.iter()
    }
}

counters! {
    /// Sockets that were connected and are no more, by their [`DisconnectReason`].
    Disconnected, DisconnectedCounters {
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
        /// None: the task of their connection was dropped, as when a runtime ends. No handler was told.
        cancelled,
    }
}

impl Disconnected {
    /// The sum of all counts.
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
    /// Events, both ways. Answers to acknowledgements are none.
    Events, EventCounters {
        /// Events of clients that are in the namespace, whatever became of them.
        received,
        /// Of these, refused by the [`RateLimit`](crate::RateLimit).
        rate_limited,
        /// Of these, dropped because the socket was disconnected before they were started: they waited in the inbox,
        /// or for a middleware.
        dropped,
        /// Events to one socket that were queued, or kept for its return.
        emitted,
        /// Broadcasts to this server's sockets, one for each namespace, however many receive it. Those that another
        /// node asked for are among them.
        broadcasts,
        /// Volatile events that a recipient was not sent, as its transport was busy.
        volatile_dropped,
        /// Packets that a recipient's full queue refused: its events, its answers, its copy of a broadcast.
        queue_full,
        /// Clients that were closed over that: a broadcast met [`Overflow::Disconnect`](crate::Overflow), or a packet of
        /// the protocol found no room.
        slow_clients_closed,
    }
}

counters! {
    /// Handlers of events, connections and disconnections, and how they ended. Middlewares count among what failed and
    /// panicked only.
    Handlers, HandlerCounters {
        /// Handlers that were called with what they ask for.
        started,
        /// Handlers that returned an error.
        failed,
        /// Handlers and middlewares that panicked.
        panicked,
        /// Handlers that were not called, because what they ask for could not be extracted from the event.
        not_extracted,
        /// Middlewares that failed: all those of events, and those of a CONNECT whose error was not made for the client.
        middleware_failed,
        /// Handlers that have ended and were timed: none without
        /// [`measure_handlers`](crate::ServerConfig::measure_handlers).
        timed,
        /// The time they took from their start to their end, waiting included, in nanoseconds.
        nanoseconds,
    }
}

counters! {
    /// Acknowledgements that this server awaits of its clients, one for each recipient of a broadcast.
    Acks, AckCounters {
        /// Those that were asked for.
        asked,
        /// Those that came.
        answered,
        /// Those that did not come in time.
        expired,
        /// Those whose socket was disconnected.
        disconnected,
        /// Those nobody waits for any more: the future that awaited it was dropped, or the event could not be sent.
        abandoned,
        /// Those that were not asked for, as too many were awaited of that client
        /// ([`Limits`](crate::Limits)).
        refused,
    }
}

impl Acks {
    /// Those that are awaited now.
    pub fn pending(&self) -> u64 {
        let ended = self.answered + self.expired + self.disconnected + self.abandoned;
        self.asked.saturating_sub(ended)
    }
}

counters! {
    /// Clients that came back and asked for their session.
    Recoveries, RecoveryCounters {
        /// They got it, and everything they had missed.
        recovered,
        /// They were connected anew, or closed: the session or a part of what was missed is not known any more.
        not_recovered,
    }
}

counters! {
    /// Messages and requests to the other nodes, over all namespaces.
    ClusterStats, ClusterCounters {
        /// Messages that the adapter took.
        sent,
        /// Messages that it failed to send.
        lost,
        /// Messages that other nodes sent.
        received,
        /// What arrived and is no message.
        garbage,
        /// Messages that were refused, as too many waited to be sent ([`ClusterLimits`](crate::ClusterLimits)).
        queue_full,
        /// Server-side events of other nodes that a handler missed, as too many were at work.
        too_many_handlers,
        /// Requests that ended at their deadline, with what had come.
        timed_out,
    }
}

/// One of each. On cache lines of its own: two of them, as processors fetch lines in pairs.
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
    fn what_threads_count_is_added_up() {
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
