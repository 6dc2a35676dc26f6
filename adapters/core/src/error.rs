//! What can go wrong between nodes.

use std::error::Error;

use socketio_parser::EncodeError;

/// Why what came over the bus is no message. It concerns that message alone: it is counted and forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It has more than `max_message_bytes`. Nothing of it was decoded.
    #[error("a message of {bytes} bytes, where {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit in force.
        limit: usize,
    },
    /// Decoding it takes more than `max_decoded_bytes`. It was given up on the way.
    #[error("decoding it takes more than {limit} bytes (`max_decoded_bytes`)")]
    TooCostly {
        /// The limit in force.
        limit: usize,
    },
    /// It is neither JSON nor msgpack, or nested too deeply.
    #[error("not decodable: {0}")]
    Malformed(&'static str),
    /// A field is missing or of another type.
    #[error("no valid field `{0}`")]
    Field(&'static str),
    /// The type is one that this version does not know.
    #[error("unknown type {0}")]
    UnknownType(u64),
    /// A message with binary inside has no JSON form.
    #[error("binary has no place in JSON")]
    Binary,
}

/// Why an adapter could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The node has left the cluster, or was never in it.
    #[error("the node is not in the cluster")]
    Left,
    /// There is no connection to the engine at the moment: nothing has left.
    #[error("the engine behind the adapter cannot be reached: {0}")]
    Away(#[source] Box<dyn Error + Send + Sync>),
    /// The message has no form that the engine takes: it is too large for it, for instance.
    #[error("the message cannot be sent: {0}")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The engine does not let this node into the namespace: it denies the right to a channel, or takes no such name. Only
    /// this namespace is concerned. Joining is tried again, ever more rarely.
    #[error("the engine behind the adapter does not allow it: {0}")]
    Denied(#[source] Box<dyn Error + Send + Sync>),
    /// The engine behind the adapter failed. Whether it took what it was given is not known.
    #[error("the engine behind the adapter failed: {0}")]
    Engine(#[source] Box<dyn Error + Send + Sync>),
}

impl From<EncodeError> for AdapterError {
    fn from(error: EncodeError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<MessageError> for AdapterError {
    fn from(error: MessageError) -> Self {
        Self::Refused(error.into())
    }
}
