//! Data from the bus is not trusted: no bytes cause a panic, and the size limit applies before
//! decoding.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

use proptest::prelude::*;
use socketio_adapter::{ClusterLimits, Message, MessageError};

fn decode(wire: &[u8]) -> Result<Message, MessageError> {
    Message::decode(wire, &ClusterLimits::default())
}

#[test]
fn malformed_messages_are_refused_with_the_reason() {
    for (text, why) in [
        (r#"{"type":99,"uid":"1","nsp":"/"}"#, "unknown type 99"),
        (r#"{"type":2,"uid":"1"}"#, "missing or invalid field `nsp`"),
        (r#"{"type":2,"nsp":"/"}"#, "missing or invalid field `uid`"),
        (r#"{"type":3,"uid":"1","nsp":"/"}"#, "missing or invalid field `opts`"),
        (
            r#"{"type":3,"data":{"opts":{}},"uid":"1","nsp":"/"}"#,
            "missing or invalid field `packet`",
        ),
        (
            r#"{"type":3,"data":{"opts":{},"packet":{"type":3,"data":["x"]}},"uid":"1","nsp":"/"}"#,
            "missing or invalid field `packet`",
        ),
        (
            r#"{"type":3,"data":{"opts":{},"packet":{"type":2,"data":["disconnect"]}},"uid":"1","nsp":"/"}"#,
            "missing or invalid field `packet`",
        ),
        (
            r#"{"type":3,"data":{"packet":{"type":2,"data":["x"]},"opts":[]},"uid":"1","nsp":"/"}"#,
            "missing or invalid field `opts`",
        ),
        (
            r#"{"type":4,"data":{"opts":{"rooms":"a"},"rooms":[]},"uid":"1","nsp":"/"}"#,
            "missing or invalid field `opts`",
        ),
        (
            r#"{"type":7,"data":{"opts":{}},"uid":"1","nsp":"/"}"#,
            "missing or invalid field `requestId`",
        ),
        (
            r#"{"type":8,"data":{"requestId":"r","sockets":[{}]},"uid":"1","nsp":"/"}"#,
            "missing or invalid field `sockets`",
        ),
        (
            r#"{"type":11,"data":{"requestId":"r","clientCount":-1},"uid":"1","nsp":"/"}"#,
            "missing or invalid field `clientCount`",
        ),
        (r#"{"type":2,"uid":"1","nsp":"/"}}"#, "cannot be decoded: invalid JSON"),
        ("", "cannot be decoded: incomplete or invalid msgpack"),
        ("\u{0}", "cannot be decoded: not an object"),
    ] {
        assert_eq!(decode(text.as_bytes()).unwrap_err().to_string(), why, "{text}");
    }
}

#[test]
fn depth_is_limited_even_in_ignored_fields() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let text = format!(r#"{{"type":2,"uid":"1","nsp":"/","ignored":{deep}}}"#);
    assert!(matches!(decode(text.as_bytes()), Err(MessageError::Malformed(_))));
}

#[test]
fn the_size_is_checked_before_decoding() {
    let limits = ClusterLimits::default().max_message_bytes(10);
    let error = Message::decode(b"{garbage, but long}", &limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a message of 19 bytes exceeds the limit of 10 bytes (`max_message_bytes`)"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(wire in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode(&wire);
    }
}
