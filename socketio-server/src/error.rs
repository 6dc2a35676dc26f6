//! The crate's errors, one type per operation.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use socketio_adapter::AdapterError;
use socketio_parser::{AnswerError, ArgsError, EncodeError, PublicErrors};

/// The reason why an event was not queued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The socket is not connected yet, or no longer.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The client's queue is full, because the client reads more slowly than the server writes. The
    /// event was not queued. [`Socket::ready`](crate::Socket::ready) waits for room.
    #[error("the outgoing queue is full")]
    Full,
    /// The event cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The event could not be published to the other nodes of the cluster. It was not sent to any
    /// recipient.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// The reason why a message or request to the other nodes of the cluster failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The queue of messages to publish is full (`max_queued_messages`, `max_queued_bytes`). The
    /// adapter's engine is slower than this node, or cannot be reached. The message was not queued.
    #[error("the queue to the other nodes is full")]
    QueueFull,
    /// The maximum number of requests to other nodes is already pending (`max_requests`).
    #[error("{limit} requests wait for other nodes already")]
    TooManyRequests {
        /// The limit in force.
        limit: usize,
    },
    /// The name of a room to join is longer than `max_room_name`. No node was asked.
    #[error("the room's name is longer than {limit} bytes")]
    RoomNameTooLong {
        /// The limit in force.
        limit: usize,
    },
    /// The number of nodes could not be determined in time.
    #[error("the cluster cannot be reached")]
    Unreachable,
    /// The node has left the cluster.
    #[error("the node has left the cluster")]
    Left,
    /// The adapter failed.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// The reason why some servers did not reply. Contains the replies that arrived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerSideError<T> {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// Some servers did not reply in time, or replied with another type.
    #[error("{missing} servers have not answered")]
    Partial {
        /// The replies that arrived.
        responses: Vec<T>,
        /// The number of servers that did not reply.
        missing: usize,
    },
}

/// The reason why an awaited acknowledgement has no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No ack arrived in time.
    #[error("operation has timed out")]
    Timeout,
    /// The socket was disconnected before the ack arrived.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The maximum number of acks is already awaited (`max_pending_acks` of
    /// [`Limits`](crate::Limits)), and `max_queued_packets` events already wait for room. A
    /// volatile event does not wait for room. The event was not sent.
    #[error("too many pending acknowledgements")]
    TooManyPending,
    /// The client's handler failed, and the client reported the failure in place of the ack's
    /// value: `{ "error": message, "data": … }`, as this project's clients do. If the expected type
    /// can be decoded from such an object, it is returned as a value instead.
    #[error("{message}")]
    Refused {
        /// The error's message, or "internal error" if the client does not disclose it.
        message: String,
        /// The data that the client added to the error.
        data: Option<Value>,
    },
    /// The ack's value is of another type.
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

/// The reason why an event that was sent reliably was not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The client did not return in time, disconnected deliberately, or missed too many events and
    /// got a new session. It may have received the event, and only its ack was lost.
    #[error("the client did not come back")]
    Expired,
    /// The connection was lost and the client cannot return, because the server is being drained or
    /// closed or the namespace was closed. The client may have received the event, and only its ack
    /// was lost.
    #[error("the server or the namespace was closed")]
    Closed,
    /// The maximum number of events or bytes already waits for this client's acks. The event was
    /// not sent.
    #[error("too many events wait for this client's answer")]
    TooMany,
    /// The event could not be sent, or its ack did not arrive in time or is of another type.
    #[error(transparent)]
    Ack(#[from] AckError),
}

impl From<EmitError> for DeliveryError {
    fn from(error: EmitError) -> Self {
        Self::Ack(error.into())
    }
}

