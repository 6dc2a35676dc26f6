//! The number of waiting events that a driver has started in one turn.

use engineio_server::TurnLimits;

/// Counts only events that waited. The connection itself counts the events that it delivers.
#[derive(Debug, Default)]
pub(super) struct Turn {
    events: u32,
    bytes: usize,
}

impl Turn {
    pub(super) fn start(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes;
    }

    /// Returns whether a limit is reached. Every turn may start one event, even if a limit is zero.
    pub(super) fn is_over(&self, limits: &TurnLimits) -> bool {
        self.events > 0 && (self.events >= limits.messages || self.bytes >= limits.bytes)
    }
}
