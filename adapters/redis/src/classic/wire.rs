//! The message formats of `@socket.io/redis-adapter` for plain pub/sub: a list of three items for
//! broadcasts, its own type numbers for requests, and replies that do not name their sender.

use bytes::Bytes;
use socketio_adapter::{
    Body, ClusterLimits, Format, Message, MessageError, NodeId, RequestId, Selection,
};
use socketio_parser::{Nsp, Object, Value, value};

/// Prefixes of request ids. A request that only Node's servers send is converted to one of ours, and
/// its id is marked, so that the reply gets the format that the sender expects.
const IDS: &str = "ids:";
const ROOMS: &str = "rooms:";

/// Encodes a broadcast as `[uid, packet, opts]`.
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
        return Err(MessageError::InvalidField("uid"));
    };
    let nsp = match packet.get("nsp") {
        None | Some(Value::Null) => Nsp::root(),
        Some(nsp) => Nsp::unchecked(nsp.as_str().ok_or(MessageError::InvalidField("nsp"))?),
    };
    // `from_value` refuses a broadcast without options, which selects no clients.
    let data = value!({ "packet": packet, "opts": list.next().unwrap_or_default() });
    Ok(Message { uid: uid.into(), nsp, body: Body::from_value(3, data)?, seq: None })
}

/// Returns whether a broadcast is this node's own, without decoding it.
pub(super) fn is_sent_by(wire: &[u8], uid: &NodeId) -> bool {
    let own = Format::MsgPack.write(&uid.as_str().into());
    wire.strip_prefix(&[0x93]).is_some_and(|rest| rest.starts_with(&own))
}

/// Encodes a message for the channel of requests. Returns `None` if this protocol does not need it.
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
    Some(encode(&message.body, out))
}

