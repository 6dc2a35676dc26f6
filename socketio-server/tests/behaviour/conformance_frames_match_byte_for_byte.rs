//! The frames that other clients and the protocol's test suites rely on (Socket.IO protocol,
//! revision 5).

use crate::support;

use serde_json::json;
use socketio_server::{Ack, Args, Namespace, Socket, Values};
use support::{Client, Done, Running, server};

/// A server as the protocol's test suites expect it.
async fn conformance() -> Running {
    let server = server().await;
    for namespace in [server.io.of("/"), server.io.of("custom")] {
        declare(&namespace);
    }
    server
}

fn declare(namespace: &Namespace) {
    namespace
        .on_connection(|socket: Socket| async move {
            let auth: serde_json::Value = socket.auth()?;
            socket.emit("auth", &if auth.is_null() { json!({}) } else { auth })?;
            Ok(())
        })
        .on("message", |socket: Socket, args: Args| async move {
            socket.emit("message-back", &args)?;
            Ok(())
        })
        .on("message-with-ack", |args: Args, ack: Ack| async move {
            ack.send(&args)?;
            Ok(())
        })
        .on("emit-with-ack", |socket: Socket, args: Args| async move {
            let answer: Values = socket.emit_with_ack("emit-with-ack", &args).await?;
            socket.emit("emit-with-ack", &answer)?;
            Done::Ok(())
        });
}

async fn connected(server: &Running) -> Client {
    let mut client = server.client().await;
    client.expect(r#"42["auth",{}]"#).await;
    client
}

#[tokio::test]
async fn a_connect_is_answered_with_an_id_only() {
    let server = conformance().await;
    let (mut client, sid) = server.client_in("/").await;
    assert_eq!(sid.len(), 20);
    client.expect(r#"42["auth",{}]"#).await;
}

#[tokio::test]
async fn data_of_a_connect_is_the_auth() {
    let server = conformance().await;
    let mut client = server.open().await;
    client.send(r#"40{"token":"123"}"#).await;
    client.connected("/").await;
    client.expect(r#"42["auth",{"token":"123"}]"#).await;
}

#[tokio::test]
async fn a_namespace_may_end_without_a_comma() {
    let server = conformance().await;
    for connect in ["40/custom,", "40/custom"] {
        let mut client = server.open().await;
        client.send(connect).await;
        client.connected("/custom").await;
        client.expect(r#"42/custom,["auth",{}]"#).await;
    }
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_the_connection_kept() {
    let server = conformance().await;
    let mut client = server.open().await;
    client.send("40/random").await;
    client.expect(r#"44/random,{"message":"Invalid namespace"}"#).await;
    client.connect("/").await;
}

#[tokio::test]
async fn a_query_is_part_of_the_namespaces_name() {
    let server = conformance().await;
    let mut client = server.open().await;
    client.send("40/custom?x=1,").await;
    client.expect(r#"44/custom?x=1,{"message":"Invalid namespace"}"#).await;
}

#[tokio::test]
async fn arguments_are_echoed_unchanged() {
    let server = conformance().await;
    let mut client = connected(&server).await;
    client.send(r#"42["message",1,"2",{"3":[true]}]"#).await;
    client.expect(r#"42["message-back",1,"2",{"3":[true]}]"#).await;
    client.send(r#"42["message",{"b":1,"a":{"_placeholder":true,"num":0}}]"#).await;
    client.expect(r#"42["message-back",{"b":1,"a":{"_placeholder":true,"num":0}}]"#).await;
}

#[tokio::test]
async fn attachments_are_echoed_unchanged() {
    let server = conformance().await;
    let mut client = connected(&server).await;
    let list = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    client.send(&format!(r#"452-["message",{list}"#)).await;
    client.send_binary(&[1, 2, 3]).await;
    client.send_binary(&[4, 5, 6]).await;
    client.expect(&format!(r#"452-["message-back",{list}"#)).await;
    client.expect_binary(&[1, 2, 3]).await;
    client.expect_binary(&[4, 5, 6]).await;

    client.send(&format!(r#"452-789["message-with-ack",{list}"#)).await;
    client.send_binary(&[1]).await;
    client.send_binary(&[]).await;
    client.expect(&format!("462-789[{list}")).await;
    client.expect_binary(&[1]).await;
    client.expect_binary(&[]).await;
}

#[tokio::test]
async fn acks_carry_the_id_of_their_event() {
    let server = conformance().await;
    let mut client = connected(&server).await;
    client.send(r#"42456["message-with-ack",1,"2",{"3":[false]}]"#).await;
    client.expect(r#"43456[1,"2",{"3":[false]}]"#).await;
}

#[tokio::test]
async fn the_server_requests_acks() {
    let server = conformance().await;
    let mut client = connected(&server).await;
    client.send(r#"42["emit-with-ack",1,"2"]"#).await;
    let text = client.text().await;
    let (id, args) = text.strip_prefix("42").and_then(|text| text.split_once('[')).unwrap();
    assert_eq!(args, r#""emit-with-ack",1,"2"]"#);
    client.send(&format!(r#"43{id}["x",{{"y":null}}]"#)).await;
    client.expect(r#"42["emit-with-ack","x",{"y":null}]"#).await;
}

#[tokio::test]
async fn leaving_a_namespace_keeps_the_connection() {
    let server = conformance().await;
    let mut client = connected(&server).await;
    client.connect("/custom").await;
    client.expect(r#"42/custom,["auth",{}]"#).await;
    client.send("41/custom").await;
    client.send(r#"42["message","still here"]"#).await;
    client.expect(r#"42["message-back","still here"]"#).await;

    client.send("41").await;
    client.connect("/").await;
}

#[tokio::test]
async fn an_invalid_packet_closes_the_connection() {
    let server = conformance().await;
    for bad in ["4abc", "42{}", r#"42abc["message-with-ack",1]"#, r#"42["disconnect"]"#, "49"] {
        let mut client = connected(&server).await;
        client.send(bad).await;
        client.closed().await;

        let mut client = server.open().await;
        client.send(bad).await;
        client.closed().await;
    }
    let mut client = connected(&server).await;
    client.send_binary(&[1]).await;
    client.closed().await;
}

#[tokio::test]
async fn an_event_without_a_handler_is_ignored() {
    let server = conformance().await;
    let mut client = connected(&server).await;
    client
        .burst(&["42", r#"42["nobody"]"#, r#"427["nobody"]"#, r#"42[7]"#, "43[]", "4399[]"])
        .await;
    client.fence().await;
}
