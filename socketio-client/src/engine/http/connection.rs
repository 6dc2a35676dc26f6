//! One HTTP connection to the server.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::timeout,
};

use super::stand_in::{StandIn, Written};
use crate::engine::{dial::BoxStream, error::RequestError};

/// The limit of a response head, and of one read, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The time without a response after which hyper's buffers are freed.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many bytes of a response are read before hyper reads the others.
const FIRST_READ: usize = 64;

/// An HTTP connection without a task. The request that uses it drives it.
pub(in crate::engine) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Boxed, because a session has room for several connections and often has none.
    driver: Option<Box<ConnectionDriver>>,
    written: Written,
}

type ConnectionDriver = http1::Connection<TokioIo<StandIn>, Full<Bytes>>;

/// Why there is no response.
pub(super) enum SendError {
    /// No byte of the request was sent.
    Unsent(Box<Request<Full<Bytes>>>, RequestError),
    Failed(RequestError),
}

impl Connection {
    pub(super) async fn open(stream: BoxStream) -> Result<Self, RequestError> {
        Self::over(StandIn::new(stream)).await
    }

    async fn over(stream: StandIn) -> Result<Self, RequestError> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let written = stream.written();
        let (sender, driver) =
            builder.handshake(TokioIo::new(stream)).await.map_err(RequestError::broken)?;
        Ok(Self { sender, driver: Some(Box::new(driver)), written })
    }

    /// Sends a request. If the response takes long, frees the buffers and the channel of hyper, which
    /// take 26 KB, while waiting for it.
    pub(super) async fn send(
        mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Self, Response<Incoming>), SendError> {
        let mut response = Box::pin(self.sender.try_send_request(request));
        let soon = timeout(PATIENCE, drive(&mut self.driver, response.as_mut())).await;
        let result = match soon {
            Ok(result) => result,
            Err(_) => match self.driver.take_if(|_| self.written.is_complete()) {
                Some(driver) => {
                    drop(response);
                    drop(self);
                    return wait(driver).await.map_err(SendError::Failed);
                }
                None => drive(&mut self.driver, response).await,
            },
        };
        match result {
            Ok(response) => Ok((self, response)),
            Err(mut error) => Err(match error.take_message() {
                Some(unsent) => {
                    let error = RequestError::broken(error.into_error());
                    SendError::Unsent(Box::new(unsent), error)
                }
                None => SendError::Failed(RequestError::broken(error.into_error())),
            }),
        }
    }

    pub(in crate::engine) async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        drive(&mut self.driver, future).await
    }

    /// Drives the connection and polls `poll`, which waits for it.
    pub(in crate::engine) fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        poll_driven(&mut self.driver, cx, poll)
    }
}

/// Waits for the response to a request that was written. When it begins to arrive, another instance
/// of hyper reads it.
async fn wait(
    driver: Box<ConnectionDriver>,
) -> Result<(Connection, Response<Incoming>), RequestError> {
    let parts = driver.into_parts();
    let mut stream = parts.io.into_inner().into_inner();
    // An empty slice would keep the read buffer too.
    let mut first = Bytes::copy_from_slice(&parts.read_buf);
    drop(parts.read_buf);
    if first.is_empty() {
        let mut buffer = [0; FIRST_READ];
        let mut buffer = ReadBuf::new(&mut buffer);
        let read = poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer)).await;
        read.map_err(|error| RequestError::Protocol(Box::new(error)))?;
        first = Bytes::copy_from_slice(buffer.filled());
    }
    let read = async {
        let mut connection = Connection::over(StandIn::answered(stream, first)).await?;
        let response = connection.sender.send_request(Request::new(Full::default()));
        let response = drive(&mut connection.driver, response).await;
        Ok((connection, response.map_err(RequestError::broken)?))
    };
    Box::pin(read).await
}

/// A connection between two requests.
pub(super) enum IdleConnection {
    Ready(Connection),
    /// The stream alone, which takes little memory.
    Stream(BoxStream),
}

impl IdleConnection {
    /// Returns the connection for the next request, unless the server has closed it.
    pub(super) async fn into_ready(self) -> Option<Connection> {
        match self {
            Self::Ready(mut connection) => {
                let Connection { sender, driver, .. } = &mut connection;
                drive(driver, sender.ready()).await.ok()?;
                Some(connection)
            }
            Self::Stream(mut stream) => {
                let mut byte = [0];
                let mut byte = ReadBuf::new(&mut byte);
                // Something to read is the end, or bytes that belong to no request.
                let mut read =
                    |cx: &mut Context<'_>| Pin::new(&mut stream).poll_read(cx, &mut byte);
                match poll_fn(|cx| Poll::Ready(read(cx))).await {
                    Poll::Ready(_) => None,
                    Poll::Pending => Connection::open(stream).await.ok(),
                }
            }
        }
    }

    /// Frees hyper's buffers. Returns `None` if the connection cannot be used again.
    pub(super) fn shrink(self, cx: &mut Context<'_>) -> Option<Self> {
        let Self::Ready(mut connection) = self else { return Some(self) };
        let Connection { sender, driver, .. } = &mut connection;
        match poll_driven(driver, cx, |cx| sender.poll_ready(cx)) {
            Poll::Pending => return Some(Self::Ready(connection)),
            Poll::Ready(ready) => ready.ok()?,
        }
        let parts = connection.driver?.into_parts();
        parts.read_buf.is_empty().then(|| Self::Stream(parts.io.into_inner().into_inner()))
    }
}

/// Drives the connection until a future that waits for it resolves.
async fn drive<F: Future>(driver: &mut Option<Box<ConnectionDriver>>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| poll_driven(driver, cx, |cx| future.as_mut().poll(cx))).await
}

/// Drives the connection and polls. The result of `poll` also tells whether the connection failed.
fn poll_driven<T>(
    driver: &mut Option<Box<ConnectionDriver>>,
    cx: &mut Context<'_>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    if let Some(connection) = driver
        && Pin::new(&mut **connection).poll(cx).is_ready()
    {
        *driver = None;
    }
    match poll(cx) {
        Poll::Pending => {
            // `poll` may have given the connection new work.
            if let Some(connection) = driver
                && Pin::new(&mut **connection).poll(cx).is_ready()
            {
                *driver = None;
                return poll(cx);
            }
            Poll::Pending
        }
        ready => ready,
    }
}
