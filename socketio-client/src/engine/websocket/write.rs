//! Writes frames to the server: masks them and combines them into few writes.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use engineio_parser::websocket::{CLOSE, MAX_HEADER, apply_mask, header};
use tokio::io::AsyncWrite;

use crate::engine::unwritten::Unwritten;

thread_local! {
    static MASKS: RefCell<Masks> = const { RefCell::new(Masks { pool: [[0; 4]; 64], left: 0 }) };
}

/// The frames that the stream has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Writer {
    unwritten: Unwritten,
    /// Whether the stream may buffer written bytes, as TLS does.
    unflushed: bool,
}

impl Writer {
    /// Returns whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.unwritten.is_empty() && !self.unflushed
    }

    /// Returns the number of bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.unwritten.waiting()
    }

    /// Adds a frame with this first byte. Its payload is `head` followed by `tail`.
    ///
    /// # Errors
    ///
    /// The system has no randomness for the mask.
    pub(super) fn push(&mut self, first: u8, head: &[u8], tail: &[u8]) -> io::Result<()> {
        let mask = MASKS.with_borrow_mut(Masks::next)?;
        let len = head.len() + tail.len();
        let bytes = self.unwritten.buffer();
        bytes.reserve(MAX_HEADER + len);
        bytes.extend_from_slice(header(first, len, Some(mask)).as_ref());
        let payload = bytes.len();
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(tail);
        apply_mask(bytes.get_mut(payload..).unwrap_or_default(), mask);
        Ok(())
    }

    /// Adds a close frame.
    pub(super) fn push_close(&mut self, code: Option<u16>) -> io::Result<()> {
        let code = code.map(u16::to_be_bytes);
        self.push(CLOSE, code.as_ref().map_or(&[][..], |code| code), &[])
    }

    /// Writes and flushes everything.
    pub(super) fn poll_flush(
        &mut self,
        mut stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let unflushed = &mut self.unflushed;
        let written = self.unwritten.poll_write(|bytes| {
            let written = ready!(Pin::new(&mut stream).poll_write(cx, bytes))?;
            *unflushed = true;
            Poll::Ready(match written {
                0 => Err(io::ErrorKind::WriteZero.into()),
                written => io::Result::Ok(written),
            })
        });
        ready!(written)?;
        if self.unflushed {
            ready!(Pin::new(&mut stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Unpredictable masks (RFC 6455 section 5.3), generated several at a time because the system call
/// is slow. The connections of a thread share them.
struct Masks {
    pool: [[u8; 4]; 64],
    left: usize,
}

impl Masks {
    fn next(&mut self) -> io::Result<[u8; 4]> {
        if self.left == 0 {
            getrandom::fill(self.pool.as_flattened_mut()).map_err(|_| no_randomness())?;
            self.left = self.pool.len();
        }
        self.left -= 1;
        self.pool.get(self.left).copied().ok_or_else(no_randomness)
    }
}

fn no_randomness() -> io::Error {
    io::Error::other("no randomness for the masks")
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, task::Waker};

    use engineio_parser::websocket::BINARY;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketContext};

    use super::*;

    /// A stream that accepts a few bytes at a time, and holds them back until the second flush.
    #[derive(Default)]
    struct Slow {
        taken: Vec<u8>,
        step: usize,
        flushed: usize,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let len = bytes.len().min(self.step);
            self.taken.extend_from_slice(&bytes[..len]);
            Poll::Ready(Ok(len))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushed += 1;
            if self.flushed == 1 { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_server_reads_what_was_sent() {
        let mut sent = Vec::new();
        let mut writer = Writer::default();
        for len in [0, 1, 7, 125, 126, 0xffff, 0x1_0000] {
            let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let (first, rest) = payload.split_at(len.min(1));
            writer.push(BINARY, first, rest).unwrap();
            sent.push(payload);
        }
        writer.push_close(Some(1009)).unwrap();
        let mut stream = Slow { step: 1000, ..Slow::default() };
        let mut cx = Context::from_waker(Waker::noop());
        assert!(writer.poll_flush(&mut stream, &mut cx).is_pending());
        assert!(!writer.is_empty(), "bytes buffered by the stream still wait");
        assert!(writer.poll_flush(&mut stream, &mut cx).is_ready());
        assert!(writer.is_empty());

        let mut server = WebSocketContext::new(Role::Server, None);
        let mut stream = Cursor::new(stream.taken);
        for payload in sent {
            assert_eq!(&server.read(&mut stream).unwrap().into_data()[..], payload);
        }
        assert!(server.read(&mut stream).unwrap().is_close());
    }
}
