//! Events that a node delivers without the engine's log, because the engine fails or is slow, reach
//! each client once: those that return, and those that move to another node.

use crate::support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use socketio_adapter::MemoryCluster;
use socketio_server::{ClusterLimits, Recovery};
use support::{
    nodes::{Held, Node, Trouble, Troubled, cluster, event, patient, skipping},
    until,
};

/// A node that waits ten minutes for its engine, which can fail, in a cluster whose log skips events
/// while the flag is set.
async fn patient_node(recovery: Recovery) -> (MemoryCluster, Arc<AtomicBool>, Arc<Troubled>, Node) {
    let (cluster, skip) = skipping(|_| true);
    let engine = Troubled::new(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(600));
    let node = Node::with(engine.clone(), recovery, limits).await;
    (cluster, skip, engine, node)
}

/// A middleware holds the client after its missed events were read.
#[tokio::test]
async fn a_late_event_reaches_a_client_that_is_about_to_return() {
    for trouble in [Trouble::None, Trouble::NoAnswer] {
        let recovery = Recovery::default().skip_middlewares(false);
        let (cluster, skip, engine, mut node) = patient_node(recovery).await;
        let (client, _, pid, offset) = node.client_with_offset().await;
        let (mut witness, _, _) = node.client().await;
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let waiting = Arc::new(AtomicBool::new(false));
        let (opens, waits) = (gate.clone(), waiting.clone());
        node.server.io.use_(move || {
            let (gate, waiting) = (opens.clone(), waits.clone());
            async move {
                waiting.store(true, Ordering::SeqCst);
                let _opened = gate.acquire().await;
                Ok(())
            }
        });
        client.reset();
        until(|| cluster.sessions() == 1).await;
        let mut client = node.claims(&pid, &offset).await;
        until(|| waiting.load(Ordering::SeqCst)).await;
        let published = || {
            let cluster = node.server.io.stats().cluster;
            cluster.sent + cluster.lost
        };
        let before = published();
        skip.store(true, Ordering::SeqCst);
        engine.set(trouble);
        node.server.io.emit("late", &1).unwrap();
        until(|| published() > before).await;
        skip.store(false, Ordering::SeqCst);
        engine.set(Trouble::None);
        node.server.io.emit("last", &2).unwrap();
        assert_eq!(event(&mut witness).await.0, json!(["late", 1]));
        assert_eq!(witness.recorded().await.0, json!(["last", 2]));
        gate.add_permits(1);
        assert_eq!(client.recoverable().await.1, pid);
        assert_eq!(event(&mut client).await.0, json!(["late", 1]), "{trouble:?}");
        assert_eq!(client.recorded().await.0, json!(["last", 2]));
        client.fence().await;
    }
}

/// The client returns to the node whose reader has skipped the event.
#[tokio::test]
async fn an_event_that_a_client_got_when_it_returned_is_not_delivered_late() {
    let (cluster, skip) = skipping(|_| true);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(600));
    let mut node = Node::with(cluster.adapter(), Recovery::default(), limits).await;
    let other = Node::of(&cluster).await;
    let (client, _, pid, offset) = node.client_with_offset().await;
    let (mut witness, _, _) = node.client().await;
    let sent = node.server.io.stats().cluster.sent;
    skip.store(true, Ordering::SeqCst);
    node.server.io.emit("skipped", &1).unwrap();
    until(|| node.server.io.stats().cluster.sent > sent).await;
    skip.store(false, Ordering::SeqCst);
    client.reset();
    until(|| cluster.sessions() == 1).await;
    let mut client = node.claims(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["skipped", 1]));
    assert_eq!(client.recoverable().await.1, pid);
    other.server.io.emit("other", &2).unwrap();
    assert_eq!(client.recorded().await.0, json!(["other", 2]));
    node.server.io.emit("last", &3).unwrap();
    assert_eq!(client.recorded().await.0, json!(["last", 3]));
    client.fence().await;
    assert_eq!(witness.recorded().await.0, json!(["other", 2]));
    assert_eq!(event(&mut witness).await.0, json!(["skipped", 1]));
    assert_eq!(witness.recorded().await.0, json!(["last", 3]));
    witness.fence().await;
}

