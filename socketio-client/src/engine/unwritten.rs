//! The bytes between a session and its stream, combined into few writes.

use std::{
    cell::Cell,
    mem,
    task::{Poll, ready},
};

/// The capacity that an emptied buffer retains, in bytes.
const RETAINED_CAPACITY: usize = 8 * 1024;

thread_local! {
    /// An empty buffer that has memory. A connection owns a buffer only while bytes wait.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The bytes that were sent and that the stream has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    bytes: Vec<u8>,
    /// How many of the bytes are written.
    written: usize,
}

impl Unwritten {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the number of bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Returns the buffer to which further bytes can be added.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
        }
        if self.written > self.waiting() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        &mut self.bytes
    }

    /// Passes everything to `write`, which returns how many bytes the stream has taken.
    pub(super) fn poll_write<E>(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<(), E>> {
        while self.waiting() > 0 {
            self.written += ready!(write(self.bytes.get(self.written..).unwrap_or_default()))?;
        }
        self.written = 0;
        let mut bytes = mem::take(&mut self.bytes);
        if bytes.capacity() > 0 {
            bytes.clear();
            bytes.shrink_to(RETAINED_CAPACITY);
            SPARE.set(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn an_emptied_buffer_is_spared_for_the_next_connection() {
        let mut unwritten = Unwritten::default();
        unwritten.buffer().extend_from_slice(b"abc");
        for _ in 0..2 {
            let all = |bytes: &[u8]| Poll::Ready(Ok::<_, Infallible>(bytes.len()));
            assert!(unwritten.poll_write(all).is_ready());
            assert!(unwritten.is_empty() && unwritten.bytes.capacity() == 0);
        }
        assert!(SPARE.take().capacity() > 0, "the second flush dropped the spare buffer");
    }

    #[test]
    fn a_slow_stream_does_not_let_the_buffer_grow() {
        let mut unwritten = Unwritten::default();
        for _ in 0..1000 {
            unwritten.buffer().extend_from_slice(&[0; 100]);
            let mut taken = Some(unwritten.waiting() - 50);
            let some = |_: &[u8]| match taken.take() {
                Some(len) => Poll::Ready(Ok::<_, Infallible>(len)),
                None => Poll::Pending,
            };
            assert!(unwritten.poll_write(some).is_pending());
        }
        assert!(unwritten.bytes.len() < 1000, "{}", unwritten.bytes.len());
    }
}
