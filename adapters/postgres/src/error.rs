//! Errors of the adapter.

use std::{sync::Arc, time::Duration};

use socketio_adapter::{AdapterError, MessageError};

/// The reason why an operation with the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// There is no connection at the moment. The adapter is reconnecting.
    #[error("not connected to the database")]
    NotConnected,
    /// There was no connection within the time limit, for this reason. The adapter is reconnecting.
    #[error("not connected to the database: {0}")]
    ConnectFailed(#[source] Arc<PostgresError>),
    /// The database did not respond in time. The adapter closes the connection and reconnects.
    #[error("the database did not respond within {0:?}")]
    Timeout(Duration),
    /// The database refused a statement, or the connection broke.
    #[error("{}", text(.0))]
    Database(#[from] tokio_postgres::Error),
    /// PostgreSQL does not accept the channel of this prefix and namespace: the name is longer than
    /// 63 bytes or contains NUL.
    #[error("`{0}` is not a valid channel: at most 63 bytes without NUL are allowed")]
    InvalidChannel(String),
    /// PostgreSQL refuses to listen on the channel of a namespace, for example because the encoding
    /// of the database lacks a character. Other namespaces are not affected.
    #[error("PostgreSQL refuses the channel `{channel}`: {error}")]
    Denied {
        /// The channel.
        channel: String,
        /// The reason.
        #[source]
        error: Arc<PostgresError>,
    },
    /// The name of the table must consist of letters, digits and `_`, with at most one dot between
    /// schema and table.
    #[error("`{0}` is not a valid table name")]
    InvalidTable(String),
    /// A table of [`EventLog`](crate::EventLog), or its sequence, does not exist, or the role lacks
    /// a privilege on it. Contains the reason.
    #[error("connection state recovery is not possible: {0}")]
    NoLog(String),
    /// The log no longer contains the event at which a client wants to continue.
    #[error("the log has been trimmed beyond the offset")]
    Trimmed,
    /// The message exceeds `max_message_bytes`, which the other nodes enforce.
    #[error("{0}")]
    Message(#[from] MessageError),
}

impl PostgresError {
    /// Returns whether PostgreSQL refused a statement and the connection is still usable.
    pub(crate) fn is_refusal(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let severity =
            error.as_db_error().and_then(tokio_postgres::error::DbError::parsed_severity);
        matches!(severity, Some(tokio_postgres::error::Severity::Error))
    }
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
            PostgresError::InvalidTable(_) | PostgresError::Message(_) => {
                Self::Refused(error.into())
            }
            PostgresError::InvalidChannel(_)
            | PostgresError::Denied { .. }
            | PostgresError::NoLog(_) => Self::Denied(error.into()),
            PostgresError::NotConnected | PostgresError::ConnectFailed(_) => {
                Self::NotConnected(error.into())
            }
            _ => Self::Engine(error.into()),
        }
    }
}
