//! The forms of messages that `@socket.io/redis-adapter` has for plain publish and subscribe: a list of three for broadcasts,
//! numbers of its own for requests, and replies that do not say who replies.

use bytes::Bytes;
use socketio_adapter::{
    Body, ClusterLimits, Format, Message, MessageError, NodeId, RequestId, Selection,
};
use socketio_parser::{Nsp, Object, Value, value};

/// What is asked in ways that this project's servers never ask is turned into what they do ask, and marked, so that the reply
/// has the form that is expected.
const IDS: &str = "ids:";
const ROOMS: &str = "rooms:";

/// `[uid, packet, opts]`.
pub(super) fn broadcast(message: &Message) -> Bytes {
    let mut data = object(message.body.to_value());
    let (packet, opts) = (packet(message, &mut data), take(&mut data, "opts"));
    Format::MsgPack.write(&value!([message.uid.as_str(), packet, opts]))
}

pub(super) fn read_broadcast(wire: &[u8], limits: &ClusterLimits) -> Result<Message, MessageError> {
    let Value::Array(list) = Format::MsgPack.read(wire, limits)? else {
        return Err(MessageError::Malformed("not a list"));
    };
    let mut list = list.into_iter();
    let (Some(Value::String(uid)), Some(packet)) = (list.next(), list.next()) else {
        return Err(MessageError::Field("uid"));
    };
    let nsp = match packet.get("nsp") {
        None | Some(Value::Null) => Nsp::root(),
        Some(nsp) => Nsp::from(nsp.as_str().ok_or(MessageError::Field("nsp"))?.to_owned()),
    };
    let data = value!({ "packet": packet, "opts": list.next().unwrap_or_default() });
    Ok(Message { uid: uid.into(), nsp, body: Body::from_value(3, data)? })
}

/// Whether a broadcast is this node's own, without decoding it.
pub(super) fn is_of(wire: &[u8], uid: &NodeId) -> bool {
    let own = Format::MsgPack.write(&uid.as_str().into());
    wire.strip_prefix(&[0x93]).is_some_and(|rest| rest.starts_with(&own))
}

/// What goes to the channel of requests; nothing for what the engine does without.
pub(super) fn request(message: &Message) -> Option<Bytes> {
    let mut data = object(message.body.to_value());
    let mut out = Object::new();
    let mut put = |name: &str, value: Value| drop(out.insert(name.into(), value));
    put("uid", message.uid.as_str().into());
    match &message.body {
        Body::Broadcast { request: Some(request), .. } => {
            put("requestId", request.as_str().into());
            put("type", 7.into());
            put("packet", packet(message, &mut data));
            put("opts", take(&mut data, "opts"));
            return Some(Format::MsgPack.write(&Value::Object(out)));
        }
        Body::SocketsJoin { selection, .. } | Body::SocketsLeave { selection, .. } => {
            put(
                "type",
                if matches!(message.body, Body::SocketsJoin { .. }) { 2 } else { 3 }.into(),
            );
            put("opts", opts(selection));
            put("rooms", take(&mut data, "rooms"));
        }
        Body::DisconnectSockets { selection, close } => {
            put("type", 4.into());
            put("opts", opts(selection));
            put("close", (*close).into());
        }
        Body::FetchSockets { selection, request } => {
            put("requestId", request.as_str().into());
            put("type", 5.into());
            put("opts", opts(selection));
        }
        Body::ServerSideEmit { request, .. } => {
            if let Some(request) = request {
                put("requestId", request.as_str().into());
            }
            put("type", 6.into());
            put("data", take(&mut data, "packet"));
        }
        _ => return None,
    }
    Some(either(&message.body, out))
}

/// What arrives on the channel of requests: who asks, and for what. A few things that nobody sends any more are asked of old.
pub(super) fn read_request(
    wire: &[u8],
    limits: &ClusterLimits,
) -> Result<(NodeId, Body), MessageError> {
    let mut request = object(Some(Format::of(wire).read(wire, limits)?));
    let kind = number(&request).ok_or(MessageError::Field("type"))?;
    let uid = request.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    let marked = |mark: &str| {
        let id = request.get("requestId").and_then(Value::as_str);
        id.map_or(Value::Null, |id| format!("{mark}{id}").into())
    };
    let body = match kind {
        0 => {
            let (id, opts) = (marked(IDS), value!({ "rooms": take(&mut request, "rooms") }));
            Body::from_value(7, value!({ "requestId": id, "opts": opts }))?
        }
        1 => Body::from_value(7, value!({ "requestId": marked(ROOMS) }))?,
        2..=4 => {
            if !request.contains_key("opts") {
                one_socket(&mut request)?;
            }
            Body::from_value(kind + 2, Value::Object(request))?
        }
        5 => Body::from_value(7, Value::Object(request))?,
        6 => {
            let data = take(&mut request, "data");
            request.insert("packet".into(), data);
            Body::from_value(9, Value::Object(request))?
        }
        7 if request.get("requestId").and_then(Value::as_str).is_some() => {
            Body::from_value(3, Value::Object(request))?
        }
        7 => return Err(MessageError::Field("requestId")),
        unknown => return Err(MessageError::UnknownType(unknown)),
    };
    Ok((uid.into(), body))
}

