//! A closed or removed namespace leaves the cluster when its last handlers have ended, even if
//! handles of it remain.

use crate::support;

use socketio_server::{MemoryCluster, ServerConfig, Socket};
use support::{Running, log, server_with, within};

async fn two() -> (Running, Running) {
    let cluster = MemoryCluster::new();
    let server = || server_with(ServerConfig::default().adapter(cluster.adapter()));
    (server().await, server().await)
}

#[tokio::test]
async fn the_last_events_of_a_closed_namespace_reach_other_nodes() {
    let (one, two) = two().await;
    let (here, there) = (one.io.of("/room"), two.io.of("/room"));
    within(here.joined()).await;
    within(there.joined()).await;
    here.on_disconnect(|socket: Socket| async move {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        socket.broadcast().emit("bye", &())?;
        Ok(())
    });
    let (mut client, _) = one.client_in("/room").await;
    let (mut other, _) = two.client_in("/room").await;
    assert!(one.io.close_namespace("/room"));
    client.expect("41/room,").await;
    other.expect(r#"42/room,["bye"]"#).await;
    until_alone(&two).await;
}

#[tokio::test]
async fn a_handle_does_not_keep_a_closed_namespace_in_the_cluster() {
    let (one, two) = two().await;
    let (sender, mut made) = log();
    one.io.of_pattern("/{name}").unwrap().on_connection(move |socket: Socket| {
        let _ = sender.send(socket.namespace().clone());
        async {}
    });
    let there = two.io.of("/room");
    within(there.joined()).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let (mut client, _) = one.client_in("/room").await;
        let namespace = made.next().await;
        within(namespace.joined()).await;
        kept.push(namespace);
        assert_eq!(there.server_count().await.unwrap(), 2);
        client.send("41/room,").await;
        until_alone(&two).await;
    }
    // The namespace has no sockets and sends nothing.
    kept[0].emit("nobody", &()).unwrap();
}

async fn until_alone(server: &Running) {
    within(async {
        while server.io.of("/room").server_count().await.unwrap() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
