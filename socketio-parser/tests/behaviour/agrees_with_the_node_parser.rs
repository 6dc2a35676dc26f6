//! Golden vectors recorded with the Node packages (`xtask/golden/socketio.mjs`): encoding, decoding
//! and refusals.

use crate::common;

use bytes::Bytes;
use engineio_parser::{Frames, PacketData};
use serde_json::{Value as Json, json};
use socketio_parser::{
    AckId, Args, Content, DecodeError, Decoder, Limits, Nsp, Packet, Protocol, Value, encode_ack,
    encode_connect, encode_connect_error, encode_disconnect, encode_event,
};

fn vectors(list: &str) -> Vec<Json> {
    let all: Json = serde_json::from_str(include_str!("../golden/vectors.json")).unwrap();
    let list = all[list].as_array().unwrap().clone();
    assert!(list.len() > 5);
    list
}

fn unhex(hex: &str) -> Bytes {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// The messages of a vector.
fn wire(vector: &Json) -> Vec<PacketData> {
    let text = PacketData::Text(vector["text"].as_str().unwrap().into());
    let attachments = vector["attachments"].as_array().unwrap().iter();
    let attachments = attachments.map(|hex| PacketData::Binary(unhex(hex.as_str().unwrap())));
    std::iter::once(text).chain(attachments).collect()
}

fn decode(vector: &Json) -> Result<Option<Packet>, DecodeError> {
    common::feed(&mut Decoder::new(&Limits::default()), &wire(vector))
}

/// A decoded packet in the form of the vectors.
pub(crate) fn described(packet: &Packet) -> Json {
    let raw = |json: &socketio_parser::RawJson| json.decode::<Json>().unwrap();
    let list = |args: &Args, event: Option<Json>| -> Json {
        let values = args.values().unwrap().iter().map(marked).collect::<Vec<_>>();
        event.into_iter().chain(values).collect()
    };
    let event = |args: &Args| Some(json!(args.event()));
    let (kind, id, data) = match &packet.content {
        Content::Connect(payload) => (0, None, payload.as_ref().map(raw)),
        Content::Disconnect => (1, None, None),
        Content::Event { id, args } => (2, *id, Some(list(args, event(args)))),
        Content::Ack { id, args } => (3, *id, Some(list(args, None))),
        Content::ConnectError(error) => (4, None, Some(raw(error))),
    };
    let id = id.map(|id| id.to_string());
    json!({ "type": kind, "nsp": packet.nsp.as_str(), "id": id, "data": data })
}

/// Binary as the vectors write it.
fn marked(value: &Value) -> Json {
    match value {
        Value::Binary(bytes) => {
            json!({ "$bin": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
        }
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
            Some(hex) => Value::Binary(unhex(hex.as_str().unwrap())),
            None => Value::Object(
                object.iter().map(|(key, item)| (key.clone(), unmarked(item))).collect(),
            ),
        },
        Json::Array(items) => Value::Array(items.iter().map(unmarked).collect()),
        plain => plain.clone().into(),
    }
}

/// The packet of a vector in the same form. Here the names of events are always strings.
pub(crate) fn expected(vector: &Json) -> Json {
    let mut packet = vector["packet"].clone();
    let absent = packet.as_object_mut().unwrap().remove("absent") == Some(json!(true));
    match (packet["type"].as_u64().unwrap(), absent) {
        // The id of a packet without a payload does not matter.
        (0 | 1 | 4, _) => packet["id"] = Json::Null,
        (2, false) => {
            let name = &mut packet["data"][0];
            *name = match name.take() {
                Json::Number(number) => match number.as_f64().unwrap() {
                    1e21 => json!("1e+21"),
                    number => json!(number.to_string()),
                },
                name => name,
            };
        }
        (2, true) => packet["data"] = json!([""]),
        (3, true) => packet["data"] = json!([]),
        _ => {}
    }
    if packet["type"] == 4 && absent {
        packet["data"] = json!({});
    }
    // Numbers are equal whether written `1` or `1.0`.
    rewritten(packet)
}

pub(crate) fn rewritten(json: Json) -> Json {
    match json {
        Json::Number(number) => json!(number.as_f64()),
        Json::Array(items) => items.into_iter().map(rewritten).collect(),
        Json::Object(object) => {
            Json::Object(object.into_iter().map(|(key, item)| (key, rewritten(item))).collect())
        }
        other => other,
    }
}

fn encode(packet: &Json) -> Frames {
    let nsp = Nsp::unchecked(packet["nsp"].as_str().unwrap());
    let id = packet["id"].as_str().map(|id| match id.parse::<u64>() {
        Ok(id) => AckId::from(id),
        // An id larger than any integer type keeps its digits.
        Err(_) => match common::decode(&format!("3{id}[]"), &[]).unwrap().unwrap().content {
            Content::Ack { id, .. } => id.unwrap(),
            other => panic!("{other:?}"),
        },
    });
    let data =
        packet["data"].as_array().map(|items| items.iter().map(unmarked).collect::<Vec<_>>());
    match packet["type"].as_u64().unwrap() {
        0 => encode_connect(Protocol::V5, &nsp, &packet["data"]).unwrap(),
        1 => encode_disconnect(&nsp),
        2 => {
            let mut args = data.unwrap();
            let name = args.remove(0);
            let args = socketio_parser::Values(args);
            encode_event(&nsp, id, name.as_str().unwrap(), &args).unwrap()
        }
        3 => encode_ack(&nsp, id.unwrap(), &socketio_parser::Values(data.unwrap())).unwrap(),
        _ => {
            let error = &packet["data"];
            let message = error["message"].as_str().unwrap();
            encode_connect_error(Protocol::V5, &nsp, message, &error["data"]).unwrap()
        }
    }
}

#[test]
fn packets_are_encoded_byte_for_byte_as_by_node() {
    for vector in vectors("encoded") {
        assert_eq!(common::messages(&encode(&vector["packet"])), wire(&vector));
    }
}

#[test]
fn packets_that_node_encodes_or_accepts_are_decoded_alike() {
    for vector in vectors("encoded").into_iter().chain(vectors("accepted")) {
        let packet = decode(&vector).unwrap_or_else(|error| panic!("{vector}: {error}"));
        assert_eq!(rewritten(described(&packet.unwrap())), expected(&vector), "{vector}");
    }
}

#[test]
fn packets_that_node_rejects_are_rejected_with_its_words() {
    for vector in vectors("rejected") {
        let error = decode(&vector).expect_err(&vector.to_string()).to_string();
        assert_eq!(error, vector["error"].as_str().unwrap(), "{vector}");
    }
}

/// Packets that Node decodes wrongly, or accepts although no client sends them.
#[test]
fn differences_from_node_are_as_listed() {
    let outcome = |vector: &Json| match decode(vector) {
        Err(error) => error.to_string(),
        Ok(Some(packet)) => described(&packet)["id"].to_string(),
        Ok(None) => "unfinished".into(),
    };
    let vectors = vectors("different");
    let (last, readable) = vectors.split_last().unwrap();
    // JavaScript converts this id to Infinity.
    assert_eq!(outcome(last), "invalid payload");
    let ours: Vec<(String, String)> = readable
        .iter()
        .map(|vector| (vector["text"].as_str().unwrap().to_owned(), vector))
        .map(|(text, vector)| (text, outcome(vector)))
        .collect();
    let expected: [(&str, &str); 7] = [
        // An empty packet is not a CONNECT, and neither is a blank.
        ("", "unknown packet type NaN"),
        (" ", "unknown packet type NaN"),
        // White space is no ack id.
        ("2 [\"a\"]", "null"),
        ("2 1[\"a\"]", "invalid payload"),
        // Attachments without placeholders, and an event without a name.
        ("51-", "invalid payload"),
        // A number of attachments is an integer.
        ("51-[\"a\",{\"_placeholder\":true,\"num\":0.5}]", "illegal attachments"),
        ("50x1-[\"a\"]", "Illegal attachments"),
    ];
    for (ours, expected) in ours.iter().zip(expected) {
        assert_eq!((ours.0.as_str(), ours.1.as_str()), expected);
    }
    assert_eq!(ours.len(), expected.len());
}