/// The engine refuses an event while its node waits for earlier ones. The client returns before that,
/// and reads later events in the log.
#[tokio::test]
async fn a_refused_event_is_not_delivered_after_later_ones_that_a_client_has_read() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let engine = Troubled::new(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(600));
    let mut node = Node::with(engine.clone(), Recovery::default(), limits).await;
    let (client, _, pid, offset) = node.client_with_offset().await;
    let (mut witness, _, _) = node.client().await;
    held.hold();
    for (trouble, n) in [(Trouble::None, 1), (Trouble::NotConnected, 2), (Trouble::None, 3)] {
        engine.set(trouble);
        let published = || {
            let stats = node.server.io.stats().cluster;
            stats.sent + stats.lost
        };
        let before = published();
        node.server.io.emit("event", &n).unwrap();
        until(|| published() > before).await;
    }
    client.reset();
    until(|| cluster.sessions() == 1).await;
    let mut client = node.claims(&pid, &offset).await;
    for n in [1, 3] {
        assert_eq!(client.recorded().await.0, json!(["event", n]));
    }
    assert_eq!(client.recoverable().await.1, pid);
    held.release();
    for n in [1, 2, 3] {
        assert_eq!(event(&mut witness).await.0, json!(["event", n]));
    }
    client.fence().await;
    witness.fence().await;
}

/// The client returns to the node that does not know that the engine has logged the event.
#[tokio::test]
async fn an_unconfirmed_event_that_a_client_got_when_it_returned_is_not_delivered_again() {
    let (cluster, skip, engine, mut node) = patient_node(Recovery::default()).await;
    let (client, _, pid, offset) = node.client_with_offset().await;
    let (mut witness, _, _) = node.client().await;
    skip.store(true, Ordering::SeqCst);
    engine.set(Trouble::NoAnswer);
    node.server.io.emit("unconfirmed", &1).unwrap();
    until(|| node.server.io.stats().cluster.lost == 1).await;
    client.reset();
    until(|| cluster.sessions() == 1).await;
    let mut client = node.claims(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["unconfirmed", 1]));
    assert_eq!(client.recoverable().await.1, pid);
    skip.store(false, Ordering::SeqCst);
    engine.set(Trouble::None);
    node.server.io.emit("last", &2).unwrap();
    assert_eq!(event(&mut witness).await.0, json!(["unconfirmed", 1]));
    assert_eq!(witness.recorded().await.0, json!(["last", 2]));
    assert_eq!(event(&mut client).await.0, json!(["last", 2]));
    client.fence().await;
}

/// The client returns and reads a later event in the log, before the node knows that the engine has
/// not logged the event.
#[tokio::test]
async fn a_client_that_read_a_later_event_when_it_returned_does_not_get_an_unlogged_one() {
    let (cluster, skip, engine, mut node) = patient_node(Recovery::default()).await;
    let (client, _, pid, offset) = node.client_with_offset().await;
    let (mut witness, _, _) = node.client().await;
    let before = node.server.io.stats().cluster.sent;
    engine.set(Trouble::NoPublishing);
    node.server.io.emit("unlogged", &1).unwrap();
    until(|| node.server.io.stats().cluster.lost == 1).await;
    engine.set(Trouble::None);
    skip.store(true, Ordering::SeqCst);
    node.server.io.emit("logged", &2).unwrap();
    until(|| node.server.io.stats().cluster.sent > before).await;
    skip.store(false, Ordering::SeqCst);
    client.reset();
    until(|| cluster.sessions() == 1).await;
    let mut client = node.claims(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["logged", 2]));
    assert_eq!(client.recoverable().await.1, pid);
    node.server.io.emit("last", &3).unwrap();
    for expected in [json!(["unlogged", 1]), json!(["logged", 2]), json!(["last", 3])] {
        assert_eq!(event(&mut witness).await.0, expected);
    }
    assert_eq!(event(&mut client).await.0, json!(["last", 3]));
    client.fence().await;
}

