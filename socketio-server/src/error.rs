//! What can go wrong, one type per operation.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use socketio_adapter::AdapterError;
use socketio_parser::{AnswerError, ArgsError, EncodeError, PublicErrors};

/// Why an event was not queued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The socket is not connected, or not any more.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The client's queue is at its limit: it reads more slowly than it is written to. Nothing was queued;
    /// [`Socket::ready`](crate::Socket::ready) waits for room.
    #[error("the outgoing queue is full")]
    Full,
    /// The event cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The other nodes of the cluster cannot be told. Nothing was sent to anybody.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Why something could not be asked of, or told to, the other nodes of the cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// More waits to be published than may (`max_queued_messages`, `max_queued_bytes`): the engine behind the adapter
    /// is slower than this node, or away. This message was not queued.
    #[error("the queue to the other nodes is full")]
    QueueFull,
    /// As many requests wait for other nodes as may (`max_requests`).
    #[error("{limit} requests wait for other nodes already")]
    TooManyRequests {
        /// The limit in force.
        limit: usize,
    },
    /// A room that is to be joined has a name longer than `max_room_name`. Nobody was told.
    #[error("the room's name is longer than {limit} bytes")]
    RoomNameTooLong {
        /// The limit in force.
        limit: usize,
    },
    /// Nobody could say in time how many nodes there are.
    #[error("the cluster cannot be reached")]
    Unreachable,
    /// The node has left the cluster.
    #[error("the node has left the cluster")]
    Left,
    /// The adapter failed.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// Why not all servers answered. What came is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerSideError<T> {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// Some servers did not answer in time, or with another type.
    #[error("{missing} servers have not answered")]
    Partial {
        /// The answers that came.
        responses: Vec<T>,
        /// How many did not.
        missing: usize,
    },
}

/// Why an awaited acknowledgement brought no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No answer came in time.
    #[error("operation has timed out")]
    Timeout,
    /// The socket was disconnected first.
    #[error("socket has been disconnected")]
    Disconnected,
    /// As many answers are awaited as `max_pending_acks` of [`Limits`](crate::Limits) allows, and as many events wait for
    /// room as `max_queued_packets` allows. A volatile event does not wait. Nothing was sent.
    #[error("too many pending acknowledgements")]
    TooManyPending,
    /// The client's handler failed, and the client said so in place of an answer: `{ "error": message, "data": … }`, as this
    /// project's clients do. A type that accepts such an object as its value gets it as one.
    #[error("{message}")]
    Refused {
        /// The error's message, "internal error" where the client keeps it to itself.
        message: String,
        /// What the client added to it.
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

/// Why an event that was sent reliably was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The client did not come back in time, or left by itself, or had missed so much that it got a new session. It may
    /// have got the event, and its answer been lost.
    #[error("the client did not come back")]
    Expired,
    /// The connection was lost, and the client cannot come back: the server is being drained or closed, or the namespace
    /// was closed. It may have got the event, and its answer been lost.
    #[error("the server or the namespace was closed")]
    Closed,
    /// As many events, or bytes, wait for this client's answer as may. Nothing was sent.
    #[error("too many events wait for this client's answer")]
    TooMany,
    /// The event could not be sent, or was not answered in time, or with another type.
    #[error(transparent)]
    Ack(#[from] AckError),
}

impl From<EmitError> for DeliveryError {
    fn from(error: EmitError) -> Self {
        Self::Ack(error.into())
    }
}

/// Why not all recipients of a broadcast answered. What came is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastAckError<T> {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// Some did not answer in time, were disconnected, or answered with another type.
    #[error("{missing} clients have not acknowledged{}", silent(*.missing_nodes))]
    Partial {
        /// The answers that came.
        responses: Vec<T>,
        /// How many clients did not answer.
        missing: usize,
        /// How many nodes of the cluster did not even say how many clients they have; 0 without a cluster.
        missing_nodes: usize,
    },
}

fn silent(nodes: usize) -> String {
    if nodes == 0 { String::new() } else { format!(", and {nodes} nodes are silent") }
}

/// Why a room was not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The socket is disconnected.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The socket is in `max_rooms` rooms already.
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

/// Why an expression or a pattern names no namespaces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a pattern of namespaces: {0}")]
pub struct PatternError(String);

impl PatternError {
    pub(crate) fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// What a handler or middleware fails with: any error, or one that was made for the client.
///
/// `?` and `into()` make it from every error, and from a text. Such an error is the server's own affair: the client is told
/// "internal error", the namespace's error handler or the log is told everything. What the client may read is said by
/// [`public`](Self::public), [`public_message`](Self::public_message) and [`with_data`](Self::with_data).
///
/// An error type of the application's own says once what clients may read of it, and is then used with plain `?`: by
/// [`PublicError`](crate::PublicError) and [`ServerConfig::public_error`](crate::ServerConfig::public_error). A type that is
/// no `std::error::Error` may be turned into this one by a `From` of its own instead.
///
/// As it is made from every error, it is (as in anyhow) not itself an `Error`.
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
    told: Told,
}

/// What a client is told of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// A general text, as the error was not made for it.
    General(&'static str),
    /// The error's own message.
    Message,
    /// A message that was made for it.
    Text(String),
}

/// What a client is told of an error that was not made for it.
const INTERNAL: Told = Told::General("internal error");

impl HandlerError {
    /// An error, or a message, that the client may read: in the answer to its event, or of a middleware in
    /// CONNECT_ERROR.
    pub fn public(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: error.into(), data: None, told: Told::Message }
    }

    /// Sets the message that the client may read, in place of the error's own, which stays for the error handler and the
    /// log.
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
        self.told = Told::Text(message.into());
        self
    }

    /// What a client sent is of another type. The details name types of the application, which a client is not told.
    pub(crate) fn not_extracted(error: ArgsError, told: &'static str) -> Self {
        Self { source: error.into(), data: None, told: Told::General(told) }
    }

    /// Adds data for the client, which finds it beside the message: `err.data` of a middleware's error. What cannot be
    /// serialised is left out.
    #[must_use]
    pub fn with_data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok();
        self
    }

    /// Whether the client may read the message.
    pub fn is_public(&self) -> bool {
        !matches!(self.told, Told::General(_))
    }

    /// What the client is told: the message of a [public](Self::public) error, "invalid arguments" or "invalid auth" if what
    /// the client sent is of another type, and "internal error" of any other.
    pub fn message_for_client(&self) -> String {
        match &self.told {
            Told::General(text) => (*text).to_owned(),
            Told::Message => self.to_string(),
            Told::Text(text) => text.clone(),
        }
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

    /// The same, with nothing left of the error but its message.
    pub(crate) fn spoken(self) -> Self {
        if self.source.is::<ArgsError>() {
            return self;
        }
        Self { source: self.to_string().into(), ..self }
    }

    /// The text for the log. An error of arguments quotes what the client sent, and that may be a secret.
    pub(crate) fn for_log(&self) -> String {
        if self.source.is::<ArgsError>() { "invalid arguments".into() } else { self.to_string() }
    }

    /// The data for the client.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    /// The error itself.
    pub fn source(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
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

/// Why a socket was disconnected. `Display` gives Node's strings.
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
    /// "parse error": the client sent something that is no packet.
    ParseError,
    /// "server shutting down".
    ServerShuttingDown,
    /// "client namespace disconnect": the client left the namespace.
    ClientNamespaceDisconnect,
    /// "server namespace disconnect": the server disconnected the socket.
    ServerNamespaceDisconnect,
}

impl DisconnectReason {
    /// Whether the client may come back to its session. Not where it broke off deliberately, by either side.
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
