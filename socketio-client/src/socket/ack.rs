//! Acks that the client sends to the server.

use std::fmt;

use serde::Serialize;
use socketio_core::{FirstAck, Reply};
use socketio_parser::AckId;

use super::Socket;
use crate::error::{EmitError, HandlerError};

/// Extractor that sends the ack of the server's event.
///
/// Only the first ack of an event is sent. If an `Ack` is dropped without being sent, the server
/// keeps waiting, as in Node.
///
/// ```no_run
/// use socketio_client::{Ack, Data, Socket};
///
/// # fn add(socket: Socket) {
/// socket.on("divide", |Data((a, b)): Data<(f64, f64)>, ack: Ack| async move {
///     ack.send(&(a / b, a % b))?; // two arguments
///     Ok(())
/// });
/// # }
/// ```
pub struct Ack(pub(super) Option<Responder>);

impl Ack {
    /// Returns whether the server waits for an ack. If not, [`send`](Self::send) does nothing.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Sends the ack. A tuple is a list of arguments, any other value is one argument.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be encoded, the connection of the event has ended, or
    /// the outgoing queue is full. In each case nothing is sent.
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.0.as_ref().map_or(Ok(()), |responder| responder.send(args))
    }
}

impl Reply for Ack {
    type Waiting = ();

    /// Sends the return value of a handler. If the connection has ended meanwhile, the handler has
    /// not failed.
    fn reply<T: Serialize>(&mut self, value: &T) -> Result<(), HandlerError> {
        match self.send(value) {
            Err(EmitError::Disconnected) => Ok(()),
            result => Ok(result?),
        }
    }

    fn into_waiting(self) {}
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("wanted", &self.is_wanted()).finish()
    }
}

/// Sends the ack of an event to the server, once.
#[derive(Clone)]
pub(crate) struct Responder {
    socket: Socket,
    id: AckId,
    epoch: u64,
    first: FirstAck,
}

impl Responder {
    pub(crate) fn new(socket: Socket, id: AckId, epoch: u64) -> Self {
        Self { socket, id, epoch, first: FirstAck::default() }
    }

    pub(crate) fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        let slot = &self.socket.slot;
        let frames = slot.encode_ack(self.id, args)?;
        let shared = self.socket.manager.shared();
        shared.check(&frames)?;
        let queued = self.first.send(|| slot.push_ack(frames, self.epoch))?;
        if queued.is_some() {
            shared.signal().packet_queued();
        }
        Ok(())
    }
}
