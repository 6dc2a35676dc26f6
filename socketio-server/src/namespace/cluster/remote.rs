//! Sockets of any node.

use std::{fmt, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{ClusterRequest, IntoRooms, Replies, Room, SocketDetails};
use socketio_core::typed_emit;
use socketio_parser::Value;

use crate::namespace::cluster::{details::details, remote_emitter::RemoteEmitter};
use crate::{
    error::{AckError, ClusterError, EmitError},
    namespace::{Namespace, broadcast::Broadcast},
};

/// A socket of any node, as it was when it was [fetched](crate::Namespace::fetch_sockets). Events
/// and operations are sent to the node of the socket.
///
/// ```no_run
/// # async fn run(io: socketio_server::Server) -> Result<(), Box<dyn std::error::Error>> {
/// for socket in io.to("room").fetch_sockets().await? {
///     println!("{} in {:?}", socket.id(), socket.rooms());
///     socket.emit("hello", &1)?;
///     socket.leave("room")?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteSocket {
    details: SocketDetails,
    namespace: Namespace,
    here: bool,
}

/// The reason why the sockets of some nodes were not fetched. Contains the sockets that were found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The other nodes could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Some nodes did not reply in time.
    #[error("{missing} nodes did not reply")]
    Partial {
        /// The sockets that were found.
        sockets: Vec<RemoteSocket>,
        /// The number of nodes that did not reply.
        missing: usize,
    },
}

impl RemoteSocket {
    #[cfg(feature = "admin")]
    pub(crate) fn into_details(self) -> SocketDetails {
        self.details
    }

    /// Returns the id of the socket.
    pub fn id(&self) -> &str {
        &self.details.id
    }

    /// Returns the handshake in the format of Node's servers: `headers`, `time`, `address`,
    /// `xdomain`, `secure`, `issued`, `url`, `query`, `auth`.
    pub fn handshake(&self) -> &Value {
        &self.details.handshake
    }

    /// Returns the rooms that the socket was in when it was fetched.
    pub fn rooms(&self) -> &[Room] {
        &self.details.rooms
    }

    /// Decodes the [shared](crate::Socket::set_shared) data of the socket (`socket.data` in Node),
    /// which is an empty object by default.
    ///
    /// # Errors
    ///
    /// Returns an error if the value has another type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let mut data = serde_json::to_value(&self.details.data)?;
        // Added for the Admin UI, see `details`.
        if let serde_json::Value::Object(data) = &mut data {
            data.remove("_admin");
        }
        T::deserialize(data)
    }

    /// Returns the shared data, undecoded.
    pub fn raw_data(&self) -> &Value {
        &self.details.data
    }

    /// Returns whether the socket is connected to this node.
    pub fn is_local(&self) -> bool {
        self.here
    }

    /// Sends an event to the socket. The socket may be disconnected by then.
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded or the queue to the other nodes is full.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Sends an event and waits for its ack, at most for the server's `ack_timeout`.
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        self.emitter().emit_with_ack(event, args).await
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

        /// Sends a typed event and waits for its ack.
        ///
        /// # Errors
        ///
        /// See [`AckError`].
        async fn emit_event_with_ack() -> Result<R, AckError>;
    }

    /// Sets how long to wait for the ack of the next event (default: the server's `ack_timeout`, 30
    /// s).
    pub fn timeout(&self, timeout: Duration) -> RemoteEmitter {
        self.emitter().timeout(timeout)
    }

    /// Makes the next event volatile: it is dropped, not queued, if the transport is not writable.
    pub fn volatile(&self) -> RemoteEmitter {
        self.emitter().volatile()
    }

    /// Sets whether the next event may be compressed. See
    /// [`Socket::compress`](crate::Socket::compress).
    pub fn compress(&self, compress: bool) -> RemoteEmitter {
        self.emitter().compress(compress)
    }

    /// Makes the socket join rooms.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue to the other nodes is full.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        self.broadcast().sockets_join(rooms)
    }

    /// Makes the socket leave rooms.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue to the other nodes is full.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        self.broadcast().sockets_leave(rooms)
    }

    /// Disconnects the socket from its namespace. The connection and its other namespaces remain.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue to the other nodes is full.
    pub fn disconnect(&self) -> Result<(), ClusterError> {
        self.broadcast().disconnect_sockets()
    }

    /// Closes the connection of the socket. See
    /// [`Socket::close_connection`](crate::Socket::close_connection).
    ///
    /// # Errors
    ///
    /// Returns an error if the queue to the other nodes is full.
    pub fn close_connection(&self) -> Result<(), ClusterError> {
        self.broadcast().close_connections()
    }

    fn emitter(&self) -> RemoteEmitter {
        RemoteEmitter::new(self.broadcast())
    }

    fn broadcast(&self) -> Broadcast {
        let broadcast = self.namespace.broadcast().to(Room::from(self.details.id.clone()));
        if self.here { broadcast.local() } else { broadcast }
    }
}

impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket")
            .field("id", &self.id())
            .field("rooms", &self.rooms())
            .field("local", &self.here)
            .finish_non_exhaustive()
    }
}

impl Broadcast {
    /// Fetches the selected sockets of all nodes, or with [`local`](Self::local) those of this
    /// node. Other nodes may take up to the [`timeout`](Self::timeout), by default the cluster's
    /// `request_timeout` (5 s).
    ///
    /// ```no_run
    /// use socketio_server::{FetchError, RemoteSocket, Server};
    ///
    /// async fn players(io: &Server) -> Result<Vec<RemoteSocket>, FetchError> {
    ///     match io.to("players").fetch_sockets().await {
    ///         Err(FetchError::Partial { sockets, missing }) => {
    ///             println!("{missing} nodes did not reply");
    ///             Ok(sockets)
    ///         }
    ///         result => result,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`FetchError`]. If some nodes do not reply, the error contains the sockets that were
    /// found.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchError> {
        let namespace = self.namespace();
        let request = match self.cluster() {
            Some(membership) => {
                let timeout =
                    self.selection().flags.timeout.unwrap_or_else(|| membership.request_timeout());
                let request = ClusterRequest::FetchSockets(self.selection_for_nodes());
                Some(membership.ask(request, timeout).await?)
            }
            None => None,
        };
        let socket = |details, here| RemoteSocket { details, namespace: namespace.clone(), here };
        let mut sockets: Vec<_> =
            self.targets().iter().map(|target| socket(details(target), true)).collect();
        let mut missing = 0;
        if let Some(request) = request {
            let outcome = request.outcome().await?;
            missing = outcome.missing_nodes;
            if let Replies::Sockets(others) = outcome.replies {
                sockets.extend(others.into_iter().map(|details| socket(details, false)));
            }
        }
        if missing == 0 { Ok(sockets) } else { Err(FetchError::Partial { sockets, missing }) }
    }
}
