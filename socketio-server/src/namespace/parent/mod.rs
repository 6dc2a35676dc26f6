//! Parents: rules for namespaces that are created when a client requests them.

mod broadcast;

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{Args, Event};

use crate::{
    handlers::{
        ConnectContext, DisconnectContext, EventContext, Failure, Handler, Registration,
        TypedHandler,
    },
    namespace::{Namespace, cluster::ServerEvent, registry::Registry},
    socket::Socket,
};

pub use broadcast::ParentBroadcast;

/// The common declaration of many namespaces: those whose name matches a regular expression or a
/// pattern, or is accepted by a function. Created by [`Server::of_regex`](crate::Server::of_regex),
/// [`of_pattern`](crate::Server::of_pattern) and [`of_fn`](crate::Server::of_fn).
///
/// A child is an ordinary namespace. It is created when a client requests a name that the parent
/// covers, or when the application [declares](crate::Server::of) it. A child starts with the
/// handlers and listeners that the parent has at that time. Later changes to the parent only affect
/// later children. Middlewares are different: each CONNECT to a child passes the parent's current
/// middlewares, then the child's own, no matter how the child was created.
///
/// Methods that return something from sockets, such as acks or a list of sockets, only exist on a
/// single child. See [`children`](Self::children).
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
    /// Adds a handler that runs after a client has connected to a child. See
    /// [`Namespace::on_connection`].
    pub fn on_connection<M>(
        &self,
        handler: impl Handler<ConnectContext, M>,
    ) -> Registration<'_, Self> {
        self.template.on_connection(handler).with_owner(self)
    }

    /// Adds a handler for an event. See [`Namespace::on`].
    pub fn on<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.template.on(event, handler).with_owner(self)
    }

    /// Adds a handler for the next event of this name in each child. See [`Namespace::once`].
    pub fn once<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.template.once(event, handler).with_owner(self)
    }

    /// Removes the handlers of an event. Existing children keep theirs. See [`Namespace::off`].
    pub fn off(&self, event: &str) -> &Self {
        self.template.off(event);
        self
    }

    /// Removes the handlers of all named events. Existing children keep theirs. See
    /// [`Namespace::remove_all_listeners`].
    pub fn remove_all_listeners(&self) -> &Self {
        self.template.remove_all_listeners();
        self
    }

    /// Adds a handler for a typed event. See [`Namespace::handle`].
    pub fn handle<A, R, K>(
        &self,
        event: Event<A, R>,
        handler: impl TypedHandler<Socket, A, R, K>,
    ) -> Registration<'_, Self>
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.template.handle(event, handler).with_owner(self)
    }

    /// Adds a handler for every event. See [`Namespace::on_any`].
    pub fn on_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.template.on_any(handler).with_owner(self)
    }

    /// Adds a handler for every event, before the existing ones. See [`Namespace::prepend_any`].
    pub fn prepend_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.template.prepend_any(handler).with_owner(self)
    }

    /// Removes the handlers of every event. Existing children keep theirs. See
    /// [`Namespace::off_any`].
    pub fn off_any(&self) -> &Self {
        self.template.off_any();
        self
    }

    /// Adds a listener for every event that is sent to a socket of a child. See
    /// [`Namespace::on_any_outgoing`].
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Args) + Send + Sync + 'static,
    ) -> Registration<'_, Self> {
        self.template.on_any_outgoing(listener).with_owner(self)
    }

    /// Removes the listeners for outgoing events. Existing children keep theirs. See
    /// [`Namespace::off_any_outgoing`].
    pub fn off_any_outgoing(&self) -> &Self {
        self.template.off_any_outgoing();
        self
    }

    /// Adds a middleware for each further CONNECT to a child. See [`Namespace::use_`].
    pub fn use_<M>(&self, middleware: impl Handler<ConnectContext, M>) -> Registration<'_, Self> {
        self.template.use_(middleware).with_owner(self)
    }

    /// Adds a handler that runs when a socket is about to be disconnected. See
    /// [`Namespace::on_disconnecting`].
    pub fn on_disconnecting<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.template.on_disconnecting(handler).with_owner(self)
    }

    /// Adds a handler that runs after a socket was disconnected. See [`Namespace::on_disconnect`].
    pub fn on_disconnect<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.template.on_disconnect(handler).with_owner(self)
    }

    /// Sets the function that is called when a handler fails. See [`Namespace::on_error`].
    pub fn on_error(&self, handler: impl Fn(&Socket, &Failure) + Send + Sync + 'static) -> &Self {
        self.template.on_error(handler);
        self
    }

    /// Adds a handler for an event that other servers send to a child. See
    /// [`Namespace::on_server_side`].
    pub fn on_server_side<M>(
        &self,
        event: &str,
        handler: impl Handler<ServerEvent, M>,
    ) -> Registration<'_, Self> {
        self.template.on_server_side(event, handler).with_owner(self)
    }

    /// Adds a handler for every event that other servers send to a child. See
    /// [`Namespace::on_any_server_side`].
    pub fn on_any_server_side<M>(
        &self,
        handler: impl Handler<ServerEvent, M>,
    ) -> Registration<'_, Self> {
        self.template.on_any_server_side(handler).with_owner(self)
    }

    /// Removes the handlers of an event of other servers. Existing children keep theirs. See
    /// [`Namespace::off_server_side`].
    pub fn off_server_side(&self, event: &str) -> &Self {
        self.template.off_server_side(event);
        self
    }

    /// Removes the handlers of every event of other servers. Existing children keep theirs. See
    /// [`Namespace::off_any_server_side`].
    pub fn off_any_server_side(&self) -> &Self {
        self.template.off_any_server_side();
        self
    }

    /// Returns the namespaces that currently exist.
    pub fn children(&self) -> Vec<Namespace> {
        self.registry.children(&self.template)
    }

    /// Returns the number of sockets that the children have on this node. See
    /// [`Namespace::sockets_count`].
    pub fn sockets_count(&self) -> usize {
        self.children().iter().map(Namespace::sockets_count).sum()
    }
}

impl fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentNamespace").field("children", &self.children()).finish()
    }
}
