//! What a test did not get.

use std::time::Duration;

use socketio_parser::{AnswerError, ArgsError, EncodeError};

/// Why a [`TestClient`](super::TestClient) does not have what a test expects.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The server refused the namespace: CONNECT_ERROR.
    #[error("refused: {message}")]
    Refused {
        /// The message.
        message: String,
        /// What a middleware added to it.
        data: Option<serde_json::Value>,
    },
    /// The handler failed, and answered so.
    #[error("the handler failed: {message}")]
    AckRefused {
        /// What the client is told.
        message: String,
        /// What stands beside it.
        data: Option<serde_json::Value>,
    },
    /// The server has disconnected this client from the namespace.
    #[error("disconnected by the server")]
    Disconnected,
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// A client of the same connection is in this namespace already.
    #[error("this connection is in the namespace already")]
    Joined,
    /// Nothing came in time.
    #[error("nothing came within {0:?}")]
    Timeout(Duration),
    /// Another event came, or one where none was expected.
    #[error("`{event}` came, not {expected}")]
    Unexpected {
        /// What was expected.
        expected: String,
        /// The event that came.
        event: String,
    },
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The arguments or the answer are of another type.
    #[error(transparent)]
    Decode(#[from] ArgsError),
}

impl From<AnswerError> for TestError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Refused { message, data } => Self::AckRefused { message, data },
            AnswerError::Decode(error) => Self::Decode(error),
            other => Self::AckRefused { message: other.to_string(), data: None },
        }
    }
}
