//! Listeners that run once, listeners of all events, listeners of outgoing events, middlewares of a
//! socket, and the removal of listeners.

use std::{
    fmt, mem,
    ops::Deref,
    sync::{Arc, Weak},
};

use socketio_parser::Args;

use crate::{
    handlers::{
        EventContext, EventMiddlewareContext, Handler, OutgoingListener, erase,
        table::{Listener, ListenerId, Table},
    },
    namespace::{Namespace, NamespaceInner},
    socket::{Socket, inner::SocketInner},
};

/// A listener that has just been added. Returned by `on`, `on_any`, `use_` and similar methods.
///
/// It dereferences to the server, namespace or socket that the listener was added to, so that calls
/// can be chained. It may be ignored. Dropping it does not remove the listener.
///
/// ```
/// use socketio_server::Server;
///
/// let io = Server::new();
/// io.on("ping", || async { "pong" }).on("echo", || async { "echo" });
///
/// let listener = io.on("news", || async {}).listener();
/// assert!(listener.remove());
/// ```
pub struct Registration<'a, T> {
    owner: &'a T,
    place: Place<'a>,
    id: ListenerId,
}

/// The table that holds a listener.
#[derive(Clone, Copy)]
enum Place<'a> {
    Namespace(&'a Namespace),
    Socket(&'a Socket),
}

impl<'a> Registration<'a, Namespace> {
    pub(crate) fn in_namespace(namespace: &'a Namespace, id: ListenerId) -> Self {
        Self { owner: namespace, place: Place::Namespace(namespace), id }
    }

    /// Returns the registration with a server or a parent in place of its namespace.
    pub(crate) fn with_owner<T>(self, owner: &'a T) -> Registration<'a, T> {
        Registration { owner, place: self.place, id: self.id }
    }
}

impl<T> Registration<'_, T> {
    /// Returns a handle that removes the listener.
    pub fn listener(&self) -> ListenerHandle {
        let place = match self.place {
            Place::Namespace(namespace) => WeakPlace::Namespace(Arc::downgrade(&namespace.0)),
            Place::Socket(socket) => WeakPlace::Socket(Arc::downgrade(&socket.0)),
        };
        ListenerHandle { place, id: self.id }
    }
}

impl<T> Deref for Registration<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.owner
    }
}

impl<T> fmt::Debug for Registration<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("listener", &self.id).finish_non_exhaustive()
    }
}

/// A handle that removes one listener, whatever its kind. Created by [`Registration::listener`].
///
/// It does not keep the listener, its socket or its namespace alive, and dropping it does not
/// remove the listener. To remove all listeners of an event, call `off(event)` instead.
///
/// ```
/// use socketio_server::{ListenerHandle, Server, Socket};
///
/// let io = Server::new();
/// io.on_connection(|socket: Socket| async move {
///     let moves = socket.on("move", || async { "moved" }).listener();
///     socket.set_data::<ListenerHandle>(moves);
/// });
/// io.on("game over", |socket: Socket| async move {
///     if let Some(moves) = socket.data::<ListenerHandle>() {
///         moves.remove();
///     }
/// });
/// ```
#[derive(Clone)]
pub struct ListenerHandle {
    place: WeakPlace,
    id: ListenerId,
}

#[derive(Clone)]
enum WeakPlace {
    Namespace(Weak<NamespaceInner>),
    Socket(Weak<SocketInner>),
}

impl ListenerHandle {
    /// Removes the listener. A run that has started finishes. Returns `false` if there was nothing
    /// to remove: the listener was removed before, was added with `once` and has run, or its socket
    /// or namespace was dropped.
    ///
    /// A listener of a [`ParentNamespace`](crate::ParentNamespace) is removed for later children.
    /// Existing children keep it, except for a middleware, because each CONNECT passes the parent's
    /// current middlewares.
    pub fn remove(&self) -> bool {
        match &self.place {
            WeakPlace::Namespace(namespace) => {
                namespace.upgrade().is_some_and(|it| Namespace(it).remove_listener(self.id))
            }
            WeakPlace::Socket(socket) => {
                let Some(socket) = socket.upgrade() else { return false };
                !socket.change_handlers(|table| table.remove_listener(self.id)).is_empty()
            }
        }
    }
}

impl fmt::Debug for ListenerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListenerHandle").field(&self.id).finish()
    }
}

