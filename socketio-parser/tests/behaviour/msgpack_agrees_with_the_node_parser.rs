//! Golden vectors made with `socket.io-msgpack-parser`, see `xtask/golden/msgpack.mjs`: both directions, the builds for Node
//! and for browsers, and what is refused.
#![cfg(feature = "msgpack")]

use bytes::Bytes;
use serde_json::{Value as Json, json};
use socketio_parser::{
    Content, DecodeError, Decoder, Limits, Nsp, Packet, Parser, Protocol, Value, Values, args,
};

fn vectors(list: &str) -> Vec<Json> {
    let all: Json = serde_json::from_str(include_str!("../golden/msgpack.json")).unwrap();
    let list = all[list].as_array().unwrap().clone();
    assert!(list.len() > 5);
    list
}

fn unhex(hex: &Json) -> Bytes {
    let hex = hex.as_str().unwrap();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn decode(message: Bytes) -> Result<Packet, DecodeError> {
    let mut decoder = Decoder::new(&Limits::default()).with_parser(Parser::MsgPack);
    decoder.decode_binary(message).map(|packet| packet.expect("a packet is one message"))
}

/// A decoded packet in the form of the vectors.
pub(crate) fn described(packet: &Packet) -> Json {
    let raw = |json: &socketio_parser::RawJson| json.decode::<Json>().unwrap();
    let list = |args: &socketio_parser::Args| -> Vec<Json> {
        args.values().unwrap().iter().map(marked).collect()
    };
    let (kind, id, data) = match &packet.content {
        Content::Connect(payload) => (0, None, payload.as_ref().map(raw)),
        Content::Disconnect => (1, None, None),
        Content::Event { id, args } => {
            let name = json!(args.event());
            (2, *id, Some(std::iter::once(name).chain(list(args)).collect()))
        }
        Content::Ack { id, args } => (3, *id, Some(list(args).into())),
        Content::ConnectError(error) => (4, None, Some(raw(error))),
    };
    let absent = data.is_none();
    let id = id.and_then(|id| id.get());
    json!({ "type": kind, "nsp": packet.nsp.as_str(), "id": id, "data": data, "absent": absent })
}

fn marked(value: &Value) -> Json {
    match value {
        Value::Binary(bytes) => json!({ "$bin": hex(bytes) }),
        Value::Array(items) => items.iter().map(marked).collect(),
        Value::Object(object) => {
            Json::Object(object.iter().map(|(key, item)| (key.clone(), marked(item))).collect())
        }
        plain => serde_json::to_value(plain).unwrap(),
    }
}

fn unmarked(json: &Json) -> Value {
    match json {
        Json::Object(object) => match object.get("$bin") {
            Some(hex) => Value::Binary(unhex(hex)),
            None => Value::Object(
                object.iter().map(|(key, item)| (key.clone(), unmarked(item))).collect(),
            ),
        },
        Json::Array(items) => Value::Array(items.iter().map(unmarked).collect()),
        plain => plain.clone().into(),
    }
}

/// JavaScript has one type of number. Here the names of events are always strings.
pub(crate) fn normal(mut packet: Json) -> Json {
    fn numbers(json: &mut Json) {
        match json {
            Json::Number(number) => *json = json!(number.as_f64()),
            Json::Array(items) => items.iter_mut().for_each(numbers),
            Json::Object(object) => object.values_mut().for_each(numbers),
            _ => {}
        }
    }
    if packet["type"] == 2 && packet["data"][0].is_number() {
        packet["data"][0] = packet["data"][0].to_string().into();
    }
    numbers(&mut packet);
    packet
}

#[test]
fn packets_that_node_writes_are_decoded() {
    for list in ["server", "client", "browser", "accepted"] {
        for vector in vectors(list) {
            let packet =
                decode(unhex(&vector["wire"])).unwrap_or_else(|error| panic!("{error}: {vector}"));
            assert_eq!(normal(described(&packet)), normal(vector["packet"].clone()), "{vector}");
        }
    }
}

#[test]
fn packets_that_node_refuses_are_refused() {
    for vector in vectors("rejected") {
        let result = decode(unhex(&vector["wire"]));
        assert!(result.is_err(), "{vector}: {result:?}");
    }
}

#[test]
fn every_byte_is_nodes() {
    for vector in vectors("server") {
        let packet = &vector["packet"];
        let nsp = Nsp::unchecked(packet["nsp"].as_str().unwrap());
        let id = packet["id"].as_u64().map(Into::into);
        let data = packet["data"].as_array().map(|data| &data[..]).unwrap_or_default();
        let values = |items: &[Json]| Values(items.iter().map(unmarked).collect());
        let v5 = Protocol::V5;
        let parser = Parser::MsgPack;
        let frames = match packet["type"].as_u64().unwrap() {
            0 => parser.encode_connect(v5, &nsp, &packet["data"]).unwrap(),
            1 => parser.encode_disconnect(&nsp),
            2 => {
                let event = data[0].as_str().unwrap();
                parser.encode_event(&nsp, id, event, &values(&data[1..])).unwrap()
            }
            3 => parser.encode_ack(&nsp, id.unwrap(), &values(data)).unwrap(),
            _ => {
                let message = packet["data"]["message"].as_str().unwrap();
                parser.encode_connect_error(v5, &nsp, message, &packet["data"]["data"]).unwrap()
            }
        };
        assert_eq!(frames.count(), 1);
        let frame = frames.iter().next().unwrap();
        assert!(frame.is_binary());
        assert_eq!(hex(&frame.payload()), vector["wire"].as_str().unwrap(), "{packet}");
    }
}

/// Found by `node_msgpack`: JavaScript rounds a key beyond 2^53 before it becomes text.
#[test]
fn a_large_number_as_a_key_is_rounded() {
    for (key, text) in [
        (&b"\xcf\xa7ssage\xa2n"[..], "12066114688839426000"),
        (b"\xd3\x80\0\0\0\0\0\0\x01", "-9223372036854776000"),
        (b"\xcf\0\x1f\xff\xff\xff\xff\xff\xff", "9007199254740991"),
    ] {
        let message = [b"\x83\xa4type\0\xa4data\x81", key, b"\x01\xa3nsp\xa1/"].concat();
        let packet = decode(message.into()).unwrap();
        let Content::Connect(Some(data)) = packet.content else { panic!() };
        assert_eq!(data.get(), format!("{{\"{text}\":1}}"));
    }
}

/// Longer than golden vectors should be.
#[test]
fn long_values_have_long_lengths() {
    let (text, bytes) = ("x".repeat(70_000), Bytes::from(vec![7; 70_000]));
    let many = vec![1; 70_000];
    let args = args![text, bytes, many];
    let frames = Parser::MsgPack.encode_event(&Nsp::root(), None, "long", &args).unwrap();
    let message = frames.iter().next().unwrap().payload();
    let packet = decode(message.clone()).unwrap();
    let Content::Event { args: read, .. } = packet.content else { panic!() };
    assert_eq!(read.values().unwrap(), args.0);
    // Binary is not copied.
    let range = message.as_ptr_range();
    assert!(range.contains(&read.attachments()[0].as_ptr()));
}
