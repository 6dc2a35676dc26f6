//! Changing an event before its handlers run.

use std::sync::Arc;

use serde::Serialize;
use socketio_adapter::event_args;
use socketio_parser::Args;

use crate::{
    error::HandlerError,
    sync::{Mutex, lock},
};

/// Extractor with which a socket's [middleware](crate::Socket::use_) changes the event.
///
/// ```
/// use socketio_server::{Data, Rewrite, Socket};
///
/// fn trim(socket: &Socket) {
///     socket.use_(|Data(text): Data<String>, rewrite: Rewrite| {
///         rewrite.set("say", &text.trim())?;
///         Ok(())
///     });
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Rewrite(pub(crate) Arc<Mutex<Args>>);

impl Rewrite {
    pub(crate) fn new(args: Args) -> Self {
        Self(Arc::new(Mutex::new(args)))
    }

    /// Replaces the event for the middlewares that follow and for the handlers.
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded. The event then stays as it was.
    pub fn set<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), HandlerError> {
        let args = event_args(event, args)?;
        let mut current = lock(&self.0);
        *current = args;
        Ok(())
    }

    pub(crate) fn current(&self) -> Args {
        lock(&self.0).clone()
    }
}
