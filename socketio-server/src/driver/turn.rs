//! The number of waiting events that a driver has started in one turn.

use std::time::Instant;

use engineio_server::TurnLimits;

/// How many events are started between two readings of the clock.
const CLOCK_EVERY: u32 = 4;

/// Counts only events that waited. The connection itself counts the events that it delivers.
#[derive(Debug, Default)]
pub(super) struct Turn {
    events: u32,
    bytes: usize,
    /// When the first event was started.
    began: Option<Instant>,
    out_of_time: bool,
}

impl Turn {
    pub(super) fn start(&mut self, bytes: usize, limits: &TurnLimits) {
        self.events += 1;
        self.bytes += bytes;
        // Real time, as in the connection's own turn: the limit bounds how long other tasks wait.
        let began = *self.began.get_or_insert_with(Instant::now);
        if self.events.is_multiple_of(CLOCK_EVERY) {
            self.out_of_time |= began.elapsed() >= limits.time;
        }
    }

    /// Returns whether a limit is reached. Every turn may start one event, even if a limit is zero.
    pub(super) fn is_over(&self, limits: &TurnLimits) -> bool {
        let used_up = self.events >= limits.messages || self.bytes >= limits.bytes;
        self.events > 0 && (used_up || self.out_of_time)
    }
}
