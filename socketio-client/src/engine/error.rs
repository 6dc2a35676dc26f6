//! The errors below the packets.

use std::{error::Error, io, time::Duration};

use engineio_parser::session::CloseReason;
use thiserror::Error;

use crate::url::UrlError;

/// The reason why a session could not be opened, or why it failed. `Display` writes Node's text if
/// Node has one. The [`source`](Error::source) is the cause.
///
/// ```
/// use socketio_client::{EngineError, RequestError};
///
/// let error = EngineError::Polling(RequestError::Status { status: 502, body: String::new() });
/// assert_eq!(error.to_string(), "xhr poll error");
/// assert_eq!(error.status(), Some(502));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The URL of the server or the proxy is invalid, or its scheme is not `http`, `https`, `ws` or
    /// `wss`.
    #[error("invalid URL: {0}")]
    InvalidUrl(#[from] UrlError),
    /// [`EngineOptions::path`](crate::EngineOptions::path) is not a valid path of a URL.
    #[error("invalid path: {0:?}")]
    InvalidPath(String),
    /// The list of transports is empty or contains only unsupported ones.
    #[error("No transports available")]
    NoTransport,
    /// The URL needs TLS, but neither the enabled features nor
    /// [`EngineOptions::tls`](crate::EngineOptions::tls) provide it.
    #[error(
        "TLS is not configured: set EngineOptions::tls, or enable a feature of each kind: \
         `rustls-ring` or `rustls-aws-lc`, and `native-roots` or `webpki-roots`; or `native-tls`"
    )]
    TlsUnavailable,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The function that provides headers failed.
    #[error("the function that provides headers failed")]
    Headers(#[source] Box<dyn Error + Send + Sync>),
    /// A GET request of long-polling failed.
    #[error("xhr poll error")]
    Polling(#[source] RequestError),
    /// A POST request of long-polling failed.
    #[error("xhr post error")]
    Posting(#[source] RequestError),
    /// The WebSocket could not be opened, or failed.
    #[error("websocket error")]
    WebSocket(#[source] RequestError),
    /// The WebTransport session could not be opened, or failed.
    #[error("webtransport error")]
    WebTransport(#[source] RequestError),
    /// The server's first packet is not a handshake.
    #[error("server error")]
    Handshake,
    /// The server speaks revision 3 of the Engine.IO protocol, as servers of Socket.IO v2 do.
    #[error("the server speaks revision 3 of the Engine.IO protocol, which this client does not")]
    Unsupported,
    /// The session ended before it was open.
    #[error("{0}")]
    Closed(CloseReason),
}

impl EngineError {
    /// Returns the HTTP status with which the server refused a request.
    pub fn status(&self) -> Option<u16> {
        match self.request()? {
            RequestError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns the beginning of the response body with which the server refused a request.
    /// Engine.IO servers send JSON with `code` and `message`.
    pub fn body(&self) -> Option<&str> {
        match self.request()? {
            RequestError::Status { body, .. } => Some(body),
            _ => None,
        }
    }

    /// Returns the size limit that a message of the server exceeded.
    pub(crate) fn exceeded(&self) -> Option<usize> {
        match self.request()? {
            RequestError::TooLarge { limit } => Some(*limit),
            _ => None,
        }
    }

    fn request(&self) -> Option<&RequestError> {
        match self {
            Self::Polling(error)
            | Self::Posting(error)
            | Self::WebSocket(error)
            | Self::WebTransport(error) => Some(error),
            _ => None,
        }
    }
}

/// The reason why a request, a WebSocket or a WebTransport session failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The [`Connector`](crate::Connector) could not connect.
    #[error("cannot connect to {host}:{port}")]
    Connect {
        /// The host of the server or the proxy.
        host: String,
        /// The port of the server or the proxy.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with {host} failed")]
    Tls {
        /// The host of the server or the proxy.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// The proxy refused to connect, with this status.
    #[error("the proxy responded {0}")]
    Proxy(u16),
    /// The proxy's response is not HTTP, or incomplete.
    #[error("the proxy's response is malformed")]
    ProxyResponse,
    /// The server refused the request.
    #[error("status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of the response body, at most 1024 bytes.
        body: String,
    },
    /// A message of the server is larger than
    /// [`EngineOptions::max_payload`](crate::EngineOptions::max_payload).
    #[error("max_payload of {limit} bytes exceeded")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A request took longer than
    /// [`EngineOptions::request_timeout`](crate::EngineOptions::request_timeout), or a connection
    /// for an upgrade or for WebTransport took longer than
    /// [`EngineOptions::upgrade_timeout`](crate::EngineOptions::upgrade_timeout).
    #[error("timeout after {0:?}")]
    Timeout(Duration),
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The peer violated the HTTP, WebSocket or WebTransport protocol, or refused a WebTransport
    /// session.
    #[error("{0}")]
    Protocol(#[source] Box<dyn Error + Send + Sync>),
}

impl RequestError {
    pub(super) fn broken(error: hyper::Error) -> Self {
        Self::Protocol(Box::new(error))
    }
}
