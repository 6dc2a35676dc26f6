//! What can go wrong between a node and its database.

use std::{sync::Arc, time::Duration};

use socketio_adapter::{AdapterError, MessageError};

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// There is no connection at the moment. It is being made again.
    #[error("not connected to the database")]
    Away,
    /// There was no connection within the time to join, and this is why. It is being made again.
    #[error("not connected to the database: {0}")]
    Lost(#[source] Arc<PostgresError>),
    /// The database did not answer in time. The connection is given up, and another one is made.
    #[error("the database did not answer within {0:?}")]
    Timeout(Duration),
    /// The database refused, or the connection broke.
    #[error("{}", text(.0))]
    Database(#[from] tokio_postgres::Error),
    /// Prefix and namespace make a channel's name that PostgreSQL does not take: longer than 63 bytes, or with NUL inside.
    #[error("`{0}` is no name of a channel: 63 bytes are allowed, and no NUL")]
    Channel(String),
    /// The table's name is not made of letters, digits and `_`, with at most one dot between schema and table.
    #[error("`{0}` is no name of a table")]
    Table(String),
    /// The message is larger than the other nodes would take (`max_message_bytes`).
    #[error("{0}")]
    Message(#[from] MessageError),
}

fn text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => refusal.to_string(),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

impl From<PostgresError> for AdapterError {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Channel(_) | PostgresError::Table(_) | PostgresError::Message(_) => {
                Self::Refused(error.into())
            }
            PostgresError::Away | PostgresError::Lost(_) => Self::Away(error.into()),
            _ => Self::Engine(error.into()),
        }
    }
}
