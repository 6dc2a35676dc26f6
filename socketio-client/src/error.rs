//! What can go wrong, one type per operation.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use socketio_parser::{AnswerError, ArgsError, EncodeError, PublicErrors};

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
    /// The event is larger than the messages that the server takes: the `maxPayload` of its handshake. It would end the
    /// connection.
    #[error("maxPayload of {limit} bytes exceeded")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
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
    /// The connection ended because the server sent a message larger than
    /// [`EngineOptions::max_payload`](crate::EngineOptions::max_payload): perhaps the answer.
    #[error("max_payload of {limit} bytes exceeded")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server's handler failed, and the server said so in place of an answer: `{ "error": message, "data": … }`, as this
    /// project's servers do. A type that accepts such an object as its value gets it as one.
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
        /// The error's message, "internal error" where the server keeps it to itself.
        message: String,
        /// What the server added to it.
        data: Option<Value>,
    },
    /// The answer is of another type.
    #[error(transparent)]
    Decode(#[from] ArgsError),
}

impl From<AnswerError> for AckError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Refused { message, data } => Self::Refused { message, data },
            AnswerError::Decode(error) => Self::Decode(error),
            other => Self::Refused { message: other.to_string(), data: None },
        }
    }
}

/// A handler's failure. `?` makes one of any error.
///
/// It is logged, and where the server waits for an answer it gets `{ error: "…", data: … }`: the text of an error made by
/// [`public`](Self::public), and "internal error" otherwise. An error type of the application's own says once what the
/// server may read of it: [`PublicError`](crate::PublicError).
pub struct HandlerError {
    source: Box<dyn std::error::Error + Send + Sync>,
    data: Option<Value>,
    told: Told,
}

/// What the server is told of an error.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// A general text, as the error was not made for it.
    General(&'static str),
    /// The error's own message.
    Message,
    /// A message that was made for it.
    Text(String),
}

const INTERNAL: Told = Told::General("internal error");

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
        Self { source: error.into(), data: None, told: Told::Message }
    }

    /// Sets the message that the server may read, in place of the error's own, which stays for the log.
    #[must_use]
    pub fn public_message(mut self, message: impl Into<String>) -> Self {
        self.told = Told::Text(message.into());
        self
    }

    /// Adds data for the server, which finds it beside the message. What cannot be serialized is left out.
    #[must_use]
    pub fn with_data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok();
        self
    }

    /// The data for the server.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    /// What the server sent is of another type. The details name types of the application, which the server is not told.
    pub(crate) fn not_extracted(error: ArgsError) -> Self {
        Self { source: error.into(), data: None, told: Told::General("invalid arguments") }
    }

    /// Makes an error public whose type was registered as such, if it says so. That is user code.
    pub(crate) fn resolved(mut self, errors: &PublicErrors) -> Self {
        if self.told == INTERNAL
            && let Some(part) = errors.find(&*self.source)
        {
            self.told = Told::Text(part.message);
            self.data = self.data.or(part.data);
        }
        self
    }

    /// Whether its text may be told to the server.
    pub fn is_public(&self) -> bool {
        !matches!(self.told, Told::General(_))
    }

    /// What the server sent is not for the log.
    pub(crate) fn for_log(&self) -> String {
        if self.source.is::<ArgsError>() { "invalid arguments".into() } else { self.to_string() }
    }

    pub(crate) fn message_for_server(&self) -> String {
        match &self.told {
            Told::General(text) => (*text).to_owned(),
            Told::Message => self.to_string(),
            Told::Text(text) => text.clone(),
        }
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: error.into(), data: None, told: INTERNAL }
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
