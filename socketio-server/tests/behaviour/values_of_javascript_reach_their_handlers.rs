//! Null, half a surrogate pair, numbers beyond an `f64` and binary reach handlers and clients.
//! Nothing is lost silently.

use crate::support;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use socketio_server::{Ack, Args, Binary, Data, Event, Json as Wrapped, Socket, Value, value};
use support::{Done, failures, server, sockets, within};

const ECHO: Event<Json, Json> = Event::new("typed");
const NOTHING: Event<(), ()> = Event::new("nothing");

#[tokio::test]
async fn null_is_acked() {
    let server = server().await;
    let io = &server.io;
    io.on("json", |Data(v): Data<Json>| async move { v });
    io.on("ours", |Data(v): Data<Value>| async move { v });
    io.on("macro", || async { value!(null) });
    io.on("wrapped", || async { Wrapped(json!(null)) });
    io.on("none", |Data(v): Data<Option<u32>>| async move { v });
    io.on("args", |args: Args| async move { args });
    io.on("ack", |ack: Ack| async move { Done::Ok(ack.send(&json!(null))?) });
    io.on("unit", |ack: Ack| async move { Done::Ok(ack.send(&())?) });
    io.handle(ECHO, |_, v| async move { v });
    io.handle(NOTHING, |_, ()| async {});
    let mut client = server.client().await;
    for (event, answer) in [
        (r#""json",null"#, "[null]"),
        (r#""ours",null"#, "[null]"),
        (r#""macro""#, "[null]"),
        (r#""wrapped""#, "[null]"),
        (r#""none",null"#, "[null]"),
        (r#""none""#, "[null]"),
        (r#""args",null"#, "[null]"),
        (r#""args""#, "[]"),
        (r#""ack""#, "[null]"),
        (r#""unit""#, "[]"),
        (r#""typed",null"#, "[null]"),
        (r#""nothing""#, "[]"),
    ] {
        client.send(&format!("420[{event}]")).await;
        client.expect(&format!("430{answer}")).await;
    }
}

#[tokio::test]
async fn null_is_emitted() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    socket.emit("x", &json!(null)).unwrap();
    socket.emit("x", &Value::Null).unwrap();
    socket.emit_event(ECHO, &Json::Null).unwrap();
    server.io.emit("x", &value!(null)).unwrap();
    server.io.to(socket.id()).emit("x", &None::<u8>).unwrap();
    socket.emit("x", &()).unwrap();
    for list in [
        r#"["x",null]"#,
        r#"["x",null]"#,
        r#"["typed",null]"#,
        r#"["x",null]"#,
        r#"["x",null]"#,
        r#"["x"]"#,
    ] {
        client.expect(&format!("42{list}")).await;
    }
    let asked = socket.emit_with_ack::<Json>("ask", &json!(null));
    let answer = async {
        client.expect(r#"420["ask",null]"#).await;
        client.send("430[null]").await;
    };
    let (asked, ()) = within(async { tokio::join!(asked, answer) }).await;
    assert_eq!(asked.unwrap(), Json::Null);
}

#[tokio::test]
async fn half_a_surrogate_pair_reaches_typed_handlers() {
    let server = server().await;
    let io = &server.io;
    io.on("say", |Data(text): Data<String>| async move { text });
    io.on("json", |Data(v): Data<Json>| async move { v });
    io.on("raw", |args: Args| async move { args });
    io.on("cut \u{fffd}", |Data(n): Data<u32>| async move { n });
    io.on("number", |Data(n): Data<f64>| async move { n.is_infinite() });
    let mut client = server.client().await;
    for (event, answer) in [
        (r#""say","\ud83d""#, "[\"\u{fffd}\"]"),
        (r#""json",{"\udE00":["\ud83d\ude00\ud83d"]}"#, "[{\"\u{fffd}\":[\"😀\u{fffd}\"]}]"),
        (r#""raw","\ud83d",1e400"#, r#"["\ud83d",1e400]"#),
        (r#""cut \ud83d",7"#, "[7]"),
        (r#""number",1e400"#, "[true]"),
        (r#""json",[1e400]"#, "[[null]]"),
    ] {
        client.send(&format!("420[{event}]")).await;
        client.expect(&format!("430{answer}")).await;
    }
    // A name without a handler is ignored like any other.
    client.send(r#"42["\udfff"]"#).await;
    client.fence().await;
}

#[tokio::test]
async fn relayed_arguments_are_unchanged() {
    let server = server().await;
    server.io.on("relay", |socket: Socket, args: Args| async move {
        Done::Ok(socket.broadcast().emit("relayed", &args)?)
    });
    let (mut one, mut two) = (server.client().await, server.client().await);
    one.send(r#"42["relay","\ud83d",1e400,null]"#).await;
    two.expect(r#"42["relayed","\ud83d",1e400,null]"#).await;
}

#[tokio::test]
async fn binary_is_an_error_for_a_type_without_bytes() {
    let server = server().await;
    let io = &server.io;
    io.on("json", |Data(v): Data<Json>| async move { v });
    io.on("ours", |Data(v): Data<Value>| async move { v });
    io.on("bytes", |Data(bytes): Data<Bytes>| async move { (Wrapped(bytes.len()), Binary(bytes)) });
    let mut failures = failures(&io.of("/"));
    let mut client = server.client().await;
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    client.send(&format!("451-0[\"json\",{{\"body\":{placeholder}}}]")).await;
    client.send_binary(b"xyz").await;
    client.expect(r#"430[{"error":"invalid arguments"}]"#).await;
    let failure = failures.next().await;
    assert!(
        failure.contains("invalid type: binary, expected any valid JSON value; `Binary`"),
        "{failure}"
    );
    client.send(&format!("451-1[\"ours\",{placeholder}]")).await;
    client.send_binary(b"xyz").await;
    client.expect(&format!("461-1[{placeholder}]")).await;
    client.expect_binary(b"xyz").await;
    client.send(&format!("451-2[\"bytes\",{placeholder}]")).await;
    client.send_binary(b"xyz").await;
    client.expect(&format!("461-2[3,{placeholder}]")).await;
    client.expect_binary(b"xyz").await;
}
