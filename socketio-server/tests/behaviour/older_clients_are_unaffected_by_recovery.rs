//! Clients of Socket.IO v2 and v3 get the offset as one more argument and ignore it.

use crate::support;

use serde_json::json;
use socketio_server::{Binary, Recovery, ServerConfig};
use support::{Running, server_with, sockets, until, within};

async fn server() -> Running {
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    server_with(config.engine(|engine| engine.allow_eio3(true))).await
}

#[tokio::test]
async fn a_v2_client_is_unaffected_by_recovery() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, sid) = server.open_v2().await;
    // There is no private id, which the client would take for an argument.
    client.expect("40").await;
    let socket = within(connected.recv()).await.unwrap();
    socket.join("room").unwrap();
    server.io.to("room").emit("n", &1).unwrap();
    assert_eq!(client.recorded().await.0, json!(["n", 1]));
    socket.emit("binary", &(Binary(vec![1, 2].into()), 3)).unwrap();
    let header = client.text().await;
    let start = r#"451-["binary",{"_placeholder":true,"num":0},3,""#;
    assert!(header.starts_with(start), "{header}");
    client.expect_binary(&[4, 1, 2]).await;
    let answer = tokio::spawn({
        let socket = socket.clone();
        async move { socket.emit_with_ack::<u32>("ack", &"me").await }
    });
    client.expect(r#"420["ack","me"]"#).await;
    client.send("430[5]").await;
    assert_eq!(answer.await.unwrap().unwrap(), 5);
    client.fence().await;

    // No session is kept for a client that cannot recover it.
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
    assert!(socket.emit("late", &1).is_err());
    server.io.to("room").emit("late", &1).unwrap();
    let (mut client, again) = server.open_v2().await;
    client.expect("40").await;
    assert_ne!(again, sid);
    assert!(!within(connected.recv()).await.unwrap().recovered());
    client.fence().await;
}

#[tokio::test]
async fn a_v3_client_is_unaffected_by_recovery() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.open().await;
    client.send("40").await;
    // The client reads only the id.
    let (sid, _) = client.recoverable().await;
    within(connected.recv()).await.unwrap().join("room").unwrap();
    server.io.to("room").emit("n", &1).unwrap();
    assert_eq!(client.recorded().await.0, json!(["n", 1]));
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
    server.io.to("room").emit("late", &1).unwrap();
    // The client claims no session.
    let mut client = server.open().await;
    client.send("40").await;
    assert_ne!(client.recoverable().await.0, sid);
    assert!(!within(connected.recv()).await.unwrap().recovered());
    client.fence().await;
}
