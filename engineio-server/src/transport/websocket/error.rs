//! Errors for which the server closes a WebSocket.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::stats::{Counter, RefusedCounters};

/// An error in the data that the client has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("malformed WebSocket frame")]
    Protocol,
    #[error("WebSocket text is not UTF-8")]
    Utf8,
    #[error("WebSocket message exceeds max_payload")]
    TooLarge,
    #[error("WebSocket message exceeds max_fragments")]
    Fragments,
    #[error("WebSocket message cannot be inflated")]
    #[cfg_attr(not(feature = "compression"), expect(dead_code, reason = "nothing is inflated"))]
    Deflate,
}

impl ReadError {
    /// Returns the counter for this error.
    pub(crate) fn counter(self, refused: &RefusedCounters) -> &Counter {
        match self {
            Self::Protocol | Self::Utf8 | Self::Deflate => &refused.malformed_frame,
            Self::TooLarge => &refused.too_large,
            Self::Fragments => &refused.too_many_fragments,
        }
    }

    /// Returns the close code for this error.
    pub(crate) fn code(self) -> CloseCode {
        match self {
            Self::Protocol => CloseCode::Protocol,
            Self::Utf8 | Self::Deflate => CloseCode::Invalid,
            Self::TooLarge => CloseCode::Size,
            Self::Fragments => CloseCode::Policy,
        }
    }
}
