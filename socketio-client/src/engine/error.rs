//! What can go wrong below the packets.

use std::{error::Error, io, time::Duration};

use engineio_parser::session::CloseReason;
use thiserror::Error;

use crate::url::UrlError;

/// Why no session could be opened, or why one failed. `Display` gives Node's texts where Node has one; what happened
/// exactly is the [`source`](Error::source).
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
    /// The address, or the proxy's, is no URL of the schemes `http`, `https`, `ws` or `wss`.
    #[error("invalid URL: {0}")]
    InvalidUrl(#[from] UrlError),
    /// [`EngineOptions::path`](crate::EngineOptions::path) is no path of a URL.
    #[error("invalid path: {0:?}")]
    InvalidPath(String),
    /// The list of transports is empty, or holds only those that this client does not speak.
    #[error("No transports available")]
    NoTransport,
    /// `https` or `wss` without TLS: neither a feature that brings a default nor
    /// [`EngineOptions::tls`](crate::EngineOptions::tls).
    #[error(
        "TLS is not configured: give EngineOptions::tls, or enable a feature of each kind: \
         `rustls-ring` or `rustls-aws-lc`, and `native-roots` or `webpki-roots`; or `native-tls`"
    )]
    TlsUnavailable,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The function that is asked for headers failed.
    #[error("no headers")]
    Headers(#[source] Box<dyn Error + Send + Sync>),
    /// A GET of long-polling failed.
    #[error("xhr poll error")]
    Polling(#[source] RequestError),
    /// A POST of long-polling failed.
    #[error("xhr post error")]
    Posting(#[source] RequestError),
    /// The WebSocket could not be opened, or broke.
    #[error("websocket error")]
    WebSocket(#[source] RequestError),
    /// The server's first words are no handshake.
    #[error("server error")]
    Handshake,
    /// The server answers in revision 3 of the Engine.IO protocol: it is one of Socket.IO v2.
    #[error("the server speaks revision 3 of the Engine.IO protocol, which this client does not")]
    Unsupported,
    /// The session ended before it was open.
    #[error("{0}")]
    Closed(CloseReason),
}

impl EngineError {
    /// The status with which the server refused a request.
    pub fn status(&self) -> Option<u16> {
        match self.request()? {
            RequestError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What the server said when it refused a request: the beginning of the response's body. Engine.IO servers send JSON
    /// with `code` and `message`.
    pub fn body(&self) -> Option<&str> {
        match self.request()? {
            RequestError::Status { body, .. } => Some(body),
            _ => None,
        }
    }

    /// The limit of the messages' size, if that was exceeded.
    pub(crate) fn exceeded(&self) -> Option<usize> {
        match self.request()? {
            RequestError::TooLarge { limit } => Some(*limit),
            _ => None,
        }
    }

    fn request(&self) -> Option<&RequestError> {
        match self {
            Self::Polling(error) | Self::Posting(error) | Self::WebSocket(error) => Some(error),
            _ => None,
        }
    }
}

/// Why one request, or a WebSocket, failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The [`Connector`](crate::Connector) could not connect.
    #[error("cannot connect to {host}:{port}")]
    Connect {
        /// The server, or the proxy.
        host: String,
        /// Its port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with {host} failed")]
    Tls {
        /// The server, or the proxy.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The proxy refused to connect, with this status.
    #[error("the proxy answered {0}")]
    Proxy(u16),
    /// The proxy's answer is not HTTP, or has no end.
    #[error("the proxy's answer is malformed")]
    ProxyAnswer,
    /// The server refused the request.
    #[error("status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of the response's body, 1024 bytes at most.
        body: String,
    },
    /// What arrived is longer than [`EngineOptions::max_payload`](crate::EngineOptions::max_payload).
    #[error("max_payload of {limit} bytes exceeded")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request took longer than [`EngineOptions::request_timeout`](crate::EngineOptions::request_timeout), or an
    /// upgrade's connection longer than [`EngineOptions::upgrade_timeout`](crate::EngineOptions::upgrade_timeout).
    #[error("timeout after {0:?}")]
    Timeout(Duration),
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The peer broke the rules of HTTP or WebSocket.
    #[error("{0}")]
    Protocol(#[source] Box<dyn Error + Send + Sync>),
}

impl RequestError {
    pub(super) fn broken(error: hyper::Error) -> Self {
        Self::Protocol(Box::new(error))
    }
}
