//! The messages read while the owner has paused the session.

use std::collections::VecDeque;

use engineio_parser::PacketData;

/// The limit of messages read ahead, with their overhead, in bytes. Beyond it the connection is not
/// read.
const LIMIT: usize = 64 * 1024;

/// The overhead of one message in bytes: its slot in the queue, which may be half empty, and its
/// allocation.
const OVERHEAD: usize = 2 * size_of::<PacketData>() + 48;

/// A bounded queue between the connection and its owner. While the owner is paused, the session
/// still answers the pings behind these messages and notices the end of the connection.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    messages: VecDeque<PacketData>,
    cost: usize,
}

impl ReadAhead {
    /// Returns whether more may be read, in addition to `arriving` bytes of an incomplete message.
    pub(super) fn has_room(&self, arriving: usize) -> bool {
        self.cost.saturating_add(arriving) < LIMIT
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn push(&mut self, message: PacketData) {
        self.cost += message.len() + OVERHEAD;
        self.messages.push_back(message);
    }

    pub(super) fn pop(&mut self) -> Option<PacketData> {
        let message = self.messages.pop_front()?;
        self.cost -= message.len() + OVERHEAD;
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_messages_are_counted_with_their_bookkeeping() {
        let mut ahead = ReadAhead::default();
        let mut count = 0;
        while ahead.has_room(0) {
            ahead.push(PacketData::Text("a".into()));
            count += 1;
        }
        assert!(count < LIMIT / 100, "{count}");
        assert!(ahead.messages.capacity() * size_of::<PacketData>() < LIMIT);
        while ahead.pop().is_some() {}
        assert!(ahead.has_room(LIMIT - 1) && !ahead.has_room(LIMIT));
        assert_eq!((ahead.cost, ahead.messages.capacity()), (0, 0));
    }
}