/// The client moves to another node before its node gets the events back from the engine.
#[tokio::test]
async fn events_that_a_client_got_without_the_log_are_not_repeated_on_another_node() {
    let cluster = cluster();
    let [held, other_held] = Held::of(&cluster);
    let engine = Troubled::new(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(1));
    let mut node = Node::with(engine.clone(), Recovery::default(), limits).await;
    let other = Node::of(&cluster).await;
    let (mut client, _, pid) = node.client().await;
    let (mut witness, _, witness_pid) = node.client().await;
    node.server.io.emit("both", &0).unwrap();
    let both = witness.recorded().await.1;
    assert_eq!(client.recorded().await.1, both);
    held.hold();
    node.server.io.emit("accepted", &1).unwrap();
    until(|| held.len() == 1).await;
    engine.set(Trouble::NoAnswer);
    node.server.io.emit("unconfirmed", &2).unwrap();
    assert_eq!(event(&mut client).await.0, json!(["accepted", 1]));
    let (unconfirmed, offset) = event(&mut client).await;
    assert_eq!(unconfirmed, json!(["unconfirmed", 2]));
    let offset = offset.unwrap_or_else(|| both.clone());
    engine.set(Trouble::None);
    other_held.hold();
    other.server.io.emit("missed", &3).unwrap();
    until(|| other_held.len() == 1).await;
    client.reset();
    witness.reset();
    until(|| cluster.sessions() == 2).await;
    let mut client = other.claims(&pid, &offset).await;
    let missed = client.recorded().await.0;
    assert_eq!(missed, json!(["missed", 3]));
    assert_eq!(client.recoverable().await.1, pid);
    // The witness has not read these events from its former connection.
    let mut witness = other.claims(&witness_pid, &both).await;
    for event in [json!(["accepted", 1]), json!(["unconfirmed", 2]), json!(["missed", 3])] {
        assert_eq!(witness.recorded().await.0, event);
    }
    assert_eq!(witness.recoverable().await.1, witness_pid);
    other_held.release();
    held.release();
    client.fence().await;
    witness.fence().await;
}

