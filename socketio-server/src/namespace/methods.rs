//! The methods of a namespace that other types have too, with their documentation.

/// Declares the methods that add and remove handlers, for a type that has a namespace.
macro_rules! handler_methods {
    ($this:ident => $namespace:expr) => {
        /// Adds a handler that runs after a client has connected. See
        /// [`Namespace::on_connection`](crate::Namespace::on_connection).
        pub fn on_connection<M>(
            &$this,
            handler: impl crate::Handler<crate::ConnectContext, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.on_connection(handler).with_owner($this)
        }

        /// Adds a handler for an event. See [`Namespace::on`](crate::Namespace::on).
        pub fn on<M>(
            &$this,
            event: &str,
            handler: impl crate::Handler<crate::EventContext, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.on(event, handler).with_owner($this)
        }

        /// Adds a handler that runs only for the next event of this name in the namespace. See
        /// [`Namespace::once`](crate::Namespace::once).
        pub fn once<M>(
            &$this,
            event: &str,
            handler: impl crate::Handler<crate::EventContext, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.once(event, handler).with_owner($this)
        }

        /// Removes the handlers of an event. See [`Namespace::off`](crate::Namespace::off).
        pub fn off(&$this, event: &str) -> &Self {
            $namespace.off(event);
            $this
        }

        /// Removes the handlers of all named events. See
        /// [`Namespace::remove_all_listeners`](crate::Namespace::remove_all_listeners).
        pub fn remove_all_listeners(&$this) -> &Self {
            $namespace.remove_all_listeners();
            $this
        }

        /// Adds a handler for a typed event. See [`Namespace::handle`](crate::Namespace::handle).
        pub fn handle<A, R, K>(
            &$this,
            event: crate::Event<A, R>,
            handler: impl crate::TypedHandler<crate::Socket, A, R, K>,
        ) -> crate::Registration<'_, Self>
        where
            A: serde::de::DeserializeOwned + Send + 'static,
            R: serde::Serialize + Send + 'static,
        {
            $namespace.handle(event, handler).with_owner($this)
        }

        /// Adds a handler for every event. See [`Namespace::on_any`](crate::Namespace::on_any).
        pub fn on_any<M>(
            &$this,
            handler: impl crate::Handler<crate::EventContext, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.on_any(handler).with_owner($this)
        }

        /// Adds a handler for every event, before the existing ones. See
        /// [`Namespace::prepend_any`](crate::Namespace::prepend_any).
        pub fn prepend_any<M>(
            &$this,
            handler: impl crate::Handler<crate::EventContext, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.prepend_any(handler).with_owner($this)
        }

        /// Removes the handlers of every event. See
        /// [`Namespace::off_any`](crate::Namespace::off_any).
        pub fn off_any(&$this) -> &Self {
            $namespace.off_any();
            $this
        }

        /// Adds a listener for every event that is sent to a socket. See
        /// [`Namespace::on_any_outgoing`](crate::Namespace::on_any_outgoing).
        pub fn on_any_outgoing(
            &$this,
            listener: impl Fn(&crate::Socket, &crate::Args) + Send + Sync + 'static,
        ) -> crate::Registration<'_, Self> {
            $namespace.on_any_outgoing(listener).with_owner($this)
        }

        /// Removes the listeners for outgoing events. See
        /// [`Namespace::off_any_outgoing`](crate::Namespace::off_any_outgoing).
        pub fn off_any_outgoing(&$this) -> &Self {
            $namespace.off_any_outgoing();
            $this
        }

        /// Adds a middleware. See [`Namespace::use_`](crate::Namespace::use_).
        pub fn use_<M>(
            &$this,
            middleware: impl crate::Handler<crate::ConnectContext, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.use_(middleware).with_owner($this)
        }

        /// Adds a handler that runs when a socket is about to be disconnected. See
        /// [`Namespace::on_disconnecting`](crate::Namespace::on_disconnecting).
        pub fn on_disconnecting<M>(
            &$this,
            handler: impl crate::Handler<crate::DisconnectContext, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.on_disconnecting(handler).with_owner($this)
        }

        /// Adds a handler that runs after a socket was disconnected. See
        /// [`Namespace::on_disconnect`](crate::Namespace::on_disconnect).
        pub fn on_disconnect<M>(
            &$this,
            handler: impl crate::Handler<crate::DisconnectContext, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.on_disconnect(handler).with_owner($this)
        }

        /// Sets the function that is called when a handler fails. See
        /// [`Namespace::on_error`](crate::Namespace::on_error).
        pub fn on_error(
            &$this,
            handler: impl Fn(&crate::Socket, &crate::Failure) + Send + Sync + 'static,
        ) -> &Self {
            $namespace.on_error(handler);
            $this
        }

        /// Adds a handler for an event that other servers send. See
        /// [`Namespace::on_server_side`](crate::Namespace::on_server_side).
        pub fn on_server_side<M>(
            &$this,
            event: &str,
            handler: impl crate::Handler<crate::ServerEvent, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.on_server_side(event, handler).with_owner($this)
        }

        /// Adds a handler for every event that other servers send. See
        /// [`Namespace::on_any_server_side`](crate::Namespace::on_any_server_side).
        pub fn on_any_server_side<M>(
            &$this,
            handler: impl crate::Handler<crate::ServerEvent, M>,
        ) -> crate::Registration<'_, Self> {
            $namespace.on_any_server_side(handler).with_owner($this)
        }

        /// Removes the handlers of an event of other servers. See
        /// [`Namespace::off_server_side`](crate::Namespace::off_server_side).
        pub fn off_server_side(&$this, event: &str) -> &Self {
            $namespace.off_server_side(event);
            $this
        }

        /// Removes the handlers of every event of other servers. See
        /// [`Namespace::off_any_server_side`](crate::Namespace::off_any_server_side).
        pub fn off_any_server_side(&$this) -> &Self {
            $namespace.off_any_server_side();
            $this
        }
    };
}

