//! The data of an event.

use std::sync::Arc;

use socketio_parser::Args;

use crate::{
    error::{ConnectError, DisconnectReason},
    socket::{Ack, Responder, Socket},
};

/// The data of an event, from which extractors take their arguments.
#[derive(Clone)]
pub struct Context {
    pub(crate) socket: Socket,
    pub(crate) args: Option<Args>,
    pub(crate) responder: Option<Responder>,
    pub(crate) reason: Option<DisconnectReason>,
    pub(crate) description: Option<Arc<str>>,
    /// Boxed, because events are moved often and have no error.
    pub(crate) error: Option<Box<ConnectError>>,
}

impl Context {
    pub(crate) fn of(socket: Socket) -> Self {
        Self { socket, args: None, responder: None, reason: None, description: None, error: None }
    }

    /// Returns the socket that received the event.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns the arguments of the event. `connect`, `disconnect` and `connect_error` have none.
    pub fn args(&self) -> Option<&Args> {
        self.args.as_ref()
    }

    /// Returns the ack that the server waits for.
    pub fn ack(&self) -> Ack {
        Ack(self.responder.clone())
    }

    /// Returns why the socket was disconnected, in `disconnect` handlers.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        self.reason
    }

    /// Returns details of the [`disconnect_reason`](Self::disconnect_reason), such as which request
    /// failed and how.
    pub fn disconnect_description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Returns why the socket is not connected, in `connect_error` handlers.
    pub fn connect_error(&self) -> Option<&ConnectError> {
        self.error.as_deref()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("socket", &self.socket).finish_non_exhaustive()
    }
}
