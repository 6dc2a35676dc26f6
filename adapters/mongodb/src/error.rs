//! Errors of the adapter.

use std::time::Duration;

use socketio_adapter::{AdapterError, MessageError};

/// The reason why an operation with MongoDB failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MongoError {
    /// MongoDB did not respond in time.
    #[error("MongoDB did not respond within {0:?}")]
    Timeout(Duration),
    /// MongoDB refused an operation or could not be reached.
    #[error("{0}")]
    Database(#[from] mongodb::error::Error),
    /// The change stream cannot be opened, for example because MongoDB is not a replica set. The
    /// adapter retries once per second. Contains the reason.
    #[error("the change stream cannot be opened: {0}")]
    ChangeStream(String),
    /// The message exceeds `max_message_bytes`, which the other nodes enforce, or BSON cannot
    /// represent it.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// A stored session is malformed or exceeds `max_message_bytes`.
    #[error("a stored session cannot be decoded: {0}")]
    InvalidSession(#[source] MessageError),
    /// Other nodes changed a session all the time.
    #[error("a session was changed by other nodes at the same time")]
    SessionChanged,
    /// The events after an offset are no longer in the collection, or not in the last
    /// [`max_events`](crate::MongoConfig::max_events).
    #[error("the collection no longer contains the events after the offset")]
    Trimmed,
}

impl From<MongoError> for AdapterError {
    fn from(error: MongoError) -> Self {
        match error {
            MongoError::Message(_) => Self::Refused(error.into()),
            _ => Self::Engine(error.into()),
        }
    }
}
