//! What nodes say to each other.

use std::{borrow::Borrow, fmt};

use bytestring::ByteString;
use socketio_parser::{Args, Nsp, Value};

use crate::selection::{Room, Selection};

/// The name of a node in one namespace: 16 hexadecimal digits where this project makes it, any text where it came from
/// elsewhere. Empty where the back-end's protocol does not say who speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(ByteString);

impl NodeId {
    /// The reserved name under which programs without a server publish.
    pub const EMITTER: &str = "emitter";

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is no node: a program that only emits, or somebody unknown. Nobody waits for it.
    pub fn is_anonymous(&self) -> bool {
        self.0.is_empty() || *self.0 == *Self::EMITTER
    }
}

impl<T: Into<ByteString>> From<T> for NodeId {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Ties replies to a request. Unique in the whole cluster, since some back-ends carry every reply to every node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(ByteString);

impl RequestId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<ByteString>> From<T> for RequestId {
    fn from(id: T) -> Self {
        Self(id.into())
    }
}

/// One message, as Node's cluster adapters exchange them: who says what about which namespace. Its forms on the wire are
/// those of [`to_json`](Self::to_json) and [`to_msgpack`](Self::to_msgpack).
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The sender.
    pub uid: NodeId,
    /// The namespace, with its leading slash.
    pub nsp: Nsp,
    /// What it says.
    pub body: Body,
}

/// What a message says. The numbers are those of the wire.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// 1: a node has joined; the others answer with a heartbeat.
    InitialHeartbeat,
    /// 2: the sender is alive.
    Heartbeat,
    /// 3: an event for the clients a selection names.
    Broadcast {
        /// The event and its arguments.
        args: Args,
        /// Who it is for. Its flag `local` never travels.
        selection: Selection,
        /// Present where the clients' answers are wanted: each node replies with one `BroadcastClientCount`, then one
        /// `BroadcastAck` per answer.
        request: Option<RequestId>,
    },
    /// 4: the selected sockets join rooms.
    SocketsJoin {
        /// Which sockets.
        selection: Selection,
        /// The rooms.
        rooms: Vec<Room>,
    },
    /// 5: the selected sockets leave rooms.
    SocketsLeave {
        /// Which sockets.
        selection: Selection,
        /// The rooms.
        rooms: Vec<Room>,
    },
    /// 6: the selected sockets are disconnected.
    DisconnectSockets {
        /// Which sockets.
        selection: Selection,
        /// Whether their whole connections are closed.
        close: bool,
    },
    /// 7: which sockets are there?
    FetchSockets {
        /// Which are asked for.
        selection: Selection,
        /// What the reply names.
        request: RequestId,
    },
    /// 8: the reply to 7.
    FetchSocketsResponse {
        /// Which request.
        request: RequestId,
        /// The sockets of the sender.
        sockets: Vec<SocketDetails>,
    },
    /// 9: an event for the servers themselves.
    ServerSideEmit {
        /// The event and its arguments.
        args: Args,
        /// Present where an answer is wanted.
        request: Option<RequestId>,
    },
    /// 10: the reply to 9.
    ServerSideEmitResponse {
        /// Which request.
        request: RequestId,
        /// The answer; only its first value travels.
        answer: Args,
    },
    /// 11: how many clients of the sender got a broadcast that asks for answers.
    BroadcastClientCount {
        /// Which request.
        request: RequestId,
        /// How many.
        clients: u64,
    },
    /// 12: the answer of one client.
    BroadcastAck {
        /// Which request.
        request: RequestId,
        /// The answer; only its first value travels.
        answer: Args,
    },
    /// 13: the sender leaves.
    AdapterClose,
}

impl Body {
    /// The number of the wire.
    pub fn number(&self) -> u8 {
        match self {
            Self::InitialHeartbeat => 1,
            Self::Heartbeat => 2,
            Self::Broadcast { .. } => 3,
            Self::SocketsJoin { .. } => 4,
            Self::SocketsLeave { .. } => 5,
            Self::DisconnectSockets { .. } => 6,
            Self::FetchSockets { .. } => 7,
            Self::FetchSocketsResponse { .. } => 8,
            Self::ServerSideEmit { .. } => 9,
            Self::ServerSideEmitResponse { .. } => 10,
            Self::BroadcastClientCount { .. } => 11,
            Self::BroadcastAck { .. } => 12,
            Self::AdapterClose => 13,
        }
    }