/// The reason why some recipients of a broadcast did not acknowledge it. Contains the acks that
/// arrived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastAckError<T> {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// Some recipients did not send an ack in time, were disconnected, or sent a value of another
    /// type.
    #[error("{missing} clients have not acknowledged{}", silent(*.missing_nodes))]
    Partial {
        /// The acks that arrived.
        responses: Vec<T>,
        /// The number of clients whose ack is missing.
        missing: usize,
        /// The number of cluster nodes that did not report how many clients they have. 0 without a
        /// cluster.
        missing_nodes: usize,
    },
}

fn silent(nodes: usize) -> String {
    if nodes == 0 { String::new() } else { format!(", and {nodes} nodes are silent") }
}

/// The reason why a room was not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The socket is disconnected.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The socket is already in `max_rooms` rooms.
    #[error("the socket is in {limit} rooms already")]
    TooManyRooms {
        /// The limit in force.
        limit: usize,
    },
    /// The room's name is longer than `max_room_name`.
    #[error("the room's name is longer than {limit} bytes")]
    NameTooLong {
        /// The limit in force.
        limit: usize,
    },
}

/// The reason why a regular expression or a pattern cannot name namespaces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a pattern of namespaces: {0}")]
pub struct PatternError(String);

impl PatternError {
    pub(crate) fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// The error of a handler or middleware: any error, or one that was made for the client.
///
/// `?` and `into()` convert every error, and a text, into a `HandlerError`. Such an error is
/// private to the server: the client gets "internal error", and the namespace's error handler or
/// the log gets the details. [`public`](Self::public), [`public_message`](Self::public_message) and
/// [`with_data`](Self::with_data) define what the client may read.
///
/// An error type of the application can define once what clients may read, and is then used with
/// plain `?`. See [`PublicError`](crate::PublicError) and
/// [`ServerConfig::public_error`](crate::ServerConfig::public_error). A type that does not
/// implement `std::error::Error` can implement a conversion into `HandlerError` with `From`.
///
/// Because every error converts into it, this type does not implement `Error` itself (as in
/// anyhow).
///
/// ```
/// use socketio_server::HandlerError;
///
/// fn parse(text: &str) -> Result<u32, HandlerError> {
///     text.parse().map_err(HandlerError::public)
/// }
/// assert!(parse("x").is_err_and(|error| error.is_public()));
///
/// let refused = HandlerError::public("not authorized").with_data(&serde_json::json!({ "code": 401 }));
/// assert_eq!(refused.to_string(), "not authorized");
///
/// let private = HandlerError::from(std::io::Error::other("db-3.internal refused user 'app'"));
/// assert_eq!(private.message_for_client(), "internal error");
///
/// enum Failure {
///     NotFound,
///     Database(std::io::Error),
/// }
///
/// impl From<Failure> for HandlerError {
///     fn from(failure: Failure) -> Self {
///         match failure {
///             Failure::NotFound => Self::public("not found"),
///             Failure::Database(error) => error.into(),
///         }
///     }
/// }
/// assert_eq!(HandlerError::from(Failure::NotFound).message_for_client(), "not found");
/// # assert!(!HandlerError::from(Failure::Database(std::io::Error::other("x"))).is_public());
/// ```
pub struct HandlerError {
    source: Box<dyn std::error::Error + Send + Sync>,
    data: Option<Value>,
    client_message: ClientMessage,
}

/// The message of an error for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ClientMessage {
    /// A generic text, because the error was not made for the client.
    General(&'static str),
    /// The error's own message.
    Message,
    /// A message that was made for the client.
    Text(String),
}

/// The message for the client of an error that was not made for it.
const INTERNAL: ClientMessage = ClientMessage::General("internal error");

impl HandlerError {
    /// Creates an error, from an error or a message, that the client may read. The client gets it
    /// in the ack to its event, or in the CONNECT_ERROR if a middleware returns it.
    pub fn public(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: error.into(), data: None, client_message: ClientMessage::Message }
    }

