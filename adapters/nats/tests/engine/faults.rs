//! NATS stops and comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engines::Nats;
use socketio_adapter::{AdapterError, ClusterAdapter, ClusterMember};
use socketio_adapter_nats::NatsAdapter;

use crate::{
    Node, adapter, config,
    suite::{RecordingInbox, until, within},
};

/// Sends an event to a room until the other node receives it.
async fn until_received(one: &Node, two: &Node) {
    let before = two.inbox.messages().len();
    until(|| async {
        let _ = one.link.publish(one.message(&["room"], "again", &1)).await;
        two.inbox.messages().len() > before
    })
    .await;
}

/// Longer than a response of a busy machine takes.
const LONG: Duration = Duration::from_secs(10);

async fn patient_adapter(engine: &Nats) -> Arc<NatsAdapter> {
    NatsAdapter::new(config(engine).await.timeout(LONG)).unwrap()
}

async fn two(engine: &Nats) -> (Node, Node) {
    let one = Node::join(patient_adapter(engine).await, "/", "one").await;
    let two = Node::join(patient_adapter(engine).await, "/", "two").await;
    one.join_room("room").await;
    two.join_room("room").await;
    (one, two)
}

#[tokio::test]
async fn a_dead_server_fails_promptly_and_is_found_again() {
    let engine = Nats::start().unwrap();
    let (one, two) = two(&engine).await;
    for n in 0..2 {
        engine.kill().unwrap();
        until(|| async { one.link.publish(one.message(&[], "x", &1)).await.is_err() }).await;
        let begun = Instant::now();
        let error = within(one.link.publish(one.message(&[], "x", &1))).await.unwrap_err();
        assert!(
            matches!(error, AdapterError::Engine(_) | AdapterError::NotConnected(_)),
            "{error}"
        );
        assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
        // A room that appears without a connection is subscribed to later.
        let room = format!("meanwhile {n}");
        two.link.room_appeared(&room.as_str().into());
        engine.restart().unwrap();
        until_received(&one, &two).await;
        until_received(&two, &one).await;
        until(|| async { two.adapter.receives("/", &room) }).await;
    }
}

#[tokio::test]
async fn a_hanging_server_is_noticed() {
    let engine = Nats::start().unwrap();
    let (one, two) = two(&engine).await;
    engine.pause().unwrap();
    until(|| async { one.link.publish(one.message(&[], "x", &1)).await.is_err() }).await;
    engine.resume().unwrap();
    until_received(&one, &two).await;
    until_received(&two, &one).await;
}

#[tokio::test]
async fn joining_fails_at_once_while_there_is_no_server() {
    let engine = Nats::start().unwrap();
    let adapter = patient_adapter(&engine).await;
    engine.kill().unwrap();
    let join = || {
        let member = ClusterMember { nsp: socketio_parser::Nsp::root(), uid: "one".into() };
        adapter.join(member, Arc::new(RecordingInbox::default()))
    };
    until(|| async { join().await.is_err() }).await;
    let begun = Instant::now();
    assert!(matches!(
        within(join()).await.err(),
        Some(AdapterError::Engine(_) | AdapterError::NotConnected(_))
    ));
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    engine.restart().unwrap();
    until(|| async { join().await.is_ok() }).await;
}

#[tokio::test]
async fn a_node_that_left_neither_receives_nor_publishes() {
    let engine = Nats::start().unwrap();
    let (one, two) = two(&engine).await;
    one.link.leave().await;
    let error = one.link.publish(one.message(&[], "x", &1)).await.unwrap_err();
    assert!(matches!(error, AdapterError::NotInCluster), "{error}");
    two.publish_now(&[], "x").await;
    two.publish_now(&["room"], "x").await;
    let three = Node::join(adapter(&engine).await, "/", "three").await;
    until_received(&two, &{
        three.join_room("room").await;
        three
    })
    .await;
    assert!(one.inbox.messages().is_empty());
}

/// The node must catch up even if other rooms change all the time.
#[tokio::test]
async fn a_room_that_appears_without_a_server_is_subscribed_to_afterwards() {
    let engine = Nats::start().unwrap();
    let one = Node::join(adapter(&engine).await, "/", "one").await;
    engine.kill().unwrap();
    until(|| async { one.link.publish(one.message(&[], "x", &1)).await.is_err() }).await;
    one.link.room_appeared(&"a".into());
    engine.restart().unwrap();
    until(|| async {
        one.link.room_vanished(&"b".into());
        one.adapter.receives("/", "a")
    })
    .await;
}