pub(crate) use handler_methods;

/// Declares the methods that begin a broadcast, and those that act on all sockets, for a type that
/// has a broadcast to all its sockets.
macro_rules! broadcast_methods {
    ($this:ident => $broadcast:expr, $type:ty) => {
        /// Broadcasts the event `message`.
        ///
        /// # Errors
        ///
        /// See [`emit`](Self::emit).
        pub fn send<T: serde::Serialize + ?Sized>(
            &$this,
            args: &T,
        ) -> Result<(), crate::EmitError> {
            $broadcast.send(args)
        }

        /// Broadcasts to one or more rooms. A socket that is in several of them gets the event
        /// once. An empty list reaches no socket. See [`Broadcast::to`](crate::Broadcast::to).
        pub fn to(&$this, rooms: impl crate::IntoRooms) -> $type {
            $broadcast.to(rooms)
        }

        /// The same as [`to`](Self::to).
        pub fn in_(&$this, rooms: impl crate::IntoRooms) -> $type {
            $broadcast.to(rooms)
        }

        /// Broadcasts to all sockets except those in `rooms`. An empty list excludes no socket.
        pub fn except(&$this, rooms: impl crate::IntoRooms) -> $type {
            $broadcast.except(rooms)
        }

        /// Broadcasts on this node only.
        pub fn local(&$this) -> $type {
            $broadcast.local()
        }

        /// Makes the next broadcast volatile: it is dropped for recipients whose transport is not
        /// writable.
        pub fn volatile(&$this) -> $type {
            $broadcast.volatile()
        }

        /// Sets whether the next broadcast may be compressed. See
        /// [`Socket::compress`](crate::Socket::compress).
        pub fn compress(&$this, compress: bool) -> $type {
            $broadcast.compress(compress)
        }

        /// Makes all sockets join rooms.
        ///
        /// # Errors
        ///
        /// Returns an error if the queue to the other nodes is full.
        pub fn sockets_join(
            &$this,
            rooms: impl crate::IntoRooms,
        ) -> Result<(), crate::ClusterError> {
            $broadcast.sockets_join(rooms)
        }

        /// Makes all sockets leave rooms.
        ///
        /// # Errors
        ///
        /// Returns an error if the queue to the other nodes is full.
        pub fn sockets_leave(
            &$this,
            rooms: impl crate::IntoRooms,
        ) -> Result<(), crate::ClusterError> {
            $broadcast.sockets_leave(rooms)
        }

        /// Disconnects all sockets. Their connections and other namespaces remain.
        ///
        /// # Errors
        ///
        /// Returns an error if the queue to the other nodes is full.
        pub fn disconnect_sockets(&$this) -> Result<(), crate::ClusterError> {
            $broadcast.disconnect_sockets()
        }

        /// Closes the connections of all sockets. See
        /// [`Broadcast::close_connections`](crate::Broadcast::close_connections).
        ///
        /// # Errors
        ///
        /// Returns an error if the queue to the other nodes is full.
        pub fn close_connections(&$this) -> Result<(), crate::ClusterError> {
            $broadcast.close_connections()
        }
    };
}

pub(crate) use broadcast_methods;
