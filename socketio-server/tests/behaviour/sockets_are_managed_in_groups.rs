//! Joining, leaving and disconnecting many sockets at once.

use crate::support;

use socketio_server::{JoinError, Room, ServerConfig};
use support::{disconnections, server, server_with, sockets, within};

#[tokio::test]
async fn join_and_leave() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let (mut one, mut two) = (server.client().await, server.client().await);
    let first = within(connected.recv()).await.unwrap();
    server.io.to(first.id()).sockets_join(["a", "b"]).unwrap();
    server.io.sockets_join("all").unwrap();
    assert_eq!(first.rooms(), [first.id(), "a", "b", "all"].map(Room::from));

    server.io.to("a").emit("to a", &()).unwrap();
    server.io.to("all").emit("to all", &()).unwrap();
    one.expect(r#"42["to a"]"#).await;
    one.expect(r#"42["to all"]"#).await;
    two.expect(r#"42["to all"]"#).await;

    server.io.to("b").sockets_leave(["a", "all"]).unwrap();
    assert_eq!(first.rooms(), [first.id(), "b"].map(Room::from));
    server.io.sockets_leave("all").unwrap();
    server.io.to(["a", "all"]).emit("nobody", &()).unwrap();
    one.fence().await;
    two.fence().await;
}

#[tokio::test]
async fn disconnect_some_and_then_all() {
    let server = server().await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let (mut one, mut two) = (server.client().await, server.client().await);
    within(connected.recv()).await.unwrap().join("out").unwrap();
    server.io.to("out").disconnect_sockets(false).unwrap();
    one.expect("41").await;
    assert_eq!(reasons.next().await, "server namespace disconnect");
    two.fence().await;
    // The connection was kept.
    one.connect("/").await;
    server.io.disconnect_sockets(true).unwrap();
    assert_eq!(one.rest().await, ["41"]);
    assert_eq!(two.rest().await, ["41"]);
    assert_eq!(server.io.of("/").sockets_count(), 0);
}

#[tokio::test]
async fn a_socket_may_be_in_so_many_rooms_only() {
    let server = server_with(ServerConfig::default().max_rooms(2)).await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    socket.join(["a", "b"]).unwrap();
    assert_eq!(socket.join("c"), Err(JoinError::TooManyRooms { limit: 2 }));
    // Those it is in count once, its own not at all.
    socket.join(["a", socket.id()]).unwrap();
    server.io.sockets_join("c").unwrap();
    assert_eq!(socket.rooms(), [socket.id(), "a", "b"].map(Room::from));
    socket.leave("a");
    socket.join("c").unwrap();
}
