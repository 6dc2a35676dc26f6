//! The emitter.

use std::{fmt, sync::Arc};

use serde::Serialize;
use socketio_adapter::{Body, IntoRooms, Selection, event_args};
use socketio_parser::Nsp;

use crate::{broadcast::Broadcast, error::EmitError, publish::Publish};

/// Emits into one namespace of a cluster, the main one unless [`of`](Self::of) says otherwise. A clone shares the connection.
///
/// Emits are asynchronous: each resolves when the engine has the message. What one task emits one after the other arrives in that
/// order.
#[derive(Clone)]
pub struct Emitter {
    publisher: Arc<dyn Publish>,
    nsp: Nsp,
}

impl Emitter {
    /// On whatever carries messages.
    pub fn new(publisher: impl Publish + 'static) -> Self {
        Self { publisher: Arc::new(publisher), nsp: Nsp::root() }
    }

    /// The emitter of another namespace. A leading slash may be left out.
    pub fn of(&self, nsp: &str) -> Self {
        Self { publisher: self.publisher.clone(), nsp: Nsp::new(nsp) }
    }

    /// To the clients in these rooms, or those of further calls. A socket's id is a room as well.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.all().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Broadcast {
        self.to(rooms)
    }

    /// But not to the clients in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.all().except(rooms)
    }

    /// Only to clients that can take it at once.
    pub fn volatile(&self) -> Broadcast {
        self.all().volatile()
    }

    /// Whether transports that compress may compress it (default yes).
    pub fn compress(&self, compress: bool) -> Broadcast {
        self.all().compress(compress)
    }

    /// Emits to all clients of the namespace. A tuple is a list of arguments; binary is `socketio_parser::Binary`.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        self.all().emit(event, args).await
    }

    /// Lets all sockets of the namespace join rooms.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.all().sockets_join(rooms).await
    }

    /// Lets all sockets of the namespace leave rooms.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.all().sockets_leave(rooms).await
    }

    /// Disconnects all sockets of the namespace; with `close` their whole connections.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn disconnect_sockets(&self, close: bool) -> Result<(), EmitError> {
        self.all().disconnect_sockets(close).await
    }

    /// Emits to the servers themselves (`on_server_side` there), not to clients. Node's classic adapter takes no binary here.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn server_side_emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        let args = event_args(event, args)?;
        self.all().publish(Body::ServerSideEmit { args, request: None }).await
    }

    fn all(&self) -> Broadcast {
        Broadcast {
            publisher: self.publisher.clone(),
            nsp: self.nsp.clone(),
            selection: Selection::default(),
        }
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("nsp", &self.nsp).finish_non_exhaustive()
    }
}
