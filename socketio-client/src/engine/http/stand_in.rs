//! The stream below hyper, which can stand in for a request that was sent before.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::engine::dial::BoxStream;

/// A stream that passes everything on. If it stands in for a request that the server has already,
/// it first swallows one request, and then returns the beginning of the response.
pub(super) struct StandIn {
    stream: BoxStream,
    sent: Option<SentRequest>,
    written: Written,
}

struct SentRequest {
    /// The beginning of the response. Empty at the end of the stream.
    response: Bytes,
    swallowed: Swallowed,
    /// The reader waits until the request was swallowed.
    reader: Option<Waker>,
}

#[derive(PartialEq)]
enum Swallowed {
    Nothing,
    Bytes,
    Request,
}

/// Tells whether the stream has accepted everything.
#[derive(Clone)]
pub(super) struct Written(Arc<AtomicBool>);

impl Written {
    pub(super) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set<T>(&self, polled: &Poll<T>) {
        self.0.store(polled.is_ready(), Ordering::Relaxed);
    }
}

impl StandIn {
    pub(super) fn new(stream: BoxStream) -> Self {
        Self { stream, sent: None, written: Written(Arc::new(true.into())) }
    }

    /// A stream whose request was sent, and which has responded with these first bytes.
    pub(super) fn answered(stream: BoxStream, response: Bytes) -> Self {
        let sent = SentRequest { response, swallowed: Swallowed::Nothing, reader: None };
        Self { sent: Some(sent), ..Self::new(stream) }
    }

    pub(super) fn written(&self) -> Written {
        self.written.clone()
    }

    pub(super) fn into_inner(self) -> BoxStream {
        self.stream
    }

    /// Returns whether these bytes belong to a request that is not sent.
    fn swallow(&mut self, bytes: usize) -> bool {
        if let Some(sent) = &mut self.sent
            && bytes > 0
        {
            sent.swallowed = Swallowed::Bytes;
        }
        self.sent.is_some()
    }
}

impl AsyncRead for StandIn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(sent) = &mut self.sent {
            if sent.swallowed != Swallowed::Request {
                sent.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let len = sent.response.len().min(buffer.remaining());
            buffer.put_slice(&sent.response.split_to(len));
            if sent.response.is_empty() {
                self.sent = None;
            }
            if len > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for StandIn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.swallow(bytes.len()) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written.set(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        if self.swallow(len) {
            return Poll::Ready(Ok(len));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written.set(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes a request after it has written all of it.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(sent) = &mut self.sent {
            if sent.swallowed == Swallowed::Bytes {
                sent.swallowed = Swallowed::Request;
                if let Some(reader) = sent.reader.take() {
                    reader.wake();
                }
            }
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.written.set(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
