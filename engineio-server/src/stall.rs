//! A stream that fails if its peer does not read, so that unsent responses do not stay in memory
//! forever, and that yields if its peer sends without a pause. It can hold back the response that
//! accepts a WebSocket.

use std::{
    future::Future,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
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

/// Buffers of at most this many bytes are copied and written as one. For the kernel, several buffers
/// cost more than the copy.
const MAX_COPIED: usize = 1024;

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
    hold_back: HoldBack,
    /// Bytes that are sent before those of the next write.
    held: Vec<u8>,
}

/// Makes a [`StallGuard`] hold back the bytes of one write, so that they travel with those of the
/// following write. They leave before the stream is read or closed, but not if it is flushed.
#[derive(Clone, Debug, Default)]
pub(crate) struct HoldBack(Arc<AtomicBool>);

impl HoldBack {
    pub(crate) fn next_write(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

impl<S> StallGuard<S> {
    pub(crate) fn new(stream: S, timeout: Duration) -> Self {
        Self {
            stream,
            returned: Bytes::new(),
            read: 0,
            timeout,
            deadline: None,
            writing: false,
            hold_back: HoldBack::default(),
            held: Vec::new(),
        }
    }

    pub(crate) fn hold_back(&self) -> HoldBack {
        self.hold_back.clone()
    }

    /// Returns bytes that were read, so that they are read again.
    #[cfg(feature = "http2")]
    pub(crate) fn give_back(&mut self, bytes: Bytes) {
        self.returned = bytes;
    }

    /// Returns the stream and the bytes to be sent first.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.held)
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

impl<S: AsyncWrite + Unpin> StallGuard<S> {
    fn poll_write_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.held);
            self.writing = written.is_pending();
            let written = ready!(self.watch(cx, written))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(written) = self.poll_write_held(cx) {
            written?;
        }
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
        if self.hold_back.take() {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_write_held(cx))?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.writing = written.is_pending();
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.hold_back.take() {
            let before = self.held.len();
            slices.iter().for_each(|slice| self.held.extend_from_slice(slice));
            return Poll::Ready(Ok(self.held.len() - before));
        }
        ready!(self.poll_write_held(cx))?;
        let written = if slices.iter().map(|slice| slice.len()).sum::<usize>() <= MAX_COPIED {
            let mut copied = [MaybeUninit::uninit(); MAX_COPIED];
            let mut copied = ReadBuf::uninit(&mut copied);
            slices.iter().for_each(|slice| copied.put_slice(slice));
            Pin::new(&mut self.stream).poll_write(cx, copied.filled())
        } else {
            Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
        };
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
        ready!(self.poll_write_held(cx))?;
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
    async fn a_write_that_is_held_back_leaves_before_the_next_one() {
        for next in ["write", "read", "shutdown"] {
            let (stream, mut peer) = duplex(16);
            let mut stream = StallGuard::new(stream, Duration::from_secs(20));
            stream.hold_back().next_write();
            stream.write_all(b"one").await.unwrap();
            stream.flush().await.unwrap();
            let mut buffer = [0; 6];
            let early = std::future::poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut buffer);
                Poll::Ready(Pin::new(&mut peer).poll_read(cx, &mut buffer).is_ready())
            });
            assert!(!early.await, "{next}");
            match next {
                "write" => stream.write_all(b"two").await.unwrap(),
                "read" => {
                    peer.write_all(b"x").await.unwrap();
                    stream.read_u8().await.map(drop).unwrap();
                }
                _ => stream.shutdown().await.unwrap(),
            }
            drop(stream);
            let mut seen = String::new();
            peer.read_to_string(&mut seen).await.unwrap();
            assert_eq!(seen, if next == "write" { "onetwo" } else { "one" }, "{next}");
        }
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
