//! What happens to a connection.

use std::time::Duration;

use engineio_parser::Transport;

use crate::error::{ConnectError, DisconnectReason};

/// What happens to a connection, whichever of its namespaces are in use. See [`Manager::on`](crate::Manager::on).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// The connection is open; the namespaces are asked for now.
    Open,
    /// The connection could not be opened.
    Error(ConnectError),
    /// The server's ping has arrived, and was answered.
    Ping,
    /// Another transport has taken over.
    Upgrade(Transport),
    /// The connection has ended.
    Close {
        /// Why.
        reason: DisconnectReason,
        /// More about it, where something is known.
        description: Option<String>,
    },
    /// It will be opened again after a delay.
    Reconnecting {
        /// How long that is.
        delay: Duration,
    },
    /// It is being opened again, for the nth time.
    ReconnectAttempt(u32),
    /// It was opened again, by the nth attempt.
    Reconnect(u32),
    /// An attempt has failed.
    ReconnectError(ConnectError),
    /// No further attempt is made. As in Node this comes before the [`ReconnectError`](Self::ReconnectError) of the last.
    ReconnectFailed,
}

impl ManagerEvent {
    /// Node's name of the event; `reconnecting` is not one of Node's.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Error(_) => "error",
            Self::Ping => "ping",
            Self::Upgrade(_) => "upgrade",
            Self::Close { .. } => "close",
            Self::Reconnecting { .. } => "reconnecting",
            Self::ReconnectAttempt(_) => "reconnect_attempt",
            Self::Reconnect(_) => "reconnect",
            Self::ReconnectError(_) => "reconnect_error",
            Self::ReconnectFailed => "reconnect_failed",
        }
    }
}
