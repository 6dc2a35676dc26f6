//! The context of an event: the values that extractors read.

use std::sync::{Arc, Mutex, atomic::AtomicBool};

use socketio_parser::{AckId, Args};

use crate::{
    error::DisconnectReason,
    socket::{Socket, ack::Ack},
};

/// The context from which a handler's arguments are extracted.
#[derive(Clone)]
pub struct Context {
    pub(crate) socket: Socket,
    pub(crate) args: Option<Args>,
    pub(crate) responder: Option<Responder>,
    pub(crate) reason: Option<DisconnectReason>,
    pub(crate) description: Option<Arc<str>>,
    /// The event, if it may be changed.
    pub(crate) rewrite: Option<Arc<Mutex<Args>>>,
}

/// The ack that a client has requested. It may be held in several places. The first ack is sent.
#[derive(Clone)]
pub(crate) struct Responder {
    pub(crate) socket: Socket,
    pub(crate) id: AckId,
    pub(crate) answered: Arc<AtomicBool>,
}

impl Context {
    pub(crate) fn of(socket: Socket) -> Self {
        Self { socket, args: None, responder: None, reason: None, description: None, rewrite: None }
    }

    /// Returns the socket that the event came from.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns the event's arguments, or `None` if the handler is not an event handler.
    pub fn args(&self) -> Option<&Args> {
        self.args.as_ref()
    }

    /// Returns the ack of the event.
    pub fn ack(&self) -> Ack {
        Ack(self.responder.clone())
    }

    /// Returns the reason of the disconnection, in disconnection handlers.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        self.reason
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("socket", &self.socket).finish_non_exhaustive()
    }
}
