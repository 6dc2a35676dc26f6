//! One HTTP connection to the server.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;

use crate::engine::{dial::BoxStream, error::RequestError};

/// The limit of a response head, and of one read, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// An HTTP connection without a task. The request that uses it drives it.
pub(in crate::engine) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Boxed, because a session has room for several connections and often has none.
    driver: Option<Box<ConnectionDriver>>,
}

impl Connection {
    pub(in crate::engine) async fn open(stream: BoxStream) -> Result<Self, RequestError> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let (sender, driver) =
            builder.handshake(TokioIo::new(stream)).await.map_err(RequestError::broken)?;
        Ok(Self { sender, driver: Some(Box::new(driver)) })
    }

    pub(in crate::engine) async fn is_ready(&mut self) -> bool {
        let Self { sender, driver } = self;
        drive(driver, sender.ready()).await.is_ok()
    }

    pub(in crate::engine) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let answer = self.sender.try_send_request(request);
        drive(&mut self.driver, answer).await
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

type ConnectionDriver = http1::Connection<TokioIo<BoxStream>, Full<Bytes>>;

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
