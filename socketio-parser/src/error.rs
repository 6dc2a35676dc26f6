//! What can go wrong, one type per operation. Texts are those of the Node parser where it has one.

use crate::kind::PacketType;

/// Why data from the peer is not a packet. The connection it came from is to be closed.
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
    /// The attachments of one packet exceed [`max_attachment_bytes`](crate::Limits::max_attachment_bytes).
    #[error("attachments larger than {limit} bytes")]
    AttachmentsTooLarge {
        /// The limit.
        limit: usize,
    },
    /// Text arrived where an attachment, or msgpack, was due.
    #[error("got plaintext data when reconstructing a packet")]
    UnexpectedText,
    /// Binary data arrived where none was due.
    #[error("got binary data when not reconstructing a packet")]
    UnexpectedBinary,
    /// The payload is not JSON, or not of the kind its packet type asks for.
    #[error("invalid payload")]
    InvalidPayload,
    /// Arrays and objects are nested as deep as [`max_depth`](crate::Limits::max_depth).
    #[error("payload nested {limit} levels deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// It is not one value of msgpack: cut short, or with bytes behind it.
    #[error("malformed msgpack")]
    MalformedMsgPack,
    /// There are more binary values than [`max_binaries`](crate::Limits::max_binaries) in a packet of msgpack.
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

/// Why the connection breaks the protocol and has to be closed. Node reports every one of these as "forced close".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// What arrived is not a packet.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A packet that the state of its namespace does not allow, such as an event before CONNECT.
    #[error("invalid state (packet type: {})", *.0 as u8)]
    InvalidState(PacketType),
    /// The attachments of a packet took longer than [`unfinished_timeout`](crate::Limits::unfinished_timeout).
    #[error("attachments did not arrive in time")]
    UnfinishedTimeout,
}

/// Why a packet cannot be encoded. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The protocol keeps this name for itself; see [`is_reserved`](crate::is_reserved).
    #[error("\"{0}\" is a reserved event name")]
    ReservedEvent(String),
    /// The payload of CONNECT is neither an object nor absent.
    #[error("the payload of CONNECT must be an object")]
    PayloadNotObject,
    /// The value's own serialization failed, or it is not JSON (such as a map with keys that are not strings).
    #[error("cannot serialize: {0}")]
    Serialize(#[from] serde_json::Error),
}

/// Why received arguments are not of the type asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// Too few arguments, one of another type, or binary for a type that takes none.
    #[error("invalid arguments: {0}")]
    Invalid(#[from] serde_json::Error),
}

/// Why an acknowledgement cannot be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckRefused {
    /// As many acknowledgements are awaited as [`max_pending_acks`](crate::Limits::max_pending_acks) allows.
    #[error("too many pending acknowledgements")]
    TooMany,
    /// The namespace is not connected.
    #[error("not connected")]
    NotConnected,
    /// An acknowledgement with this id is awaited already.
    #[error("acknowledgement id in use")]
    InUse,
}

/// What JavaScript's `Number` makes of a packet's first character.
fn digit_or_nan(first: Option<char>) -> String {
    first.filter(char::is_ascii_digit).map_or_else(|| "NaN".into(), String::from)
}
