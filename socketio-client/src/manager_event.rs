//! The events of a connection.

use std::time::Duration;

use engineio_parser::Transport;

use crate::error::{ConnectError, DisconnectReason};

/// An event of a connection, independent of its namespaces. See
/// [`Manager::on`](crate::Manager::on).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// The connection is open. The client now connects its namespaces.
    Open,
    /// The connection could not be opened.
    Error(ConnectError),
    /// The server's ping has arrived, and the client has sent the pong.
    Ping,
    /// The session switched to another transport.
    Upgrade(Transport),
    /// The connection has ended.
    Close {
        /// The reason.
        reason: DisconnectReason,
        /// Further details, if known.
        description: Option<String>,
    },
    /// The client will reconnect after a delay.
    Reconnecting {
        /// The delay before the next attempt.
        delay: Duration,
    },
    /// The client starts its nth attempt to reconnect.
    ReconnectAttempt(u32),
    /// The nth attempt has reconnected the client.
    Reconnect(u32),
    /// An attempt has failed.
    ReconnectError(ConnectError),
    /// The client gives up reconnecting. As in Node, this event comes before the
    /// [`ReconnectError`](Self::ReconnectError) of the last attempt.
    ReconnectFailed,
}

impl ManagerEvent {
    /// Returns the name of the event in Node. Only `reconnecting` does not exist in Node.
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
