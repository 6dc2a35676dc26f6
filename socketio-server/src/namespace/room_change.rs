//! The rooms of a namespace as the application sees them.

use bytestring::ByteString;
use socketio_adapter::Room;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::namespace::Namespace;

/// A change of a namespace's rooms on this node, with the names of Node's adapter events. See
/// [`Namespace::room_changes`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomChange {
    /// A room has its first member (`create-room`).
    Created {
        /// The name of the room.
        room: Room,
    },
    /// A socket has joined a room (`join-room`).
    Joined {
        /// The name of the room.
        room: Room,
        /// The id of the socket.
        id: ByteString,
    },
    /// A socket has left a room, or was disconnected (`leave-room`).
    Left {
        /// The name of the room.
        room: Room,
        /// The id of the socket.
        id: ByteString,
    },
    /// The last member of a room has left (`delete-room`).
    Deleted {
        /// The name of the room.
        room: Room,
    },
    /// The receiver was too slow, and has missed changes.
    Missed {
        /// The number of missed changes.
        count: u64,
    },
}

/// Receives the changes of a namespace's rooms. See [`Namespace::room_changes`].
#[derive(Debug)]
pub struct RoomChanges(Receiver<RoomChange>);

impl RoomChanges {
    /// Waits for the next change. Returns `None` after the namespace was dropped.
    ///
    /// At most 1024 changes are kept for the receivers. A receiver that falls further behind gets
    /// [`RoomChange::Missed`], and then the oldest change that is still kept.
    pub async fn next(&mut self) -> Option<RoomChange> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(RecvError::Lagged(count)) => Some(RoomChange::Missed { count }),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Namespace {
    /// Returns a receiver of the changes of the rooms on this node from now on, including the rooms
    /// of the sockets' own ids. The changes arrive in the order in which they happen. Before the
    /// first call of this method, changes are not recorded and cost nothing.
    ///
    /// ```no_run
    /// use socketio_server::{RoomChange, Server};
    ///
    /// # async fn run(io: Server) {
    /// let mut changes = io.sockets().room_changes();
    /// while let Some(change) = changes.next().await {
    ///     if let RoomChange::Deleted { room } = change {
    ///         println!("nobody is left in {room}");
    ///     }
    /// }
    /// # }
    /// ```
    pub fn room_changes(&self) -> RoomChanges {
        RoomChanges(self.hub().room_changes())
    }

    /// Returns the rooms that sockets on this node have joined, with their number of sockets, in no
    /// particular order (`adapter.rooms` in Node). The room of a socket's own id is there only if
    /// other sockets have joined it. Costs a copy of the table.
    ///
    /// The rooms of one socket are [`Socket::rooms`](crate::Socket::rooms) (`adapter.sids` in
    /// Node).
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// assert!(io.sockets().rooms().is_empty());
    /// ```
    pub fn rooms(&self) -> Vec<(Room, usize)> {
        self.hub().rooms()
    }
}
