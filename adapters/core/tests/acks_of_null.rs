//! `ack(null)` and `ack()` are acks, in every encoding of a message.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

use socketio_adapter::{Body, ClusterLimits, Message, ack_args};
use socketio_parser::Nsp;
use socketio_parser::{Args, Value, Values, value};

fn acks(body: Body) -> Args {
    match body {
        Body::BroadcastAck { args, .. } | Body::ServerSideEmitResponse { args, .. } => args,
        other => panic!("{other:?} is no reply"),
    }
}

/// Returns the reply as another node decodes it, from JSON and from msgpack.
fn read(number: u64, data: &Value) -> [Args; 2] {
    let message = value!({ "type": number, "data": data.clone(), "uid": "1", "nsp": "/" });
    [socketio_adapter::Format::Json, socketio_adapter::Format::MsgPack].map(|format| {
        let wire = format.write(&message);
        acks(Message::decode(&wire, &ClusterLimits::default()).unwrap().body)
    })
}

#[test]
fn a_null_is_the_ack_null() {
    for number in [10, 12] {
        for ack in read(number, &value!({ "requestId": "r", "packet": null })) {
            assert_eq!(ack.raw(), "null");
            assert_eq!(ack.decode_ack::<Value>().unwrap(), Value::Null);
        }
    }
}

#[test]
fn an_ack_without_a_value_is_decoded_as_null() {
    for number in [10, 12] {
        for ack in read(number, &value!({ "requestId": "r" })) {
            assert_eq!(ack.decode_ack::<Value>().unwrap(), Value::Null);
            assert_eq!(ack.decode_ack::<Option<u32>>().unwrap(), None);
            ack.decode_ack::<()>().unwrap();
            assert!(ack.decode_ack::<u32>().is_err());
        }
    }
}

#[test]
fn a_reply_may_lack_the_name_of_its_node() {
    let reply = value!({ "type": 12, "data": { "requestId": "r", "packet": 1 }, "nsp": "/" });
    for format in [socketio_adapter::Format::Json, socketio_adapter::Format::MsgPack] {
        let wire = format.write(&reply);
        let read = Message::decode(&wire, &ClusterLimits::default()).unwrap();
        assert!(read.uid.is_anonymous());
    }
}

#[test]
fn nulls_survive_the_way_to_another_node() {
    let null = ack_args(&Values(vec![Value::Null])).unwrap();
    let request = || "r".into();
    for body in [
        Body::BroadcastAck { request: request(), args: null.clone() },
        Body::ServerSideEmitResponse { request: request(), args: null },
    ] {
        let message = Message { uid: "1".into(), nsp: Nsp::root(), body, seq: None };
        for wire in [message.to_json().unwrap().into_bytes(), message.to_msgpack().to_vec()] {
            let read = Message::decode(&wire, &ClusterLimits::default()).unwrap();
            assert_eq!(read, message);
        }
    }
}
