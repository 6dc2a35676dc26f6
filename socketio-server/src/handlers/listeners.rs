//! Further listeners: handlers that run once, handlers of all events, listeners for outgoing
//! events, and middlewares of a socket.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use socketio_parser::Args;

use crate::{
    handlers::{Handler, erase},
    namespace::Namespace,
    socket::Socket,
};

impl Socket {
    /// Adds a handler that runs only for the next event of this name.
    pub fn once<M>(&self, event: &str, handler: impl Handler<M>) {
        self.0.change_own(|table| table.add_once(event, erase(handler)));
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
    pub fn on_any<M>(&self, handler: impl Handler<M>) {
        self.0.change_own(|table| table.any.push(erase(handler)));
    }

    /// Adds a handler like [`on_any`](Self::on_any), before the existing ones.
    pub fn prepend_any<M>(&self, handler: impl Handler<M>) {
        self.0.change_own(|table| table.any.insert(0, erase(handler)));
    }

    /// Removes the handlers of every event that were added to this socket.
    pub fn off_any(&self) {
        let removed = self.0.change_own(|table| std::mem::take(&mut table.any));
        drop(removed);
    }

    /// Adds a listener for every event that is sent to this socket, including broadcasts but not
    /// acks. It is called by the task that sends the event, before the event is queued, and gets
    /// the arguments as the client does. While such a listener exists, each event is encoded once
    /// more.
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
    pub fn on_any_outgoing(&self, listener: impl Fn(&Socket, &Args) + Send + Sync + 'static) {
        self.0.add_outgoing(Arc::new(listener));
        self.namespace().0.has_outgoing.store(true, Ordering::Relaxed);
    }

    /// Removes the listeners added by [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn off_any_outgoing(&self) {
        drop(self.0.take_outgoing());
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
    pub fn use_<M>(&self, middleware: impl Handler<M>) {
        self.0.change_own(|table| table.middlewares.push(erase(middleware)));
    }

    /// Returns the events for which this socket has handlers of its own.
    pub fn event_names(&self) -> Vec<String> {
        self.0.look_at_own(|table| table.names())
    }
}

impl Namespace {
    /// Adds a handler that runs only for the next event of this name, from any socket.
    pub fn once<M>(&self, event: &str, handler: impl Handler<M>) -> &Self {
        self.change(|table| table.add_once(event, erase(handler)))
    }

    /// Removes the handlers of an event that were added to the namespace. Handlers of single
    /// sockets stay.
    pub fn off(&self, event: &str) -> &Self {
        drop(self.change_with(|table| table.remove(event)));
        self
    }

    /// Adds a handler for every event of every socket. See [`Socket::on_any`].
    pub fn on_any<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|table| table.any.push(erase(handler)))
    }

    /// Adds a handler like [`on_any`](Self::on_any), before the existing ones.
    pub fn prepend_any<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|table| table.any.insert(0, erase(handler)))
    }

    /// Removes the handlers of every event that were added to the namespace.
    pub fn off_any(&self) -> &Self {
        drop(self.change_with(|table| std::mem::take(&mut table.any)));
        self
    }

    /// Adds a listener for every event that is sent to a socket of the namespace. It is called once
    /// per recipient. See [`Socket::on_any_outgoing`].
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Args) + Send + Sync + 'static,
    ) -> &Self {
        {
            let mut list = self.0.outgoing.write().unwrap_or_else(PoisonError::into_inner);
            *list = list.iter().cloned().chain([Arc::new(listener) as _]).collect();
        }
        self.0.has_outgoing.store(true, Ordering::Relaxed);
        self
    }

    /// Removes the listeners added to the namespace by [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn off_any_outgoing(&self) -> &Self {
        let former = {
            let mut list = self.0.outgoing.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *list)
        };
        drop(former);
        self
    }
}
