//! The request of one node to the others to hand over a session.

use std::time::Duration;

use bytestring::ByteString;

use crate::{
    message::{NodeId, SocketDetails},
    selection::{Room, Selection},
};

/// The beginning of the room by which nodes recognize the request.
const MARK: &str = "\u{1f}session ";

/// A request to hand over the session of a socket that is still connected, because its client has
/// returned to the sender.
///
/// On the wire it is a request for the sockets in a room that no socket is in. Node's servers, and
/// nodes without the session, therefore reply with an empty list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoverRequest {
    /// The private id of the session.
    pub pid: ByteString,
    /// The node that owned the session when it was stored, if it was stored.
    pub owner: Option<NodeId>,
    /// How long ago the client claimed the session. Transmitted in microseconds, rounded up, so
    /// that a claim never seems later than it was.
    pub age: Duration,
}

/// The replies to a [`HandoverRequest`]. None contains the session: it goes through the store, so
/// that a reply that is lost costs nothing, and of several claims one gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// A node that had the session has disconnected the socket and stored the session, or the owner
    /// is alive and has no such socket.
    Stored,
    /// No node has the session.
    Unknown,
}

impl HandoverRequest {
    /// Returns the selection of the request for sockets.
    pub fn to_selection(&self) -> Selection {
        let (age, pid) = (self.age.as_nanos().div_ceil(1000), &self.pid);
        let owner = self.owner.as_ref().map_or("", NodeId::as_str);
        let mut selection = Selection::default();
        selection.to(Room::from(format!("{MARK}{age} {owner} {pid}")));
        selection
    }

    /// Returns the request that a selection stands for. Returns `None` for a request for sockets.
    pub fn from_selection(selection: &Selection) -> Option<Self> {
        let [room] = &selection.rooms[..] else { return None };
        let mut parts = room.strip_prefix(MARK)?.splitn(3, ' ');
        let age = Duration::from_micros(parts.next()?.parse().ok()?);
        let owner = parts.next().filter(|owner| !owner.is_empty()).map(NodeId::from);
        Some(Self { pid: parts.next()?.into(), owner, age })
    }
}

impl Handover {
    /// Returns the sockets of the reply.
    pub fn into_sockets(self) -> Vec<SocketDetails> {
        match self {
            Self::Stored => vec![SocketDetails::default()],
            Self::Unknown => Vec::new(),
        }
    }

    /// Combines the replies of all nodes.
    pub fn from_sockets(sockets: &[SocketDetails]) -> Self {
        if sockets.is_empty() { Self::Unknown } else { Self::Stored }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_encoding_as_a_selection_of_rooms() {
        for owner in [None, Some("0a785282676f06c9".into())] {
            let request =
                HandoverRequest { pid: "a b".into(), owner, age: Duration::from_millis(7) };
            let selection = request.to_selection();
            assert_eq!(HandoverRequest::from_selection(&selection), Some(request));
        }
        for room in ["", "session 1  p", "\u{1f}session x  p", "\u{1f}session 1 p"] {
            let mut selection = Selection::default();
            selection.to(room);
            assert_eq!(HandoverRequest::from_selection(&selection), None, "{room}");
        }
    }
}
