//! The GETs or the POSTs of a session, one request at a time over a persistent connection.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use engineio_parser::{Transport, payload::Payload};
use http::{HeaderValue, header};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{BINARY, Body, connection::Connection, refusal, response::Head};
use crate::engine::{
    config::Shared,
    dial::{BoxStream, Purpose},
    error::RequestError,
};

/// The part of a refusal's body that is kept, in bytes.
pub(super) const MAX_REFUSAL: usize = 1024;

const TEXT: &str = "text/plain;charset=UTF-8";

pub(in crate::engine) struct Requester {
    shared: Arc<Shared>,
    state: State,
    /// The time limit of the request.
    timer: Option<Pin<Box<Sleep>>>,
    began: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

enum State {
    /// There is no request. The connection of the last one may serve the next.
    Idle(Option<Box<Connection>>),
    /// The request starts with this connection, or with a new one.
    Starting {
        connection: Option<Box<Connection>>,
        request: Vec<u8>,
    },
    Connecting {
        dial: Dial,
        request: Vec<u8>,
    },
    AwaitingHead {
        connection: Box<Connection>,
        reused: bool,
    },
    /// The server has refused the request. The beginning of the body is read.
    Refused {
        connection: Box<Connection>,
        status: u16,
        body: Vec<u8>,
    },
    /// The content of the response to a POST is discarded. It may have this number of bytes.
    Discarding {
        connection: Box<Connection>,
        left: usize,
    },
}

type Dial = Pin<Box<dyn Future<Output = Result<BoxStream, RequestError>> + Send>>;

impl Requester {
    pub(in crate::engine) fn new(shared: Arc<Shared>) -> Self {
        let state = State::Idle(None);
        Self { shared, state, timer: None, began: Instant::now(), pause: None }
    }

