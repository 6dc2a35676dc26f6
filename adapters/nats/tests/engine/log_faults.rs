//! JetStream stops and comes back, with or without its data.

use std::{
    future::poll_fn,
    pin::Pin,
    time::{Duration, Instant},
};

use engines::Nats;
use futures_core::Stream;
use socketio_adapter::{AdapterError, Offset};
use socketio_adapter_nats::{
    JetStream, NatsAdapter,
    async_nats::{self, jetstream},
    connect_options,
};

use crate::{
    Node, config,
    log::{LONG, MINUTE, memory, missed, node},
    sessions::{ALL, session},
    suite::{HANG, until, within},
    with,
};

/// Publishes events until one is accepted, and waits until both nodes have received it.
async fn until_received(one: &Node, two: &Node) -> Offset {
    let begun = Instant::now();
    for n in 0.. {
        assert!(begun.elapsed() < HANG);
        let event = format!("again {} {n} {}", one.uid, one.inbox.messages().len());
        if let Ok(Some(offset)) = within(one.link.publish(one.message(&[], &event, &1))).await {
            let heard = |node: &Node| node.events().contains(&event);
            until(|| async { heard(one) && heard(two) }).await;
            return offset;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!()
}

#[tokio::test]
async fn streams_in_files_survive_a_crash() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, JetStream::default(), "one").await;
    let two = node(&engine, JetStream::default(), "two").await;
    let before = one.publish("before").await;
    one.store().persist(session("P", "/"), MINUTE).await.unwrap();
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
        assert!(within(one.store().take("P", &before, None)).await.is_err());
        assert!(within(one.store().missed(&before, ALL)).await.is_err());
        engine.restart().unwrap();
        let after = until_received(&one, &two).await;
        until_received(&two, &one).await;
        assert!(one.store().is_after(&after, &before));
        let found = missed(&two, &before).await.unwrap();
        assert!(found.iter().filter(|event| event.starts_with("again")).count() >= 2 + 2 * n);
    }
    assert_eq!(
        two.store().take("P", &before, None).await.unwrap().session(),
        Some(session("P", "/"))
    );
}

#[tokio::test]
async fn the_loss_of_streams_in_memory_is_detected() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, memory(), "one").await;
    let two = node(&engine, memory(), "two").await;
    let mut old = Vec::new();
    for n in 0..5 {
        old.push(one.publish(&format!("n{n}")).await);
    }
    one.store().persist(session("P", "/"), MINUTE).await.unwrap();
    engine.kill().unwrap();
    until(|| async { one.link.publish(one.message(&[], "x", &1)).await.is_err() }).await;
    engine.restart().unwrap();
    let first = until_received(&one, &two).await;
    until_received(&two, &one).await;
    let mut new = first.clone();
    for n in 0..9 {
        new = two.publish(&format!("m{n}")).await;
    }
    one.wait_for("m8").await;
    // The new stream has other entries with the same sequence numbers.
    two.store().persist(session("P", "/"), MINUTE).await.unwrap();
    for offset in &old {
        assert_eq!(one.store().take("P", offset, None).await.unwrap().session(), None);
        assert!(missed(&one, offset).await.is_err());
        assert!(one.store().is_after(&first, offset) && !one.store().is_after(offset, &first));
    }
    assert_eq!(one.store().take("P", &new, None).await.unwrap().session(), Some(session("P", "/")));
}

#[tokio::test]
async fn a_deleted_stream_is_created_again() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, JetStream::default(), "one").await;
    let two = node(&engine, JetStream::default(), "two").await;
    let old = one.publish("before").await;
    two.wait_for("before").await;
    let context = jetstream::new(async_nats::connect(engine.url()).await.unwrap());
    for name in ["socketio-log", "socketio-sessions"] {
        context.delete_stream(name).await.unwrap();
    }
    one.publish("after").await;
    assert_eq!(two.wait_for("after").await, ["before", "after"]);
    assert_eq!(one.wait_for("after").await, ["before", "after"]);
    one.store().persist(session("P", "/"), MINUTE).await.unwrap();
    assert_eq!(two.store().take("P", &old, None).await.unwrap().session(), None);
}

