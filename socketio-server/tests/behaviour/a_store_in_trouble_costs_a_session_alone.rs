//! A store that fails or does not answer costs a client its session and some time, nobody else anything.

use crate::support;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use socketio_server::{ClusterLimits, MemoryCluster, Recovery, ServerConfig};
use support::{
    nodes::{Node, Trouble, Troubled, cluster},
    server_with, until,
};

async fn node(cluster: &MemoryCluster) -> (Node, Arc<Troubled>) {
    let engine = Troubled::new(cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_millis(50));
    (Node::with(engine.clone(), Recovery::default(), limits).await, engine)
}

#[tokio::test]
async fn when_it_is_asked() {
    let cluster = cluster();
    let (mut node, engine) = node(&cluster).await;
    for trouble in [Trouble::Failing, Trouble::Stuck, Trouble::NoLog] {
        let (client, socket, pid, offset) = node.client_with_offset().await;
        node.lose(client).await;
        until(|| cluster.sessions() == 1).await;
        engine.set(trouble);
        let mut client = node.server.open().await;
        client.claim(&pid, &offset).await;
        // Meanwhile the others, and the client's other namespaces, are served.
        node.server.io.of("/other");
        client.send("40/other").await;
        if trouble != Trouble::Failing {
            assert!(client.text().await.starts_with("40/other,"));
        }
        let (sid, new) = client.recoverable().await;
        assert_ne!((sid.as_str(), &new), (socket.id(), &pid));
        node.socket().await.emit("n", &1).unwrap();
        if trouble == Trouble::Failing {
            assert!(client.text().await.starts_with("40/other,"));
        }
        assert_eq!(client.recorded().await.0, json!(["n", 1]));
        engine.set(Trouble::None);
        // Nothing was taken, or it was given back.
        until(|| cluster.sessions() == 1).await;
        client.burst(&["41", "41/other,"]).await;
        until(|| node.server.io.of("/").sockets_count() == 0).await;
        until(|| node.server.io.of("/other").sockets_count() == 0).await;
        let mut client = node.claims(&pid, &offset).await;
        assert_eq!(client.recoverable().await.1, pid, "after {trouble:?}");
        node.socket().await.disconnect();
        client.expect("41").await;
        until(|| node.server.io.of("/").sockets_count() == 0).await;
    }
}

#[tokio::test]
async fn when_a_session_is_to_be_kept() {
    let cluster = cluster();
    let (mut node, engine) = node(&cluster).await;
    for trouble in [Trouble::Failing, Trouble::Stuck] {
        let (client, _, pid, offset) = node.client_with_offset().await;
        engine.set(trouble);
        node.lose(client).await;
        engine.set(Trouble::None);
        // Whoever comes back at once waits until it is there, or was given up.
        let mut client = node.claims(&pid, &offset).await;
        assert_ne!(client.recoverable().await.1, pid);
        node.socket().await.disconnect();
        client.expect("41").await;
        until(|| node.server.io.of("/").sockets_count() == 0).await;
    }
}

#[tokio::test]
async fn whoever_is_lost_again_meanwhile_may_try_again() {
    let cluster = cluster();
    let (mut one, engine) = node(&cluster).await;
    let mut two = Node::of(&cluster).await;
    let (client, _, pid, offset) = one.client_with_offset().await;
    one.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    engine.set(Trouble::NoLog);
    let client = one.claims(&pid, &offset).await;
    until(|| cluster.sessions() == 0).await;
    two.server.io.emit("missed", &1).unwrap();
    one.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    let mut client = two.claims(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["missed", 1]));
    assert_eq!(client.recoverable().await.1, pid);
    assert!(two.socket().await.recovered());
}

#[tokio::test]
async fn more_than_a_client_can_be_sent_is_not_sent() {
    let cluster = cluster();
    let mut one = Node::of(&cluster).await;
    let config = ServerConfig::default()
        .connection_state_recovery(Recovery::default())
        .adapter(cluster.adapter())
        .engine(|engine| engine.max_queued_packets(10));
    let two = server_with(config).await;
    let (client, _, pid, offset) = one.client_with_offset().await;
    one.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    for n in 0..10 {
        one.server.io.emit("n", &n).unwrap();
    }
    one.settle().await;
    let mut client = two.open().await;
    client.claim(&pid, &offset).await;
    assert_ne!(client.recoverable().await.1, pid);
    assert_eq!(cluster.sessions(), 0);
    client.fence().await;
}
