//! Statistics of an engine.

mod counters;
pub(crate) mod counting;
#[cfg(feature = "metrics")]
mod report;

use engineio_parser::{
    Transport,
    session::{Session, Traffic},
};

pub use counters::{CloseStats, DropStats, RefusalStats};
pub(crate) use counters::{Counters, DroppedCounters, RefusedCounters};
pub(crate) use counting::{Counter, Gauge, saturated};

/// A snapshot of an engine's counters, from [`Engine::stats`](crate::Engine::stats).
///
/// Counts are totals since the engine was created. `sessions`, `queued_*`, `unwritten_bytes`,
/// `unread_bytes` and `at_work` are current values. The fields are read one after another, so they may differ by events in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open sessions by their current transport.
    pub sessions: SessionStats,
    /// Sessions that were opened.
    pub opened: u64,
    /// Sessions that ended, by reason.
    pub closed: CloseStats,
    /// Sessions that switched to another transport.
    pub upgraded: u64,
    /// Upgrades that were started and failed. Their sessions continued with polling, or ended.
    pub probes_failed: u64,
    /// Packets and bytes in both directions.
    pub traffic: Traffic,
    /// Packets of the application that wait to be sent, over all sessions.
    pub queued_packets: u64,
    /// The size of these packets in bytes.
    pub queued_bytes: u64,
    /// Bytes of WebSockets and WebTransport streams that have left the queues and that the streams
    /// have not accepted. Each session adds at most some 64 KiB and one message.
    pub unwritten_bytes: u64,
    /// Bytes that have arrived without completing a message, or while reading was paused: of
    /// WebSockets, WebTransport streams and bodies of POST requests. Each session adds at most
    /// `max_payload` and 64 KiB.
    pub unread_bytes: u64,
    /// Refused requests, bodies and messages, by reason.
    pub refused: RefusalStats,
    /// Sessions whose application's future has not ended, and WebSockets that are being closed. 0
    /// after [`Engine::ended`](crate::Engine::ended) has returned.
    pub at_work: u64,
}

/// Open sessions by their current transport. During an upgrade, this is the previous transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Long-polling.
    pub polling: u64,
    /// WebSocket.
    pub websocket: u64,
    /// WebTransport.
    pub webtransport: u64,
}

impl SessionStats {
    /// Returns every value with the name of its transport.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("polling", self.polling),
            ("websocket", self.websocket),
            ("webtransport", self.webtransport),
        ]
        .into_iter()
    }

    /// Returns the number of open sessions.
    pub fn total(&self) -> u64 {
        self.entries().map(|(_, count)| count).sum()
    }
}

impl Stats {
    /// Adds an open session.
    pub(crate) fn add_session(&mut self, session: &Session) {
        self.queued_packets += session.queued_packets() as u64;
        self.queued_bytes += session.queued_bytes() as u64;
        let sessions = &mut self.sessions;
        *match session.transport() {
            Transport::Polling => &mut sessions.polling,
            Transport::WebSocket => &mut sessions.websocket,
            _ => &mut sessions.webtransport,
        } += 1;
    }

    /// Adds the counters over all sessions.
    pub(crate) fn add_counters(&mut self, counters: &Counters) {
        self.opened = counters.opened.get();
        counters.closed.add_to(&mut self.closed);
        self.upgraded = counters.upgraded.get();
        self.probes_failed = counters.probes_failed.get();
        self.traffic = counters.traffic();
        self.unwritten_bytes = counters.unwritten_bytes.get();
        self.unread_bytes = counters.unread_bytes.get();
        counters.refused.add_to(&mut self.refused);
    }
}
