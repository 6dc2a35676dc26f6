//! The states of a session's WebSocket and of its end.

use std::{future::Future, pin::Pin};

use engineio_parser::session::CloseReason;
use tokio::time::Sleep;

use super::{error::RequestError, websocket::WebSocket};

/// The WebSocket of a session: its transport, or the probe of an upgrade.
pub(super) enum Socket {
    None,
    Connecting(Pin<Box<dyn Future<Output = Result<WebSocket, RequestError>> + Send>>),
    Open(Box<WebSocket>),
}

pub(super) enum End {
    NotYet,
    /// The close is being sent, until the timer fires.
    Lingering {
        reason: CloseReason,
        timer: Pin<Box<Sleep>>,
        /// Whether the close was sent and the peer's close is awaited.
        close_sent: bool,
    },
    /// The owner has received `Closed`.
    Reported,
}

impl Socket {
    /// Returns whether a frame sent now is written at once.
    pub(super) fn is_writable(&self) -> bool {
        match self {
            Self::Open(socket) => socket.is_writable(),
            Self::None | Self::Connecting(_) => true,
        }
    }
}
