//! Errors between nodes.

use std::error::Error;

use socketio_parser::EncodeError;

/// The reason why a message of another node cannot be decoded, or a message cannot be published. The
/// error concerns only this message. A received message is counted and dropped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The message exceeds `max_message_bytes`. It was neither published nor decoded.
    #[error("a message of {bytes} bytes exceeds the limit of {limit} bytes (`max_message_bytes`)")]
    TooLarge {
        /// The size of the message.
        bytes: usize,
        /// The limit in force.
        limit: usize,
    },
    /// Decoding the message takes more than `max_decoded_bytes`. Decoding was aborted.
    #[error("decoding takes more than {limit} bytes (`max_decoded_bytes`)")]
    TooCostly {
        /// The limit in force.
        limit: usize,
    },
    /// The message is neither JSON nor msgpack, or nested too deeply.
    #[error("cannot be decoded: {0}")]
    Malformed(&'static str),
    /// A field is missing or has another type.
    #[error("missing or invalid field `{0}`")]
    InvalidField(&'static str),
    /// This version does not know the message type.
    #[error("unknown type {0}")]
    UnknownType(u64),
    /// The message contains binary, which JSON cannot represent.
    #[error("JSON cannot represent binary")]
    BinaryInJson,
}

/// The reason why an adapter could not join, publish or request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The node has left the cluster, or was never in it.
    #[error("the node is not in the cluster")]
    NotInCluster,
    /// There is no connection to the engine at the moment. Nothing was sent.
    #[error("the engine behind the adapter cannot be reached: {0}")]
    NotConnected(#[source] Box<dyn Error + Send + Sync>),
    /// The engine cannot carry the message, for example because of its size.
    #[error("the message cannot be sent: {0}")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The engine denies this node the namespace: a permission for a channel is missing, or the
    /// name is not accepted. Other namespaces are not affected. Joining is retried with increasing
    /// pauses.
    #[error("the engine behind the adapter denies access: {0}")]
    Denied(#[source] Box<dyn Error + Send + Sync>),
    /// The engine behind the adapter failed. It may or may not have executed the request.
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
