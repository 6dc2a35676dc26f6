//! Acknowledgements we owe.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;
use socketio_parser::{AckId, Reply};

use crate::{
    error::{EmitError, HandlerError},
    model::{Responder, Socket},
};

/// Extractor: answers the client's acknowledgement.
///
/// Only the first answer of an event is sent. One that is dropped unanswered leaves the client waiting, as in Node.
///
/// ```
/// use socketio_server::{Ack, Data, Server};
///
/// let io = Server::new();
/// io.on("divide", |Data((a, b)): Data<(f64, f64)>, ack: Ack| async move {
///     ack.send(&(a / b, a % b))?; // two arguments
///     Ok(())
/// });
/// ```
pub struct Ack(pub(crate) Option<Responder>);

impl Ack {
    /// Whether the client waits for an answer. If not, [`send`](Self::send) does nothing.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Answers. A tuple is a list of arguments, anything else is one.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded, or the socket is disconnected, or its queue full. Nothing was sent then, and it may be
    /// tried again.
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.0.as_ref().map_or(Ok(()), |responder| responder.answer(args))
    }
}

impl Reply for Ack {
    type Error = HandlerError;

    /// Answers with what a handler returned. That the client left meanwhile is no failure of the handler.
    fn reply<T: Serialize>(self, answer: &T) -> Result<(), HandlerError> {
        match self.send(answer) {
            Err(EmitError::Disconnected) => Ok(()),
            result => Ok(result?),
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("wanted", &self.is_wanted()).finish()
    }
}

impl Responder {
    pub(crate) fn new(socket: Socket, id: AckId) -> Self {
        Self { socket, id, answered: Arc::new(AtomicBool::new(false)) }
    }

    pub(crate) fn answer<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        let parser = self.socket.0.client.config.parser;
        let frames = parser.encode_ack(self.socket.nsp(), self.id, args)?;
        if self.answered.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let result = self.socket.0.send_in_turn(frames, |_| {});
        if result.is_err() {
            self.answered.store(false, Ordering::Relaxed);
        }
        result
    }
}
