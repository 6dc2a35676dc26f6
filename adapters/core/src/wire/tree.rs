//! The data of a message as a tree of values, for msgpack.

use std::time::Duration;

use socketio_parser::{Args, Object, Value, value};

use super::parts::{self, EVENT};
use crate::{
    error::MessageError,
    message::{Body, NodeId, SocketDetails},
    selection::{Room, Selection},
};

pub(super) use super::parts::integer;

impl Body {
    /// Returns the data as a tree, for back-ends with other envelopes. Returns `None` if there is
    /// no data.
    pub fn to_value(&self) -> Option<Value> {
        let mut data = Object::new();
        let mut put = |name: &str, value: Value| drop(data.insert(name.into(), value));
        match self {
            Self::InitialHeartbeat | Self::Heartbeat | Self::AdapterClose => return None,
            Self::Broadcast { args, selection, request } => {
                put("packet", value!({ "type": EVENT, "data": event(args) }));
                if let Some(request) = request {
                    put("requestId", request.as_str().into());
                }
                put("opts", opts(selection));
            }
            Self::SocketsJoin { selection, rooms } | Self::SocketsLeave { selection, rooms } => {
                put("opts", opts(selection));
                put("rooms", names(rooms));
            }
            Self::DisconnectSockets { selection, close } => {
                put("opts", opts(selection));
                put("close", (*close).into());
            }
            Self::FetchSockets { selection, request } => {
                put("opts", opts(selection));
                put("requestId", request.as_str().into());
            }
            Self::FetchSocketsResponse { request, sockets } => {
                put("requestId", request.as_str().into());
                put("sockets", Value::Array(sockets.iter().map(socket).collect()));
            }
            Self::ServerSideEmit { args, request } => {
                if let Some(request) = request {
                    put("requestId", request.as_str().into());
                }
                put("packet", event(args));
            }
            Self::BroadcastClientCount { request, clients } => {
                put("requestId", request.as_str().into());
                put("clientCount", (*clients).into());
            }
            Self::ServerSideEmitResponse { request, args }
            | Self::BroadcastAck { request, args } => {
                put("requestId", request.as_str().into());
                // As in Node, further values are not transmitted.
                if let Ok((value,)) = args.decode() {
                    put("packet", value);
                }
            }
        }
        Some(Value::Object(data))
    }

    /// Decodes the data of a message of type `number` from a tree, as returned by
    /// [`to_value`](Self::to_value).
    ///
    /// # Errors
    ///
    /// See [`Message::decode`](crate::Message::decode).
    pub fn from_value(number: u64, data: Value) -> Result<Self, MessageError> {
        let data = match data {
            Value::Null => Object::new(),
            data => object(data).map_err(|_| MessageError::InvalidField("data"))?,
        };
        parts::of_tree(data).body(number)
    }

    /// Returns whether the message contains binary, which JSON cannot represent.
    pub fn has_binary(&self) -> bool {
        match self {
            Self::Broadcast { args, .. }
            | Self::ServerSideEmit { args, .. }
            | Self::ServerSideEmitResponse { args, .. }
            | Self::BroadcastAck { args, .. } => !args.attachments().is_empty(),
            Self::FetchSocketsResponse { sockets, .. } => {
                sockets.iter().any(|socket| binary(&socket.data) || binary(&socket.handshake))
            }
            _ => false,
        }
    }
}

pub(super) fn object(value: Value) -> Result<Object, MessageError> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(MessageError::Malformed("not an object")),
    }
}

/// The id of the sender. Replies of Node's sharded adapter 8.2 lack it.
pub(super) fn sender(uid: Option<String>, body: &Body) -> Result<NodeId, MessageError> {
    match uid {
        Some(uid) => Ok(uid.into()),
        None if body.replies_to().is_some() => Ok(NodeId::default()),
        None => Err(MessageError::InvalidField("uid")),
    }
}

pub(super) fn text(object: &Object, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Returns the list of the event's name and its arguments. In msgpack, half a surrogate pair
/// becomes U+FFFD, and infinity becomes null.
fn event(args: &Args) -> Value {
    let mut list = vec![Value::from(args.event())];
    match args.values() {
        Ok(values) => list.extend(values),
        // Validated arguments can always be decoded. If they could not, nulls would keep their
        // number.
        Err(_) => list.extend(args.iter().map(|_| Value::Null)),
    }
    Value::Array(list)
}

fn opts(selection: &Selection) -> Value {
    let mut flags = Object::new();
    if selection.flags.volatile {
        flags.insert("volatile".into(), true.into());
    }
    if let Some(compress) = selection.flags.compress {
        flags.insert("compress".into(), compress.into());
    }
    if let Some(timeout) = selection.flags.timeout {
        flags.insert("timeout".into(), millis(timeout).into());
    }
    value!({ "rooms": names(&selection.rooms), "except": names(&selection.except), "flags": flags })
}

pub(super) fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}

fn names(rooms: &[Room]) -> Value {
    Value::Array(rooms.iter().map(|room| room.as_str().into()).collect())
}

pub(super) fn socket(socket: &SocketDetails) -> Value {
    let (handshake, data) = (socket.handshake.clone(), socket.data.clone());
    let id = &*socket.id;
    value!({ "id": id, "handshake": handshake, "rooms": names(&socket.rooms), "data": data })
}

fn binary(value: &Value) -> bool {
    match value {
        Value::Binary(_) => true,
        Value::Array(items) => items.iter().any(binary),
        Value::Object(members) => members.values().any(binary),
        _ => false,
    }
}
