//! Who is meant, and what is done with them.

use std::{fmt, sync::Arc};

use serde::Serialize;
use socketio_adapter::{Body, IntoRooms, Message, NodeId, Room, Selection, event_args};
use socketio_parser::Nsp;

use crate::{error::EmitError, publish::Publish};

/// Some clients of a namespace, chosen step by step; nothing happens before one of the asynchronous methods.
#[derive(Clone)]
#[must_use = "nothing is sent yet"]
pub struct Broadcast {
    pub(crate) publisher: Arc<dyn Publish>,
    pub(crate) nsp: Nsp,
    pub(crate) selection: Selection,
}

impl Broadcast {
    /// To the clients in these rooms as well.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.to(rooms);
        self
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// But not to the clients in these rooms.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.except(rooms);
        self
    }

    /// Only to clients that can take it at once.
    pub fn volatile(mut self) -> Self {
        self.selection.flags.volatile = true;
        self
    }

    /// Whether transports that compress may compress it (default yes).
    pub fn compress(mut self, compress: bool) -> Self {
        self.selection.flags.compress = Some(compress);
        self
    }

    /// Emits to these clients. A tuple is a list of arguments.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        let args = event_args(event, args)?;
        let selection = self.selection.clone();
        self.publish(Body::Broadcast { args, selection, request: None }).await
    }

    /// Lets these sockets join rooms.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        let (selection, rooms) = (self.selection.clone(), list(rooms));
        self.publish(Body::SocketsJoin { selection, rooms }).await
    }

    /// Lets these sockets leave rooms.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        let (selection, rooms) = (self.selection.clone(), list(rooms));
        self.publish(Body::SocketsLeave { selection, rooms }).await
    }

    /// Disconnects these sockets; with `close` their whole connections.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn disconnect_sockets(&self, close: bool) -> Result<(), EmitError> {
        let selection = self.selection.clone();
        self.publish(Body::DisconnectSockets { selection, close }).await
    }

    pub(crate) async fn publish(&self, body: Body) -> Result<(), EmitError> {
        let message = Message { uid: NodeId::from(NodeId::EMITTER), nsp: self.nsp.clone(), body };
        Ok(self.publisher.publish(&message).await?)
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("nsp", &self.nsp)
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}

fn list(rooms: impl IntoRooms) -> Vec<Room> {
    let mut list = Vec::new();
    rooms.append_to(&mut list);
    list
}
