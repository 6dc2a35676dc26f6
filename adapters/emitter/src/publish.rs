//! The interface between an emitter and an engine.

use socketio_adapter::{AdapterError, BoxFuture, Message};

/// Publishes messages to the servers of a cluster. Implemented for each engine; tests may implement
/// it too.
pub trait Publish: Send + Sync {
    /// Publishes a message. Resolves when the engine has accepted it.
    ///
    /// # Errors
    ///
    /// The engine refuses the message or cannot be reached.
    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>>;
}
