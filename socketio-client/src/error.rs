//! The error types of the client, one per operation.

use std::{fmt, io, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Value;
pub use socketio_core::HandlerError;
use socketio_parser::{ArgsError, DecodeAckError, EncodeError, NspError};

use crate::{engine::EngineError, url::UrlError};

/// The reason why a client could not be created.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL names no server.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The client was created outside of a tokio runtime. It needs one to run its task.
    #[error("a client must be created inside a tokio runtime")]
    NoRuntime,
    /// The operating system did not start the thread of a blocking socket.
    #[error("cannot start the thread of the connection: {0}")]
    Thread(Arc<io::Error>),
    /// The transport options contradict the URL or each other.
    #[error(transparent)]
    Engine(Arc<EngineError>),
}

/// The reason why a socket is not connected: the value of the event `connect_error`, and the error
/// of [`connect`](crate::connect).
///
/// After [`Transport`](Self::Transport), [`Timeout`](Self::Timeout), [`Auth`](Self::Auth) and
/// [`Closed`](Self::Closed) the client tries again, unless reconnection is off or the application
/// has disconnected the socket or closed the manager. After the other errors it tries again only if
/// the application asks for it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server refuses the namespace: the namespace does not exist, or a middleware refused the
    /// socket.
    #[error("{message}")]
    Refused {
        /// The error message of the server.
        message: String,
        /// The data that the server sent with the message (`err.data` in Node).
        data: Option<Value>,
    },
    /// The connection could not be opened. The message is that of Node if Node has one ("xhr poll
    /// error", "websocket error").
    #[error(transparent)]
    Transport(Arc<EngineError>),
    /// The connection was not opened, or the server did not respond to CONNECT, within
    /// [`connect_timeout`](crate::ClientConfig::connect_timeout).
    #[error("timeout")]
    Timeout,
    /// The function that provides `auth` failed.
    #[error("cannot get auth: {0}")]
    Auth(String),
    /// The server speaks Socket.IO v2: it opened a session of Engine.IO revision 3, or granted the
    /// namespace without an id.
    #[error("the server speaks the protocol of Socket.IO v2, which this client does not")]
    Unsupported,
    /// The name of the namespace contains a comma, which only the parser
    /// [`MsgPack`](crate::Parser) can send.
    #[error(transparent)]
    Namespace(#[from] NspError),
    /// No connection was requested, see [`Socket::connected`](crate::Socket::connected).
    #[error("no connection was requested: call `Socket::connect`")]
    Inactive,
    /// The connection ended before the server accepted the socket.
    #[error("{0}")]
    Closed(DisconnectReason),
    /// The runtime that ran the connection has shut down.
    #[error("the runtime has shut down")]
    Stopped,
    /// The URL names no server, or the call was made outside of a tokio runtime.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ConnectError {
    /// Returns the data that the server sent with its message, decoded as `T`. Returns `None` if
    /// there is no data or it has another type.
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Self::Refused { data: Some(data), .. } => T::deserialize(data).ok(),
            _ => None,
        }
    }
}

/// The reason why an event was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The outgoing queue is full. [`SocketConfig`](crate::SocketConfig) sets its limits.
    #[error("the outgoing queue is full")]
    Full,
    /// The event is larger than the `maxPayload` that the server announced in its handshake. The
    /// server would close the connection if it were sent.
    #[error("the event exceeds the server's maxPayload of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The event cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The ack came too late: its event belongs to a connection that has ended.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The runtime that ran the connection has shut down.
    #[error("the runtime has shut down")]
    Stopped,
}

/// The reason why an awaited ack has no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The server did not send the ack in time.
    #[error("operation has timed out")]
    Timeout,
    /// The connection ended before the ack arrived. The server may have received the event.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The connection ended because the server sent a message larger than
    /// [`EngineOptions::max_payload`](crate::EngineOptions::max_payload). That message may have
    /// been the ack.
    #[error("max_payload of {limit} bytes exceeded")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server's handler failed. In place of the ack's value, the server sent `{ "error":
    /// message, "data": … }`, as the servers of this project do. If the awaited type has a field
    /// `error` or accepts any value, such as [`Value`](crate::Value), the object is returned as the
    /// value instead.
    ///
    /// ```no_run
    /// use socketio_client::{AckError, Socket};
    ///
    /// # async fn run(socket: Socket) -> Result<(), AckError> {
    /// match socket.emit_with_ack::<u32>("buy", &7).await {
    ///     Ok(receipt) => println!("bought: {receipt}"),
    ///     Err(AckError::Refused { message, data }) => println!("refused: {message} {data:?}"),
    ///     Err(other) => return Err(other),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[error("{message}")]
    Refused {
        /// The error message, or "internal error" if the server does not disclose it.
        message: String,
        /// The data that the server added to the error.
        data: Option<Value>,
    },
    /// The ack has another type than expected.
    #[error(transparent)]
    Decode(#[from] ArgsError),
}

/// The reason why [`Socket::next`](crate::Socket::next) got no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NextError {
    /// The socket was disconnected. The event may have been lost, even if the socket connects
    /// again.
    #[error("{0}")]
    Disconnected(DisconnectReason),
    /// The socket could not be connected, and the client does not try again by itself.
    #[error(transparent)]
    Connect(ConnectError),
    /// The arguments have another type.
    #[error(transparent)]
    Decode(#[from] ArgsError),
    /// [`off`](crate::Socket::off) has removed the listener, or the runtime has shut down.
    #[error("the listener was removed")]
    Removed,
    /// No event arrived in time. Only the `next` of a blocking socket has a time limit of its own.
    #[error("operation has timed out")]
    Timeout,
}

impl From<DecodeAckError> for AckError {
    fn from(error: DecodeAckError) -> Self {
        match error {
            DecodeAckError::Refused { message, data } => Self::Refused { message, data },
            DecodeAckError::Decode(error) => Self::Decode(error),
            other => Self::Refused { message: other.to_string(), data: None },
        }
    }
}

/// The reason why a socket was disconnected. `Display` writes Node's strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// "io server disconnect": the server disconnected the socket. The socket connects again only
    /// if the application calls [`connect`](crate::Socket::connect).
    IoServerDisconnect,
    /// "io client disconnect": the application called [`disconnect`](crate::Socket::disconnect).
    IoClientDisconnect,
    /// "ping timeout": the server's pings stopped arriving.
    PingTimeout,
    /// "transport close": the connection was closed.
    TransportClose,
    /// "transport error": the connection failed, or the server sent a message larger than
    /// [`EngineOptions::max_payload`](crate::EngineOptions::max_payload).
    TransportError,
    /// "parse error": the server sent an invalid packet, or one that exceeds
    /// [`Limits`](crate::Limits).
    ParseError,
    /// "forced close": the application closed the manager, or dropped its last handle.
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
