//! The context of an event: the values that extractors read.

use socketio_parser::Args;

use crate::{
    ack::Ack,
    error::DisconnectReason,
    model::{Context, Socket},
};

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
