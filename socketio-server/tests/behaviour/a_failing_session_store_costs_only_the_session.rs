//! A session store that fails or hangs costs its client the session and some time. Other clients
//! are not affected.

use crate::support;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use socketio_server::{ClusterLimits, MemoryCluster, Recovery, ServerConfig, Socket};
use support::{
    log,
    nodes::{Node, Trouble, Troubled, cluster},
    server_with, until,
};

async fn node(cluster: &MemoryCluster) -> (Node, Arc<Troubled>) {
    patient_node(cluster, Duration::from_secs(1)).await
}

async fn patient_node(cluster: &MemoryCluster, timeout: Duration) -> (Node, Arc<Troubled>) {
    let engine = Troubled::new(cluster);
    let limits = ClusterLimits::default().request_timeout(timeout);
    (Node::with(engine.clone(), Recovery::default(), limits).await, engine)
}

#[tokio::test]
async fn a_store_that_fails_to_find_a_session_costs_only_the_session() {
    let cluster = cluster();
    let (mut node, engine) = node(&cluster).await;
    let mut calm = Node::of(&cluster).await;
    for trouble in [Trouble::Failing, Trouble::Stuck, Trouble::NoLog] {
        let (client, socket, pid, offset) = node.client_with_offset().await;
        node.lose(client).await;
        until(|| cluster.sessions() == 1).await;
        engine.set(trouble);
        let mut client = node.server.open().await;
        client.claim(&pid, &offset).await;
        let (sid, new) = client.recoverable().await;
        assert_ne!((sid.as_str(), &new), (socket.id(), &pid));
        node.socket().await.emit("n", &1).unwrap();
        assert_eq!(client.recorded().await.0, json!(["n", 1]));
        engine.set(Trouble::None);
        // The session was never taken, or was returned to the store.
        until(|| cluster.sessions() == 1).await;
        client.send("41").await;
        until(|| node.server.io.of("/").sockets_count() == 0).await;
        let mut client = calm.claims(&pid, &offset).await;
        assert_eq!(client.recoverable().await.1, pid, "after {trouble:?}");
        calm.socket().await.disconnect();
        client.expect("41").await;
        until(|| calm.server.io.of("/").sockets_count() == 0).await;
    }
}

#[tokio::test]
async fn other_sockets_are_served_while_the_store_hangs() {
    let cluster = cluster();
    let (mut node, engine) = patient_node(&cluster, Duration::from_secs(3600)).await;
    for trouble in [Trouble::Stuck, Trouble::NoLog] {
        let (client, _, pid, offset) = node.client_with_offset().await;
        node.lose(client).await;
        until(|| cluster.sessions() == 1).await;
        engine.set(trouble);
        let mut client = node.server.open().await;
        client.claim(&pid, &offset).await;
        // The client's other namespaces and other clients are served.
        node.server.io.of("/other");
        client.send("40/other").await;
        assert!(client.text().await.starts_with("40/other,"));
        let mut other = node.server.open().await;
        other.send("40/other").await;
        assert!(other.text().await.starts_with("40/other,"));
        other.send("41/other,").await;
        client.send("41/other,").await;
        until(|| node.server.io.of("/other").sockets_count() == 0).await;
        // A client that stops waiting leaves its session in the store.
        client.reset();
        until(|| node.server.io.engine().clients_count() == 1).await;
        engine.set(Trouble::None);
        until(|| cluster.sessions() == 1).await;
        let mut client = node.claims(&pid, &offset).await;
        assert_eq!(client.recoverable().await.1, pid, "after {trouble:?}");
        node.socket().await.disconnect();
        client.expect("41").await;
        until(|| node.server.io.of("/").sockets_count() == 0).await;
        drop((client, other));
        until(|| node.server.io.engine().clients_count() == 0).await;
    }
}

#[tokio::test]
async fn a_store_that_fails_to_save_a_session_costs_only_the_session() {
    let cluster = cluster();
    let (mut node, engine) = node(&cluster).await;
    for trouble in [Trouble::Failing, Trouble::Stuck] {
        let (client, _, pid, offset) = node.client_with_offset().await;
        engine.set(trouble);
        node.lose(client).await;
        engine.set(Trouble::None);
        // A client that returns at once waits until the session is stored or storing has failed.
        let mut client = node.claims(&pid, &offset).await;
        assert_ne!(client.recoverable().await.1, pid);
        node.socket().await.disconnect();
        client.expect("41").await;
        until(|| node.server.io.of("/").sockets_count() == 0).await;
    }
}

#[tokio::test]
async fn a_client_lost_during_the_query_may_claim_its_session_again() {
    let cluster = cluster();
    let (mut one, engine) = patient_node(&cluster, Duration::from_secs(3600)).await;
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
async fn a_client_lost_during_the_query_keeps_its_dynamic_namespace() {
    let cluster = cluster();
    let (node, engine) = patient_node(&cluster, Duration::from_secs(3600)).await;
    let (sender, mut connected) = log();
    node.server.io.of_regex("^/child$").unwrap().on_connection(move |socket: Socket| {
        let _ = sender.send(socket);
        async {}
    });
    let mut client = node.server.open().await;
    client.send("40/child").await;
    let grant = client.text().await;
    let grant: serde_json::Value =
        serde_json::from_str(grant.strip_prefix("40/child,").unwrap()).unwrap();
    let socket = connected.next().await;
    socket.set_data("only on this node");
    socket.emit("got", &()).unwrap();
    let event = client.text().await;
    let event: Vec<serde_json::Value> =
        serde_json::from_str(event.strip_prefix("42/child,").unwrap()).unwrap();
    let claim = format!("40/child,{}", json!({ "pid": grant["pid"], "offset": event[1] }));
    client.reset();
    until(|| cluster.sessions() == 1).await;
    engine.set(Trouble::NoLog);
    let mut client = node.server.open().await;
    client.send(&claim).await;
    until(|| cluster.sessions() == 0).await;
    client.reset();
    until(|| cluster.sessions() == 1).await;
    engine.set(Trouble::None);
    let mut client = node.server.open().await;
    client.send(&claim).await;
    let socket = connected.next().await;
    assert!(socket.recovered());
    assert_eq!(socket.data::<&str>().as_deref(), Some(&"only on this node"));
    assert!(client.text().await.contains(r#""pid":"#));
}

#[tokio::test]
async fn a_client_that_missed_more_than_its_queue_holds_gets_a_new_session() {
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
