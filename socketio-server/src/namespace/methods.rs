//! The broadcasts of a namespace, which other types have too, with their documentation.

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

        /// Does the same as [`to`](Self::to).
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

        /// Sets whether the next broadcast may be compressed (default `true`). See
        /// [`Socket::compress`](crate::Socket::compress).
        pub fn compress(&$this, compress: bool) -> $type {
            $broadcast.compress(compress)
        }

        /// Makes all sockets join rooms. See
        /// [`Broadcast::sockets_join`](crate::Broadcast::sockets_join).
        ///
        /// # Errors
        ///
        /// Returns an error if a room's name is longer than
        /// [`max_room_name`](crate::ServerConfig::max_room_name), or if the queue to the other
        /// nodes is full.
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
