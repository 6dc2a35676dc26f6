//! Bytes that were read but not decoded yet.

use super::MAX_UNDECODED;

/// Undecoded bytes of a stream. The turn that read them had reached its limits, or reading is
/// paused and the bytes were read only to check whether the peer is connected.
#[derive(Debug, Default)]
pub(super) struct Undecoded {
    bytes: Vec<u8>,
    /// The index of the first undecoded byte.
    start: usize,
}

impl Undecoded {
    /// Copies bytes, if there are any.
    pub(super) fn of(bytes: &[u8]) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| Box::new(Self { bytes: bytes.to_vec(), start: 0 }))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Returns how many more bytes may be read.
    pub(super) fn room(&self) -> usize {
        MAX_UNDECODED.saturating_sub(self.len())
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns all undecoded bytes, for decoding in place.
    pub(super) fn rest(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// Removes bytes that were decoded.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undecoded_bytes_stay_in_order() {
        let mut undecoded = Undecoded::of(b"abc").unwrap();
        undecoded.consume(2);
        undecoded.push(b"def");
        assert_eq!(undecoded.rest(), b"cdef");
        assert_eq!(undecoded.room(), MAX_UNDECODED - 4);
        undecoded.consume(4);
        assert!(undecoded.is_empty());
        assert!(Undecoded::of(b"").is_none());
    }
}
