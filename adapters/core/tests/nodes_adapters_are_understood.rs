//! Golden vectors: messages that Node's adapters publish are decoded correctly and encoded to the
//! same bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

mod common;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{hello, selection};
use serde_json::Value as Json;
use socketio_adapter::{
    Body, ClusterLimits, Format, Message, MessageError, RequestId, Room, Selection, SocketDetails,
    ack_args, event_args,
};
use socketio_parser::Nsp;
use socketio_parser::{Args, Binary, Value, value};

const SOCKET: &str = "aaaaaaaaaaaaaaaaaaaa";

#[test]
fn golden_vectors_are_decoded_and_encoded_to_the_same_bytes() {
    let vectors: Vec<Json> = serde_json::from_str(include_str!("golden/cluster.json")).unwrap();
    let mut read = 0;
    for vector in &vectors {
        let field = |name: &str| vector[name].as_str();
        let (adapter, name) = (field("adapter").unwrap(), field("name").unwrap());
        let body = match (field("text"), field("hex").or(field("attachment"))) {
            // These protocols have other formats, which `adapters/redis` decodes.
            _ if ["classic", "redis-emitter"].contains(&adapter) => continue,
            // The text only refers to an attachment.
            (Some(text), _) if text.contains("attachmentId") => continue,
            (Some(text), _) if adapter == "postgres-emitter" => of_emitter(text.as_bytes(), text),
            (Some(text), _) => {
                let message = decode(text.as_bytes());
                assert_eq!(message.to_json().unwrap(), text, "{adapter} {name}");
                message.body
            }
            (_, Some(hex)) if adapter == "postgres-emitter" => of_emitter(&bytes(hex), hex),
            (_, Some(hex)) => {
                let message = decode(&bytes(hex));
                assert_eq!(message.to_msgpack(), bytes(hex), "{adapter} {name}");
                message.body
            }
            (None, None) => of_fields(&vector["fields"], name),
        };
        let expected = expected(name);
        assert!(expected.contains(&body), "{adapter} {name}: {body:?} is none of {expected:?}");
        read += 1;
    }
    assert!(read > 80, "{read} vectors");
}

/// Decodes an entry of a stream.
fn of_fields(fields: &Json, name: &str) -> Body {
    let field = |name: &str| fields[name].as_str().unwrap();
    let (number, data) = (field("type").parse().unwrap(), field("data"));
    let limits = ClusterLimits::default();
    if data.starts_with('{') {
        let body = Body::decode(number, Some((Format::Json, data.as_bytes())), &limits).unwrap();
        assert_eq!(body.data_to_json().unwrap().unwrap(), data, "streams {name}");
        return body;
    }
    let packed = STANDARD.decode(data).unwrap();
    let body = Body::decode(number, Some((Format::MsgPack, &packed)), &limits).unwrap();
    assert_eq!(body.data_to_msgpack().unwrap(), packed, "streams {name}");
    assert!(matches!(body.data_to_json(), Err(MessageError::BinaryInJson)));
    body
}

/// Decodes a message of an emitter. It has additional fields and lacks a namespace, which is that
/// of the channel.
fn of_emitter(wire: &[u8], name: &str) -> Body {
    assert!(matches!(
        Message::decode(wire, &ClusterLimits::default()),
        Err(MessageError::InvalidField("nsp"))
    ));
    let message = Message::decode_in(wire, &Nsp::root(), &ClusterLimits::default()).unwrap();
    assert!(message.uid.is_anonymous(), "{name}");
    message.body
}