    /// Sets the message that the client may read. The error handler and the log still get the
    /// error's own message.
    ///
    /// ```
    /// use socketio_server::HandlerError;
    ///
    /// fn load() -> Result<(), HandlerError> {
    ///     std::fs::read("/no/such/file").map_err(|error| {
    ///         HandlerError::from(error).public_message("the file is not there at the moment")
    ///     })?;
    ///     Ok(())
    /// }
    /// # let error = load().unwrap_err();
    /// # assert!(error.is_public() && error.to_string().contains("os error"));
    /// # assert_eq!(error.message_for_client(), "the file is not there at the moment");
    /// ```
    #[must_use]
    pub fn public_message(mut self, message: impl Into<String>) -> Self {
        self.client_message = ClientMessage::Text(message.into());
        self
    }

    /// Creates the error for client data of another type. The details name types of the
    /// application, so the client does not get them.
    pub(crate) fn not_extracted(error: ArgsError, message: &'static str) -> Self {
        Self { source: error.into(), data: None, client_message: ClientMessage::General(message) }
    }

    /// Adds data for the client, which gets it beside the message (`err.data` of a middleware's
    /// error). A value that cannot be serialized is omitted.
    #[must_use]
    pub fn with_data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok();
        self
    }

    /// Returns whether the client may read the message.
    pub fn is_public(&self) -> bool {
        !matches!(self.client_message, ClientMessage::General(_))
    }

    /// Returns the message for the client: the message of a [public](Self::public) error, "invalid
    /// arguments" or "invalid auth" if the client's data is of another type, and "internal error"
    /// for any other error.
    pub fn message_for_client(&self) -> String {
        match &self.client_message {
            ClientMessage::General(text) => (*text).to_owned(),
            ClientMessage::Message => self.to_string(),
            ClientMessage::Text(text) => text.clone(),
        }
    }

    /// Makes the error public if its type is registered and [`PublicError`](crate::PublicError)
    /// says so. Runs user code.
    pub(crate) fn resolved(mut self, errors: &PublicErrors) -> Self {
        if self.client_message == INTERNAL
            && let Some(part) = errors.find(&*self.source)
        {
            self.client_message = ClientMessage::Text(part.message);
            self.data = self.data.or(part.data);
        }
        self
    }

    /// Replaces the error by its message.
    pub(crate) fn spoken(self) -> Self {
        if self.source.is::<ArgsError>() {
            return self;
        }
        Self { source: self.to_string().into(), ..self }
    }

    /// Returns the text for the log. An error about arguments quotes the client's data, which may
    /// be secret.
    pub(crate) fn for_log(&self) -> String {
        if self.source.is::<ArgsError>() { "invalid arguments".into() } else { self.to_string() }
    }

    /// Returns the data for the client.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    /// Returns the underlying error.
    pub fn source(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: error.into(), data: None, client_message: INTERNAL }
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

/// The reason why a socket was disconnected. `Display` writes Node's strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// "transport error": the connection failed.
    TransportError,
    /// "transport close": the client closed the connection.
    TransportClose,
    /// "forced close": the server closed the connection, or the client broke the protocol.
    ForcedClose,
    /// "ping timeout": the client did not answer a ping.
    PingTimeout,
    /// "parse error": the client sent data that is not a packet.
    ParseError,
    /// "server shutting down": the server was closed or drained.
    ServerShuttingDown,
    /// "client namespace disconnect": the client left the namespace.
    ClientNamespaceDisconnect,
    /// "server namespace disconnect": the server disconnected the socket.
    ServerNamespaceDisconnect,
}

impl DisconnectReason {
    /// Returns whether the client may recover its session. It may not if either side disconnected
    /// deliberately.
    pub(crate) fn is_recoverable(self) -> bool {
        matches!(
            self,
            Self::TransportError
                | Self::TransportClose
                | Self::ForcedClose
                | Self::PingTimeout
                | Self::ServerShuttingDown
        )
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ServerShuttingDown => "server shutting down",
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
        })
    }
}
