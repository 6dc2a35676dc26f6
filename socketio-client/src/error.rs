//! What can go wrong, one type per operation.

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Value;
use socketio_parser::{ArgsError, EncodeError};

use crate::{engine::EngineError, url::UrlError};

/// Why there is no client.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL names no server.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A client was made outside of a tokio runtime, which is to run it.
    #[error("not inside a tokio runtime")]
    NoRuntime,
    /// The options of the transports do not fit the URL or each other.
    #[error(transparent)]
    Engine(Arc<EngineError>),
}

/// Why a socket is not connected: what the event `connect_error` brings, and the result of [`connect`](crate::connect).
///
/// After [`Transport`](Self::Transport), [`Timeout`](Self::Timeout), [`Auth`](Self::Auth) and [`Closed`](Self::Closed)
/// the client tries again, if it reconnects at all and nobody has disconnected or closed it; after the others it does not,
/// unless it is told to.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server refuses the namespace: it does not exist, or a middleware said no.
    #[error("{message}")]
    Refused {
        /// The error's message.
        message: String,
        /// What the server said beside it (`err.data` in Node).
        data: Option<Value>,
    },
    /// The connection could not be opened. The message is Node's where there is one ("xhr poll error", "websocket error").
    #[error(transparent)]
    Transport(Arc<EngineError>),
    /// The connection was not opened, or CONNECT was not answered, within
    /// [`connect_timeout`](crate::ClientConfig::connect_timeout).
    #[error("timeout")]
    Timeout,
    /// The function that is asked for `auth` failed.
    #[error("no auth: {0}")]
    Auth(String),
    /// The server opened a session of Engine.IO revision 3, or granted the namespace without giving an id: it is one of
    /// Socket.IO v2.
    #[error("the server speaks the protocol of Socket.IO v2, which this client does not")]
    Unsupported,
    /// The connection ended before the namespace was granted.
    #[error("{0}")]
    Closed(DisconnectReason),
    /// The runtime that the connection ran on has shut down.
    #[error("the runtime has shut down")]
    Stopped,
    /// The URL names no server, or there is no runtime.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ConnectError {
    /// What the server said beside its message, as a type of one's own; `None` if there is nothing of that type.
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Self::Refused { data: Some(data), .. } => T::deserialize(data).ok(),
            _ => None,
        }
    }
}

/// Why an event was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// As much waits to be sent as [`SocketConfig`](crate::SocketConfig) allows.
    #[error("the outgoing queue is full")]
    Full,
    /// The event cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// An answer came too late: its event belongs to a connection that has ended.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The runtime that the connection ran on has shut down.
    #[error("the runtime has shut down")]
    Stopped,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The server did not answer in time.
    #[error("operation has timed out")]
    Timeout,
    /// The connection ended first. The server may have got the event.
    #[error("socket has been disconnected")]
    Disconnected,
    /// As many answers are awaited as [`Limits::max_pending_acks`](crate::Limits::max_pending_acks) allows.
    #[error("too many pending acknowledgements")]
    TooManyPending,
    /// The answer is of another type.
    #[error(transparent)]
    Decode(#[from] ArgsError),
}

/// A handler's failure. `?` makes one of any error.
///
/// It is logged, and where the server waits for an answer it gets `{ error: "…" }`: the text of an error made by
/// [`public`](Self::public), and "internal error" otherwise.
pub struct HandlerError {
    source: Box<dyn std::error::Error + Send + Sync>,
    public: bool,
}

impl HandlerError {
    /// An error whose text may be told to the server.
    ///
    /// ```
    /// use socketio_client::HandlerError;
    ///
    /// fn parse(text: &str) -> Result<u32, HandlerError> {
    ///     text.parse().map_err(HandlerError::public)
    /// }
    /// # assert!(parse("x").unwrap_err().is_public());
    /// ```
    pub fn public(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: error.into(), public: true }
    }

    /// Whether its text may be told to the server.
    pub fn is_public(&self) -> bool {
        self.public
    }

    /// What the server sent is not for the log.
    pub(crate) fn for_log(&self) -> String {
        if self.source.is::<ArgsError>() { "invalid arguments".into() } else { self.to_string() }
    }

    pub(crate) fn message_for_server(&self) -> String {
        if self.public { self.to_string() } else { "internal error".to_owned() }
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: error.into(), public: false }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

/// Why a socket was disconnected, with Node's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The server disconnected the socket. It is not connected again, unless it is told to.
    IoServerDisconnect,
    /// [`disconnect`](crate::Socket::disconnect) was called.
    IoClientDisconnect,
    /// The server's pings stayed away.
    PingTimeout,
    /// The connection was closed.
    TransportClose,
    /// The connection failed.
    TransportError,
    /// The server sent what is no packet, or more than the limits allow.
    ParseError,
    /// The manager was closed, or its last handle dropped.
    ForcedClose,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoServerDisconnect => "io server disconnect",
            Self::IoClientDisconnect => "io client disconnect",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
        })
    }
}
