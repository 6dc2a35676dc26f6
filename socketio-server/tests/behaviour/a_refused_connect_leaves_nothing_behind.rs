//! A refused socket is neither in a room nor in the namespace.

use crate::support;

use socketio_server::{Auth, HandlerError, MemoryCluster, ServerConfig, Socket};
use support::{Done, disconnections, log, server, server_with, until, within};

#[tokio::test]
async fn a_refused_socket_is_in_no_room_and_in_no_count() {
    let server = server().await;
    let closed = server.io.of("/closed");
    let (sender, mut log) = log();
    closed.use_(move |socket: Socket| {
        let sender = sender.clone();
        async move {
            socket.join(["a", "b"])?;
            let _ = sender.send(socket);
            Done::Err(HandlerError::public("no"))
        }
    });
    let mut reasons = disconnections(&closed);
    let mut client = server.client().await;
    client.send("40/closed,").await;
    client.expect(r#"44/closed,{"message":"no"}"#).await;

    let socket = log.next().await;
    assert_eq!(closed.sockets_count(), 0);
    assert!(closed.socket(socket.id()).is_none());
    assert!(socket.rooms().is_empty());
    assert!(socket.join("c").is_err());
    assert!(socket.emit("x", &()).is_err());
    closed.to(["a", "b"]).emit("x", &()).unwrap();
    client.fence().await;
    drop(client);
    assert!(reasons.rest().is_empty(), "it was never connected");
}

#[tokio::test]
async fn the_rooms_of_a_refused_socket_leave_the_adapter() {
    let cluster = MemoryCluster::with_room_channels();
    let server = server_with(ServerConfig::default().adapter(cluster.adapter())).await;
    let closed = server.io.of("/closed");
    within(server.io.joined()).await;
    closed.use_(|socket: Socket, Auth(auth): Auth<serde_json::Value>| async move {
        let room = auth["room"].as_str().unwrap();
        socket.join(room)?;
        match room {
            "refused" => Done::Err(HandlerError::public("no")),
            _ => Ok(()),
        }
    });
    let mut client = server.client().await;
    client.send(r#"40/closed,{"room":"refused"}"#).await;
    client.expect(r#"44/closed,{"message":"no"}"#).await;
    client.send(r#"40/closed,{"room":"accepted"}"#).await;
    client.connected("/closed").await;
    // The adapter learns of rooms in order.
    until(|| cluster.reaches(0, "/closed", "accepted")).await;
    assert!(!cluster.reaches(0, "/closed", "refused"));
}
