//! Errors of the emitter.

use socketio_adapter::{AdapterError, EncodeError};

/// The reason why an event was not emitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The arguments cannot be serialized, or the name of the event is reserved.
    #[error("cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The engine refused the message or cannot be reached. The emitter does not try again.
    #[error("{0}")]
    Adapter(#[from] AdapterError),
}
