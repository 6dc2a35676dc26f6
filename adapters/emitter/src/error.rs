//! What can go wrong.

use socketio_adapter::{AdapterError, EncodeError};

/// Why nothing was emitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The arguments cannot be serialised, or the event's name is reserved.
    #[error("cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The engine refuses, or cannot be reached. Nobody tries again.
    #[error("{0}")]
    Adapter(#[from] AdapterError),
}
