//! A client that lost its connection recovers its id, its rooms, its data and the events it missed.

use crate::support;

use std::time::Duration;

use serde_json::json;
use socketio_server::{Binary, Recovery, Room, ServerConfig, Socket};
use support::{Client, Running, disconnections, server_with, sockets, until, within};
use tokio::sync::mpsc::UnboundedReceiver;

fn recovery() -> ServerConfig {
    ServerConfig::default().connection_state_recovery(Recovery::default())
}

/// Breaks a client's connection, and waits until the server has detected it.
async fn lose(server: &Running, client: Client) {
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
}

/// Connects a client. Returns its ids too.
async fn connect(
    server: &Running,
    connected: &mut UnboundedReceiver<Socket>,
) -> (Client, Socket, (String, String)) {
    let mut client = server.open().await;
    client.send("40").await;
    let ids = client.recoverable().await;
    (client, within(connected.recv()).await.unwrap(), ids)
}

/// Connects a client that has received an event. Returns its ids and the offset of the event too.
async fn recoverable(
    server: &Running,
    connected: &mut UnboundedReceiver<Socket>,
) -> (Client, Socket, (String, String), String) {
    let (client, sid, pid, offset) = server.client_with_offset().await;
    (client, within(connected.recv()).await.unwrap(), (sid, pid), offset)
}

#[tokio::test]
async fn missed_events_precede_the_connect_response() {
    let server = server_with(recovery()).await;
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, socket, (sid, pid)) = connect(&server, &mut connected).await;
    assert_eq!((sid.len(), pid.len()), (20, 20));
    assert!(!socket.recovered());
    socket.join(["in", "both"]).unwrap();
    socket.set_shared(&json!({ "name": "x" })).unwrap();
    socket.set_data(7_u32);
    server.io.emit("first", &(1, "two")).unwrap();
    let (event, offset) = client.recorded().await;
    assert_eq!(event, json!(["first", 1, "two"]));

    lose(&server, client).await;
    server.io.emit("all", &()).unwrap();
    server.io.to("in").emit("in", &1).unwrap();
    server.io.to("elsewhere").emit("not", &1).unwrap();
    server.io.except("both").emit("not", &1).unwrap();
    server.io.to(sid.as_str()).emit("own", &1).unwrap();
    socket.emit("to the old handle", &Binary(vec![1, 2].into())).unwrap();
    server.io.volatile().emit("not", &1).unwrap();
    server.io.to(["in", "both"]).emit("once", &1).unwrap();

    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    for name in ["all", "in", "own"] {
        assert_eq!(client.recorded().await.0[0], name);
    }
    assert_eq!(client.recorded().await.0[0], "to the old handle");
    client.expect_binary(&[1, 2]).await;
    assert_eq!(client.recorded().await.0[0], "once");
    assert_eq!(client.recoverable().await, (sid.clone(), pid));
    let again = within(connected.recv()).await.unwrap();
    assert!(again.recovered() && again.is_connected());
    assert_eq!(again.id(), sid);
    assert_eq!(again.rooms(), [&*sid, "in", "both"].map(Room::from));
    assert_eq!(again.shared::<serde_json::Value>().unwrap(), json!({ "name": "x" }));
    assert_eq!(*again.data::<u32>().unwrap(), 7);
    // Both handles reach the client, and volatile events have no offset.
    socket.emit("old", &1).unwrap();
    again.emit("new", &1).unwrap();
    assert_eq!(client.recorded().await.0, json!(["old", 1]));
    assert_eq!(client.recorded().await.0, json!(["new", 1]));
    client.fence().await;
    again.volatile().emit("volatile", &"last").unwrap();
    client.expect(r#"42["volatile","last"]"#).await;
    let answer = tokio::spawn(async move { again.emit_with_ack::<u32>("ack", &"me").await });
    client.expect(r#"420["ack","me"]"#).await;
    client.send("430[5]").await;
    assert_eq!(answer.await.unwrap().unwrap(), 5);
}

#[tokio::test]
async fn a_session_is_recovered_ten_times() {
    let server = server_with(recovery()).await;
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, first, (sid, pid)) = connect(&server, &mut connected).await;
    first.join("room").unwrap();
    server.io.to("room").emit("n", &0).unwrap();
    let mut event;
    let mut offset = client.recorded().await.1;
    for round in 1..=10 {
        lose(&server, client).await;
        // Every other time the client misses nothing.
        let missed = round % 2 == 0;
        if missed {
            server.io.to("room").emit("n", &round).unwrap();
        }
        client = server.open().await;
        client.claim(&pid, &offset).await;
        if missed {
            (event, _) = client.recorded().await;
            assert_eq!(event, json!(["n", round]));
        }
        assert_eq!(client.recoverable().await.0, sid);
        let socket = within(connected.recv()).await.unwrap();
        socket.emit("n", &(round + 100)).unwrap();
        (event, offset) = client.recorded().await;
        assert_eq!(event, json!(["n", round + 100]));
    }
}

#[tokio::test]
async fn unread_events_of_the_lost_connection_are_sent_again() {
    let server = server_with(recovery()).await;
    let mut connected = sockets(&server.io.of("/"));
    let (client, socket, (_, pid), offset) = recoverable(&server, &mut connected).await;
    // The client is in the room only at that time.
    socket.join("room").unwrap();
    server.io.to("room").emit("on its way", &1).unwrap();
    socket.leave("room");
    server.io.to("room").emit("not", &1).unwrap();
    server.io.to("later").emit("not", &1).unwrap();
    socket.join("later").unwrap();
    socket.emit("on its way", &2).unwrap();
    lose(&server, client).await;
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["on its way", 1]));
    assert_eq!(client.recorded().await.0, json!(["on its way", 2]));
    client.recoverable().await;
}

#[tokio::test]
async fn a_session_is_recovered_after_the_server_closed_the_connection() {
    let server = server_with(recovery()).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, socket, (sid, pid), offset) = recoverable(&server, &mut connected).await;
    socket.conn().close(engineio_server::Unsent::Discard);
    client.rest().await;
    assert_eq!(reasons.next().await, "forced close");
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    assert_eq!(client.recoverable().await.0, sid);
}

/// The client uses a connection that was open before, because a draining server accepts none.
#[tokio::test]
async fn a_session_is_recovered_while_the_server_drains() {
    let server = server_with(recovery()).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, socket, (sid, pid), offset) = recoverable(&server, &mut connected).await;
    let mut spare = server.open().await;
    let io = server.io.clone();
    let draining = tokio::spawn(async move { io.drain(Duration::from_secs(1_000_000)).await });
    while server.request("GET", "", "").await.0 != 503 {
        tokio::task::yield_now().await;
    }
    socket.conn().close(engineio_server::Unsent::Send);
    client.rest().await;
    assert_eq!(reasons.next().await, "server shutting down");
    server.io.emit("missed", &1).unwrap();
    spare.claim(&pid, &offset).await;
    assert_eq!(spare.recorded().await.0, json!(["missed", 1]));
    assert_eq!(spare.recoverable().await, (sid, pid));
    assert!(within(connected.recv()).await.unwrap().recovered());
    draining.abort();
}
