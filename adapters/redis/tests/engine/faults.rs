//! Redis stops and comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engines::{Redis, RedisCluster};
use socketio_adapter::{AdapterError, Body, ClusterAdapter, ClusterMember, event_args};

use crate::{
    Adapter, Node, Nodes, RawClient, RedisAdapter, SHORT, all_kinds, events, kinds_with,
    suite::{RecordingInbox, until, within},
    until_received,
};

async fn pair(adapters: impl Fn() -> Vec<Adapter>, kind: usize) -> (Node, Node) {
    let (one, two) = (adapters().swap_remove(kind), adapters().swap_remove(kind));
    (Node::join(&one, "/", "one").await, Node::join(&two, "/", "two").await)
}

#[tokio::test]
async fn a_dead_server_fails_before_the_response_timeout_and_nodes_reconnect() {
    const LONG: Duration = Duration::from_secs(40);
    for kind in 0..3 {
        let engine = Redis::start().unwrap();
        let (one, two) = pair(|| kinds_with(&engine.url().into(), LONG), kind).await;
        for _ in 0..2 {
            engine.kill().unwrap();
            until(|| async { one.link.publish(one.event("x", &[])).await.is_err() }).await;
            let begun = Instant::now();
            let error = within(one.link.publish(one.event("x", &[]))).await.unwrap_err();
            assert!(
                matches!(error, AdapterError::Engine(_) | AdapterError::NotConnected(_)),
                "{error}"
            );
            assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
            assert!(within(one.link.count()).await.is_err());
            engine.restart().unwrap();
            until_received(&one, &two).await;
            until_received(&two, &one).await;
            until(|| async { one.link.count().await.is_ok_and(|count| count == 2) }).await;
        }
    }
}

#[tokio::test]
async fn a_hanging_server_fails_in_time() {
    for kind in 0..3 {
        let engine = Redis::start().unwrap();
        let (one, two) = pair(|| all_kinds(&engine.url().into()), kind).await;
        engine.pause().unwrap();
        let begun = Instant::now();
        for _ in 0..100 {
            let error = within(one.link.publish(one.event("x", &[]))).await.unwrap_err();
            assert!(
                matches!(error, AdapterError::Engine(_) | AdapterError::NotConnected(_)),
                "{error}"
            );
        }
        // Only the first event waits for a response.
        assert!(begun.elapsed() < 10 * SHORT, "{:?}", begun.elapsed());
        engine.resume().unwrap();
        until_received(&one, &two).await;
        until_received(&two, &one).await;
    }
}

#[tokio::test]
async fn killed_connections_are_replaced() {
    for kind in 0..3 {
        let engine = Redis::start().unwrap();
        let (one, two) = pair(|| all_kinds(&engine.url().into()), kind).await;
        let mut raw_client = RawClient::new(&engine);
        for _ in 0..3 {
            for kind in ["normal", "pubsub"] {
                raw_client.command_line(&format!("CLIENT KILL TYPE {kind} SKIPME yes"));
            }
            until_received(&one, &two).await;
            until_received(&two, &one).await;
        }
    }
}