    pub(in crate::engine) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle(_))
    }

    /// Delays the next request until `least` has passed since the start of the last one.
    pub(in crate::engine) fn pause(&mut self, least: Duration) {
        let until = self.began + least;
        self.pause = (until > Instant::now()).then(|| Box::pin(sleep_until(until)));
    }

    /// Returns whether a request may start. If not, the task is woken when it may.
    pub(in crate::engine) fn is_free(&mut self, cx: &mut Context<'_>) -> bool {
        if self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_ready()) {
            self.pause = None;
        }
        !self.is_busy() && self.pause.is_none()
    }

    /// Starts a GET request, or a POST request with this body. It replaces an unfinished one.
    pub(in crate::engine) fn start(&mut self, sid: &str, post: Option<&Payload>) {
        self.began = Instant::now();
        self.timer = self.shared.options.request_timeout.map(|timeout| Box::pin(sleep(timeout)));
        let connection = match mem::replace(&mut self.state, State::Idle(None)) {
            State::Idle(connection) => connection,
            _ => None,
        };
        self.state = State::Starting { connection, request: encode(&self.shared, sid, post) };
    }

    /// Keeps the connection of a fully read body for the next request.
    pub(in crate::engine) fn keep(&mut self, connection: Box<Connection>) {
        self.state = State::Idle(Some(connection));
    }

    /// Drops the request and its connection.
    pub(in crate::engine) fn clear(&mut self) {
        self.state = State::Idle(None);
        self.timer = None;
    }

    /// Polls the GET request. Resolves when the head of the response has arrived.
    pub(in crate::engine) fn poll_get(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Box<Body>, RequestError>> {
        self.poll_within(cx, |this, cx| {
            let (connection, head) = ready!(this.poll_head(cx))?;
            let timeout = this.shared.options.request_timeout;
            Poll::Ready(Ok(Box::new(Body::new(connection, head.binary, timeout))))
        })
    }

    /// Polls the POST request. Resolves when the whole response has arrived.
    pub(in crate::engine) fn poll_post(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), RequestError>> {
        self.poll_within(cx, |this, cx| {
            let limit = this.shared.options.max_payload;
            if !matches!(this.state, State::Discarding { .. }) {
                let (connection, _) = ready!(this.poll_head(cx))?;
                this.state = State::Discarding { connection, left: limit };
            }
            let State::Discarding { connection, left } = &mut this.state else {
                return Poll::Pending;
            };
            let sent = connection.poll_send(cx)?;
            while let Some(piece) = ready!(connection.poll_piece(cx))? {
                let Some(rest) = left.checked_sub(piece.len()) else {
                    return Poll::Ready(Err(RequestError::TooLarge { limit }));
                };
                *left = rest;
            }
            ready!(sent);
            if let State::Discarding { connection, .. } =
                mem::replace(&mut this.state, State::Idle(None))
            {
                this.keep(connection);
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Polls a step of the request until its time limit. Pending if there is no request.
    fn poll_within<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<Result<T, RequestError>>,
    ) -> Poll<Result<T, RequestError>> {
        if !self.is_busy() {
            return Poll::Pending;
        }
        let result = match step(self, cx) {
            Poll::Pending => {
                let Some(timer) = &mut self.timer else { return Poll::Pending };
                ready!(timer.as_mut().poll(cx));
                let timeout = self.shared.options.request_timeout.unwrap_or_default();
                Err(RequestError::Timeout(timeout))
            }
            Poll::Ready(result) => result,
        };
        self.timer = None;
        if result.is_err() {
            self.clear();
        }
        Poll::Ready(result)
    }

    /// Sends the request and reads the head of the response. Takes the connection.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Box<Connection>, Head), RequestError>> {
        loop {
            match &mut self.state {
                State::Idle(_) | State::Discarding { .. } => return Poll::Pending,
                State::Starting { connection, request } => {
                    let reusable = connection.as_mut().is_some_and(|it| it.is_reusable(cx));
                    let connection = connection.take().filter(|_| reusable);
                    let request = mem::take(request);
                    self.state = match connection {
                        Some(mut connection) => {
                            connection.send(request);
                            State::AwaitingHead { connection, reused: true }
                        }
                        None => {
                            let shared = self.shared.clone();
                            let dial = Box::pin(async move { shared.dial(Purpose::Http).await });
                            State::Connecting { dial, request }
                        }
                    };
                }
                State::Connecting { dial, request } => {
                    let mut connection = Connection::new(ready!(dial.as_mut().poll(cx))?);
                    connection.send(mem::take(request));
                    let connection = Box::new(connection);
                    self.state = State::AwaitingHead { connection, reused: false };
                }
                State::AwaitingHead { connection, reused } => {
                    let head = match ready!(connection.poll_head(cx)) {
                        Ok(head) => head,
                        Err(error) => {
                            // The server cannot have received the request, so it may be repeated.
                            let unsent = connection.take_unsent().filter(|_| *reused);
                            let Some(request) = unsent else { return Poll::Ready(Err(error)) };
                            self.state = State::Starting { connection: None, request };
                            continue;
                        }
                    };
                    self.shared.keep_cookies(&head.cookies);
                    let state = mem::replace(&mut self.state, State::Idle(None));
                    let State::AwaitingHead { connection, .. } = state else {
                        return Poll::Pending;
                    };
                    if head.status == 200 {
                        return Poll::Ready(Ok((connection, head)));
                    }
                    self.state =
                        State::Refused { connection, status: head.status, body: Vec::new() };
                }
                State::Refused { connection, status, body } => {
                    // An incomplete body is reported too.
                    if let Ok(Some(piece)) = ready!(connection.poll_piece(cx)) {
                        body.extend_from_slice(&piece);
                        if body.len() < MAX_REFUSAL {
                            continue;
                        }
                    }
                    let (status, body) = (*status, refusal(body));
                    return Poll::Ready(Err(RequestError::Status { status, body }));
                }
            }
        }
    }
}

/// Encodes a GET request, or a POST request with this body.
fn encode(shared: &Shared, sid: &str, post: Option<&Payload>) -> Vec<u8> {
    let mut headers = shared.headers(Transport::Polling);
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    let target = shared.target(Transport::Polling, sid);
    let body = post.map_or(&[][..], |payload| &payload.body);
    let mut request = Vec::with_capacity(target.len() + body.len() + 256);
    request.extend_from_slice(if post.is_some() { b"POST " } else { b"GET " });
    if shared.forwards(Purpose::Http) {
        request.extend_from_slice(b"http://");
        request.extend_from_slice(shared.address.authority().as_bytes());
        let proxy = shared.proxy.as_ref();
        if let Some(value) = proxy.and_then(|proxy| proxy.authorization.clone()) {
            headers.insert(header::PROXY_AUTHORIZATION, value);
        }
    }
    if let Some(payload) = post {
        let kind = if payload.binary { BINARY } else { TEXT };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CONTENT_LENGTH, body.len().into());
    }
    request.extend_from_slice(target.as_bytes());
    request.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            request.extend_from_slice(part);
        }
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    request
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use engineio_parser::{Frame, PacketType, Revision, payload};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::engine::{EngineConfig, EngineOptions};

    /// Returns requests to a server that reads `read` bytes per connection, sends this response and
    /// closes the connection, and the number of its connections.
    fn requester(read: usize, response: &'static str) -> (Requester, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let options = EngineOptions::new().connector(move |_: String, _: u16| {
            counted.fetch_add(1, Ordering::Relaxed);
            let (client, mut server) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                server.read_exact(&mut vec![0; read]).await.unwrap();
                server.write_all(response.as_bytes()).await.unwrap();
            });
            async move { Ok::<_, std::io::Error>(client) }
        });
        let config = EngineConfig::new("http://server", &Arc::new(options)).unwrap();
        (Requester::new(config.shared), count)
    }

    async fn post(requester: &mut Requester, text: &str) -> Result<(), RequestError> {
        let body = payload::encode(Revision::V4, false, &[Frame::text(PacketType::Message, text)]);
        requester.start("sid", Some(&body));
        poll_fn(|cx| requester.poll_post(cx)).await
    }

    #[tokio::test]
    async fn a_refusal_is_read_while_the_request_is_sent() {
        let response = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\n\r\ntoo big";
        let (mut requester, _) = requester(100, response);
        let Err(RequestError::Status { status, body }) =
            post(&mut requester, &"x".repeat(100_000)).await
        else {
            panic!("not refused");
        };
        assert_eq!((status, &*body), (413, "too big"));
        assert!(!requester.is_busy());
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_replaced() {
        let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let (mut requester, connections) = requester(100, response);
        for number in 1..=3 {
            post(&mut requester, "x").await.unwrap();
            assert_eq!(connections.load(Ordering::Relaxed), number);
        }
    }

    #[tokio::test]
    async fn a_response_that_ends_early_is_an_error() {
        for response in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"]
        {
            let (mut requester, _) = requester(100, response);
            let error = post(&mut requester, "x").await.unwrap_err();
            assert!(matches!(error, RequestError::Io(_)), "{response:?}: {error:?}");
        }
    }
}
