//! The database stops and comes back.

use std::time::{Duration, Instant};

use engines::Postgres;
use socketio_adapter::{AdapterError, ClusterAdapter, ClusterMember};
use socketio_adapter_postgres::PostgresAdapter;

use crate::{
    Node, adapter, config, connect_directly,
    suite::{RecordingInbox, until, within},
};

/// Sends an event until the other node receives it.
async fn until_received(one: &Node, two: &Node) {
    let before = two.inbox.messages().len();
    until(|| async {
        let _ = one.link.publish(one.message("/", "again", &1)).await;
        two.inbox.messages().len() > before
    })
    .await;
}

#[tokio::test]
async fn a_dead_database_fails_promptly_and_nodes_reconnect() {
    let engine = Postgres::start().unwrap();
    let timeout = Duration::from_secs(20);
    let join =
        |uid| Node::join(PostgresAdapter::new(config(&engine).timeout(timeout)).unwrap(), "/", uid);
    let (one, two) = (join("one").await, join("two").await);
    for _ in 0..2 {
        engine.kill().unwrap();
        until(|| async { one.link.publish(one.message("/", "x", &1)).await.is_err() }).await;
        let begun = Instant::now();
        let error = within(one.link.publish(one.message("/", "x", &1))).await.unwrap_err();
        assert!(
            matches!(error, AdapterError::Engine(_) | AdapterError::NotConnected(_)),
            "{error}"
        );
        assert!(begun.elapsed() < timeout / 2, "{:?}", begun.elapsed());
        engine.restart().unwrap();
        until_received(&one, &two).await;
        until_received(&two, &one).await;
    }
}

#[tokio::test]
async fn a_hanging_database_fails_in_time() {
    let engine = Postgres::start().unwrap();
    let short = Duration::from_secs(2);
    let join =
        |uid| Node::join(PostgresAdapter::new(config(&engine).timeout(short)).unwrap(), "/", uid);
    let (one, two) = (join("one").await, join("two").await);
    engine.pause().unwrap();
    let begun = Instant::now();
    let error = within(one.link.publish(one.message("/", "x", &1))).await.unwrap_err();
    assert!(matches!(error, AdapterError::Engine(_) | AdapterError::NotConnected(_)), "{error}");
    for _ in 0..100 {
        let error = within(one.link.publish(one.message("/", "x", &1))).await.unwrap_err();
        assert!(
            matches!(error, AdapterError::Engine(_) | AdapterError::NotConnected(_)),
            "{error}"
        );
        tokio::task::yield_now().await;
    }
    // Only the first event waits for a response.
    assert!(begun.elapsed() < 10 * short, "{:?}", begun.elapsed());
    engine.resume().unwrap();
    until_received(&one, &two).await;
    until_received(&two, &one).await;
}

#[tokio::test]
async fn joining_fails_without_a_database_and_succeeds_later() {
    let engine = Postgres::start().unwrap();
    engine.kill().unwrap();
    let adapter = PostgresAdapter::new(config(&engine).timeout(Duration::from_secs(3))).unwrap();
    let member = ClusterMember { nsp: socketio_parser::Nsp::root(), uid: "one".into() };
    let error = within(adapter.join(member, std::sync::Arc::new(RecordingInbox::default()))).await;
    assert!(matches!(error.err(), Some(AdapterError::Engine(_) | AdapterError::NotConnected(_))));
    engine.restart().unwrap();
    let two = Node::join(self::adapter(&engine), "/", "two").await;
    until(|| async {
        let member = ClusterMember { nsp: socketio_parser::Nsp::root(), uid: "again".into() };
        adapter.join(member, std::sync::Arc::new(RecordingInbox::default())).await.is_ok()
    })
    .await;
    let one = Node::join(adapter, "/", "one").await;
    until_received(&one, &two).await;
}

#[tokio::test]
async fn terminated_connections_are_replaced() {
    let engine = Postgres::start().unwrap();
    let one = Node::join(adapter(&engine), "/", "one").await;
    let two = Node::join(adapter(&engine), "/", "two").await;
    let client = connect_directly(&engine).await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    assert_eq!(client.query(others, &[]).await.unwrap().len(), 4, "two per server");
    until_received(&one, &two).await;
    until_received(&two, &one).await;
}

/// With a second pair of connections, every message would arrive twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn namespaces_that_join_at_once_share_the_connections() {
    let engine = Postgres::start().unwrap();
    let client = connect_directly(&engine).await;
    for _ in 0..20 {
        let adapter = adapter(&engine);
        let start = std::sync::Arc::new(std::sync::Barrier::new(4));
        let joins = ["/", "/a", "/b", "/c"].map(|nsp| {
            let (adapter, start) = (adapter.clone(), start.clone());
            tokio::spawn(async move {
                start.wait();
                Node::join(adapter, nsp, "one").await
            })
        });
        let mut nodes = Vec::new();
        for join in joins {
            nodes.push(join.await.unwrap());
        }
        let connections = "SELECT count(*) FROM pg_stat_activity \
                           WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let count = || async { client.query_one(connections, &[]).await.unwrap().get::<_, i64>(0) };
        assert_eq!(count().await, 2);
        drop((nodes, adapter));
        until(|| async { count().await == 0 }).await;
    }
}

#[tokio::test]
async fn a_namespace_that_left_cannot_publish_and_connections_close_with_the_adapter() {
    let engine = Postgres::start().unwrap();
    let adapter = adapter(&engine);
    let stay = Node::join(adapter.clone(), "/", "stay").await;
    for n in 0..50 {
        let node = Node::join(adapter.clone(), &format!("/{n}"), "one").await;
        node.link.leave().await;
        let error = node.link.publish(node.message("/", "x", &1)).await.unwrap_err();
        assert!(matches!(error, AdapterError::NotInCluster), "{error}");
    }
    let client = connect_directly(&engine).await;
    let count = || async {
        let count = client.query_one(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",
            &[],
        );
        count.await.unwrap().get::<_, i64>(0)
    };
    assert_eq!(count().await, 3, "two of the server and this one");
    drop((stay, adapter));
    until(|| async { count().await == 1 }).await;
}

/// A standby refuses `LISTEN`, and the connection survives the promotion.
#[tokio::test]
async fn a_node_that_reached_a_standby_receives_again_after_its_promotion() {
    let engine = Postgres::start().unwrap();
    let one = Node::join(adapter(&engine), "/", "one").await;
    let two = Node::join(adapter(&engine), "/", "two").await;
    let admin = connect_directly(&engine).await;
    admin.batch_execute("COPY (SELECT 1) TO PROGRAM 'cat > standby.signal'").await.unwrap();
    engine.restart().unwrap();
    let admin = connect_directly(&engine).await;
    let refused = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN %'";
    until(|| async { admin.query(refused, &[]).await.unwrap().len() == 2 }).await;
    admin.query_one("SELECT pg_promote()", &[]).await.unwrap();
    until_received(&one, &two).await;
    until_received(&two, &one).await;
}
