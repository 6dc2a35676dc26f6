//! What carries messages to the cluster.

use socketio_adapter::{AdapterError, BoxFuture, Message};

/// Carries messages to the servers of a cluster: one of the engines, or what a test has in their place.
pub trait Publish: Send + Sync {
    /// Publishes a message. Resolves when the engine has it.
    ///
    /// # Errors
    ///
    /// The engine refuses, or cannot be reached.
    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>>;
}
