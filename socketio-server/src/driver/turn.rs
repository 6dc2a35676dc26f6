//! What a driver has started in one turn, of the events that waited.

use engineio_server::TurnLimits;

/// Of the events that come straight from the connection, the connection counts its own.
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

    pub(super) fn is_over(&self, limits: &TurnLimits) -> bool {
        self.events >= limits.messages || self.bytes >= limits.bytes
    }
}
