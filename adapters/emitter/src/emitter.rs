//! The emitter, its error, and its interface to an engine.

use std::{fmt, sync::Arc};

use serde::Serialize;
use socketio_adapter::{
    AdapterError, Body, BoxFuture, EncodeError, IntoRooms, Message, Selection, event_args,
};
use socketio_parser::Nsp;

use crate::broadcast::Broadcast;

/// Emits to one namespace of a cluster: the main namespace, or another one selected with
/// [`of`](Self::of). A clone shares the connection. Each engine has a constructor, behind the
/// feature of its name.
///
/// An emit resolves when the engine has accepted the message. Messages that a task emits one after
/// the other arrive in that order.
///
/// ```
/// use socketio_emitter::{EmitError, Emitter};
///
/// async fn report(emitter: &Emitter) -> Result<(), EmitError> {
///     emitter.emit("news", "to all clients").await?;
///     emitter.to(["room 1", "room 2"]).emit("score", &(3, 4)).await?;
///     emitter.of("/admin").server_side_emit("reload", &()).await // to the servers themselves
/// }
/// ```
#[derive(Clone)]
pub struct Emitter {
    publisher: Arc<dyn Publish>,
    nsp: Nsp,
}

impl Emitter {
    /// Creates an emitter that publishes through `publisher`.
    pub fn new(publisher: impl Publish + 'static) -> Self {
        Self { publisher: Arc::new(publisher), nsp: Nsp::root() }
    }

    /// Returns an emitter for another namespace. The leading slash is optional.
    pub fn of(&self, nsp: &str) -> Self {
        Self { publisher: self.publisher.clone(), nsp: Nsp::unchecked(nsp) }
    }

    /// Selects the clients in these rooms. Further calls add rooms. The id of a socket is a room
    /// too.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.all().to(rooms)
    }

    /// Does the same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Broadcast {
        self.to(rooms)
    }

    /// Selects all clients except those in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.all().except(rooms)
    }

    /// Selects all clients, and makes the event volatile: it is dropped, not queued, for clients
    /// whose transport is not writable.
    pub fn volatile(&self) -> Broadcast {
        self.all().volatile()
    }

    /// Selects all clients, and sets whether transports may compress the event (default `true`).
    pub fn compress(&self, compress: bool) -> Broadcast {
        self.all().compress(compress)
    }

    /// Emits an event to all clients of the namespace. A tuple is a list of arguments. Binary data
    /// is `socketio_parser::Binary`.
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

    /// Makes all sockets of the namespace join rooms.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.all().sockets_join(rooms).await
    }

    /// Makes all sockets of the namespace leave rooms.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), EmitError> {
        self.all().sockets_leave(rooms).await
    }

    /// Disconnects all sockets of the namespace. Their connections and other namespaces remain.
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn disconnect_sockets(&self) -> Result<(), EmitError> {
        self.all().disconnect_sockets().await
    }

    /// Closes the connections of all sockets of the namespace. See
    /// [`Broadcast::close_connections`](crate::Broadcast::close_connections).
    ///
    /// # Errors
    ///
    /// See [`EmitError`].
    pub async fn close_connections(&self) -> Result<(), EmitError> {
        self.all().close_connections().await
    }

    /// Emits an event to the servers instead of their clients. Servers handle it with
    /// `on_server_side`. Node's classic adapter accepts no binary data here.
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

/// Publishes messages to the servers of a cluster. Implemented for each engine; tests may implement
/// it too.
pub trait Publish: Send + Sync {
    /// Publishes a message. Resolves when the engine has accepted it.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine refuses the message or cannot be reached.
    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>>;
}

/// The reason why an event was not emitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The arguments cannot be serialized, or the name of the event is reserved.
    #[error("the event cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The engine refused the message or cannot be reached. The emitter does not try again.
    #[error("{0}")]
    Adapter(#[from] AdapterError),
}
