//! The encodings equal those recorded from Node's adapters.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

mod common;

use common::{UID, all, hello, message, selection};
use socketio_adapter::{Body, ClusterLimits, Format, Message, RequestId, event_args};
use socketio_parser::{Binary, value};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn decode(wire: &[u8]) -> Message {
    Message::decode(wire, &ClusterLimits::default()).unwrap()
}

#[test]
fn a_broadcast_is_encoded_in_json_like_nodes() {
    let body = Body::Broadcast { args: hello(), selection: selection(&[], &[]), request: None };
    let expected = r#"{"type":3,"data":{"packet":{"type":2,"data":["hello",1,"a",null,null,1.5]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"0a785282676f06c9","nsp":"/"}"#;
    assert_eq!(message(body.clone()).to_json().unwrap(), expected);
    assert_eq!(decode(expected.as_bytes()), message(body));
}

#[test]
fn a_broadcast_with_binary_is_encoded_in_msgpack_like_nodes() {
    let args = event_args("b", &Binary(vec![1, 2].into())).unwrap();
    let body = Body::Broadcast { args, selection: selection(&[], &[]), request: None };
    let expected = hex(
        "84a47479706503a46461746182a67061636b657482a47479706502a46461746192a162c4020102a46f707473\
         83a5726f6f6d7390a665786365707490a5666c61677380a3756964b030613738353238323637366630366339\
         a36e7370a12f",
    );
    let message = message(body);
    assert!(message.to_json().is_err());
    assert_eq!(message.encode(), expected);
    assert_eq!(decode(&expected), message);
}

#[test]
fn a_disconnect_and_a_reply_are_encoded_like_nodes() {
    let body = Body::DisconnectSockets { selection: selection(&["r1"], &[]), close: true };
    let start =
        r#"{"type":6,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"close":true},"#;
    assert!(message(body).to_json().unwrap().starts_with(start));
    let body = Body::FetchSocketsResponse { request: RequestId::from("r1"), sockets: Vec::new() };
    let start = r#"{"type":8,"data":{"requestId":"r1","sockets":[]},"uid":""#;
    assert!(message(body).to_json().unwrap().starts_with(start));
}

#[test]
fn a_server_side_event_is_encoded_in_msgpack_like_nodes() {
    let args = event_args("ev", &(1, value!({ "a": 2 }))).unwrap();
    let mut message = message(Body::ServerSideEmit { args, request: None });
    // The node of the recording had another name.
    message.uid = "83b5c5a894649ce3".into();
    let expected = hex(
        "84a47479706509a46461746181a67061636b657493a265760181a16102a3756964b038336235633561383934363439636533a36e7370a12f",
    );
    assert_eq!(message.to_msgpack(), expected);
}

#[test]
fn a_message_of_an_emitter_is_decoded_despite_additional_fields() {
    let text = r#"{"uid":"emitter","nsp":"/","type":3,"data":{"packet":{"type":2,"data":["x"],"nsp":"/"},"opts":{"rooms":["r1"],"flags":{"volatile":true,"unknown":1,"timeout":1e99}}},"extra":[1]}"#;
    let Message { uid, body, .. } = decode(text.as_bytes());
    assert!(uid.is_anonymous());
    let Body::Broadcast { selection, request: None, .. } = body else { panic!("{body:?}") };
    assert!(selection.flags.volatile && selection.except.is_empty());
    assert!(selection.flags.timeout.unwrap().as_millis() < 1 << 32);
}

#[test]
fn rooms_and_flags_are_optional_and_rooms_may_be_numbers() {
    let text = r#"{"type":4,"data":{"opts":{},"rooms":[1,"a"]},"uid":"1","nsp":"/"}"#;
    let Body::SocketsJoin { selection, rooms } = decode(text.as_bytes()).body else { panic!() };
    assert_eq!(selection, common::selection(&[], &[]));
    assert_eq!(rooms.iter().map(|room| room.as_str()).collect::<Vec<_>>(), ["1", "a"]);
}

#[test]
fn every_message_type_survives_both_encodings() {
    for message in all() {
        assert_eq!(decode(&message.to_msgpack()), message);
        assert_eq!(decode(&message.encode()), message);
        let body = &message.body;
        let (number, limits) = (body.type_number().into(), ClusterLimits::default());
        let data = body.data_to_msgpack();
        let data = data.as_deref().map(|data| (Format::MsgPack, data));
        assert_eq!(Body::decode(number, data, &limits).unwrap(), *body);
        if let Ok(data) = body.data_to_json() {
            let data = data.as_deref().map(|data| (Format::Json, data.as_bytes()));
            assert_eq!(Body::decode(number, data, &limits).unwrap(), *body);
        }
    }
    assert_eq!(UID.len(), 16);
}

#[test]
fn only_the_first_value_of_an_ack_is_transmitted() {
    let request = RequestId::from("r");
    let args = socketio_adapter::ack_args(&(1, 2)).unwrap();
    let sent = message(Body::BroadcastAck { request, args });
    for wire in [sent.encode(), sent.to_msgpack()] {
        let Body::BroadcastAck { args, .. } = decode(&wire).body else { panic!() };
        assert_eq!(args.raw(), "1");
    }
}

#[test]
fn the_number_of_a_logged_event_survives_both_encodings() {
    let message = Message { seq: Some(7), ..common::message(Body::Heartbeat) };
    assert_eq!(decode(message.to_json().unwrap().as_bytes()), message);
    assert_eq!(decode(&message.to_msgpack()), message);
    let text = r#"{"type":2,"uid":"1","nsp":"/","seq":"x"}"#;
    assert_eq!(decode(text.as_bytes()).seq, None, "of another node, whatever it is");
}
