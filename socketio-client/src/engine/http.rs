//! Requests of long-polling, one after the other on a connection that is kept.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use engineio_parser::{Transport, payload::Payload};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;

use super::{config::Shared, connector::BoxStream, dial::Purpose, error::RequestError};

/// Bytes of a response's head, and of what is read at once.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes of a refusal's body that are kept.
const MAX_REFUSAL: usize = 1024;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Makes requests, one at a time.
pub(super) struct Http {
    shared: Arc<Shared>,
    kept: Option<Connection>,
}

/// What a server sent.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// It is no text.
    pub(super) binary: bool,
}

/// A connection without a task: it is driven by the request that uses it.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Option<http1::Connection<TokioIo<BoxStream>, Full<Bytes>>>,
}

impl Http {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, kept: None }
    }

    /// A GET, or a POST of a body.
    pub(super) async fn request(
        &mut self,
        sid: &str,
        post: Option<Payload>,
    ) -> Result<Body, RequestError> {
        match self.shared.options.request_timeout {
            None => self.exchange(sid, post).await,
            Some(patience) => within(patience, self.exchange(sid, post)).await,
        }
    }

    async fn exchange(&mut self, sid: &str, post: Option<Payload>) -> Result<Body, RequestError> {
        let mut request = self.build(sid, post)?;
        // What the server has closed meanwhile is noticed here.
        if let Some(mut connection) = self.kept.take()
            && connection.is_ready().await
        {
            match connection.send(request).await {
                Ok(response) => return self.finish(connection, response).await,
                Err(mut error) => match error.take_message() {
                    // Not a byte of it has left, so that it cannot arrive twice.
                    Some(unsent) => request = unsent,
                    None => return Err(broken(error.into_error())),
                },
            }
        }
        let stream = self.shared.dial(Purpose::Http).await?;
        let mut connection = Connection::open(stream).await?;
        match connection.send(request).await {
            Ok(response) => self.finish(connection, response).await,
            Err(error) => Err(broken(error.into_error())),
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

    async fn finish(
        &mut self,
        mut connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Body, RequestError> {
        let (parts, body) = response.into_parts();
        self.shared.keep_cookies(&parts.headers);
        if parts.status != StatusCode::OK {
            let body = connection.drive(beginning(body)).await;
            return Err(RequestError::Status { status: parts.status.as_u16(), body });
        }
        let limit = self.shared.options.max_payload;
        if body.size_hint().lower() > limit as u64 {
            return Err(RequestError::TooLarge { limit });
        }
        let bytes = match connection.drive(Limited::new(body, limit).collect()).await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(RequestError::TooLarge { limit });
            }
            Err(error) => return Err(RequestError::Protocol(error)),
        };
        self.kept = Some(connection);
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let binary = kind.is_some_and(|kind| kind.as_bytes().starts_with(BINARY.as_bytes()));
        Ok(Body { bytes, binary })
    }
}

impl Connection {
    async fn open(stream: BoxStream) -> Result<Self, RequestError> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        Ok(Self { sender, driver: Some(driver) })
    }

    async fn is_ready(&mut self) -> bool {
        let Self { sender, driver } = self;
        drive(driver, sender.ready()).await.is_ok()
    }

    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let answer = self.sender.try_send_request(request);
        drive(&mut self.driver, answer).await
    }

    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        drive(&mut self.driver, future).await
    }
}

/// Waits for what the connection brings about. How the connection itself fares, the future says.
async fn drive<F: Future>(
    driver: &mut Option<http1::Connection<TokioIo<BoxStream>, Full<Bytes>>>,
    future: F,
) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Some(connection) = driver
            && Pin::new(connection).poll(cx).is_ready()
        {
            *driver = None;
        }
        match future.as_mut().poll(cx) {
            Poll::Pending => {
                // What was asked for just now is for the connection to do.
                if let Some(connection) = driver
                    && Pin::new(connection).poll(cx).is_ready()
                {
                    *driver = None;
                    return future.as_mut().poll(cx);
                }
                Poll::Pending
            }
            ready => ready,
        }
    })
    .await
}

/// Fails where it takes longer.
pub(super) async fn within<T>(
    patience: Duration,
    future: impl Future<Output = Result<T, RequestError>>,
) -> Result<T, RequestError> {
    match tokio::time::timeout(patience, future).await {
        Ok(result) => result,
        Err(_) => Err(RequestError::Timeout(patience)),
    }
}

/// What a server says to its refusal.
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

/// The beginning of a refusal, as text.
pub(super) fn refusal(body: &[u8]) -> String {
    let beginning = body.get(..MAX_REFUSAL).unwrap_or(body);
    String::from_utf8_lossy(beginning).into_owned()
}

fn broken(error: hyper::Error) -> RequestError {
    RequestError::Protocol(Box::new(error))
}

pub(super) fn protocol(error: http::Error) -> RequestError {
    RequestError::Protocol(Box::new(error))
}
