//! Broadcasts to the sockets of all children of a parent.

use serde::Serialize;
use socketio_adapter::IntoRooms;
use socketio_core::typed_emit;

use crate::namespace::parent::ParentNamespace;
use crate::{
    error::{ClusterError, EmitError},
    namespace::{Namespace, broadcast::Broadcast, methods::broadcast_methods},
};

impl ParentNamespace {
    /// Broadcasts an event in every child.
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded, or if a child's queue to the other nodes is
    /// full. The other children have got the event.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.broadcast().emit(event, args)
    }

    broadcast_methods!(self => self.broadcast(), ParentBroadcast);

    typed_emit! {
        /// Broadcasts a typed event in every child. See [`emit`](Self::emit).
        ///
        /// # Errors
        ///
        /// See [`emit`](Self::emit).
        fn emit_event(&self) -> Result<(), EmitError>;
    }

    /// Sends an event to the other servers of the cluster, in every child that exists on this node.
    /// See [`Namespace::server_side_emit`].
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded, or if a child's queue to the other nodes is
    /// full. The event is sent in the other children.
    pub fn server_side_emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        each(self.children(), |child| child.server_side_emit(event, args))
    }

    fn broadcast(&self) -> ParentBroadcast {
        ParentBroadcast { parent: self.clone(), each: self.template.broadcast() }
    }
}

/// A broadcast to every child of a [`ParentNamespace`], under construction.
///
/// ```
/// use socketio_server::Server;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let io = Server::new();
/// let games = io.of_pattern("/game-{id}")?;
/// games.to("referees").except("away").emit("whistle", &())?; // in all games
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ParentBroadcast {
    parent: ParentNamespace,
    each: Broadcast,
}

impl ParentBroadcast {
    /// Adds rooms to the recipients. An empty list adds no recipients.
    pub fn to(self, rooms: impl IntoRooms) -> Self {
        Self { each: self.each.to(rooms), ..self }
    }

    /// Does the same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Excludes the sockets in `rooms`. A socket's id works too.
    pub fn except(self, rooms: impl IntoRooms) -> Self {
        Self { each: self.each.except(rooms), ..self }
    }

    /// Restricts the broadcast to sockets of this node.
    pub fn local(self) -> Self {
        Self { each: self.each.local(), ..self }
    }

    /// Makes the broadcast volatile: it is dropped, not queued, for recipients whose transport is
    /// not writable.
    pub fn volatile(self) -> Self {
        Self { each: self.each.volatile(), ..self }
    }

    /// Sets whether the broadcast may be compressed (default `true`). See
    /// [`Socket::compress`](crate::Socket::compress).
    pub fn compress(self, compress: bool) -> Self {
        Self { each: self.each.compress(compress), ..self }
    }

    /// Sends the event, encoded once for each child that exists on this node.
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded, or if a child's queue to the other nodes is
    /// full. The other children have got the event.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.each(|broadcast| broadcast.emit(event, args))
    }

    /// Sends the event `message`.
    ///
    /// # Errors
    ///
    /// See [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    typed_emit! {
        /// Sends a typed event.
        ///
        /// # Errors
        ///
        /// See [`emit`](Self::emit).
        fn emit_event(&self) -> Result<(), EmitError>;
    }

    /// Makes the selected sockets join rooms. See [`Broadcast::sockets_join`].
    ///
    /// # Errors
    ///
    /// Returns an error if a child's queue to the other nodes is full. Nothing is done in that
    /// child.
    pub fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        self.each(|broadcast| broadcast.sockets_join(&list[..]))
    }

    /// Makes the selected sockets leave rooms.
    ///
    /// # Errors
    ///
    /// Returns an error if a child's queue to the other nodes is full. Nothing is done in that
    /// child.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        let mut list = Vec::new();
        rooms.append_to(&mut list);
        self.each(|broadcast| broadcast.sockets_leave(&list[..]))
    }

    /// Disconnects the selected sockets. Their connections and other namespaces remain.
    ///
    /// # Errors
    ///
    /// Returns an error if a child's queue to the other nodes is full. Nothing is done in that
    /// child.
    pub fn disconnect_sockets(&self) -> Result<(), ClusterError> {
        self.each(|broadcast| broadcast.disconnect_sockets())
    }

    /// Closes the connections of the selected sockets. See [`Broadcast::close_connections`].
    ///
    /// # Errors
    ///
    /// Returns an error if a child's queue to the other nodes is full. Nothing is done in that
    /// child.
    pub fn close_connections(&self) -> Result<(), ClusterError> {
        self.each(|broadcast| broadcast.close_connections())
    }

    fn each<E>(&self, act: impl Fn(Broadcast) -> Result<(), E>) -> Result<(), E> {
        each(self.parent.children(), |child| act(self.each.clone().in_namespace(child)))
    }
}

/// Acts on every child, even if it fails for some of them.
fn each<E>(children: Vec<Namespace>, act: impl Fn(Namespace) -> Result<(), E>) -> Result<(), E> {
    children.into_iter().map(act).fold(Ok(()), Result::and)
}