fn decode(wire: &[u8]) -> Message {
    Message::decode(wire, &ClusterLimits::default()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// Returns the possible meanings of a golden vector.
fn expected(name: &str) -> Vec<Body> {
    let request = |digit: &str| RequestId::from(digit.repeat(8));
    let asked = RequestId::from("e".repeat(16));
    let rooms = |names: &[&str]| names.iter().map(|name| Room::from(*name)).collect::<Vec<_>>();
    let to = |rooms: &[&str]| selection(rooms, &[]);
    let said = |args, selection| Body::Broadcast { args, selection, request: None };
    let server = |args| Body::ServerSideEmit { args, request: None };
    let answered = |answer| Body::ServerSideEmitResponse { request: asked.clone(), args: answer };
    vec![match name {
        "initial heartbeat" => Body::InitialHeartbeat,
        "heartbeat" => Body::Heartbeat,
        "adapter close" => Body::AdapterClose,
        "emit" => said(hello(), to(&[])),
        "emit in a namespace" => said(args("hello", &()), to(&[])),
        "emit to rooms" => {
            let list = value!({ "a": [1, -1, 300, 0.25, "é"] });
            said(args("x", &list), selection(&["r1", "r2"], &["r3"]))
        }
        "emit to one room" => said(args("x", &()), to(&["r1"])),
        "emit to a socket" => said(args("x", &()), to(&[SOCKET])),
        "emit with flags" => {
            let mut flagged = to(&["r1"]);
            flagged.flags.volatile = true;
            flagged.flags.compress = Some(false);
            said(args("x", &true), flagged)
        }
        "emit binary" => said(args("b", &binary(&[1, 2])), to(&[])),
        "emit deep binary" => {
            let list = [bytes_value(&[]), value!({ "b": bytes_value(&[255]) })];
            let deep = value!({ "list": list.to_vec(), "text": "t", "n": 70000 });
            said(args("b", &deep), to(&["r1"]))
        }
        "emit with ack" => asking(args("q", &1), to(&["r1"]), request("03")),
        "emit binary with ack" => asking(args("q", &binary(&[1])), to(&[]), request("04")),
        "join" => Body::SocketsJoin { selection: to(&["r1"]), rooms: rooms(&["a", "b"]) },
        "leave" => Body::SocketsLeave { selection: selection(&[], &["r2"]), rooms: rooms(&["a"]) },
        "disconnect" => Body::DisconnectSockets { selection: to(&["r1"]), close: true },
        "disconnect from the namespace" => {
            Body::DisconnectSockets { selection: to(&[]), close: false }
        }
        "fetch" => Body::FetchSockets { selection: to(&["r1"]), request: request("05") },
        "server side emit" => server(args("ev", &(1, value!({ "a": 2 })))),
        "server side emit binary" => server(args("ev", &binary(&[1, 2, 3]))),
        "server side emit with ack" => {
            Body::ServerSideEmit { args: args("ev", &"x"), request: Some(request("06")) }
        }
        "fetched sockets" => {
            let data = value!({ "user": [1, null] });
            let other = value!({ "blob": bytes_value(&[3]) });
            // Without attachments, JSON contains binary in the form of JavaScript's `toJSON`.
            let in_json = value!({ "blob": { "type": "Buffer", "data": [3] } });
            let second = "bbbbbbbbbbbbbbbbbbbb";
            return [other, in_json]
                .map(|other| Body::FetchSocketsResponse {
                    request: asked.clone(),
                    sockets: vec![details(SOCKET, data.clone()), details(second, other)],
                })
                .to_vec();
        }
        "server side answer" => answered(ack_args(&"answer").unwrap()),
        "server side binary answer" => answered(ack_args(&binary(&[9])).unwrap()),
        "count and answers" => {
            let ack = |answer| Body::BroadcastAck { request: asked.clone(), args: answer };
            return vec![
                Body::BroadcastClientCount { request: asked.clone(), clients: 2 },
                ack(ack_args(&"yes").unwrap()),
                ack(ack_args(&binary(&[1, 2])).unwrap()),
            ];
        }
        other => panic!("unknown vector: {other}"),
    }]
}

fn args<T: serde::Serialize>(event: &str, args: &T) -> Args {
    event_args(event, args).unwrap()
}

fn asking(args: Args, mut selection: Selection, request: RequestId) -> Body {
    selection.flags.timeout = Some(std::time::Duration::from_millis(1500));
    Body::Broadcast { args, selection, request: Some(request) }
}

fn details(id: &'static str, data: Value) -> SocketDetails {
    let handshake = value!({
        "headers": { "host": "x" },
        "time": "Thu Jan 01 1970 00:00:00 GMT+0000",
        "issued": 1,
        "query": { "EIO": "4" },
        "auth": {},
        "secure": false
    });
    let rooms = vec![Room::from(id), Room::from("r1")];
    SocketDetails { id: id.into(), handshake, rooms, data }
}

fn binary(bytes: &[u8]) -> Binary {
    Binary(bytes.to_vec().into())
}

fn bytes_value(bytes: &[u8]) -> Value {
    Value::Binary(bytes.to_vec().into())
}