    /// The request this is a reply to. Replies concern one node alone.
    pub fn replies_to(&self) -> Option<&RequestId> {
        match self {
            Self::FetchSocketsResponse { request, .. }
            | Self::ServerSideEmitResponse { request, .. }
            | Self::BroadcastClientCount { request, .. }
            | Self::BroadcastAck { request, .. } => Some(request),
            _ => None,
        }
    }

    /// The one room of a plain broadcast: back-ends with a channel per room publish it there, so that nodes without that
    /// room never see it.
    pub fn only_room(&self) -> Option<&Room> {
        match self {
            Self::Broadcast { selection, request: None, .. } => match &selection.rooms[..] {
                [room] => Some(room),
                _ => None,
            },
            _ => None,
        }
    }

    /// Roughly how many bytes this keeps in memory.
    pub fn bytes(&self) -> usize {
        let contents =
            match self {
                Self::Broadcast { args, selection, .. } => args.bytes() + named(selection),
                Self::SocketsJoin { selection, rooms }
                | Self::SocketsLeave { selection, rooms } => named(selection) + list(rooms),
                Self::DisconnectSockets { selection, .. }
                | Self::FetchSockets { selection, .. } => named(selection),
                Self::FetchSocketsResponse { sockets, .. } => {
                    sockets.iter().map(SocketDetails::bytes).sum()
                }
                Self::ServerSideEmit { args, .. } => args.bytes(),
                Self::ServerSideEmitResponse { answer, .. } | Self::BroadcastAck { answer, .. } => {
                    answer.bytes()
                }
                _ => 0,
            };
        size_of::<Message>() + contents
    }
}

/// A socket, as other nodes see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SocketDetails {
    /// Its id.
    pub id: ByteString,
    /// Its handshake: `headers`, `time`, `address`, `xdomain`, `secure`, `issued`, `url`, `query`, `auth`.
    pub handshake: Value,
    /// The rooms it is in, that of its id among them.
    pub rooms: Vec<Room>,
    /// Its data, as far as it is shared.
    pub data: Value,
}

impl SocketDetails {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.id.len()
            + list(&self.rooms)
            + weight(&self.handshake)
            + weight(&self.data)
    }
}

fn named(selection: &Selection) -> usize {
    list(&selection.rooms) + list(&selection.except)
}

fn list(rooms: &[Room]) -> usize {
    rooms.iter().map(|room| size_of::<Room>() + room.len()).sum()
}

fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(members) => {
                members.iter().map(|(key, value)| key.len() + weight(value)).sum()
            }
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::event_args;

    fn broadcast(rooms: &[&str], request: Option<&'static str>) -> Body {
        let mut selection = Selection::default();
        selection.rooms.extend(rooms.iter().map(|room| Room::from(*room)));
        let args = event_args("x", &()).unwrap();
        Body::Broadcast { args, selection, request: request.map(RequestId::from) }
    }

    #[test]
    fn only_a_plain_broadcast_to_one_room_goes_to_its_channel() {
        assert_eq!(broadcast(&["a"], None).only_room(), Some(&Room::from("a")));
        for other in
            [broadcast(&[], None), broadcast(&["a", "b"], None), broadcast(&["a"], Some("1"))]
        {
            assert_eq!(other.only_room(), None);
        }
    }

    #[test]
    fn emitters_and_the_unknown_are_no_nodes() {
        assert!(NodeId::from("emitter").is_anonymous());
        assert!(NodeId::default().is_anonymous());
        assert!(!NodeId::from("0a785282676f06c9").is_anonymous());
    }

    #[test]
    fn what_a_message_keeps_is_counted_with_its_contents() {
        let (small, large) = (broadcast(&["a"], None), broadcast(&["a", &"b".repeat(1000)], None));
        assert!(large.bytes() >= small.bytes() + 1000);
    }
}