/// A node that could not read gets the entries afterwards, in order and once.
#[tokio::test]
async fn a_stream_loses_no_entries_when_connections_break() {
    let engine = Redis::start().unwrap();
    let (one, two) = pair(|| all_kinds(&engine.url().into()), 2).await;
    let mut raw_client = RawClient::new(&engine);
    let mut expected = Vec::new();
    for n in 0..200 {
        if n % 20 == 10 {
            raw_client.command_line("CLIENT KILL TYPE normal SKIPME yes");
        }
        let event = format!("n{n}");
        // A publish that failed may or may not have been executed.
        if one.link.publish(one.event(&event, &[])).await.is_ok() {
            expected.push(event);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    until_received(&one, &two).await;
    let received: Vec<_> = events(&two).into_iter().filter(|event| event != "again").collect();
    let known: Vec<_> = received.iter().filter(|event| expected.contains(event)).cloned().collect();
    assert_eq!(known, expected);
    let mut once = received.clone();
    once.dedup();
    assert_eq!(once, received);
}

#[tokio::test]
async fn joining_fails_without_a_server_and_succeeds_later() {
    for kind in 0..3 {
        let engine = Redis::start().unwrap();
        engine.kill().unwrap();
        let adapter = all_kinds(&engine.url().into()).swap_remove(kind);
        let member = |uid: &str| ClusterMember {
            nsp: socketio_parser::Nsp::root(),
            uid: uid.to_owned().into(),
        };
        let refused =
            within(adapter.join(member("one"), Arc::new(RecordingInbox::default()))).await;
        assert!(matches!(
            refused.err(),
            Some(AdapterError::Engine(_) | AdapterError::NotConnected(_))
        ));
        engine.restart().unwrap();
        until(|| async {
            adapter.join(member("two"), Arc::new(RecordingInbox::default())).await.is_ok()
        })
        .await;
        let one = Node::join(&adapter, "/", "three").await;
        let two = Node::join(&all_kinds(&engine.url().into()).swap_remove(kind), "/", "four").await;
        until_received(&one, &two).await;
        until(|| async { one.link.count().await.unwrap() == 2 }).await;
    }
}

#[tokio::test]
async fn a_namespace_that_left_leaves_no_subscriptions_or_connections() {
    for kind in 0..3 {
        let engine = Redis::start().unwrap();
        let mut raw_client = RawClient::new(&engine);
        let adapter = all_kinds(&engine.url().into()).swap_remove(kind);
        let stay = Node::join(&adapter, "/", "stay").await;
        let before = raw_client.subscriptions();
        let connections = raw_client.clients().1;
        assert!(connections <= 3, "{connections} connections");
        for n in 0..50 {
            let node = Node::join(&adapter, &format!("/{n}"), "one").await;
            node.link.room_appeared(&"a".into());
            node.link.leave().await;
            let error = node.link.publish(node.event("x", &[])).await.unwrap_err();
            assert!(matches!(error, AdapterError::NotInCluster), "{error}");
        }
        until(|| {
            let now = raw_client.subscriptions();
            async move { now == before }
        })
        .await;
        assert_eq!(raw_client.clients().1, connections, "namespaces must share the connections");
        drop((stay, adapter));
        until(|| {
            let left = raw_client.clients().1;
            async move { left == 0 }
        })
        .await;
    }
}

/// The reader of a stream blocks on a connection of its own.
#[tokio::test]
async fn a_blocking_reader_delays_no_other_command() {
    let engine = Redis::start().unwrap();
    let block_time = Duration::from_secs(30);
    let adapter = || RedisAdapter::streams(engine.url()).block_time(block_time).build().unwrap();
    let one = Node::join(&adapter(), "/", "one").await;
    let two = Node::join(&adapter(), "/", "two").await;
    let begun = Instant::now();
    for _ in 0..20 {
        let args = event_args("x", &()).unwrap();
        let body = Body::ServerSideEmit { args, request: None };
        within(one.link.publish(one.message(body))).await.unwrap();
        one.publish_event("x").await;
        within(one.link.count()).await.unwrap();
    }
    two.inbox.wait(40).await;
    assert!(begun.elapsed() < block_time, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn nodes_reconnect_to_each_restarted_master_of_a_cluster() {
    for kind in 0..3 {
        let engine = RedisCluster::start().unwrap();
        let (one, two) = pair(|| all_kinds(&engine.urls().into()), kind).await;
        for master in engine.masters() {
            master.kill().unwrap();
            let begun = Instant::now();
            let _ = within(one.link.publish(one.event("x", &[]))).await;
            assert!(begun.elapsed() < 10 * SHORT, "{:?}", begun.elapsed());
            master.restart().unwrap();
            engine.agreed().unwrap();
            until_received(&one, &two).await;
            until_received(&two, &one).await;
        }
        until(|| async { one.link.count().await.is_ok_and(|count| count == 2) }).await;
    }
}

/// Redis reports the end of the subscriptions to a slot that moves.
#[tokio::test]
async fn subscriptions_follow_a_slot_that_moves_to_another_master() {
    let engine = RedisCluster::start().unwrap();
    let (one, two) = pair(|| all_kinds(&engine.urls().into()), 1).await;
    let mut masters: Vec<_> = engine.masters().iter().map(RawClient::new).collect();
    let slot = masters[0].command_line("CLUSTER KEYSLOT socket.io#/#");
    let slot = slot.trim_start_matches(':').to_owned();
    let ids: Vec<_> =
        masters.iter_mut().map(|master| master.command_line("CLUSTER MYID")).collect();
    for id in ids {
        for master in &mut masters {
            let moved = master.command_line(&format!("CLUSTER SETSLOT {slot} NODE {id}"));
            assert!(moved.contains("OK"), "{moved}");
        }
        engine.agreed().unwrap();
        until_received(&one, &two).await;
        until_received(&two, &one).await;
    }
}

/// The client of the cluster knows no master without slots. Every subscription that follows a slot
/// there may open a connection of its own, and only the last of these connections remains.
#[tokio::test]
async fn all_subscriptions_follow_a_slot_to_a_master_that_had_no_slots() {
    const NAMESPACES: usize = 20;
    let engine = RedisCluster::start().unwrap();
    let mut masters: Vec<_> = engine.masters().iter().map(RawClient::new).collect();
    // Repeated because a node may assign the slots again on an earlier message of their master.
    until(|| {
        let empty = masters.iter_mut().rev().all(|master| {
            master.command_line("CLUSTER DELSLOTSRANGE 10923 16383");
            !master.command_line("CLUSTER SLOTS").contains(":16383")
        });
        async move { empty }
    })
    .await;
    let id = masters[2].command_line("CLUSTER MYID");
    let slot = masters[0].command_line("CLUSTER KEYSLOT {3}");
    let slot = slot.trim_start_matches(':').to_owned();
    let adapter = || {
        let options = RedisAdapter::sharded(Nodes::from(engine.urls())).channel_prefix("{3}");
        options.response_timeout(SHORT).build().unwrap()
    };
    let (one, two, mut pairs) = (adapter(), adapter(), Vec::new());
    for n in 0..NAMESPACES {
        let nsp = format!("/{n}");
        pairs.push((Node::join(&one, &nsp, "one").await, Node::join(&two, &nsp, "two").await));
    }
    for master in masters.iter_mut().rev() {
        let moved = master.command_line(&format!("CLUSTER SETSLOT {slot} NODE {id}"));
        assert_eq!(moved, "+OK");
    }
    for (one, two) in &pairs {
        until_received(one, two).await;
        until_received(two, one).await;
    }
}
