//! What an event brings.

use socketio_parser::Args;

use crate::{
    ack::Ack,
    error::{ConnectError, DisconnectReason},
    model::{Context, Socket},
};

impl Context {
    pub(crate) fn of(socket: Socket) -> Self {
        Self { socket, args: None, responder: None, reason: None, description: None, error: None }
    }

    /// The socket that the event came to.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The event's arguments; none where something happened in the socket's life.
    pub fn args(&self) -> Option<&Args> {
        self.args.as_ref()
    }

    /// The answer that the server waits for.
    pub fn ack(&self) -> Ack {
        Ack(self.responder.clone())
    }

    /// Why the socket was disconnected, in handlers of `disconnect`.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        self.reason
    }

    /// What is known beside the [`disconnect_reason`](Self::disconnect_reason): which request failed, and how.
    pub fn disconnect_description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Why the socket is not connected, in handlers of `connect_error`.
    pub fn connect_error(&self) -> Option<&ConnectError> {
        self.error.as_deref()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("socket", &self.socket).finish_non_exhaustive()
    }
}
