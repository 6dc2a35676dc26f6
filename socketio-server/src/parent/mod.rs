//! Namespaces that come into being when a client asks for them.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::IntoRooms;
use socketio_parser::Event;

use crate::{
    broadcast::Broadcast,
    dispatch::{Handler, TypedHandler},
    error::EmitError,
    model::{Failure, Namespace, Socket},
    registry::Registry,
};

/// What many namespaces have in common: those that match an expression, a pattern, or that a function lets be. Made by
/// [`Server::of_regex`](crate::Server::of_regex), [`of_pattern`](crate::Server::of_pattern) and
/// [`of_fn`](crate::Server::of_fn).
///
/// A namespace of its own, a child, is made when a client has asked for a name that the parent answers for. Children
/// start with the handlers and middlewares that the parent has at that time.
///
/// ```
/// use socketio_server::{Server, Socket};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let io = Server::new();
/// let workspaces = io.of_regex(r"^/\w+$")?;
/// workspaces.on_connection(|socket: Socket| async move {
///     socket.namespace().emit("hello", socket.id())?; // to this workspace
///     Ok(())
/// });
/// workspaces.emit("news", &"to all workspaces")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ParentNamespace {
    pub(crate) template: Namespace,
    pub(crate) registry: Arc<Registry>,
}

impl ParentNamespace {
    /// Adds a handler that runs when a client has connected to a child. See [`Namespace::on_connection`].
    pub fn on_connection<M>(&self, handler: impl Handler<M>) -> &Self {
        self.template.on_connection(handler);
        self
    }

    /// Adds a handler for an event. See [`Namespace::on`].
    pub fn on<M>(&self, event: &str, handler: impl Handler<M>) -> &Self {
        self.template.on(event, handler);
        self
    }

    /// Adds a handler for a typed event. See [`Namespace::handle`].
    pub fn handle<A, R>(&self, event: Event<A, R>, handler: impl TypedHandler<A, R>) -> &Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.template.handle(event, handler);
        self
    }

    /// Adds a handler for every event. See [`Namespace::on_any`].
    pub fn on_any<M>(&self, handler: impl Handler<M>) -> &Self {
        self.template.on_any(handler);
        self
    }

    /// Adds a middleware. See [`Namespace::use_`].
    pub fn use_<M>(&self, middleware: impl Handler<M>) -> &Self {
        self.template.use_(middleware);
        self
    }

    /// Adds a handler that runs when a socket is about to be disconnected. See [`Namespace::on_disconnecting`].
    pub fn on_disconnecting<M>(&self, handler: impl Handler<M>) -> &Self {
        self.template.on_disconnecting(handler);
        self
    }

    /// Adds a handler that runs when a socket was disconnected. See [`Namespace::on_disconnect`].
    pub fn on_disconnect<M>(&self, handler: impl Handler<M>) -> &Self {
        self.template.on_disconnect(handler);
        self
    }

    /// Sets what is told of handlers that fail. See [`Namespace::on_error`].
    pub fn on_error(&self, handler: impl Fn(&Socket, &Failure) + Send + Sync + 'static) -> &Self {
        self.template.on_error(handler);
        self
    }

    /// The namespaces there are at present.
    pub fn children(&self) -> Vec<Namespace> {
        self.registry.children(&self.template)
    }

    /// Broadcasts an event in every child.
    ///
    /// # Errors
    ///
    /// The event cannot be encoded.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.broadcast().emit(event, args)
    }

    /// Broadcasts to one room or several of every child.
    pub fn to(&self, rooms: impl IntoRooms) -> ParentBroadcast {
        self.broadcast().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> ParentBroadcast {
        self.to(rooms)
    }

    /// Broadcasts to everybody but those in `rooms`, in every child.
    pub fn except(&self, rooms: impl IntoRooms) -> ParentBroadcast {
        self.broadcast().except(rooms)
    }

    fn broadcast(&self) -> ParentBroadcast {
        ParentBroadcast { parent: self.clone(), each: Broadcast::new(self.template.clone()) }
    }
}

impl fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentNamespace").field("children", &self.children()).finish()
    }
}

/// A broadcast to every child of a [`ParentNamespace`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ParentBroadcast {
    parent: ParentNamespace,
    each: Broadcast,
}

impl ParentBroadcast {
    /// Adds rooms to reach.
    pub fn to(self, rooms: impl IntoRooms) -> Self {
        Self { each: self.each.to(rooms), ..self }
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Adds rooms to leave out; a socket's id works too.
    pub fn except(self, rooms: impl IntoRooms) -> Self {
        Self { each: self.each.except(rooms), ..self }
    }

    /// Only to sockets of this node.
    pub fn local(self) -> Self {
        Self { each: self.each.local(), ..self }
    }

    /// Dropped for recipients whose transport is not writable, instead of queued.
    pub fn volatile(self) -> Self {
        Self { each: self.each.volatile(), ..self }
    }

    /// Whether it may be compressed. See [`Socket::compress`](crate::Socket::compress).
    pub fn compress(self, compress: bool) -> Self {
        Self { each: self.each.compress(compress), ..self }
    }

    /// Sends the event, encoded once for each child that there is on this node.
    ///
    /// # Errors
    ///
    /// The event cannot be encoded, or a child's queue to the other nodes is full; the other children got it then.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        let children = self.parent.children().into_iter();
        let emit = |child| self.each.clone().in_namespace(child).emit(event, args);
        // One that is refused keeps the event from no other.
        children.map(emit).fold(Ok(()), Result::and)
    }
}
