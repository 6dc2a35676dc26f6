//! Bytes that were read and not decoded yet.

/// How many there may be. A paused connection holds as many at most.
const MOST: usize = 64 * 1024;

/// Bytes of the stream that nothing has looked at: the turn that read them was over, or reading is paused and they were
/// read only to see whether the peer is there.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    /// Where the first one is that was not decoded.
    start: usize,
}

impl Ahead {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), start: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// How many more may be read.
    pub(super) fn room(&self) -> usize {
        MOST.saturating_sub(self.bytes.len() - self.start)
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// All of them, to be decoded where they lie.
    pub(super) fn rest(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// Forgets those that were decoded; keeps no memory when there are no others.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_in_order_and_leave_no_memory_behind() {
        let mut ahead = Ahead::of(b"abc");
        ahead.consume(2);
        ahead.push(b"def");
        assert_eq!(ahead.rest(), b"cdef");
        assert_eq!(ahead.room(), MOST - 4);
        ahead.consume(4);
        assert!(ahead.is_empty());
        assert_eq!(ahead.bytes.capacity(), 0);
    }
}