/// What goes to a channel of replies.
pub(super) fn reply(body: &Body) -> Option<Bytes> {
    let mut data = object(body.to_value());
    let mut out = Object::new();
    match body {
        Body::FetchSocketsResponse { request, sockets } => {
            let id = request.as_str();
            let (name, id, list) = if let Some(id) = id.strip_prefix(IDS) {
                let ids = sockets.iter().map(|socket| (*socket.id).into());
                ("sockets", id, Value::Array(ids.collect()))
            } else if let Some(id) = id.strip_prefix(ROOMS) {
                let rooms = sockets.iter().flat_map(|socket| &socket.rooms);
                let rooms: std::collections::BTreeSet<_> = rooms.collect();
                (
                    "rooms",
                    id,
                    Value::Array(rooms.into_iter().map(|room| room.as_str().into()).collect()),
                )
            } else {
                ("sockets", id, take(&mut data, "sockets"))
            };
            out.insert("requestId".into(), id.into());
            out.insert(name.into(), list);
        }
        Body::ServerSideEmitResponse { request, .. } => {
            out.insert("type".into(), 6.into());
            out.insert("requestId".into(), request.as_str().into());
            out.extend(data.shift_remove("packet").map(|data| ("data".to_owned(), data)));
        }
        Body::BroadcastClientCount { .. } => {
            out.insert("type".into(), 8.into());
            out.extend(data);
        }
        Body::BroadcastAck { .. } => {
            out.insert("type".into(), 9.into());
            out.extend(data);
            return Some(Format::MsgPack.write(&Value::Object(out)));
        }
        _ => return None,
    }
    Some(either(body, out))
}

/// What arrives on a channel of replies; nothing where it is no reply to what this project's servers ask.
pub(super) fn read_reply(
    wire: &[u8],
    limits: &ClusterLimits,
) -> Result<Option<Body>, MessageError> {
    let mut reply = object(Some(Format::of(wire).read(wire, limits)?));
    let id =
        reply.get("requestId").and_then(Value::as_str).ok_or(MessageError::Field("requestId"))?;
    let request = RequestId::from(id.to_owned());
    let kind = match number(&reply) {
        Some(8) => 11,
        Some(9) => 12,
        Some(6) => {
            let data = reply.shift_remove("data");
            reply.extend(data.map(|data| ("packet".to_owned(), data)));
            10
        }
        _ => match reply.get("sockets") {
            Some(Value::Array(sockets))
                if sockets.iter().all(|socket| socket.as_str().is_none()) =>
            {
                8
            }
            _ => return Ok(None),
        },
    };
    let body = Body::from_value(kind, Value::Object(reply))?;
    debug_assert_eq!(body.replies_to(), Some(&request));
    Ok(Some(body))
}

/// The packet with its namespace, as it is here.
fn packet(message: &Message, data: &mut Object) -> Value {
    let mut packet = take(data, "packet");
    if let Value::Object(packet) = &mut packet {
        packet.insert("nsp".into(), message.nsp.as_str().into());
    }
    packet
}

/// Requests have no flags.
fn opts(selection: &Selection) -> Value {
    let names = |rooms: &[socketio_adapter::Room]| {
        Value::Array(rooms.iter().map(|room| room.as_str().into()).collect())
    };
    value!({ "rooms": names(&selection.rooms), "except": names(&selection.except) })
}

/// The form that these requests had before they had options: one socket, one room.
fn one_socket(request: &mut Object) -> Result<(), MessageError> {
    let sid = take(request, "sid");
    // Everybody is what no room would mean.
    let sid = sid.as_str().ok_or(MessageError::Field("opts"))?;
    request.insert("opts".into(), value!({ "rooms": [sid] }));
    if let Some(room) = request.shift_remove("room") {
        request.insert("rooms".into(), Value::Array(vec![room]));
    }
    Ok(())
}

/// JSON, unless binary is inside: readers tell them apart by their first byte.
fn either(body: &Body, out: Object) -> Bytes {
    let format = if body.has_binary() { Format::MsgPack } else { Format::Json };
    format.write(&Value::Object(out))
}

fn number(object: &Object) -> Option<u64> {
    match object.get("type") {
        Some(Value::Number(number)) => number.as_u64(),
        _ => None,
    }
}

fn take(object: &mut Object, name: &str) -> Value {
    object.shift_remove(name).unwrap_or_default()
}

fn object(value: Option<Value>) -> Object {
    match value {
        Some(Value::Object(object)) => object,
        _ => Object::new(),
    }
}
