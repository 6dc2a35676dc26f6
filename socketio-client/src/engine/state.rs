//! How far a session's WebSocket and its end have come.

use std::{future::Future, pin::Pin};

use engineio_parser::session::CloseReason;
use tokio::time::Sleep;

use super::{error::RequestError, websocket::WebSocket};

/// The WebSocket of a session: its transport, or the probe that is to become it.
pub(super) enum Socket {
    None,
    Connecting(Pin<Box<dyn Future<Output = Result<WebSocket, RequestError>> + Send>>),
    Open(Box<WebSocket>),
}

pub(super) enum End {
    NotYet,
    /// The goodbye is on its way, and has until then.
    Lingering {
        reason: CloseReason,
        patience: Pin<Box<Sleep>>,
        /// It has left; the peer's is awaited.
        said: bool,
    },
    /// The owner was told.
    Told,
}

impl Socket {
    /// Whether what is sent now leaves at once.
    pub(super) fn is_writable(&self) -> bool {
        match self {
            Self::Open(socket) => socket.is_writable(),
            Self::None | Self::Connecting(_) => true,
        }
    }
}
