//! The queue of messages that a client has not read is limited: `emit` is refused, `ready` waits,
//! volatile events are dropped.

use crate::support;

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde_json::json;
use socketio_server::{Ack, EmitError, EngineConfig, Recovery, ServerConfig, Socket};
use support::{
    Client, Done, Running, disconnections, nodes::cluster, server_with, sockets, within,
};
use tokio::sync::Notify;

/// At most four packets may wait.
async fn small() -> (Running, Client, Socket) {
    let config = ServerConfig::default().engine(|engine| engine.max_queued_packets(4));
    let server = server_with(config).await;
    let mut connected = sockets(&server.io.of("/"));
    let client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    (server, client, socket)
}

// The tests run on one thread, so nothing is written between two emits without an await.

#[tokio::test]
async fn emit_is_refused_until_ready_returns() {
    let (_server, mut client, socket) = small().await;
    for round in 0..3 {
        for n in 0..4 {
            socket.emit("n", &(round, n)).unwrap();
        }
        let refused = socket.emit("n", &(round, 4)).unwrap_err();
        assert!(matches!(refused, EmitError::Full));
        assert_eq!(refused.to_string(), "the outgoing queue is full");
        within(socket.ready()).await.unwrap();
    }
    for round in 0..3 {
        for n in 0..4 {
            client.expect(&format!(r#"42["n",{round},{n}]"#)).await;
        }
    }
    client.fence().await;
}

/// A client that recovers its session in one namespace may get as many missed events as its queue
/// holds, while it waits for the response of another namespace.
#[tokio::test]
async fn a_full_queue_delays_the_response_to_a_connect() {
    let config = ServerConfig::default().engine(|engine| engine.max_queued_packets(4));
    let server = server_with(config).await;
    let (asked, decided) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (starts, decision) = (asked.clone(), decided.clone());
    server.io.of("/other").use_(move |_: Socket| {
        starts.notify_one();
        let decision = decision.clone();
        async move {
            decision.notified().await;
            Done::Ok(())
        }
    });
    let mut connected = sockets(&server.io.of("/"));
    let sid = server.polling_client().await;
    let socket = within(connected.recv()).await.unwrap();
    server.request("POST", &sid, "40/other,").await;
    within(asked.notified()).await;
    while socket.emit("n", &1).is_ok() {}
    decided.notify_one();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let (_, events) = server.request("GET", &sid, "").await;
    assert_eq!(events, [r#"42["n",1]"#; 4].join("\u{1e}"));
    let (_, response) = server.request("GET", &sid, "").await;
    assert!(response.starts_with(r#"40/other,{"sid":"#), "{response}");
}

#[tokio::test]
async fn an_event_larger_than_half_of_the_queue_is_sent_after_ready() {
    let config = ServerConfig::default().engine(|engine| engine.max_queued_bytes(1000));
    let server = server_with(config).await;
    server.io.on("ask", |socket: Socket, ack: Ack| async move {
        let mut refusals = 0;
        for length in [300, 900, 900] {
            while let Err(EmitError::Full) = socket.emit("x", &"x".repeat(length)) {
                refusals += 1;
                assert!(refusals < 100, "the handler never yields");
                socket.ready().await?;
            }
        }
        ack.send_when_ready(&refusals).await?;
        Ok(())
    });
    let mut client = server.client().await;
    client.send(r#"427["ask"]"#).await;
    for length in [300, 900, 900] {
        client.expect(&format!(r#"42["x","{}"]"#, "x".repeat(length))).await;
    }
    client.expect("437[1]").await;
}

#[tokio::test]
async fn a_limit_of_zero_lets_one_event_at_a_time_wait() {
    // With and without a log of the engine's, which checks the queue before it publishes.
    for publishes in [false, true] {
        let none = |it: EngineConfig| it.max_queued_packets(0).max_queued_bytes(0);
        let config = ServerConfig::default().engine(none);
        let mut config = config.connection_state_recovery(Recovery::default());
        if publishes {
            config = config.adapter(cluster().adapter());
        }
        let server = server_with(config).await;
        within(server.io.joined()).await;
        let mut connected = sockets(&server.io.of("/"));
        let mut client = server.open().await;
        client.send("40").await;
        client.recoverable().await;
        let socket = within(connected.recv()).await.unwrap();
        for n in 0..3 {
            let mut refusals = 0;
            while let Err(error) = socket.emit("n", &n) {
                refusals += 1;
                assert!(refusals < 100, "{publishes} {error}");
                within(socket.ready()).await.unwrap();
            }
            assert_eq!(client.recorded().await.0, json!(["n", n]));
        }
    }
}

#[tokio::test]
async fn ready_ends_with_the_socket() {
    let (server, _client, _socket) = small().await;
    let mut connected = sockets(&server.io.of("/"));
    // A client that stops polling keeps its queue.
    server.polling_client().await;
    let socket = within(connected.recv()).await.unwrap();
    for _ in 0..3 {
        socket.emit("fill", &()).unwrap();
    }
    let waiting = tokio::spawn({
        let socket = socket.clone();
        async move { socket.ready().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    socket.disconnect();
    assert!(matches!(within(waiting).await.unwrap(), Err(EmitError::Disconnected)));
    assert!(!socket.conn().is_closed());
    assert!(matches!(within(socket.ready()).await, Err(EmitError::Disconnected)));
}

#[tokio::test]
async fn queued_bytes_are_limited_too() {
    let config = ServerConfig::default().engine(|engine| engine.max_queued_bytes(1000));
    let server = server_with(config).await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let long = "x".repeat(600);
    socket.emit("long", &long).unwrap();
    assert!(matches!(socket.emit("long", &long), Err(EmitError::Full)));
    socket.emit("short", &()).unwrap();
    client.text().await;
    client.expect(r#"42["short"]"#).await;
    client.fence().await;
}

#[tokio::test]
async fn volatile_events_are_dropped_when_the_transport_is_busy() {
    let (server, mut client, socket) = small().await;
    socket.volatile().emit("goes out", &()).unwrap();
    socket.emit("queued", &()).unwrap();
    socket.volatile().emit("dropped", &()).unwrap();
    server.io.volatile().emit("dropped", &()).unwrap();
    client.expect(r#"42["goes out"]"#).await;
    client.expect(r#"42["queued"]"#).await;
    client.fence().await;
    server.io.volatile().emit("goes out", &()).unwrap();
    client.expect(r#"42["goes out"]"#).await;
}

#[tokio::test]
async fn a_client_without_room_for_a_disconnect_packet_is_closed() {
    let (server, mut client, socket) = small().await;
    let mut reasons = disconnections(&server.io.of("/"));
    server.io.of("/other");
    while socket.emit("fill", &()).is_ok() {}
    // The DISCONNECT finds no room in the queue.
    socket.disconnect();
    assert_eq!(reasons.next().await, "server namespace disconnect");
    client.rest().await;
    within(socket.conn().ready()).await;
    assert!(socket.conn().is_closed());
    assert!(tokio::time::timeout(Duration::ZERO, socket.ready()).await.unwrap().is_err());
}

#[tokio::test]
async fn an_ack_that_was_refused_can_be_sent_again() {
    let (server, mut client, socket) = small().await;
    let filler = socket.clone();
    server.io.on("ask", move |ack: Ack| {
        let socket = filler.clone();
        async move {
            while socket.emit("fill", &()).is_ok() {}
            assert!(matches!(ack.send("lost"), Err(EmitError::Full)));
            socket.ready().await?;
            ack.send("late")?;
            Ok(())
        }
    });
    client.send(r#"427["ask"]"#).await;
    for _ in 0..4 {
        client.expect(r#"42["fill"]"#).await;
    }
    client.expect(r#"437["late"]"#).await;
}

#[tokio::test]
async fn an_ack_can_wait_for_room() {
    let (server, mut client, socket) = small().await;
    let filler = socket.clone();
    server.io.on("ask", move |ack: Ack| {
        let socket = filler.clone();
        async move {
            while socket.emit("fill", &()).is_ok() {}
            // Dropped while it waits, so the next call sends.
            assert!(ack.send_when_ready("dropped").now_or_never().is_none());
            ack.send_when_ready("late").await?;
            ack.send_when_ready("once is enough").await?;
            Ok(())
        }
    });
    client.send(r#"427["ask"]"#).await;
    for _ in 0..4 {
        client.expect(r#"42["fill"]"#).await;
    }
    client.expect(r#"437["late"]"#).await;
    client.fence().await;
}

#[tokio::test]
async fn an_ack_does_not_wait_for_a_client_that_has_left() {
    let (server, client, socket) = small().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    server.io.on("ask", move |ack: Ack| {
        let (socket, tell) = (socket.clone(), tell.clone());
        async move {
            while socket.emit("fill", &()).is_ok() {}
            socket.disconnect();
            tell.send(ack.send_when_ready("late").await).unwrap();
        }
    });
    let mut client = client;
    client.send(r#"427["ask"]"#).await;
    assert!(matches!(within(told.recv()).await, Some(Err(EmitError::Disconnected))));
}
