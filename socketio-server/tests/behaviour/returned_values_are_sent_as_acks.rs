//! The value that a handler returns is sent as the ack. The first ack of an event wins.

use crate::support;

use serde::Serialize;
use serde_json::json;
use socketio_server::{Ack, AckValue, Args, Data, HandlerError, Json, Socket};
use support::{Done, server, sockets, within};

#[derive(Serialize)]
struct Receipt {
    n: u32,
}
impl AckValue for Receipt {}

#[tokio::test]
async fn every_kind_of_return_value_is_acked() {
    let server = server().await;
    let io = &server.io;
    io.on("text", |Data(text): Data<String>| async move { text.to_uppercase() });
    io.on("own type", || async { Receipt { n: 1 } });
    io.on("json", || async { Json([1, 2]) });
    io.on("result", || async { Ok::<_, HandlerError>(json!({ "a": null })) });
    io.on("tuple", || async { (1_u32, "two") });
    io.on("list", || async { vec![1_u32, 2] });
    io.on("none", || async { None::<u32> });
    io.on("raw", |args: Args| async move { args });
    io.on("six", |socket: Socket, args: Args, ack: Ack, _: Ack, _: Args, _: Socket| async move {
        ack.send(&(socket.is_connected(), args.len()))?;
        Done::Ok(())
    });
    let mut client = server.client().await;
    for (event, answer) in [
        (r#""text","abc""#, r#"["ABC"]"#),
        (r#""own type""#, r#"[{"n":1}]"#),
        (r#""json""#, "[1,2]"),
        (r#""result""#, r#"[{"a":null}]"#),
        (r#""tuple""#, r#"[1,"two"]"#),
        (r#""list""#, "[[1,2]]"),
        (r#""none""#, "[null]"),
        (r#""raw",1,{"b":2}"#, r#"[1,{"b":2}]"#),
        (r#""six",0"#, "[true,1]"),
    ] {
        client.send(&format!("428[{event}]")).await;
        client.expect(&format!("438{answer}")).await;
        // The client has requested no ack, so nothing is sent.
        client.send(&format!("42[{event}]")).await;
        client.fence().await;
    }
}

#[tokio::test]
async fn a_handler_that_returns_nothing_sends_no_ack() {
    let server = server().await;
    server.io.on("unit", || async {});
    server.io.on("ok", || async { Done::Ok(()) });
    server.io.on("dropped", |ack: Ack| async move { assert!(ack.is_wanted()) });
    let mut client = server.client().await;
    client.burst(&[r#"421["unit"]"#, r#"422["ok"]"#, r#"423["dropped"]"#]).await;
    client.fence().await;
}

#[tokio::test]
async fn handlers_of_one_event_run_in_order_and_the_first_ack_wins() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    // The handlers are added after the client has connected, those of the socket first.
    socket.on("event", |socket: Socket| async move {
        socket.emit("third", &())?;
        Done::Ok(())
    });
    server.io.on("event", |socket: Socket| async move {
        let _ = socket.emit("first", &());
        1_u32
    });
    server.io.on("event", |socket: Socket, ack: Ack| async move {
        socket.emit("second", &())?;
        ack.send(&2)?;
        Done::Ok(())
    });
    client.send(r#"421["event"]"#).await;
    for expected in [r#"42["first"]"#, "431[1]", r#"42["second"]"#, r#"42["third"]"#] {
        client.expect(expected).await;
    }
    client.fence().await;

    socket.off("event");
    client.send(r#"42["event"]"#).await;
    client.expect(r#"42["first"]"#).await;
    client.expect(r#"42["second"]"#).await;
    client.fence().await;
}

#[tokio::test]
async fn an_ack_may_be_sent_later_by_another_task() {
    let server = server().await;
    server.io.on("later", |ack: Ack| async move {
        tokio::spawn(async move { ack.send(&"at last") });
    });
    let mut client = server.client().await;
    client.send(r#"4299999999999999999999["later"]"#).await;
    // A JavaScript number, as Node's server returns it.
    client.expect(r#"43100000000000000000000["at last"]"#).await;
}
