//! Events and connection changes that wait for handlers.

use std::sync::Arc;

use socketio_parser::{AckId, Args};

use crate::error::{ConnectError, DisconnectReason};

/// An item that waits for handlers.
pub(super) enum Item {
    Event { id: Option<AckId>, args: Args, epoch: u64 },
    Connect,
    Disconnect { reason: DisconnectReason, description: Option<Arc<str>> },
    ConnectError(ConnectError),
}

impl Item {
    /// Returns the approximate memory of an item in the inbox. A queue that grows is half empty.
    fn cost(&self) -> usize {
        let heap = if let Self::Event { args, .. } = self { args.heap_bytes() } else { 0 };
        heap + 2 * size_of::<Self>()
    }

    pub(super) fn is_event(&self) -> bool {
        matches!(self, Self::Event { .. })
    }
}

/// The total size of the events that wait for handlers. Above its limit the connection is not read.
pub(super) struct InboxLimit {
    bytes: usize,
    max: usize,
    reading: bool,
}

impl InboxLimit {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: 0, max, reading: true }
    }

    pub(super) fn add(&mut self, item: &Item) {
        self.bytes += item.cost();
    }

    pub(super) fn remove(&mut self, item: &Item) {
        self.bytes -= item.cost();
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.bytes > self.max
    }

    /// Returns whether the connection may be read. Once paused, reading resumes when half of the
    /// limit is free.
    pub(super) fn may_read(&mut self) -> bool {
        let max = if self.reading { self.max } else { self.max / 2 };
        self.reading = self.bytes <= max;
        self.reading
    }
}
