//! The messages between nodes.

use std::{borrow::Borrow, fmt};

use bytestring::ByteString;
use socketio_parser::{Args, Nsp, Value};

use crate::selection::{Room, Selection};

/// The name of a node in one namespace: 16 hexadecimal digits for our nodes, any text for others.
/// Empty if the protocol of the back-end does not name the sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(ByteString);

impl NodeId {
    /// The reserved name under which programs without a server publish.
    pub const EMITTER: &str = "emitter";

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this names no node: a program that only emits, or an unknown sender.
    /// Requests do not wait for it.
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

/// The id that connects replies to a request. It is unique in the cluster, because some back-ends
/// deliver every reply to every node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(ByteString);

impl RequestId {
    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<ByteString>> From<T> for RequestId {
    fn from(id: T) -> Self {
        Self(id.into())
    }
}

/// A message, as Node's cluster adapters exchange them. [`to_json`](Self::to_json) and
/// [`to_msgpack`](Self::to_msgpack) encode it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The sender.
    pub uid: NodeId,
    /// The namespace, with its leading slash.
    pub nsp: Nsp,
    /// The content.
    pub body: Body,
    /// The number that the sender gave to an event for the engine's log. The sender recognizes the
    /// event by it when the log returns it. Other nodes, and Node's adapters, ignore it.
    pub seq: Option<u64>,
}

/// The content of a message. The numbers are the types on the wire.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// 1: the sender has joined. Other nodes reply with a heartbeat.
    InitialHeartbeat,
    /// 2: the sender is alive.
    Heartbeat,
    /// 3: an event for the selected clients.
    Broadcast {
        /// The event and its arguments.
        args: Args,
        /// The recipients. The flag `local` is not transmitted.
        selection: Selection,
        /// Present if acks are requested. Each node replies with one `BroadcastClientCount`, then
        /// with one `BroadcastAck` per ack.
        request: Option<RequestId>,
    },
    /// 4: the selected sockets join rooms.
    SocketsJoin {
        /// The sockets.
        selection: Selection,
        /// The rooms.
        rooms: Vec<Room>,
    },
    /// 5: the selected sockets leave rooms.
    SocketsLeave {
        /// The sockets.
        selection: Selection,
        /// The rooms.
        rooms: Vec<Room>,
    },
    /// 6: the selected sockets are disconnected.
    DisconnectSockets {
        /// The sockets.
        selection: Selection,
        /// Whether to close the whole connection of each socket.
        close: bool,
    },
    /// 7: asks for the selected sockets of each node.
    FetchSockets {
        /// The sockets.
        selection: Selection,
        /// The id of the request.
        request: RequestId,
    },
    /// 8: the reply to 7.
    FetchSocketsResponse {
        /// The id of the request.
        request: RequestId,
        /// The sockets of the sender.
        sockets: Vec<SocketDetails>,
    },
    /// 9: an event for the servers themselves.
    ServerSideEmit {
        /// The event and its arguments.
        args: Args,
        /// Present if a reply is requested.
        request: Option<RequestId>,
    },
    /// 10: the reply to 9.
    ServerSideEmitResponse {
        /// The id of the request.
        request: RequestId,
        /// The reply. Only its first value is transmitted.
        args: Args,
    },
    /// 11: the number of the sender's clients that got a broadcast with acks.
    BroadcastClientCount {
        /// The id of the request.
        request: RequestId,
        /// The number of clients.
        clients: u64,
    },
    /// 12: the ack of one client.
    BroadcastAck {
        /// The id of the request.
        request: RequestId,
        /// The ack. Only its first value is transmitted.
        args: Args,
    },
    /// 13: the sender leaves.
    AdapterClose,
}

impl Body {
    /// Returns the type on the wire.
    pub fn type_number(&self) -> u8 {
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

    /// Returns the id of the request that this replies to. Only one node processes a reply.
    pub fn replies_to(&self) -> Option<&RequestId> {
        match self {
            Self::FetchSocketsResponse { request, .. }
            | Self::ServerSideEmitResponse { request, .. }
            | Self::BroadcastClientCount { request, .. }
            | Self::BroadcastAck { request, .. } => Some(request),
            _ => None,
        }
    }

    /// Returns the room of a plain broadcast to exactly one room. Back-ends with a channel per room
    /// publish it there, so only nodes with the room receive it.
    pub fn only_room(&self) -> Option<&Room> {
        match self {
            Self::Broadcast { selection, request: None, .. } => match &selection.rooms[..] {
                [room] => Some(room),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the approximate memory in bytes.
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
                Self::ServerSideEmitResponse { args, .. } | Self::BroadcastAck { args, .. } => {
                    args.bytes()
                }
                _ => 0,
            };
        size_of::<Message>() + contents
    }
}

/// A socket as other nodes see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SocketDetails {
    /// The id of the socket.
    pub id: ByteString,
    /// The handshake of the socket: `headers`, `time`, `address`, `xdomain`, `secure`, `issued`,
    /// `url`, `query`, `auth`.
    pub handshake: Value,
    /// The rooms of the socket, including the room of its own id.
    pub rooms: Vec<Room>,
    /// The data of the socket that is shared with other nodes.
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
    fn emitters_and_unknown_senders_are_anonymous() {
        assert!(NodeId::from("emitter").is_anonymous());
        assert!(NodeId::default().is_anonymous());
        assert!(!NodeId::from("0a785282676f06c9").is_anonymous());
    }

    #[test]
    fn the_size_of_a_message_includes_its_contents() {
        let (small, large) = (broadcast(&["a"], None), broadcast(&["a", &"b".repeat(1000)], None));
        assert!(large.bytes() >= small.bytes() + 1000);
    }
}
