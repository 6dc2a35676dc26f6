//! Errors of the test client.

use std::time::Duration;

use socketio_parser::{ArgsError, DecodeAckError, EncodeError};

/// An error of a [`TestClient`](super::TestClient).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The server refused the namespace: CONNECT_ERROR.
    #[error("refused: {message}")]
    Refused {
        /// The message.
        message: String,
        /// The data that a middleware added.
        data: Option<serde_json::Value>,
    },
    /// The handler failed, and the ack contains the error.
    #[error("the handler failed: {message}")]
    AckRefused {
        /// The message for the client.
        message: String,
        /// The data beside the message.
        data: Option<serde_json::Value>,
    },
    /// The server has disconnected this client from the namespace.
    #[error("disconnected by the server")]
    Disconnected,
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// Another client of the same connection has already joined this namespace.
    #[error("the connection has already joined this namespace")]
    AlreadyJoined,
    /// Nothing arrived in time.
    #[error("nothing arrived within {0:?}")]
    Timeout(Duration),
    /// Another event arrived than expected, or an event although none was expected.
    #[error("got `{event}` instead of {expected}")]
    Unexpected {
        /// What was expected.
        expected: String,
        /// The event that arrived.
        event: String,
    },
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The arguments or the ack have another type.
    #[error(transparent)]
    Decode(#[from] ArgsError),
}

impl From<DecodeAckError> for TestError {
    fn from(error: DecodeAckError) -> Self {
        match error {
            DecodeAckError::Refused { message, data } => Self::AckRefused { message, data },
            DecodeAckError::Decode(error) => Self::Decode(error),
            other => Self::AckRefused { message: other.to_string(), data: None },
        }
    }
}
