//! The reasons of disconnections are those of Node's server.

use crate::support;

use socketio_server::{DisconnectDescription, ServerConfig};
use support::{Client, Running, disconnections, server, server_with, short_heartbeat, sockets};

/// Returns the reason of the disconnection that `end` causes.
async fn reason_of(server: Running, end: impl AsyncFnOnce(&Running, &mut Client)) -> String {
    let mut reasons = disconnections(&server.io.of("/"));
    let mut client = server.client().await;
    end(&server, &mut client).await;
    let reason = reasons.next().await;
    support::until(|| server.io.of("/").sockets_count() == 0).await;
    assert!(reasons.rest().is_empty(), "told twice");
    reason
}

#[tokio::test]
async fn a_closed_connection_is_a_transport_close() {
    let reason = reason_of(server().await, async |_, client| {
        let _ = client.0.close(None).await;
    });
    assert_eq!(reason.await, "transport close");
}

#[tokio::test]
async fn a_reset_connection_is_a_transport_error() {
    let server = server().await;
    let mut reasons = disconnections(&server.io.of("/"));
    server.client().await.reset();
    assert_eq!(reasons.next().await, "transport error");
}

#[tokio::test]
async fn a_silent_client_has_a_ping_timeout() {
    let reason = reason_of(server_with(short_heartbeat()).await, async |_, _| {});
    assert_eq!(reason.await, "ping timeout");
}

#[tokio::test]
async fn an_unreadable_packet_is_a_parse_error() {
    let reason = reason_of(server().await, async |_, client| client.send("abc").await);
    assert_eq!(reason.await, "parse error");
}

#[tokio::test]
async fn a_protocol_violation_is_a_forced_close() {
    // An invalid packet, a second CONNECT, a CONNECT_ERROR, and an event of a namespace that the
    // client has not joined.
    for bad in ["4abc", "40", r#"44{"message":"x"}"#, r#"42/other,["x"]"#] {
        let server = server().await;
        let reason = reason_of(server, async |_, client| client.send(bad).await);
        assert_eq!(reason.await, "forced close", "{bad}");
    }
}

#[tokio::test]
async fn a_close_by_the_engine_is_a_forced_close() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let reason = reason_of(server, async |_, _| {
        connected.recv().await.unwrap().conn().close(engineio_server::Unsent::Send)
    });
    assert_eq!(reason.await, "forced close");
}

#[tokio::test]
async fn a_closed_server_is_shutting_down() {
    let reason = reason_of(server().await, async |server, _| server.io.close());
    assert_eq!(reason.await, "server shutting down");
}

#[tokio::test]
async fn a_disconnect_packet_is_a_client_namespace_disconnect() {
    let reason = reason_of(server().await, async |_, client| client.send("41").await);
    assert_eq!(reason.await, "client namespace disconnect");
}

#[tokio::test]
async fn a_disconnected_socket_has_a_server_namespace_disconnect() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let reason = reason_of(server, async |_, client| {
        connected.recv().await.unwrap().disconnect();
        client.expect("41").await;
    });
    assert_eq!(reason.await, "server namespace disconnect");
}

#[tokio::test]
async fn closing_the_connection_disconnects_all_its_namespaces() {
    let server = server_with(ServerConfig::default()).await;
    let other = server.io.of("/other");
    let mut connected = sockets(&server.io.of("/"));
    let mut reasons = [disconnections(&server.io.of("/")), disconnections(&other)];
    let mut client = server.client().await;
    client.connect("/other").await;
    let socket = connected.recv().await.unwrap();
    socket.emit("last", &()).unwrap();
    socket.close_connection();
    assert!(socket.emit("too late", &()).is_err());
    assert_eq!(client.rest().await, [r#"42["last"]"#, "41", "41/other,"]);
    for reasons in &mut reasons {
        assert_eq!(reasons.next().await, "server namespace disconnect");
    }
}

#[tokio::test]
async fn the_description_names_the_violation() {
    let server = server().await;
    let (sender, mut log) = support::log();
    server.io.on_disconnect(move |more: Option<DisconnectDescription>| {
        let _ = sender.send(more.map(|DisconnectDescription(text)| text));
        async {}
    });
    let mut client = server.client().await;
    client.send("49").await;
    assert_eq!(log.next().await.as_deref(), Some("unknown packet type 9"));
    server.client().await.close().await;
    assert_eq!(log.next().await, None);
}
