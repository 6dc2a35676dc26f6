//! The crate's errors, one type per operation.

use std::fmt;

use serde_json::Value;
use socketio_adapter::AdapterError;
pub use socketio_core::HandlerError;
use socketio_parser::{ArgsError, DecodeAckError, EncodeError};

/// The reason why an event was not queued.
///
/// ```
/// use socketio_server::{EmitError, Socket};
///
/// fn notify(socket: &Socket) {
///     match socket.emit("news", &"hello") {
///         Ok(()) | Err(EmitError::Disconnected) => {}
///         Err(EmitError::Full) => socket.disconnect(), // too slow for this application
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The socket is not connected yet, or no longer.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The client's queue is more than half full, and the event would exceed `max_queued_packets`
    /// or `max_queued_bytes` of [`EngineConfig`](crate::EngineConfig): the client reads more slowly
    /// than the server writes. The event was not queued. [`Socket::ready`](crate::Socket::ready)
    /// waits for room.
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
    /// The queue of messages to publish is full (`max_queued_messages` and `max_queued_bytes` of
    /// [`ClusterLimits`](crate::ClusterLimits)). The adapter's engine is slower than this node, or
    /// cannot be reached. The message was not queued.
    #[error("the queue to the other nodes is full")]
    QueueFull,
    /// The maximum number of requests to other nodes is already pending (`max_requests` of
    /// [`ClusterLimits`](crate::ClusterLimits)).
    #[error("{limit} requests wait for other nodes already")]
    TooManyRequests {
        /// The limit in force.
        limit: usize,
    },
    /// The name of a room to join is longer than
    /// [`max_room_name`](crate::ServerConfig::max_room_name). No socket has joined, on any node.
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
    NotInCluster,
    /// The adapter failed.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// The reason why a server-side event was not sent or some servers did not reply to it. Contains
/// the replies that arrived.
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
    /// The client's handler failed. In place of the ack's value, the client sent `{ "error":
    /// message, "data": … }`, as this project's client does. If the awaited type has a field
    /// `error` or accepts any value, such as [`Value`](crate::Value), the object is returned as the
    /// value instead.
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

impl From<DecodeAckError> for AckError {
    fn from(error: DecodeAckError) -> Self {
        match error {
            DecodeAckError::Refused { message, data } => Self::Refused { message, data },
            DecodeAckError::Decode(error) => Self::Decode(error),
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
    #[error("too many events wait for this client's ack")]
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
    /// The socket is already in [`max_rooms`](crate::ServerConfig::max_rooms) rooms.
    #[error("the socket is in {limit} rooms already")]
    TooManyRooms {
        /// The limit in force.
        limit: usize,
    },
    /// The room's name is longer than [`max_room_name`](crate::ServerConfig::max_room_name).
    #[error("the room's name is longer than {limit} bytes")]
    NameTooLong {
        /// The limit in force.
        limit: usize,
    },
}

/// The reason why a regular expression or a pattern cannot name namespaces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid expression or pattern for namespaces: {0}")]
pub struct PatternError(String);

impl PatternError {
    pub(crate) fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// The reason why a socket was disconnected. `Display` writes Node's strings.
///
/// ```
/// use socketio_server::{DisconnectReason, Server};
///
/// let io = Server::new();
/// io.on_disconnect(|reason: DisconnectReason| async move {
///     match reason {
///         DisconnectReason::ClientNamespaceDisconnect => println!("the client has left"),
///         other => println!("the client may return: {other}"), // "transport close", "ping timeout", …
///     }
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// "transport error": the connection failed, or the client broke a rule of the Engine.IO
    /// protocol, for example with a message larger than `max_payload`.
    TransportError,
    /// "transport close": the client closed the connection.
    TransportClose,
    /// "forced close": the server closed the connection, because the application requested it, a
    /// limit was exceeded, or the client broke the Socket.IO protocol. If the client broke the
    /// protocol, [`DisconnectDescription`](crate::DisconnectDescription) has the details.
    ForcedClose,
    /// "ping timeout": the client did not answer a ping.
    PingTimeout,
    /// "parse error": the client sent data that is not an Engine.IO packet.
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
