//! Packets that follow a disconnection in the same burst are not handled. A new CONNECT creates a
//! new socket.

use crate::support;

use std::sync::Arc;

use socketio_server::{Data, EmitError, Recovery, ServerConfig, Socket};
use support::{disconnections, log, server, server_with, sockets, until, within};
use tokio::sync::Notify;

#[tokio::test]
async fn events_after_a_disconnection_by_a_handler_are_ignored() {
    let server = server().await;
    let (sender, mut log) = log();
    server.io.on("leave", |socket: Socket| async move { socket.disconnect() });
    server.io.on("event", move |Data(n): Data<u32>| {
        let _ = sender.send(n);
        async {}
    });
    let mut reasons = disconnections(&server.io.of("/"));
    let mut client = server.client().await;
    client
        .burst(&[r#"42["event",1]"#, r#"42["leave"]"#, r#"42["event",2]"#, r#"421["event",3]"#])
        .await;
    client.expect("41").await;
    assert_eq!(reasons.next().await, "server namespace disconnect");
    // The connection remains, and nothing of the former socket.
    client.connect("/").await;
    client.send(r#"42["event",4]"#).await;
    client.fence().await;
    assert_eq!(log.rest(), [1, 4]);
}

#[tokio::test]
async fn a_connect_in_the_same_burst_makes_a_new_socket() {
    let server = server().await;
    server.io.on("leave", |socket: Socket| async move { socket.disconnect() });
    server.io.on("who", |socket: Socket| async move { socket.id().to_owned() });
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, first) = server.client_in("/").await;
    client.burst(&[r#"42["leave"]"#, "40", r#"427["who"]"#]).await;
    client.expect("41").await;
    let second = client.connected("/").await;
    client.expect(&format!(r#"437["{second}"]"#)).await;
    assert_ne!(first, second);
    let (first, second) = (connected.recv().await.unwrap(), connected.recv().await.unwrap());
    assert!(!first.is_connected() && second.is_connected());
    assert_eq!(server.io.of("/").sockets_count(), 1);
    // A second disconnection of the former socket has no effect.
    first.disconnect();
    client.fence().await;
}

#[tokio::test]
async fn emits_to_a_disconnected_socket_are_refused() {
    let server = server().await;
    let (sender, mut log) = log();
    server.io.on("leave", move |socket: Socket| {
        let sender = sender.clone();
        async move {
            socket.emit("before", &()).unwrap();
            socket.disconnect();
            let _ = sender.send(socket.emit("after", &()));
            let _ = sender.send(socket.volatile().emit("after", &()));
            tokio::task::yield_now().await;
            let _ = sender.send(socket.emit("after", &()));
            let answer = socket.emit_with_ack::<()>("after", &()).await;
            assert!(answer.is_err());
        }
    });
    let mut client = server.client().await;
    client.send(r#"42["leave"]"#).await;
    client.expect(r#"42["before"]"#).await;
    client.expect("41").await;
    for _ in 0..3 {
        assert!(matches!(log.next().await, Err(EmitError::Disconnected)));
    }
    client.connect("/").await;
    client.fence().await;
}

#[tokio::test]
async fn a_connection_handler_may_disconnect_at_once() {
    let server = server().await;
    server.io.on_connection(|socket: Socket| async move { socket.disconnect() });
    let mut reasons = disconnections(&server.io.of("/"));
    let mut client = server.client().await;
    client.expect("41").await;
    assert_eq!(reasons.next().await, "server namespace disconnect");
    client.connect("/").await;
    client.expect("41").await;
}

#[tokio::test]
async fn packets_after_an_invalid_packet_are_not_handled() {
    let server = server().await;
    let (sender, mut log) = log();
    server.io.on("event", move || {
        let _ = sender.send(());
        async {}
    });
    let mut reasons = disconnections(&server.io.of("/"));
    let mut client = server.client().await;
    client.burst(&["4abc", r#"42["event"]"#]).await;
    client.closed().await;
    assert_eq!(reasons.next().await, "forced close");
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn a_disconnected_socket_joins_no_rooms() {
    let server = server().await;
    let mut connected = support::sockets(server.io.sockets());
    let client = server.client().await;
    let socket = support::within(connected.recv()).await.unwrap();
    socket.join("before").unwrap();
    client.close().await;
    support::within(socket.disconnected()).await;
    assert_eq!(socket.join("after"), Err(socketio_server::JoinError::Disconnected));
    support::until(|| server.io.sockets().sockets_count() == 0).await;
    assert_eq!(socket.rooms(), []);
}

#[tokio::test]
async fn events_that_waited_for_the_disconnecting_handler_are_dropped() {
    let server = server_with(ServerConfig::default().max_in_flight(1)).await;
    let (sender, mut log) = log();
    let go = Arc::new(Notify::new());
    let held = go.clone();
    server.io.on("leave", move |socket: Socket| {
        let held = held.clone();
        async move {
            held.notified().await;
            socket.disconnect();
        }
    });
    server.io.on("event", move || {
        let _ = sender.send(());
        async {}
    });
    let mut client = server.client().await;
    client.burst(&[r#"42["leave"]"#, r#"42["event"]"#]).await;
    let mut other = server.client().await;
    other.fence().await;
    go.notify_one();
    client.expect("41").await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn an_event_whose_middleware_disconnects_the_socket_is_dropped() {
    let server = server().await;
    let (sender, mut log) = log();
    let go = Arc::new(Notify::new());
    let held = go.clone();
    server.io.on_connection(move |socket: Socket| {
        let held = held.clone();
        socket.use_(move |socket: Socket, Data(wait): Data<bool>| {
            let held = held.clone();
            async move {
                if wait {
                    held.notified().await;
                }
                socket.disconnect();
            }
        });
        async {}
    });
    server.io.on("event", move || {
        let _ = sender.send(());
        async {}
    });
    for wait in [false, true] {
        let mut client = server.client().await;
        client.send(&format!(r#"42["event",{wait}]"#)).await;
        go.notify_one();
        client.expect("41").await;
    }
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn a_disconnected_handle_does_not_change_the_rooms_of_a_recovered_socket() {
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    let server = server_with(config).await;
    let mut connected = sockets(server.io.sockets());
    let mut client = server.open().await;
    client.send("40").await;
    let (_, pid) = client.recoverable().await;
    let former = within(connected.recv()).await.unwrap();
    former.join("room").unwrap();
    former.emit("event", &()).unwrap();
    let (_, offset) = client.recorded().await;
    client.reset();
    until(|| server.io.sockets().sockets_count() == 0).await;
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    client.recoverable().await;
    let socket = within(connected.recv()).await.unwrap();
    former.leave("room");
    former.leave_all();
    assert_eq!(socket.rooms(), [former.id(), "room"].map(socketio_server::Room::from));
    assert_eq!(former.rooms(), []);
}
