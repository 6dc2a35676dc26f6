//! Combines packets into few writes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use engineio_parser::{Frame, webtransport::encode};
use quinn::{SendStream, WriteError};

/// The capacity that an emptied buffer retains, in bytes.
const RETAINED_CAPACITY: usize = 8 * 1024;

/// The bytes that were sent and that the stream has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// How many of the bytes are written.
    written: usize,
}

impl Writer {
    /// Creates a writer that begins with these bytes.
    pub(super) fn new(head: Vec<u8>) -> Self {
        Self { bytes: head, written: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the number of bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(super) fn push(&mut self, frame: &Frame) {
        if self.written > self.waiting() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        let (header, packet) = encode(frame);
        self.bytes.extend_from_slice(header.as_ref());
        self.bytes.extend_from_slice(&packet);
    }

    /// Passes everything to the stream.
    pub(super) fn poll_flush(
        &mut self,
        stream: &mut SendStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        while self.waiting() > 0 {
            let left = self.bytes.get(self.written..).unwrap_or_default();
            self.written += ready!(Pin::new(&mut *stream).poll_write(cx, left))?;
        }
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(RETAINED_CAPACITY);
        Poll::Ready(Ok(()))
    }
}
