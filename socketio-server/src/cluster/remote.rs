//! Sockets of any node.

use std::{fmt, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{Ask, Gathered, IntoRooms, Room, SocketDetails};
use socketio_parser::{Event, Value};

use super::{details::details, remote_emitter::RemoteEmitter};
use crate::{
    broadcast::Broadcast,
    error::{AckError, ClusterError, EmitError},
    model::Namespace,
};

/// A socket of this node or another, as it was when it was [fetched](crate::Namespace::fetch_sockets). What is sent to it
/// goes to where it is.
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

/// Why sockets were not fetched, or not all. What came is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The other nodes could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Some nodes did not answer in time.
    #[error("{missing} nodes have not answered")]
    Partial {
        /// The sockets that were found.
        sockets: Vec<RemoteSocket>,
        /// How many nodes did not answer.
        missing: usize,
    },
}

impl RemoteSocket {
    /// The session id.
    pub fn id(&self) -> &str {
        &self.details.id
    }

    /// The handshake, as Node's servers describe it: `headers`, `time`, `address`, `xdomain`, `secure`, `issued`, `url`,
    /// `query`, `auth`.
    pub fn handshake(&self) -> &Value {
        &self.details.handshake
    }

    /// The rooms it was in.
    pub fn rooms(&self) -> &[Room] {
        &self.details.rooms
    }

    /// What was [shared](crate::Socket::set_shared) with it (`socket.data` in Node), decoded; an empty object where
    /// nothing was.
    ///
    /// # Errors
    ///
    /// The value is of another type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(serde_json::to_value(&self.details.data)?)
    }

    /// The same, undecoded.
    pub fn raw_data(&self) -> &Value {
        &self.details.data
    }

    /// Whether it is a socket of this node.
    pub fn is_local(&self) -> bool {
        self.here
    }

    /// Sends it an event. Whether it still is there is not known.
    ///
    /// # Errors
    ///
    /// The event cannot be encoded, or the queue to the other nodes is full.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Sends it an event and waits for the answer, up to the server's `ack_timeout`.
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

    /// Sends it the event `message`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends it a typed event.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn emit_event<A: Serialize, R>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<(), EmitError> {
        self.emit(event.name(), args)
    }

    /// Sends it a typed event and waits for the answer that its contract promises.
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    pub async fn emit_event_with_ack<A: Serialize, R: DeserializeOwned>(
        &self,
        event: Event<A, R>,
        args: &A,
    ) -> Result<R, AckError> {
        self.emit_with_ack(event.name(), args).await
    }

    /// Sets how long the answer to the next event may take.
    pub fn timeout(&self, timeout: Duration) -> RemoteEmitter {
        self.emitter().timeout(timeout)
    }

    /// The next event is dropped, not queued, where the transport is not writable.
    pub fn volatile(&self) -> RemoteEmitter {
        self.emitter().volatile()
    }

    /// Whether the next event may be compressed. See [`Socket::compress`](crate::Socket::compress).
    pub fn compress(&self, compress: bool) -> RemoteEmitter {
        self.emitter().compress(compress)
    }

    /// Makes it join rooms.
    ///
    /// # Errors
    ///
    /// The queue to the other nodes is full.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        self.broadcast().sockets_join(rooms)
    }

    /// Makes it leave rooms.
    ///
    /// # Errors
    ///
    /// The queue to the other nodes is full.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        self.broadcast().sockets_leave(rooms)
    }

    /// Disconnects it; with `close`, its whole connection.
    ///
    /// # Errors
    ///
    /// The queue to the other nodes is full.
    pub fn disconnect(&self, close: bool) -> Result<(), ClusterError> {
        self.broadcast().disconnect_sockets(close)
    }

    fn emitter(&self) -> RemoteEmitter {
        RemoteEmitter::new(self.broadcast())
    }

    fn broadcast(&self) -> Broadcast {
        let broadcast =
            Broadcast::new(self.namespace.clone()).to(Room::from(self.details.id.clone()));
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
    /// The selected sockets of all nodes, or, with [`local`](Self::local), of this one. Other nodes may take up to the
    /// [`timeout`](Self::timeout), or the cluster's `request_timeout` (5 s).
    ///
    /// # Errors
    ///
    /// See [`FetchError`]: where nodes do not answer, the sockets that were found are inside.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchError> {
        let namespace = self.namespace();
        let asked = match self.cluster() {
            Some(membership) => {
                let patience =
                    self.selection().flags.timeout.unwrap_or_else(|| membership.patience());
                let ask = Ask::FetchSockets(self.travelling());
                Some(membership.ask(ask, patience).await?)
            }
            None => None,
        };
        let socket = |details, here| RemoteSocket { details, namespace: namespace.clone(), here };
        let mut sockets: Vec<_> =
            self.targets().iter().map(|target| socket(details(target), true)).collect();
        let mut missing = 0;
        if let Some(asked) = asked {
            let outcome = asked.outcome().await?;
            missing = outcome.missing_nodes;
            if let Gathered::Sockets(others) = outcome.gathered {
                sockets.extend(others.into_iter().map(|details| socket(details, false)));
            }
        }
        if missing == 0 { Ok(sockets) } else { Err(FetchError::Partial { sockets, missing }) }
    }
}