#[tokio::test]
async fn a_hanging_server_fails_in_time() {
    let engine = Nats::with_jetstream().unwrap();
    let timeout = Duration::from_secs(2);
    let join = async |uid| {
        let config = config(&engine).await.timeout(timeout);
        let config = config.connection_state_recovery(JetStream::default());
        Node::join(NatsAdapter::new(config).unwrap(), "/", uid).await
    };
    let (one, two) = (join("one").await, join("two").await);
    let offset = one.publish("before").await;
    engine.pause().unwrap();
    let begun = Instant::now();
    for _ in 0..100 {
        let error = within(one.link.publish(one.message(&[], "x", &1))).await.unwrap_err();
        assert!(
            matches!(error, AdapterError::Engine(_) | AdapterError::NotConnected(_)),
            "{error}"
        );
    }
    assert!(begun.elapsed() < 10 * timeout, "{:?}", begun.elapsed());
    assert!(within(one.store().take("P", &offset, None)).await.is_err());
    assert!(within(one.store().persist(session("P", "/"), MINUTE)).await.is_err());
    engine.resume().unwrap();
    until_received(&one, &two).await;
    until_received(&two, &one).await;
}

/// A node that publishes many events must not wait for a timeout on each, even while the connection
/// seems intact.
#[tokio::test]
async fn a_silent_jetstream_does_not_delay_each_event() {
    let engine = Nats::with_jetstream().unwrap();
    let slow = connect_options().ping_interval(Duration::from_secs(60));
    let timeout = Duration::from_secs(2);
    let config = with(&engine, slow).await.timeout(timeout);
    let config = config.connection_state_recovery(JetStream::default());
    let one = Node::join(NatsAdapter::new(config).unwrap(), "/", "one").await;
    one.publish("before").await;
    engine.pause().unwrap();
    let begun = Instant::now();
    for _ in 0..100 {
        within(one.link.publish(one.message(&[], "x", &1))).await.unwrap_err();
    }
    assert!(begun.elapsed() < 10 * timeout, "{:?}", begun.elapsed());
    engine.resume().unwrap();
    until_received(&one, &one).await;
}

/// The NATS client drops messages that exceed the capacity of a subscription. The reader must
/// detect the gap and read again.
#[tokio::test]
async fn an_overflowing_subscription_loses_no_events() {
    let engine = Nats::with_jetstream().unwrap();
    let small = connect_options().subscription_capacity(200);
    let config = with(&engine, small).await.connection_state_recovery(JetStream::default());
    let one = Node::join(NatsAdapter::new(config).unwrap(), "/", "one").await;
    let two = node(&engine, JetStream::default(), "two").await;
    let context = jetstream::new(async_nats::connect(engine.url()).await.unwrap());
    two.publish("first").await;
    two.wait_for("first").await;
    let stream = context.get_stream("socketio-log").await.unwrap();
    let entry = stream.get_raw_message(1).await.unwrap();
    let mut expected = one.wait_for("first").await;
    for _ in 0..2 {
        for _ in 0..300 {
            context.client().publish("socketio.log.Lw", entry.payload.clone()).await.unwrap();
            expected.push("first".into());
        }
        context.client().flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    one.inbox.wait(expected.len()).await;
    two.publish("last").await;
    expected.push("last".into());
    assert_eq!(one.wait_for("last").await, expected);
}

/// A node that could not read gets the events afterwards, in order and once.
#[tokio::test]
async fn events_survive_crashes_of_the_server() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, JetStream::default(), "one").await;
    let two = node(&engine, JetStream::default(), "two").await;
    let mut expected = Vec::new();
    for n in 0..200 {
        if n % 50 == 25 {
            engine.restart().unwrap();
        }
        let event = format!("n{n}");
        // What is not said to be published may be, and may not.
        if one.link.publish(one.message(&[], &event, &1)).await.is_ok() {
            expected.push(event);
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    until_received(&one, &two).await;
    for node in [&one, &two] {
        let heard = node.events();
        let known: Vec<_> = heard.iter().filter(|it| expected.contains(it)).cloned().collect();
        assert_eq!(known, expected);
    }
}

/// Neither a node that left nor a reader of missed events leaves a consumer behind.
#[tokio::test]
async fn unused_consumers_are_deleted() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, JetStream::default(), "one").await;
    let from = one.publish("before").await;
    for n in 0..20 {
        one.publish(&format!("n{n}")).await;
    }
    let client = async_nats::connect(engine.url()).await.unwrap();
    let mut deletions = client.subscribe("$JS.API.CONSUMER.DELETE.socketio-log.*").await.unwrap();
    client.flush().await.unwrap();
    for _ in 0..20 {
        assert_eq!(missed(&one, &from).await.unwrap().len(), 20);
        // The adapter deletes the consumer instead of waiting until it expires.
        within(poll_fn(|cx| Pin::new(&mut deletions).poll_next(cx))).await.unwrap();
    }
    let context = jetstream::new(client);
    let alone = || async {
        let stream = context.get_stream("socketio-log").await.unwrap();
        stream.cached_info().state.consumer_count == 1
    };
    until(alone).await;
    for n in 0..5 {
        let other = node(&engine, JetStream::default(), &format!("other{n}")).await;
        other.link.leave().await;
    }
    until(alone).await;
    drop(one);
}
