//! Parents: rules for namespaces that are created when a client requests them.

mod broadcast;

use std::{fmt, sync::Arc};

use crate::namespace::{Namespace, methods::handler_methods, registry::Registry, rule::Rule};

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
    template: Namespace,
    registry: Arc<Registry>,
}

impl ParentNamespace {
    pub(crate) fn new(registry: Arc<Registry>, rule: Rule) -> Self {
        Self { template: registry.add_parent(rule), registry }
    }

    handler_methods!(self => self.template);

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
