//! The messages that are read while their owner takes none.

use std::collections::VecDeque;

use engineio_parser::Data;

/// How much is read ahead, bookkeeping included. Beyond it the connection is left alone.
const LIMIT: usize = 64 * 1024;

/// What one message costs besides its bytes: its place in the queue, which may be half empty, and its allocation.
const OVERHEAD: usize = 2 * size_of::<Data>() + 48;

/// A bounded queue between the connection and its owner. While the owner takes nothing, pings are still found behind the
/// messages and answered, and the end of the connection is noticed.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    messages: VecDeque<Data>,
    cost: usize,
}

impl ReadAhead {
    /// Whether more may be read, beside so many bytes that are on their way here.
    pub(super) fn has_room(&self, arriving: usize) -> bool {
        self.cost.saturating_add(arriving) < LIMIT
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn push(&mut self, message: Data) {
        self.cost += message.len() + OVERHEAD;
        self.messages.push_back(message);
    }

    pub(super) fn pop(&mut self) -> Option<Data> {
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
            ahead.push(Data::Text("a".into()));
            count += 1;
        }
        assert!(count < LIMIT / 100, "{count}");
        assert!(ahead.messages.capacity() * size_of::<Data>() < LIMIT);
        while ahead.pop().is_some() {}
        assert!(ahead.has_room(LIMIT - 1) && !ahead.has_room(LIMIT));
        assert_eq!((ahead.cost, ahead.messages.capacity()), (0, 0));
    }
}
