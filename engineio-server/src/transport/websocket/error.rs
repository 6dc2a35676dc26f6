//! Errors for which the server closes a WebSocket.

use engineio_parser::{WebSocketError, websocket::close_code};

use crate::stats::{Counter, RefusedCounters};

/// An error in the data that the client has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Frame(#[from] WebSocketError),
    #[error("WebSocket message cannot be inflated")]
    #[cfg_attr(not(feature = "compression"), expect(dead_code, reason = "nothing is inflated"))]
    Deflate,
}

impl ReadError {
    /// Returns the counter for this error.
    pub(crate) fn counter(self, refused: &RefusedCounters) -> &Counter {
        match self {
            Self::Frame(WebSocketError::TooLarge { .. }) => &refused.too_large,
            Self::Frame(WebSocketError::Fragments { .. }) => &refused.too_many_fragments,
            Self::Frame(_) | Self::Deflate => &refused.malformed_frame,
        }
    }

    /// Returns the close code for this error.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Frame(error) => error.close_code(),
            Self::Deflate => close_code::INVALID_DATA,
        }
    }
}
