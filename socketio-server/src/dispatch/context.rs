//! What an event brings.

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

    /// The socket that the event came from.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The event's arguments; none where the handler is not an event's.
    pub fn args(&self) -> Option<&Args> {
        self.args.as_ref()
    }

    /// The answer that the client waits for.
    pub fn ack(&self) -> Ack {
        Ack(self.responder.clone())
    }

    /// Why the socket is being disconnected, in handlers of a disconnection.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        self.reason
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("socket", &self.socket).finish_non_exhaustive()
    }
}
