//! The recipients of a message, and the operations on them.

use std::{fmt, sync::Arc};

use serde::Serialize;
use socketio_adapter::{Body, IntoRooms, Message, NodeId, Room, Selection, event_args};
use socketio_parser::Nsp;

use crate::emitter::{EmitError, Publish};

/// A selection of clients in a namespace. Nothing is sent before one of the async methods is
/// called.
///
/// ```
/// use socketio_emitter::{EmitError, Emitter};
///
/// async fn close_shop(emitter: &Emitter) -> Result<(), EmitError> {
///     let customers = emitter.of("/shop").to("customers").except("staff");
///     customers.emit("closing", &("in", 5)).await?; // two arguments
///     customers.sockets_leave("customers").await
/// }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent yet"]
pub struct Broadcast {
    pub(crate) publisher: Arc<dyn Publish>,
    pub(crate) nsp: Nsp,
    pub(crate) selection: Selection,
}

impl Broadcast {
    /// Also selects the clients in these rooms. An empty list selects no client: unless another
    /// room is named, nothing is published.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.to(rooms);
        self
    }

    /// Does the same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Excludes the clients in these rooms. An empty list excludes no client.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.except(rooms);
        self
    }

    /// Makes the event volatile: it is dropped, not queued, for clients whose transport is not
    /// writable.
    pub fn volatile(mut self) -> Self {
        self.selection.flags.volatile = true;
        self
    }

    /// Sets whether transports may compress the event (default `true`).
    pub fn compress(mut self, compress: bool) -> Self {
        self.selection.flags.compress = Some(compress);
        self
    }

    /// Emits an event to the selected clients. A tuple is a list of arguments.
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

    /// Makes the selected sockets join rooms.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        let (selection, rooms) = (self.selection.clone(), list(rooms));
        self.publish(Body::SocketsJoin { selection, rooms }).await
    }

    /// Makes the selected sockets leave rooms.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        let (selection, rooms) = (self.selection.clone(), list(rooms));
        self.publish(Body::SocketsLeave { selection, rooms }).await
    }

    /// Disconnects the selected sockets. Their connections and other namespaces remain.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn disconnect_sockets(&self) -> Result<(), EmitError> {
        let selection = self.selection.clone();
        self.publish(Body::DisconnectSockets { selection, close: false }).await
    }

    /// Closes the connections of the selected sockets, with the sockets of all their namespaces
    /// (`disconnectSockets(true)` in Node).
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn close_connections(&self) -> Result<(), EmitError> {
        let selection = self.selection.clone();
        self.publish(Body::DisconnectSockets { selection, close: true }).await
    }

    pub(crate) async fn publish(&self, body: Body) -> Result<(), EmitError> {
        // To Node's servers a message without rooms is one to everybody.
        if self.selection.selects_none() {
            return Ok(());
        }
        let message =
            Message { uid: NodeId::from(NodeId::EMITTER), nsp: self.nsp.clone(), body, seq: None };
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
