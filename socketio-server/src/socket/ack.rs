//! Acks that the server sends to clients.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use engineio_server::{Frames, SendError};
use serde::Serialize;
use socketio_core::Reply;
use socketio_parser::AckId;

use crate::{
    error::{EmitError, HandlerError},
    handlers::context::Responder,
    socket::Socket,
};

/// Extractor that sends the ack of the client's event.
///
/// Only the first ack of an event is sent. If an `Ack` is dropped without being sent, the client
/// keeps waiting, as in Node.
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
    /// Returns whether the client waits for an ack. If not, [`send`](Self::send) does nothing.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Sends the ack. A tuple is a list of arguments, any other value is one argument.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be encoded, the socket is disconnected, or its queue is
    /// full. In each case no ack was sent, and the call may be repeated.
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.0.as_ref().map_or(Ok(()), |responder| responder.answer(args))
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
        let result = self.socket.0.send_after_events(frames, |_| {});
        if result.is_err() {
            self.answered.store(false, Ordering::Relaxed);
        }
        result
    }

    /// Sends the value that a handler returned. Returns the frames if they have to wait for room in
    /// the queue.
    fn answer_or_wait<T: Serialize>(&self, answer: &T) -> Result<Option<Frames>, EmitError> {
        if self.socket.0.namespace.publishes_first() {
            return self.answer(answer).map(|()| None);
        }
        let parser = self.socket.0.client.config.parser;
        let frames = parser.encode_ack(self.socket.nsp(), self.id, answer)?;
        if self.answered.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        self.send_if_room(frames)
    }

    fn send_if_room(&self, frames: Frames) -> Result<Option<Frames>, EmitError> {
        if self.socket.0.is_disconnected() {
            return Err(EmitError::Disconnected);
        }
        match self.socket.0.client.handle.send_if_room(frames) {
            Ok(()) => Ok(None),
            Err(SendError::Full(frames)) => Ok(Some(frames)),
            Err(_) => Err(EmitError::Disconnected),
        }
    }
}

/// Sends the value that a handler returned. While the outgoing queue is more than half full, the
/// ack waits, so that a client that reads gets all its acks.
pub(crate) struct Answering<'a> {
    pub(crate) responder: Option<&'a Responder>,
    /// The frames that have to wait.
    pub(crate) unsent: &'a mut Option<Frames>,
}

impl Reply for Answering<'_> {
    fn reply<T: Serialize>(self, answer: &T) -> Result<(), HandlerError> {
        let Some(responder) = self.responder else { return Ok(()) };
        match responder.answer_or_wait(answer) {
            Ok(unsent) => *self.unsent = unsent,
            // A client that has left in the meantime is not a failure of the handler.
            Err(EmitError::Disconnected) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Sends an ack that had to wait, as soon as there is room. Does nothing if the client leaves
/// first.
pub(crate) async fn send_late(responder: Option<Responder>, unsent: Option<Frames>) {
    let Some((responder, mut frames)) = responder.zip(unsent) else { return };
    while responder.socket.ready().await.is_ok() {
        match responder.send_if_room(frames) {
            Ok(Some(unsent)) => frames = unsent,
            Ok(None) | Err(_) => return,
        }
    }
}