/// The client moves to another node before the engine gets the event, and in one case returns to
/// that node a second time.
#[tokio::test]
async fn a_volatile_event_is_not_repeated_on_another_node() {
    for losses in 0..2 {
        let cluster = cluster();
        let engine = Troubled::new(&cluster);
        let mut node = Node::with(engine.clone(), Recovery::default(), patient()).await;
        let mut other = Node::of(&cluster).await;
        let (mut client, _, pid, offset) = node.client_with_offset().await;
        engine.set(Trouble::SlowPublishing);
        node.server.io.volatile().emit("volatile", &1).unwrap();
        client.expect(r#"42["volatile",1]"#).await;
        node.lose(client).await;
        until(|| cluster.sessions() == 1).await;
        for _ in 0..losses {
            let mut client = other.claims(&pid, &offset).await;
            assert_eq!(client.recoverable().await.1, pid);
            other.socket().await;
            other.lose(client).await;
            until(|| cluster.sessions() == 1).await;
        }
        node.server.io.volatile().emit("volatile", &2).unwrap();
        let mut client = other.claims(&pid, &offset).await;
        assert_eq!(client.recoverable().await.1, pid);
        engine.set(Trouble::None);
        client.expect(r#"42["volatile",2]"#).await;
        client.fence().await;
    }
}

/// The client got the event on another node. It returns to the node that does not know that the
/// engine has logged the event.
#[tokio::test]
async fn an_unconfirmed_event_that_a_client_got_on_another_node_is_not_delivered_again() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let engine = Troubled::new(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(1));
    let node = Node::with(engine.clone(), Recovery::default(), limits).await;
    let mut other = Node::of(&cluster).await;
    let (mut client, _, pid, _) = other.client_with_offset().await;
    // The node has delivered the log up to this event.
    other.settle().await;
    held.hold();
    engine.set(Trouble::NoAnswer);
    node.server.io.emit("unconfirmed", &1).unwrap();
    let (unconfirmed, offset) = client.recorded().await;
    assert_eq!(unconfirmed, json!(["unconfirmed", 1]));
    until(|| node.server.io.stats().cluster.lost == 1).await;
    other.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    let mut client = node.claims(&pid, &offset).await;
    assert_eq!(client.recoverable().await.1, pid);
    engine.set(Trouble::NotConnected);
    node.server.io.emit("last", &2).unwrap();
    assert_eq!(event(&mut client).await.0, json!(["last", 2]));
    client.fence().await;
    held.release();
    client.fence().await;
}

/// The same for a node that has just started: the log has returned no event to it, so it cannot tell
/// where in the log its own event is. The client waits until it can.
#[tokio::test]
async fn an_unconfirmed_event_of_a_new_node_is_not_delivered_again() {
    let (cluster, skip) = skipping(|node| node != 0);
    let mut other = Node::of(&cluster).await;
    let (mut client, _, pid, _) = other.client_with_offset().await;
    other.settle().await;
    let engine = Troubled::new(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(600));
    let node = Node::with(engine.clone(), Recovery::default(), limits).await;
    skip.store(true, Ordering::SeqCst);
    engine.set(Trouble::NoAnswer);
    node.server.io.emit("unconfirmed", &1).unwrap();
    let (unconfirmed, offset) = client.recorded().await;
    assert_eq!(unconfirmed, json!(["unconfirmed", 1]));
    until(|| node.server.io.stats().cluster.lost == 1).await;
    other.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    let mut client = node.claims(&pid, &offset).await;
    // Enough for a node that does not wait.
    tokio::time::sleep(Duration::from_millis(50)).await;
    skip.store(false, Ordering::SeqCst);
    engine.set(Trouble::None);
    node.server.io.emit("last", &2).unwrap();
    assert_eq!(client.recorded().await.0, json!(["last", 2]));
    assert_eq!(client.recoverable().await.1, pid);
    client.fence().await;
}

/// The log returns an event that its node has delivered before, and the client gets an event ahead
/// of the log after that.
#[tokio::test]
async fn an_event_that_the_log_returned_late_is_not_repeated_on_another_node() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let engine = Troubled::new(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(1));
    let mut node = Node::with(engine.clone(), Recovery::default(), limits).await;
    let other = Node::of(&cluster).await;
    let (mut client, _, pid, _) = node.client_with_offset().await;
    let mut offset = String::new();
    for (trouble, n) in [(Trouble::None, 1), (Trouble::NoAnswer, 3)] {
        held.hold();
        engine.set(trouble);
        let published = || {
            let stats = node.server.io.stats().cluster;
            stats.sent + stats.lost
        };
        let before = published();
        node.server.io.emit("late", &n).unwrap();
        until(|| held.len() == 1 && published() > before).await;
        engine.set(Trouble::NotConnected);
        node.server.io.emit("refused", &(n + 1)).unwrap();
        let (late, at) = event(&mut client).await;
        assert_eq!(late, json!(["late", n]));
        offset = at.unwrap();
        assert_eq!(event(&mut client).await, (json!(["refused", n + 1]), None));
        if n == 1 {
            held.release();
        }
    }
    node.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    let mut client = other.claims(&pid, &offset).await;
    assert_eq!(client.recoverable().await.1, pid);
    client.fence().await;
}
