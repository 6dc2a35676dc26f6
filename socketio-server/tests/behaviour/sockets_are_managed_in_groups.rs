//! Joining, leaving and disconnecting many sockets at once.

use crate::support;

use socketio_server::{ClusterError, JoinError, MemoryCluster, Room, ServerConfig};
use support::{disconnections, server, server_with, sockets, within};

#[tokio::test]
async fn groups_of_sockets_join_and_leave_rooms() {
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
async fn groups_of_sockets_are_disconnected() {
    let server = server().await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let (mut one, mut two) = (server.client().await, server.client().await);
    within(connected.recv()).await.unwrap().join("out").unwrap();
    server.io.to("out").disconnect_sockets().unwrap();
    one.expect("41").await;
    assert_eq!(reasons.next().await, "server namespace disconnect");
    two.fence().await;
    // The connection remains.
    one.connect("/").await;
    server.io.close_connections().unwrap();
    assert_eq!(one.rest().await, ["41"]);
    assert_eq!(two.rest().await, ["41"]);
    assert_eq!(server.io.of("/").sockets_count(), 0);
}

#[tokio::test]
async fn the_rooms_of_a_socket_are_limited() {
    let server = server_with(ServerConfig::default().max_rooms(2)).await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    socket.join(["a", "b"]).unwrap();
    assert_eq!(socket.join("c"), Err(JoinError::TooManyRooms { limit: 2 }));
    // A room that the socket is in counts once. The room named after its id does not count.
    socket.join(["a", socket.id()]).unwrap();
    server.io.sockets_join("c").unwrap();
    assert_eq!(socket.rooms(), [socket.id(), "a", "b"].map(Room::from));
    socket.leave("a");
    socket.join("c").unwrap();
}

#[tokio::test]
async fn the_length_of_a_room_name_is_limited() {
    let server = server_with(ServerConfig::default().max_room_name(8)).await;
    let mut connected = sockets(&server.io.of("/"));
    let _client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let refused = JoinError::NameTooLong { limit: 8 };
    assert_eq!(refused.to_string(), "the room's name is longer than 8 bytes");
    assert_eq!(socket.join(["12345678", "123456789", "after"]), Err(refused));
    assert_eq!(socket.join("äöüß\u{20ac}"), Err(refused));
    let result = server.io.sockets_join(["before", "123456789"]);
    assert!(matches!(result, Err(ClusterError::RoomNameTooLong { limit: 8 })));
    // The socket's id is longer, but the socket is in that room anyway.
    socket.join(socket.id()).unwrap();
    assert_eq!(socket.rooms(), [socket.id(), "12345678"].map(Room::from));
}

#[tokio::test]
async fn the_length_of_a_room_name_from_another_node_is_limited() {
    let cluster = MemoryCluster::new();
    let config = ServerConfig::default().adapter(cluster.adapter());
    let (one, two) = (
        server_with(config).await,
        server_with(ServerConfig::default().max_room_name(8).adapter(cluster.adapter())).await,
    );
    let mut connected = sockets(&two.io.of("/"));
    let mut client = two.client().await;
    let socket = within(connected.recv()).await.unwrap();
    while within(one.io.of("/").server_count()).await.unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    one.io.sockets_join(["before", "123456789"]).unwrap();
    one.io.sockets_join("short").unwrap();
    one.io.emit("after", &()).unwrap();
    client.expect(r#"42["after"]"#).await;
    assert_eq!(socket.rooms(), [socket.id(), "short"].map(Room::from));
}
