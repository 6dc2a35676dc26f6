//! Reads the response to a request that was sent before.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::engine::{dial::BoxStream, error::RequestError};

/// The limit of a response head, and of one read, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// An HTTP connection whose response is being read. It has no task: the future that reads the
/// response drives it. It exists only from the first byte of the response on, because hyper takes
/// 26 KB for its buffers and its channel.
pub(in crate::engine) struct Connection {
    driver: Option<Box<Driver>>,
    /// hyper closes the connection when this is dropped.
    _sender: SendRequest<Empty<Bytes>>,
}

type Driver = http1::Connection<TokioIo<ResponseStream>, Empty<Bytes>>;

impl Connection {
    /// Reads the head of a response that begins with `first`.
    pub(super) async fn read(
        stream: BoxStream,
        first: Bytes,
    ) -> Result<(Self, Response<Incoming>), RequestError> {
        let stream = ResponseStream { stream, first, is_requested: false };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let connected = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, driver) = connected.map_err(RequestError::broken)?;
        let response = sender.send_request(Request::new(Empty::new()));
        let mut connection = Self { driver: Some(Box::new(driver)), _sender: sender };
        let response = connection.drive(response).await.map_err(RequestError::broken)?;
        Ok((connection, response))
    }

    /// Drives the connection until a future that waits for it resolves.
    pub(super) async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| self.poll_with(cx, |cx| future.as_mut().poll(cx))).await
    }

    /// Drives the connection and polls `poll`, which waits for it. The result of `poll` also tells
    /// whether the connection failed.
    pub(super) fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.poll_driver(cx);
        if let Poll::Ready(ready) = poll(cx) {
            return Poll::Ready(ready);
        }
        // `poll` may have given the connection new work, and must see its result now: a ping that has
        // arrived must be read before the deadline for it is checked.
        self.poll_driver(cx);
        poll(cx)
    }

    fn poll_driver(&mut self, cx: &mut Context<'_>) {
        self.driver.take_if(|driver| Pin::new(&mut **driver).poll(cx).is_ready());
    }

    /// Returns the stream for another request, after the response was read to its end. Returns `None`
    /// if the server closes the connection.
    pub(super) fn into_stream(mut self, cx: &mut Context<'_>) -> Option<BoxStream> {
        self.poll_driver(cx);
        let parts = self.driver?.into_parts();
        parts.read_buf.is_empty().then(|| parts.io.into_inner().stream)
    }
}

/// The stream of a response. hyper reads a response only after it has sent a request, so it sends an
/// empty one, which this stream discards.
struct ResponseStream {
    stream: BoxStream,
    /// The first bytes of the response.
    first: Bytes,
    is_requested: bool,
}

impl AsyncRead for ResponseStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_requested {
            // `poll_write` wakes the task.
            return Poll::Pending;
        }
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let len = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ResponseStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_requested = true;
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
