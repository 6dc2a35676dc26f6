//! A handler that cannot run is never silent: its error is reported and, where the client waits, answered.

use crate::support;

use serde_json::Value;
use socketio_server::{Args, Auth, Data, DisconnectReason, Event, HandlerError, Socket};
use support::{failures, log, server};

#[tokio::test]
async fn arguments_of_another_type() {
    let server = server().await;
    let (sender, mut log) = log();
    let ran = sender.clone();
    server.io.on("add", move |Data((a, b)): Data<(u32, u32)>| {
        let _ = ran.send(());
        async move { a + b }
    });
    server.io.handle(Event::<u32, u32>::new("typed"), move |_, n| {
        let _ = sender.send(());
        async move { n }
    });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    for bad in [r#""add","x",2"#, r#""add",1"#, r#""add""#, r#""typed","x""#, r#""typed",-1"#] {
        client.send(&format!("421[{bad}]")).await;
        let answer = client.text().await;
        let answer: Value = serde_json::from_str(answer.strip_prefix("431").unwrap()).unwrap();
        assert!(answer[0]["error"].is_string(), "{answer}");
        assert!(failures.next().await.contains(" Extract: "));
    }
    // Where nobody waits, nothing is sent.
    client.send(r#"42["add"]"#).await;
    client.fence().await;
    failures.next().await;
    assert!(log.rest().is_empty(), "a handler ran");
    client.send(r#"421["add",1,2]"#).await;
    client.expect("431[3]").await;
}

#[tokio::test]
async fn what_the_event_does_not_have() {
    let server = server().await;
    server.io.on("reason", |_: DisconnectReason| async {});
    server.io.on_connection(|_: Args| async {});
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    assert_eq!(failures.next().await, "connection Extract: this handler has no arguments");
    client.send(r#"42["reason"]"#).await;
    assert_eq!(failures.next().await, "reason Extract: this is no handler of a disconnection");
}

#[tokio::test]
async fn credentials_of_another_type() {
    let server = server().await;
    server.io.on("secret", |Auth(n): Auth<u32>| async move { n });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    client.send(r#"421["secret"]"#).await;
    assert!(client.text().await.starts_with(r#"431[{"error":""#));
    assert!(failures.next().await.starts_with("secret Extract: "));
}

#[tokio::test]
async fn errors_of_handlers_likewise() {
    let server = server().await;
    server.io.on("fails", |socket: Socket| async move {
        socket.leave("x");
        Err::<(), _>(HandlerError::public("not today"))
    });
    server.io.handle(Event::<(), u32>::new("typed"), |_, ()| async {
        Err::<u32, _>(HandlerError::public("nor tomorrow"))
    });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    client.send(r#"421["fails"]"#).await;
    client.expect(r#"431[{"error":"not today"}]"#).await;
    assert_eq!(failures.next().await, "fails Handler: not today");
    client.send(r#"422["typed"]"#).await;
    client.expect(r#"432[{"error":"nor tomorrow"}]"#).await;
    assert_eq!(failures.next().await, "typed Handler: nor tomorrow");
}

#[tokio::test]
async fn an_answer_nobody_is_left_for_is_no_failure() {
    let server = server().await;
    server.io.on("leave", |socket: Socket| async move {
        socket.disconnect();
        1_u32
    });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    client.send(r#"421["leave"]"#).await;
    client.expect("41").await;
    client.connect("/").await;
    client.fence().await;
    assert!(failures.rest().is_empty());
}