/// Decodes a message from the channel of requests. Returns its sender and its content. Also accepts
/// some formats of older servers.
pub(super) fn read_request(
    wire: &[u8],
    limits: &ClusterLimits,
) -> Result<(NodeId, Body), MessageError> {
    let mut request = object(Some(Format::of(wire).read(wire, limits)?));
    let kind = number(&request).ok_or(MessageError::InvalidField("type"))?;
    let uid = request.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    let marked = |mark: &str| {
        let id = request.get("requestId").and_then(Value::as_str);
        id.map_or(Value::Null, |id| format!("{mark}{id}").into())
    };
    let body = match kind {
        0 => {
            let id = marked(IDS);
            let Value::Array(rooms) = take(&mut request, "rooms") else {
                return Err(MessageError::InvalidField("rooms"));
            };
            Body::from_value(7, value!({ "requestId": id, "opts": { "rooms": rooms } }))?
        }
        1 => Body::from_value(7, value!({ "requestId": marked(ROOMS), "opts": {} }))?,
        2..=4 => {
            if !matches!(request.get("opts"), Some(Value::Object(_))) {
                convert_old_request(&mut request)?;
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
        7 => return Err(MessageError::InvalidField("requestId")),
        unknown => return Err(MessageError::UnknownType(unknown)),
    };
    Ok((uid.into(), body))
}

/// Encodes a message for a channel of replies.
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
            out.extend(data.remove("packet").map(|data| ("data".to_owned(), data)));
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
    Some(encode(body, out))
}

/// Decodes a message from a channel of replies. Returns `None` if it replies to a request that our
/// servers never send.
pub(super) fn read_reply(
    wire: &[u8],
    limits: &ClusterLimits,
) -> Result<Option<Body>, MessageError> {
    let mut reply = object(Some(Format::of(wire).read(wire, limits)?));
    let id = reply
        .get("requestId")
        .and_then(Value::as_str)
        .ok_or(MessageError::InvalidField("requestId"))?;
    let request = RequestId::from(id.to_owned());
    let kind = match number(&reply) {
        Some(8) => 11,
        Some(9) => 12,
        Some(6) => {
            let data = reply.remove("data");
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

/// Returns the packet with its namespace, which this protocol includes.
fn packet(message: &Message, data: &mut Object) -> Value {
    let mut packet = take(data, "packet");
    if let Value::Object(packet) = &mut packet {
        packet.insert("nsp".into(), message.nsp.as_str().into());
    }
    packet
}

/// Returns the options of a request, which have no flags.
fn opts(selection: &Selection) -> Value {
    let names = |rooms: &[socketio_adapter::Room]| {
        Value::Array(rooms.iter().map(|room| room.as_str().into()).collect())
    };
    value!({ "rooms": names(&selection.rooms), "except": names(&selection.except) })
}

/// Converts the older format of a request, with one socket and one room, to options.
fn convert_old_request(request: &mut Object) -> Result<(), MessageError> {
    let sid = take(request, "sid");
    // Everybody is what no room would mean.
    let sid = sid.as_str().ok_or(MessageError::InvalidField("opts"))?;
    request.insert("opts".into(), value!({ "rooms": [sid] }));
    if let Some(room) = request.remove("room") {
        request.insert("rooms".into(), Value::Array(vec![room]));
    }
    Ok(())
}

/// Encodes as JSON, or as msgpack if there is binary. Receivers distinguish them by the first byte.
fn encode(body: &Body, out: Object) -> Bytes {
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
    object.remove(name).unwrap_or_default()
}

fn object(value: Option<Value>) -> Object {
    match value {
        Some(Value::Object(object)) => object,
        _ => Object::new(),
    }
}

#[cfg(test)]
mod tests {
    use socketio_adapter::{SocketDetails, ack_args, event_args};
    use socketio_parser::{Binary, args};

    use super::*;

    fn of(uid: &str, body: Body) -> Message {
        Message { uid: uid.to_owned().into(), nsp: Nsp::root(), body, seq: None }
    }

    fn selection(rooms: &[&str], except: &[&str]) -> Selection {
        let mut selection = Selection::default();
        selection.rooms.extend(rooms.iter().map(|room| socketio_adapter::Room::from(*room)));
        selection.except(except);
        selection
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.bytes().collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// Messages that Node's adapter publishes, with their meaning.
    fn vectors() -> Vec<(&'static str, Selection, socketio_parser::Args)> {
        let mut volatile = selection(&[], &[]);
        volatile.flags.volatile = true;
        volatile.flags.compress = Some(false);
        let x = || event_args("x", &()).unwrap();
        vec![
            (
                "93a66c6a7461577183a47479706502a46461746196a568656c6c6f01a161c0c0cb3ff8000000000000a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
                selection(&[], &[]),
                event_args("hello", &(1, "a", None::<()>, None::<()>, 1.5)).unwrap(),
            ),
            (
                "93a66c6a7461577183a47479706502a46461746191a178a36e7370a12f83a5726f6f6d7391a27231a665786365707491a27232a5666c61677380",
                selection(&["r1"], &["r2"]),
                x(),
            ),
            (
                "93a66c6a7461577183a47479706502a46461746191a178a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677382a8766f6c6174696c65c3a8636f6d7072657373c2",
                volatile,
                x(),
            ),
            (
                "93a66c6a7461577183a47479706502a46461746192a162c4020102a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
                selection(&[], &[]),
                event_args("b", &Binary(vec![1, 2].into())).unwrap(),
            ),
        ]
    }

    #[test]
    fn broadcasts_have_the_same_bytes_as_nodes() {
        for (vector, selection, args) in vectors() {
            let message = of("ljtaWq", Body::Broadcast { args, selection, request: None });
            assert_eq!(hex(&broadcast(&message)), vector);
            let read = read_broadcast(&bytes(vector), &ClusterLimits::default()).unwrap();
            assert_eq!(read, message);
            assert!(is_sent_by(&bytes(vector), &"ljtaWq".into()));
            assert!(!is_sent_by(&bytes(vector), &"ljtaW".into()));
        }
    }

    #[test]
    fn broadcasts_with_dates_and_of_emitters_are_decoded() {
        let limits = ClusterLimits::default();
        let date = bytes(
            "93a66c6a7461577183a47479706502a46461746192a164d6ff00000000a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
        );
        let Body::Broadcast { args, .. } = read_broadcast(&date, &limits).unwrap().body else {
            panic!();
        };
        assert_eq!(args.values().unwrap(), args!["1970-01-01T00:00:00.000Z"].0);

        let emitter = bytes(
            "93a7656d697474657283a47479706502a46461746191a178a36e7370a12f83a5726f6f6d7391a27231a5666c61677381a8766f6c6174696c65c3a665786365707491a27232",
        );
        let message = read_broadcast(&emitter, &limits).unwrap();
        assert_eq!(message.uid.as_str(), NodeId::EMITTER);
        let Body::Broadcast { selection: got, .. } = message.body else { panic!() };
        let mut expected = selection(&["r1"], &["r2"]);
        expected.flags.volatile = true;
        assert_eq!(got, expected);
    }

    #[test]
    fn a_broadcast_without_a_namespace_belongs_to_the_main_namespace() {
        let wire = Format::MsgPack.write(&value!(["u", { "type": 2, "data": ["x"] }, {}]));
        assert_eq!(read_broadcast(&wire, &ClusterLimits::default()).unwrap().nsp, Nsp::root());
    }

    #[test]
    fn requests_have_the_same_text_as_nodes() {
        let rooms = vec!["a".into()];
        for (body, text) in [
            (
                Body::SocketsJoin { selection: selection(&["r1"], &["r2"]), rooms: rooms.clone() },
                r#"{"uid":"u","type":2,"opts":{"rooms":["r1"],"except":["r2"]},"rooms":["a"]}"#,
            ),
            (
                Body::SocketsLeave { selection: selection(&[], &[]), rooms },
                r#"{"uid":"u","type":3,"opts":{"rooms":[],"except":[]},"rooms":["a"]}"#,
            ),
            (
                Body::DisconnectSockets { selection: selection(&["r1"], &[]), close: true },
                r#"{"uid":"u","type":4,"opts":{"rooms":["r1"],"except":[]},"close":true}"#,
            ),
            (
                Body::FetchSockets { selection: selection(&["r1"], &[]), request: "1".into() },
                r#"{"uid":"u","requestId":"1","type":5,"opts":{"rooms":["r1"],"except":[]}}"#,
            ),
            (
                Body::ServerSideEmit { args: event_args("x", &(1,)).unwrap(), request: None },
                r#"{"uid":"u","type":6,"data":["x",1]}"#,
            ),
            (
                Body::ServerSideEmit {
                    args: event_args("x", &()).unwrap(),
                    request: Some("1".into()),
                },
                r#"{"uid":"u","requestId":"1","type":6,"data":["x"]}"#,
            ),
        ] {
            let wire = request(&of("u", body.clone())).unwrap();
            assert_eq!(str::from_utf8(&wire).unwrap(), text);
            let (uid, read) = read_request(&wire, &ClusterLimits::default()).unwrap();
            assert_eq!((uid.as_str(), read), ("u", body));
        }
    }

    #[test]
    fn a_broadcast_with_acks_is_a_map_in_nodes_order() {
        let mut selection = selection(&["r"], &[]);
        selection.flags.timeout = Some(std::time::Duration::from_secs(1));
        let args = event_args("x", &()).unwrap();
        let body = Body::Broadcast { args, selection, request: Some("1".into()) };
        let wire = request(&of("u", body.clone())).unwrap();
        let read = Format::MsgPack.read(&wire, &ClusterLimits::default()).unwrap();
        let Value::Object(map) = &read else { panic!("{read:?}") };
        let names: Vec<_> = map.keys().map(String::as_str).collect();
        assert_eq!(names, ["uid", "requestId", "type", "packet", "opts"]);
        assert_eq!(read.get("packet"), Some(&value!({ "type": 2, "data": ["x"], "nsp": "/" })));
        assert_eq!(read_request(&wire, &ClusterLimits::default()).unwrap().1, body);
    }

    #[test]
    fn a_server_side_event_with_binary_is_msgpack() {
        let args = event_args("x", &Binary(vec![1].into())).unwrap();
        let body = Body::ServerSideEmit { args, request: None };
        let wire = request(&of("u", body.clone())).unwrap();
        assert_eq!(Format::of(&wire), Format::MsgPack);
        assert_eq!(read_request(&wire, &ClusterLimits::default()).unwrap().1, body);
    }

    #[test]
    fn requests_of_emitters_and_older_servers_are_decoded() {
        let read = |text: &str| read_request(text.as_bytes(), &ClusterLimits::default()).unwrap();
        let (uid, body) = read(r#"{"type":2,"opts":{"rooms":[],"except":[]},"rooms":["a"]}"#);
        assert!(uid.is_anonymous());
        assert!(matches!(body, Body::SocketsJoin { .. }));
        let (_, body) = read(r#"{"type":3,"requestId":"1","sid":"s","room":"a"}"#);
        let rooms = vec!["a".into()];
        assert_eq!(body, Body::SocketsLeave { selection: selection(&["s"], &[]), rooms });
        let (_, body) = read(r#"{"type":4,"requestId":"1","sid":"s","close":true}"#);
        assert_eq!(
            body,
            Body::DisconnectSockets { selection: selection(&["s"], &[]), close: true }
        );
    }

    #[test]
    fn a_message_without_recipients_is_refused() {
        let limits = ClusterLimits::default();
        let event = || value!({ "type": 2, "data": ["x"], "nsp": "/" });
        for broadcast in [value!(["u", event()]), value!(["u", event(), null])] {
            let refused = read_broadcast(&Format::MsgPack.write(&broadcast), &limits);
            assert!(refused.is_err(), "{broadcast:?}: {refused:?}");
        }
        for request in [
            value!({ "type": 0, "requestId": "1" }),
            value!({ "type": 2, "rooms": ["a"] }),
            value!({ "type": 2, "rooms": ["a"], "opts": null }),
            value!({ "type": 3, "rooms": ["a"] }),
            value!({ "type": 3, "rooms": ["a"], "opts": null }),
            value!({ "type": 4, "close": true }),
            value!({ "type": 4, "close": true, "opts": null }),
            value!({ "type": 5, "requestId": "1" }),
            value!({ "type": 5, "requestId": "1", "opts": null }),
            value!({ "type": 7, "requestId": "1", "packet": event() }),
            value!({ "type": 7, "requestId": "1", "packet": event(), "opts": null }),
        ] {
            for format in [Format::Json, Format::MsgPack] {
                let refused = read_request(&format.write(&request), &limits);
                assert!(refused.is_err(), "{request:?}: {refused:?}");
            }
        }
    }

    fn socket(id: &'static str, rooms: &[&str]) -> SocketDetails {
        let rooms = rooms.iter().map(|room| (*room).into()).collect();
        SocketDetails { id: id.into(), rooms, ..SocketDetails::default() }
    }

    #[test]
    fn requests_that_only_node_sends_are_answered_in_its_format() {
        let sockets = vec![socket("s", &["s", "r"]), socket("t", &["t", "r"])];
        for (asked, answered) in [
            (
                r#"{"uid":"u","requestId":"1","type":0,"rooms":["r"]}"#,
                r#"{"requestId":"1","sockets":["s","t"]}"#,
            ),
            (
                r#"{"uid":"u","requestId":"1","type":1}"#,
                r#"{"requestId":"1","rooms":["r","s","t"]}"#,
            ),
        ] {
            let (_, body) = read_request(asked.as_bytes(), &ClusterLimits::default()).unwrap();
            let Body::FetchSockets { request, .. } = body else { panic!("{body:?}") };
            let body = Body::FetchSocketsResponse { request, sockets: sockets.clone() };
            assert_eq!(str::from_utf8(&reply(&body).unwrap()).unwrap(), answered);
            // It is not mistaken for a reply to one of our requests.
            assert_eq!(read_reply(answered.as_bytes(), &ClusterLimits::default()).unwrap(), None);
        }
    }

    #[test]
    fn replies_have_the_same_text_as_nodes() {
        let id = || RequestId::from("1");
        for (body, text) in [
            (
                Body::FetchSocketsResponse { request: id(), sockets: vec![socket("s", &["r"])] },
                r#"{"requestId":"1","sockets":[{"id":"s","handshake":null,"rooms":["r"],"data":null}]}"#,
            ),
            (
                Body::FetchSocketsResponse { request: id(), sockets: Vec::new() },
                r#"{"requestId":"1","sockets":[]}"#,
            ),
            (
                Body::ServerSideEmitResponse { request: id(), args: ack_args(&2).unwrap() },
                r#"{"type":6,"requestId":"1","data":2}"#,
            ),
            (
                Body::ServerSideEmitResponse { request: id(), args: ack_args(&()).unwrap() },
                r#"{"type":6,"requestId":"1"}"#,
            ),
            (
                Body::BroadcastClientCount { request: id(), clients: 3 },
                r#"{"type":8,"requestId":"1","clientCount":3}"#,
            ),
        ] {
            let wire = reply(&body).unwrap();
            assert_eq!(str::from_utf8(&wire).unwrap(), text);
            assert_eq!(read_reply(&wire, &ClusterLimits::default()).unwrap(), Some(body));
        }
        let body = Body::BroadcastAck { request: id(), args: ack_args(&"a").unwrap() };
        let wire = reply(&body).unwrap();
        assert_eq!(&wire[..], b"\x83\xa4type\x09\xa9requestId\xa11\xa6packet\xa1a");
        assert_eq!(read_reply(&wire, &ClusterLimits::default()).unwrap(), Some(body));
        let done = read_reply(br#"{"requestId":"1"}"#, &ClusterLimits::default());
        assert_eq!(done.unwrap(), None);
    }

    #[test]
    fn garbage_is_an_error() {
        let limits = ClusterLimits::default().max_message_bytes(1000);
        let deep = format!(r#"{{"type":6,"data":{}"#, "[".repeat(900));
        let (large, nested) = (vec![b'{'; 1001], vec![0x91; 1000]);
        let cases: [&[u8]; 12] = [
            b"",
            b"{",
            b"{}",
            b"null",
            b"[]",
            b"\xc1",
            b"\x93\x01\x02\x03",
            br#"{"type":99}"#,
            br#"{"type":7,"uid":"u"}"#,
            deep.as_bytes(),
            &large,
            &nested,
        ];
        for garbage in cases {
            assert!(read_request(garbage, &limits).is_err(), "{garbage:?}");
            assert!(read_broadcast(garbage, &limits).is_err(), "{garbage:?}");
            assert!(read_reply(garbage, &limits).is_err(), "{garbage:?}");
        }
    }

    /// Mutated messages. Each that is accepted is still accepted after it was encoded again.
    #[test]
    fn redis_wire() {
        let limits = ClusterLimits::default();
        let mut seeds: Vec<_> = vectors().iter().map(|(vector, ..)| bytes(vector)).collect();
        seeds.extend(
            [
                r#"{"uid":"u","type":2,"opts":{"rooms":["r1"],"except":["r2"]},"rooms":["a"]}"#,
                r#"{"uid":"u","type":4,"opts":{"rooms":["r1"],"except":[]},"close":true}"#,
                r#"{"uid":"u","requestId":"1","type":5,"opts":{"rooms":["r1"],"except":[]}}"#,
                r#"{"uid":"u","requestId":"1","type":6,"data":["x",1]}"#,
                r#"{"requestId":"1","type":0,"rooms":["a"]}"#,
                r#"{"requestId":"1","type":3,"sid":"s","room":"a"}"#,
                r#"{"requestId":"1","type":8,"clientCount":2}"#,
                r#"{"requestId":"1","type":6,"data":[1]}"#,
                r#"{"requestId":"1","sockets":[{"id":"s","handshake":{},"rooms":["a"],"data":{}}]}"#,
            ]
            .map(|text| text.as_bytes().to_vec()),
        );
        fuzz::run("redis_wire", 5000, &seeds, |input| {
            if let Ok(message) = read_broadcast(input, &limits) {
                assert!(read_broadcast(&broadcast(&message), &limits).is_ok());
            }
            if let Ok((uid, body)) = read_request(input, &limits) {
                let wire = request(&of(uid.as_str(), body));
                assert!(wire.is_none_or(|wire| read_request(&wire, &limits).is_ok()));
            }
            if let Ok(Some(body)) = read_reply(input, &limits) {
                let wire = reply(&body);
                assert!(wire.is_none_or(|wire| matches!(read_reply(&wire, &limits), Ok(Some(_)))));
            }
        });
    }
}
