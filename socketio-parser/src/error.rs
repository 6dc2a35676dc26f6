//! The crate's errors, one type per operation. Messages are those of the Node parser if it has one.

use crate::kind::PacketType;

/// The reason why data from the peer is not a packet. The connection must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The packet does not begin with a known type; `None` is an empty packet.
    #[error("unknown packet type {}", digit_or_nan(*.0))]
    UnknownPacketType(Option<char>),
    /// The number of attachments is missing, is not a number, or is zero.
    #[error("Illegal attachments")]
    IllegalAttachmentCount,
    /// More attachments were announced than [`max_attachments`](crate::Limits::max_attachments).
    #[error("too many attachments")]
    TooManyAttachments,
    /// A placeholder names an attachment that the packet does not have.
    #[error("illegal attachments")]
    IllegalAttachments,
    /// The attachments of one packet exceed
    /// [`max_attachment_bytes`](crate::Limits::max_attachment_bytes).
    #[error("attachments larger than {limit} bytes")]
    AttachmentsTooLarge {
        /// The limit.
        limit: usize,
    },
    /// Text arrived when an attachment or a msgpack packet was expected.
    #[error("got plaintext data when reconstructing a packet")]
    UnexpectedText,
    /// Binary data arrived when none was expected.
    #[error("got binary data when not reconstructing a packet")]
    UnexpectedBinary,
    /// The payload is not JSON, or not of the kind that its packet type requires.
    #[error("invalid payload")]
    InvalidPayload,
    /// Arrays and objects are nested as deep as [`max_depth`](crate::Limits::max_depth).
    #[error("payload nested {limit} levels deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The message is not exactly one msgpack value: it is cut short, or further bytes follow.
    #[error("malformed msgpack")]
    MalformedMsgPack,
    /// A msgpack packet contains more binary values than
    /// [`max_binaries`](crate::Limits::max_binaries).
    #[error("more than {limit} binary values")]
    TooManyBinaries {
        /// The limit.
        limit: usize,
    },
    /// The event's name is longer than [`max_event_name`](crate::Limits::max_event_name).
    #[error("event name longer than {limit} bytes")]
    EventNameTooLong {
        /// The limit.
        limit: usize,
    },
    /// The namespace's name is longer than [`max_namespace`](crate::Limits::max_namespace).
    #[error("namespace longer than {limit} bytes")]
    NamespaceTooLong {
        /// The limit.
        limit: usize,
    },
}

/// The reason why the peer breaks the protocol. The connection must be closed. Node reports each of
/// these as "forced close".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The received data is not a packet.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A packet that the state of its namespace does not allow, such as an event before CONNECT.
    #[error("invalid state (packet type: {})", *.0 as u8)]
    InvalidState(PacketType),
    /// The attachments of a packet took longer than
    /// [`unfinished_timeout`](crate::Limits::unfinished_timeout).
    #[error("attachments did not arrive in time")]
    UnfinishedTimeout,
}

/// The reason why a packet cannot be encoded. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The protocol reserves this event name. See [`is_reserved`](crate::is_reserved).
    #[error("\"{0}\" is a reserved event name")]
    ReservedEvent(String),
    /// The payload of CONNECT is neither absent nor an object.
    #[error("the payload of CONNECT must be an object")]
    PayloadNotObject,
    /// The value's own serialization failed, or the value cannot be written as JSON (for example a
    /// map whose keys are not strings).
    #[error("cannot serialize: {0}")]
    Serialize(#[from] serde_json::Error),
}

/// The reason why received arguments are not of the requested type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// An argument is missing or of another type, or binary is for a type that accepts none.
    #[error("invalid arguments: {0}")]
    Invalid(#[from] serde_json::Error),
}

/// The reason why an ack cannot be awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckRefused {
    /// The maximum number of acks is already awaited
    /// ([`max_pending_acks`](crate::Limits::max_pending_acks)).
    #[error("too many pending acknowledgements")]
    TooMany,
    /// The namespace is not connected.
    #[error("the namespace is not connected")]
    NotConnected,
    /// An ack with this id is already awaited.
    #[error("an ack with this id is already awaited")]
    InUse,
}

/// Converts a packet's first character as JavaScript's `Number` does.
fn digit_or_nan(first: Option<char>) -> String {
    first.filter(char::is_ascii_digit).map_or_else(|| "NaN".into(), String::from)
}
