//! Long-polling requests, one after another over a persistent connection.

mod body;
mod connection;
mod cookies;
mod requester;
mod stand_in;

use std::{future::Future, sync::Arc, task::Context, time::Duration};

use bytes::Bytes;
use engineio_parser::{Transport, payload::Payload};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use self::connection::{Connection, IdleConnection, SendError};
pub(super) use self::{
    body::{Body, BodyError},
    cookies::Cookies,
    requester::Requester,
};
use super::{config::Shared, dial::Purpose, error::RequestError};

/// The part of a refusal's body that is kept, in bytes.
const MAX_REFUSAL: usize = 1024;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Sends requests, one at a time.
pub(super) struct Http {
    shared: Arc<Shared>,
    idle: Option<IdleConnection>,
}

impl Http {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, idle: None }
    }

    /// Sends a GET request. Resolves when the head of the response has arrived.
    pub(super) async fn get(&mut self, sid: &str) -> Result<Body, RequestError> {
        let timeout = self.shared.options.request_timeout;
        let (connection, response) = within(timeout, self.exchange(sid, None)).await?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let binary = kind.is_some_and(|kind| kind.as_bytes().starts_with(BINARY.as_bytes()));
        Ok(Body::new(connection, response.into_body(), binary).timeout(timeout))
    }

    /// Sends a POST request. Resolves when the response has arrived; its content is discarded.
    pub(super) async fn post(&mut self, sid: &str, body: Payload) -> Result<(), RequestError> {
        let timeout = self.shared.options.request_timeout;
        within(timeout, async {
            let (mut connection, response) = self.exchange(sid, Some(body)).await?;
            let limit = self.shared.options.max_payload;
            connection.drive(discard(response.into_body(), limit)).await?;
            self.keep(connection);
            Ok(())
        })
        .await
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&mut self, connection: Connection) {
        self.idle = Some(IdleConnection::Ready(connection));
    }

    fn has_buffers(&self) -> bool {
        matches!(self.idle, Some(IdleConnection::Ready(_)))
    }

    /// Frees most of the memory of the connection until the next request.
    fn shrink(&mut self, cx: &mut Context<'_>) {
        self.idle = self.idle.take().and_then(|idle| idle.shrink(cx));
    }

    async fn exchange(
        &mut self,
        sid: &str,
        post: Option<Payload>,
    ) -> Result<(Connection, Response<Incoming>), RequestError> {
        let mut request = self.build(sid, post)?;
        loop {
            let connection = match self.idle.take() {
                Some(idle) => idle.into_ready().await,
                None => None,
            };
            let reused = connection.is_some();
            let connection = match connection {
                Some(connection) => connection,
                // Boxed, because a request waits much longer for its response than for this.
                None => {
                    let shared = self.shared.clone();
                    let connect =
                        async move { Connection::open(shared.dial(Purpose::Http).await?).await };
                    Box::pin(connect).await?
                }
            };
            match connection.send(request).await {
                Ok((connection, response)) => return self.accept(connection, response).await,
                // The server cannot receive it twice.
                Err(SendError::Unsent(unsent, _)) if reused => request = *unsent,
                Err(SendError::Unsent(_, error) | SendError::Failed(error)) => return Err(error),
            }
        }
    }

    fn build(
        &self,
        sid: &str,
        post: Option<Payload>,
    ) -> Result<Request<Full<Bytes>>, RequestError> {
        let shared = &self.shared;
        let mut target = shared.target(Transport::Polling, sid);
        let mut headers = shared.headers(Transport::Polling);
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if shared.forwards(Purpose::Http) {
            target = format!("http://{}{target}", shared.address.authority());
            let proxy = shared.proxy.as_ref();
            if let Some(value) = proxy.and_then(|proxy| proxy.authorization.clone()) {
                headers.insert(header::PROXY_AUTHORIZATION, value);
            }
        }
        let (method, body) = match post {
            None => (Method::GET, Bytes::new()),
            Some(payload) => {
                let kind = if payload.binary { BINARY } else { TEXT };
                headers.insert(header::CONTENT_TYPE, kind);
                (Method::POST, payload.body)
            }
        };
        let request = Request::builder().method(method).uri(target).body(Full::new(body));
        let mut request = request.map_err(protocol)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn accept(
        &mut self,
        mut connection: Connection,
        response: Response<Incoming>,
    ) -> Result<(Connection, Response<Incoming>), RequestError> {
        self.shared.keep_cookies(response.headers());
        if response.status() != StatusCode::OK {
            let status = response.status().as_u16();
            let body = connection.drive(beginning(response.into_body())).await;
            return Err(RequestError::Status { status, body });
        }
        Ok((connection, response))
    }
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
