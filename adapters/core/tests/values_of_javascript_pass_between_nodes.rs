//! Half a surrogate pair, a number beyond an `f64` and null reach other nodes: as the text they are
//! in JSON, and replaced in msgpack. No argument is lost on the way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

use proptest::{collection::vec, prelude::*};
use socketio_adapter::{Body, ClusterLimits, Format, Message, Selection};
use socketio_parser::Nsp;
use socketio_parser::{Args, Content, Decoder, Limits, Value, value};

/// Arguments as a client sends them: a whole packet.
fn received(packet: &str) -> Args {
    let packet = Decoder::new(&Limits::default()).decode_text(packet.into()).unwrap().unwrap();
    match packet.content {
        Content::Event { args, .. } | Content::Ack { args, .. } => args,
        other => panic!("{other:?}"),
    }
}

fn read(wire: &[u8]) -> Body {
    Message::decode(wire, &ClusterLimits::default()).unwrap().body
}

/// The message as other nodes read it, from JSON and from msgpack.
fn sent(body: Body) -> [Args; 2] {
    let message = Message { uid: "1".into(), nsp: Nsp::root(), body, seq: None };
    [message.to_json().unwrap().into(), message.to_msgpack()].map(|wire| match read(&wire) {
        Body::Broadcast { args, .. } | Body::ServerSideEmit { args, .. } => args,
        Body::BroadcastAck { args, .. } | Body::ServerSideEmitResponse { args, .. } => args,
        other => panic!("{other:?}"),
    })
}

#[test]
fn an_event_keeps_its_arguments() {
    let list = r#""cut \ud83d",1e400,{"\ude00":[-1E999,null]}"#;
    let args = received(&format!(r#"2["cut \ud83d",{list}]"#));
    let values = [value!("cut \u{fffd}"), Value::Null, value!({ "\u{fffd}": [null, null] })];
    for body in [
        Body::Broadcast { args: args.clone(), selection: Selection::default(), request: None },
        Body::ServerSideEmit { args: args.clone(), request: None },
    ] {
        let [json, msgpack] = sent(body);
        assert_eq!((json.event(), json.raw()), ("cut \u{fffd}", list));
        assert_eq!(msgpack.event(), "cut \u{fffd}");
        assert_eq!(msgpack.values().unwrap(), values);
    }
}

#[test]
fn an_ack_reaches_the_node_that_requested_it() {
    for (value, replaced) in [
        (r#""\ud83d""#, value!("\u{fffd}")),
        ("1e400", Value::Null),
        (r#"{"a":["\udfff"]}"#, value!({ "a": ["\u{fffd}"] })),
    ] {
        let ack = received(&format!("31[{value}]"));
        for body in [
            Body::BroadcastAck { request: "r".into(), args: ack.clone() },
            Body::ServerSideEmitResponse { request: "r".into(), args: ack.clone() },
        ] {
            let [json, msgpack] = sent(body);
            assert_eq!(json.raw(), value);
            assert_eq!(msgpack.values().unwrap(), std::slice::from_ref(&replaced));
        }
    }
}

/// Node's nodes may have rooms whose names are cut inside an emoji, and clients with such data.
#[test]
fn rooms_and_data_of_other_nodes_are_read() {
    let text = r#"{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":["cut \ud83d"],"except":[],"flags":{}}},"uid":"1","nsp":"/"}"#;
    let Body::Broadcast { selection, .. } = read(text.as_bytes()) else { panic!() };
    assert_eq!(selection.rooms, ["cut \u{fffd}".into()]);
    let text = r#"{"type":8,"data":{"requestId":"r","sockets":[{"id":"a","handshake":{"auth":{"\ud83d":1e400}},"rooms":["\udfff"],"data":"\ud83d"}]},"uid":"1","nsp":"/"}"#;
    let Body::FetchSocketsResponse { sockets, .. } = read(text.as_bytes()) else { panic!() };
    assert_eq!(sockets[0].handshake, value!({ "auth": { "\u{fffd}": null } }));
    assert_eq!((&sockets[0].rooms[0], &sockets[0].data), (&"\u{fffd}".into(), &value!("\u{fffd}")));
    let read = Format::Json.read(br#"["\ud83d",1e400]"#, &ClusterLimits::default()).unwrap();
    assert_eq!(read, value!(["\u{fffd}", null]));
}

/// `@msgpack/msgpack` writes half a surrogate pair as three bytes that are not UTF-8.
#[test]
fn msgpack_of_other_nodes_is_read() {
    let read = |wire: &[u8]| Format::MsgPack.read(wire, &ClusterLimits::default()).unwrap();
    assert_eq!(read(b"\xa5a\xed\xa0\xbdb"), value!("a\u{fffd}b"));
    assert_eq!(read(b"\xa6\xed\xbf\xbf\xed\xa0\x80"), value!("\u{fffd}\u{fffd}"));
    assert_eq!(read(b"\x81\xa3\xed\xa0\xbd\xa1\xff"), value!({ "\u{fffd}": "\u{fffd}" }));
    assert_eq!(read(b"\xcb\x7f\xf0\0\0\0\0\0\0"), Value::Null);
}

proptest! {
    #[test]
    fn no_argument_is_lost(
        units in vec(prop_oneof![Just(0xd83d_u16), Just(0xde00), any::<u16>()], 0..6),
        exponent in -999..999,
    ) {
        let text: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let list = format!(r#""{text}",{{"{text}":1e{exponent}}},null"#);
        let args = received(&format!(r#"2["e{text}",{list}]"#));
        let body = Body::Broadcast { args: args.clone(), selection: Selection::default(), request: None };
        let [json, msgpack] = sent(body);
        prop_assert_eq!(json.raw(), &list);
        prop_assert_eq!(json.event(), args.event());
        prop_assert_eq!(msgpack.event(), args.event());
        prop_assert_eq!(msgpack.len(), 3);
        let (ours, _, null): (String, Value, Value) = msgpack.decode().unwrap();
        prop_assert_eq!((ours, null), (String::from_utf16_lossy(&units), Value::Null));
    }
}
