//! `to` with an empty list selects no socket, on this node and on others. Without `to` all sockets
//! are selected.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use socketio_server::{Broadcast, MemoryCluster, Recovery, Room, ServerConfig};
use support::{
    Client, Running,
    nodes::{self, Node},
    server_with, sockets, until, within,
};

fn none() -> Vec<Room> {
    Vec::new()
}

/// Applies every operation to an empty selection, before the client checks what has arrived.
async fn try_everything(nobody: &Broadcast) {
    nobody.emit("cast", &1).unwrap();
    nobody.clone().volatile().emit("cast", &1).unwrap();
    let answers: Vec<u32> = within(nobody.emit_with_ack("ask", &())).await.unwrap();
    assert!(answers.is_empty());
    nobody.sockets_join("joined").unwrap();
    nobody.sockets_leave("kept").unwrap();
    assert!(within(nobody.fetch_sockets()).await.unwrap().is_empty());
    nobody.disconnect_sockets().unwrap();
    nobody.close_connections().unwrap();
}

#[tokio::test]
async fn an_empty_list_selects_no_socket_on_this_node() {
    let server = server_with(ServerConfig::default()).await;
    let mut connected = sockets(&server.io.of("/"));
    let (mut one, mut two) = (server.client().await, server.client().await);
    let (first, second) =
        (within(connected.recv()).await.unwrap(), within(connected.recv()).await.unwrap());
    first.join("kept").unwrap();
    for nobody in [
        server.io.to(none()),
        server.io.to(none().as_slice()),
        server.io.to(&none()[..]).except("kept"),
        server.io.local().to(none()),
        server.io.to(none()).to(none()),
        second.to(none()),
    ] {
        try_everything(&nobody).await;
    }
    one.fence().await;
    two.fence().await;
    assert_eq!(first.rooms(), [first.id(), "kept"].map(Room::from));

    // An empty list adds nothing to a room, and an empty list of exceptions excludes no socket.
    server.io.to(none()).to("kept").emit("kept", &()).unwrap();
    server.io.to("kept").to(none()).emit("kept", &()).unwrap();
    server.io.except(none()).emit("all", &()).unwrap();
    for _ in 0..2 {
        one.expect(r#"42["kept"]"#).await;
    }
    one.expect(r#"42["all"]"#).await;
    two.expect(r#"42["all"]"#).await;
    one.fence().await;
    two.fence().await;
}

#[tokio::test]
async fn an_empty_list_selects_no_socket_of_any_child() {
    let server = server_with(ServerConfig::default()).await;
    let parent = server.io.of_pattern("/team-{n}").unwrap();
    support::fence(&server.io.of("/team-1"));
    let (mut client, _) = server.client_in("/team-1").await;
    parent.to(none()).emit("cast", &1).unwrap();
    parent.to(none()).close_connections().unwrap();
    parent.emit("all", &1).unwrap();
    client.expect(r#"42/team-1,["all",1]"#).await;
    client.send(r#"42/team-1,1["fence"]"#).await;
    client.expect("43/team-1,1[]").await;
}

async fn pair(cluster: &MemoryCluster) -> [(Running, Client); 2] {
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let server = server_with(ServerConfig::default().adapter(cluster.adapter())).await;
        within(server.io.joined()).await;
        let client = server.client().await;
        nodes.push((server, client));
    }
    for (server, _) in &nodes {
        while within(server.io.of("/").server_count()).await.unwrap() < 2 {
            tokio::task::yield_now().await;
        }
    }
    nodes.try_into().ok().unwrap()
}

#[tokio::test]
async fn a_broadcast_to_an_empty_list_is_not_published() {
    let cluster = MemoryCluster::new();
    let [(one, mut here), (_two, mut there)] = pair(&cluster).await;
    let messages = Arc::new(AtomicUsize::new(0));
    cluster.on_message({
        let messages = messages.clone();
        move |message| {
            messages.fetch_add(1, Ordering::SeqCst);
            message.deliver();
        }
    });
    try_everything(&one.io.to(none())).await;
    one.io.sockets_join(none()).unwrap();
    one.io.sockets_leave(none()).unwrap();
    one.io.emit("all", &1).unwrap();
    here.expect(r#"42["all",1]"#).await;
    there.expect(r#"42["all",1]"#).await;
    here.fence().await;
    there.fence().await;
    // The broadcast to all sockets, and messages that a heartbeat may have caused.
    assert_eq!(messages.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_recovered_client_gets_no_event_of_an_empty_list() {
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    let server = server_with(config).await;
    let (client, sid, pid, offset) = server.client_with_offset().await;
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
    server.io.to(none()).emit("nobody", &()).unwrap();
    server.io.emit("all", &()).unwrap();
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    assert_eq!(client.recorded().await.0[0], "all");
    assert_eq!(client.recoverable().await.0, sid);
}

#[tokio::test]
async fn a_broadcast_to_an_empty_list_is_not_logged() {
    let cluster = nodes::cluster();
    let mut node = Node::of(&cluster).await;
    let (client, _, pid, offset) = node.client_with_offset().await;
    node.lose(client).await;
    node.server.io.to(none()).emit("nobody", &()).unwrap();
    node.server.io.emit("all", &()).unwrap();
    node.settle().await;
    let mut client = node.claims(&pid, &offset).await;
    assert_eq!(client.recorded().await.0[0], "all");
    assert_eq!(client.recoverable().await.1, pid);
}
