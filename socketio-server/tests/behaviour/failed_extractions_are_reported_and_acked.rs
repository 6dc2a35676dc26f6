//! A failed extraction is always reported, and acked with an error if the client waits.

use crate::support;

use serde::Deserialize;
use socketio_server::{Auth, Data, Event, HandlerError, NamespaceVerdict, Socket};
use support::{failures, log, server};

#[tokio::test]
async fn arguments_of_another_type_are_reported_and_acked() {
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
        client.expect(r#"431[{"error":"invalid arguments"}]"#).await;
        assert!(failures.next().await.contains(" Extract: "));
    }
    // The client has requested no ack, so nothing is sent.
    client.send(r#"42["add"]"#).await;
    client.fence().await;
    failures.next().await;
    assert!(log.rest().is_empty(), "a handler ran");
    client.send(r#"421["add",1,2]"#).await;
    client.expect("431[3]").await;
}

#[tokio::test]
async fn auth_of_another_type_refuses_the_client() {
    let server = server().await;
    server.io.on("secret", |Auth(n): Auth<u32>| async move { n });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    client.send(r#"421["secret"]"#).await;
    client.expect(r#"431[{"error":"invalid auth"}]"#).await;
    assert!(failures.next().await.starts_with("secret Extract: "));
}

/// Clients do not learn the names of the application's types.
#[derive(Debug, Deserialize)]
struct Credentials {
    #[serde(rename = "token")]
    _token: String,
}

#[tokio::test]
async fn clients_do_not_learn_the_names_of_types() {
    let server = server().await;
    server.io.on("data", |_: Data<Credentials>| async { 1 });
    server.io.on("by hand", |socket: Socket| async move {
        socket.auth::<Credentials>()?;
        support::Done::Ok(())
    });
    server.io.handle(Event::<Credentials, u32>::new("typed"), |_, _| async { 1 });
    server.io.of("/auth").use_(|_: Auth<Credentials>| async { support::Done::Ok(()) });
    server.io.of("/hand").use_(|socket: Socket| async move {
        socket.auth::<Credentials>()?;
        support::Done::Ok(())
    });
    server.io.of_fn(|request| async move {
        request.auth::<Credentials>()?;
        Ok(NamespaceVerdict::Accept)
    });
    let mut reported = failures(&server.io.of("/"));
    let mut client = server.client().await;
    for (event, told) in [("data", "arguments"), ("typed", "arguments"), ("by hand", "auth")] {
        client.send(&format!("421[\"{event}\",7]")).await;
        client.expect(&format!(r#"431[{{"error":"invalid {told}"}}]"#)).await;
        let failure = reported.next().await;
        assert!(failure.contains("Credentials") || failure.contains("token"), "{failure}");
    }
    for nsp in ["/auth", "/hand"] {
        let mut reported = failures(&server.io.of(nsp));
        for auth in ["", r#"{"token":7}"#] {
            client.send(&format!("40{nsp},{auth}")).await;
            client.expect(&format!(r#"44{nsp},{{"message":"invalid auth"}}"#)).await;
            assert!(reported.next().await.starts_with("connect Middleware: "));
        }
    }
    client.send("40/function,7").await;
    client.expect(r#"44/function,{"message":"invalid auth"}"#).await;
}

#[tokio::test]
async fn errors_of_handlers_are_reported_and_acked() {
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
async fn an_ack_for_a_client_that_left_is_no_failure() {
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
