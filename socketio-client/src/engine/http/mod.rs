//! Long-polling requests, one after another over a persistent connection.

mod body;
mod cookies;
mod requester;
mod response;

use std::{
    future::{Future, poll_fn},
    io::{self, Write},
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use engineio_parser::{Transport, payload::Payload};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::response::Connection;
pub(super) use self::{
    body::{Body, BodyError},
    cookies::Cookies,
    requester::Requester,
};
use super::{
    config::Shared,
    dial::{BoxStream, Purpose},
    error::RequestError,
    unwritten::Unwritten,
};

/// The part of a refusal's body that is kept, in bytes.
const MAX_REFUSAL: usize = 1024;

/// How many bytes of a response are read before hyper reads the others.
const FIRST_READ: usize = 2048;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl Shared {
    /// Sends a GET request over the idle connection. Resolves when the head of the response has
    /// arrived.
    async fn get(&self, idle: Option<BoxStream>, sid: &str) -> Result<Body, RequestError> {
        let timeout = self.options.request_timeout;
        let (connection, response) = within(timeout, self.exchange(idle, sid, None)).await?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let binary = kind.is_some_and(|kind| kind.as_bytes().starts_with(BINARY.as_bytes()));
        Ok(Body::new(connection, response.into_body(), binary).timeout(timeout))
    }

    /// Sends a POST request over the idle connection. Resolves when the response has arrived; its
    /// content is discarded. Returns the connection, unless the server closes it.
    async fn post(
        &self,
        idle: Option<BoxStream>,
        sid: &str,
        body: Payload,
    ) -> Result<Option<BoxStream>, RequestError> {
        within(self.options.request_timeout, async {
            let (mut connection, response) = self.exchange(idle, sid, Some(body)).await?;
            connection.drive(discard(response.into_body(), self.options.max_payload)).await?;
            let mut connection = Some(connection);
            let stream =
                poll_fn(|cx| Poll::Ready(connection.take().and_then(|it| it.into_stream(cx))));
            Ok(stream.await)
        })
        .await
    }

    /// Sends a request, and reads the head of the response.
    async fn exchange(
        &self,
        idle: Option<BoxStream>,
        sid: &str,
        post: Option<Payload>,
    ) -> Result<(Connection, Response<Incoming>), RequestError> {
        let mut stream = match unless_closed(idle).await {
            Some(stream) => stream,
            // Boxed, because a request waits much longer for its response than for this.
            None => Box::pin(self.dial(Purpose::Http)).await?,
        };
        let mut request = Unwritten::default();
        self.encode(request.buffer(), sid, post)?;
        let first = send(&mut stream, &mut request).await?;
        let is_sent = request.is_empty();
        let read = async {
            let (mut connection, response) = Connection::read(stream, first).await?;
            self.keep_cookies(response.headers());
            if response.status() != StatusCode::OK {
                let status = response.status().as_u16();
                let body = connection.drive(beginning(response.into_body())).await;
                return Err(RequestError::Status { status, body });
            }
            if !is_sent {
                return Err(io::Error::other("the response precedes the request").into());
            }
            Ok((connection, response))
        };
        Box::pin(read).await
    }

    /// Adds a request to the bytes that are sent.
    fn encode(&self, out: &mut Vec<u8>, sid: &str, post: Option<Payload>) -> io::Result<()> {
        let mut headers = self.headers(Transport::Polling);
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        // The length of the body follows from the request.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        write!(out, "{} ", if post.is_some() { "POST" } else { "GET" })?;
        if self.forwards(Purpose::Http) {
            write!(out, "http://{}", self.address.authority())?;
            let proxy = self.proxy.as_ref();
            if let Some(value) = proxy.and_then(|proxy| proxy.authorization.clone()) {
                headers.insert(header::PROXY_AUTHORIZATION, value);
            }
        }
        write!(out, "{} HTTP/1.1\r\n", self.target(Transport::Polling, sid))?;
        if let Some(payload) = &post {
            headers.insert(header::CONTENT_TYPE, if payload.binary { BINARY } else { TEXT });
            headers.insert(header::CONTENT_LENGTH, payload.body.len().into());
        }
        for (name, value) in &headers {
            write!(out, "{name}: ")?;
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(post.as_ref().map_or(&[], |payload| &payload.body));
        Ok(())
    }
}

/// Returns the idle connection, unless the server has closed it or sent bytes that belong to no
/// request.
async fn unless_closed(idle: Option<BoxStream>) -> Option<BoxStream> {
    let mut stream = idle?;
    let read = poll_fn(|cx| {
        let mut byte = [0];
        Poll::Ready(Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending())
    });
    read.await.then_some(stream)
}

/// Sends a request, and waits for the first bytes of the response.
async fn send(stream: &mut BoxStream, request: &mut Unwritten) -> io::Result<Bytes> {
    poll_fn(|cx| {
        let written = request.poll_write(|bytes| {
            match ready!(Pin::new(&mut *stream).poll_write(cx, bytes))? {
                0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => Poll::Ready(Ok(written)),
            }
        });
        let written = match written {
            Poll::Ready(Ok(())) => Pin::new(&mut *stream).poll_flush(cx),
            other => other,
        };
        let mut buffer = [0; FIRST_READ];
        let mut buffer = ReadBuf::new(&mut buffer);
        let read = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
        // The server may refuse a request that it has not read to its end.
        match buffer.filled() {
            [] => {}
            first => return Poll::Ready(Ok(Bytes::copy_from_slice(first))),
        }
        if let Poll::Ready(Err(error)) = written {
            return Poll::Ready(Err(error));
        }
        ready!(read)?;
        Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
    })
    .await
}

/// Limits the time of a future. Fails if it takes longer.
pub(super) async fn within<T>(
    timeout: Option<Duration>,
    future: impl Future<Output = Result<T, RequestError>>,
) -> Result<T, RequestError> {
    let Some(timeout) = timeout else { return future.await };
    match tokio::time::timeout(timeout, future).await {
        Ok(result) => result,
        Err(_) => Err(RequestError::Timeout(timeout)),
    }
}

/// Reads a body to its end and discards it.
async fn discard(mut body: Incoming, limit: usize) -> Result<(), RequestError> {
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(RequestError::broken)?;
        read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if read > limit {
            return Err(RequestError::TooLarge { limit });
        }
    }
    Ok(())
}

/// Reads the beginning of a refusal's body.
async fn beginning(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend(frame.data_ref().into_iter().flatten());
        if bytes.len() >= MAX_REFUSAL {
            break;
        }
    }
    refusal(&bytes)
}

/// Converts the beginning of a refusal's body to text.
pub(super) fn refusal(body: &[u8]) -> String {
    let beginning = body.get(..MAX_REFUSAL).unwrap_or(body);
    String::from_utf8_lossy(beginning).into_owned()
}

pub(super) fn protocol(error: http::Error) -> RequestError {
    RequestError::Protocol(Box::new(error))
}
