//! Nodes that send nothing else send heartbeats, and notice if those of other nodes are missing.

use std::{sync::Arc, time::Duration};

use socketio_adapter::{Heartbeats, MemoryAdapter};
use socketio_server::{MemoryCluster, Namespace, Server, ServerConfig};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A server with many namespaces. Each is a node in the cluster of its namespace, and its task
/// begins with a random one of its parts.
async fn server(cluster: &MemoryCluster) -> (Vec<Namespace>, Arc<MemoryAdapter>) {
    let adapter = cluster.adapter();
    let io = Server::with_config(ServerConfig::default().adapter(adapter.clone()));
    let namespaces: Vec<_> = (0..50).map(|n| io.of(&format!("/{n}"))).collect();
    for namespace in &namespaces {
        namespace.joined().await;
    }
    (namespaces, adapter)
}

async fn assert_counts(namespaces: &[Namespace], expected: usize) {
    for namespace in namespaces {
        assert_eq!(namespace.server_count().await.unwrap(), expected, "{}", namespace.name());
    }
}

#[tokio::test(start_paused = true)]
async fn idle_nodes_are_known_by_their_heartbeats() {
    let heartbeats = Heartbeats { interval: 5 * SECOND, timeout: 10 * SECOND };
    let cluster = MemoryCluster::with_heartbeats(heartbeats);
    let (here, _) = server(&cluster).await;
    let (there, adapter) = server(&cluster).await;
    sleep(30 * SECOND).await;
    assert_counts(&here, 2).await;
    assert_counts(&there, 2).await;

    adapter.kill();
    sleep(30 * SECOND).await;
    assert_counts(&here, 1).await;
}
