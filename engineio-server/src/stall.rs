//! A stream that fails if its peer does not read, so that unsent responses do not stay in memory
//! forever, and that yields if its peer sends without a pause.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The bytes that an HTTP connection reads in one turn. hyper processes all frames that it can read
/// before it returns, which for a flood of HTTP/2 pings takes milliseconds.
const MAX_READ: usize = 64 * 1024;

/// Fails if a write makes no progress for `timeout`. HTTP responses need this, because they have
/// no other deadline. A WebSocket has its heartbeat and takes the inner stream.
pub(crate) struct StallGuard<S> {
    stream: S,
    /// Bytes that were returned after reading.
    returned: Bytes,
    /// Bytes read since the last pending read.
    read: usize,
    timeout: Duration,
    /// Runs while the peer accepts no data.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The last write is still pending, so a successful flush is not progress.
    writing: bool,
}

impl<S> StallGuard<S> {
    pub(crate) fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, returned: Bytes::new(), read: 0, timeout, deadline: None, writing: false }
    }

    /// Returns bytes that were read, so that they are read again.
    #[cfg(feature = "http2")]
    pub(crate) fn give_back(&mut self, bytes: Bytes) {
        self.returned = bytes;
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.deadline = None;
            return progress;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.timeout)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.returned.is_empty() {
            let len = self.returned.len().min(buffer.remaining());
            buffer.put_slice(&self.returned.split_to(len));
            return Poll::Ready(Ok(()));
        }
        if self.read >= MAX_READ {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.read = match polled {
            Poll::Ready(_) => self.read + buffer.filled().len() - before,
            Poll::Pending => 0,
        };
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.writing = written.is_pending();
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.writing = written.is_pending();
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS has its own buffer.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if self.writing { flushed } else { self.watch(cx, flushed) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_stream_that_always_has_data_yields_after_each_turn() {
        let (stream, mut peer) = duplex(4 * MAX_READ);
        peer.write_all(&vec![7; 3 * MAX_READ]).await.unwrap();
        let mut stream = StallGuard::new(stream, Duration::from_secs(20));
        let (mut turns, mut buffer) = (vec![0], vec![0; MAX_READ / 4]);
        while turns.iter().sum::<usize>() < 3 * MAX_READ {
            let read = std::future::poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut buffer);
                let polled = Pin::new(&mut stream).poll_read(cx, &mut buffer);
                Poll::Ready(polled.map(|_| buffer.filled().len()))
            });
            match read.await {
                Poll::Ready(len) => *turns.last_mut().unwrap() += len,
                // Without a wake-up, the test would wait forever.
                Poll::Pending => {
                    turns.push(0);
                    tokio::task::yield_now().await;
                }
            }
        }
        assert_eq!(turns, [MAX_READ; 3]);
    }

    #[tokio::test]
    async fn a_stream_fails_if_its_peer_does_not_read() {
        let (stream, _peer) = duplex(16);
        let mut stream = StallGuard::new(stream, Duration::from_millis(10));
        let error = stream.write_all(&[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_stream_whose_peer_reads_slowly_does_not_fail() {
        let (stream, mut peer) = duplex(1);
        let mut stream = StallGuard::new(stream, Duration::from_secs(20));
        let mut read = [0; 100];
        let both = tokio::join!(stream.write_all(&[7; 100]), peer.read_exact(&mut read));
        assert!(both.0.is_ok() && both.1.is_ok());
        assert!(read == [7; 100] && stream.deadline.is_none());
    }
}