impl Socket {
    /// Adds a handler that runs only for the next event of this name.
    pub fn once<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| table.add(event, Listener::once(erase(handler))))
    }

    /// Removes the handlers of an event that were added to this socket.
    pub fn off(&self, event: &str) -> &Self {
        drop(self.0.change_handlers(|table| table.remove(event)));
        self
    }

    /// Removes the handlers of all named events that were added to this socket, including its
    /// disconnection handlers (`removeAllListeners()` in Node).
    pub fn remove_all_listeners(&self) -> &Self {
        drop(self.0.change_handlers(Table::remove_all));
        self
    }

    /// Adds a handler for every event of this socket. It runs before the middlewares and handlers
    /// of the event, and may send the ack.
    ///
    /// ```
    /// use socketio_server::{Args, EventName, Socket};
    ///
    /// fn watch(socket: &Socket) {
    ///     socket.on_any(|EventName(event): EventName, args: Args| async move {
    ///         println!("{event} {}", args.raw());
    ///     });
    /// }
    /// ```
    pub fn on_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).append_to(&mut table.events.any))
    }

    /// Adds a handler like [`on_any`](Self::on_any), before the existing ones.
    pub fn prepend_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).prepend_to(&mut table.events.any))
    }

    /// Removes the handlers of every event that were added to this socket.
    pub fn off_any(&self) -> &Self {
        drop(self.0.change_handlers(|table| mem::take(&mut table.events.any)));
        self
    }

    /// Adds a listener for every event that is sent to this socket, including broadcasts but not
    /// acks. The task that sends the event calls the listener before the event is queued. The
    /// listener gets the arguments as the client does. While such a listener exists, each event is
    /// encoded once more.
    ///
    /// ```
    /// use socketio_server::Socket;
    ///
    /// fn watch(socket: &Socket) {
    ///     socket.on_any_outgoing(|socket, args| {
    ///         println!("{} gets {} {}", socket.id(), args.event(), args.raw());
    ///     });
    /// }
    /// ```
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Args) + Send + Sync + 'static,
    ) -> Registration<'_, Self> {
        self.namespace().set_has_outgoing_listeners();
        self.register(|table| outgoing(listener).append_to(Arc::make_mut(&mut table.outgoing)))
    }

    /// Adds a listener like [`on_any_outgoing`](Self::on_any_outgoing), before the existing ones.
    pub fn prepend_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Args) + Send + Sync + 'static,
    ) -> Registration<'_, Self> {
        self.namespace().set_has_outgoing_listeners();
        self.register(|table| outgoing(listener).prepend_to(Arc::make_mut(&mut table.outgoing)))
    }

    /// Removes the listeners added by [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn off_any_outgoing(&self) -> &Self {
        drop(self.0.change_handlers(|table| mem::take(&mut table.outgoing)));
        self
    }

    /// Adds a middleware in front of this socket's events. It may inspect an event, refuse it with
    /// an error, or change it with [`Rewrite`](crate::Rewrite). Middlewares run one after another.
    /// Later events wait in the meantime, so the order is kept. A refused event is dropped. Its
    /// error is sent as the ack, if the client asked for one, and is passed to the namespace's
    /// error handler ([`Stage::Middleware`](crate::Stage::Middleware)).
    ///
    /// ```
    /// use socketio_server::{EventName, HandlerError, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on_connection(|socket: Socket| async move {
    ///     socket.use_(|EventName(event): EventName| async move {
    ///         if event.starts_with("admin:") { Err(HandlerError::public("not for you")) } else { Ok(()) }
    ///     });
    /// });
    /// ```
    pub fn use_<M>(
        &self,
        middleware: impl Handler<EventMiddlewareContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| {
            Listener::new(erase(middleware)).append_to(&mut table.event_middlewares)
        })
    }

    /// Returns the events for which this socket has handlers of its own.
    pub fn event_names(&self) -> Vec<String> {
        self.0.with_handlers(Table::names)
    }

    /// Adds a listener, unless the socket has dropped its listeners already.
    pub(crate) fn register(
        &self,
        add: impl FnOnce(&mut Table) -> ListenerId,
    ) -> Registration<'_, Self> {
        let id = self.0.change_handlers(add);
        Registration { owner: self, place: Place::Socket(self), id }
    }
}

impl Namespace {
    /// Adds a handler that runs only for the next event of this name, from any socket.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// io.sockets().once("first", || async { "you are the first" });
    /// ```
    pub fn once<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| table.add(event, Listener::once(erase(handler))))
    }

    /// Removes the handlers of an event that were added to the namespace. Handlers of single
    /// sockets stay.
    pub fn off(&self, event: &str) -> &Self {
        drop(self.change_with(|table| table.remove(event)));
        self
    }

    /// Removes the handlers of all named events that were added to the namespace, including its
    /// connection and disconnection handlers (`removeAllListeners()` in Node). Middlewares,
    /// handlers of every event, handlers of single sockets and handlers of other servers' events
    /// stay.
    pub fn remove_all_listeners(&self) -> &Self {
        drop(self.change_with(Table::remove_all));
        self
    }

    /// Adds a handler for every event of every socket. See [`Socket::on_any`].
    pub fn on_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).append_to(&mut table.events.any))
    }

    /// Adds a handler like [`on_any`](Self::on_any), before the existing ones.
    pub fn prepend_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).prepend_to(&mut table.events.any))
    }

    /// Removes the handlers of every event that were added to the namespace.
    pub fn off_any(&self) -> &Self {
        drop(self.change_with(|table| mem::take(&mut table.events.any)));
        self
    }

    /// Adds a listener for every event that is sent to a socket of the namespace. It is called once
    /// per recipient. See [`Socket::on_any_outgoing`].
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Args) + Send + Sync + 'static,
    ) -> Registration<'_, Self> {
        self.set_has_outgoing_listeners();
        self.register(|table| outgoing(listener).append_to(Arc::make_mut(&mut table.outgoing)))
    }

    /// Removes the listeners added to the namespace by [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn off_any_outgoing(&self) -> &Self {
        drop(self.change_with(|table| mem::take(&mut table.outgoing)));
        self
    }
}

fn outgoing(
    listener: impl Fn(&Socket, &Args) + Send + Sync + 'static,
) -> Listener<OutgoingListener> {
    Listener::new(Arc::new(listener))
}
