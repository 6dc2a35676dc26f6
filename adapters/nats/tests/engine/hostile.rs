//! Malformed messages. Every client of NATS can publish to the subjects of the cluster.

use engines::Nats;
use socketio_adapter::{AdapterError, recovery::PageSize};
use socketio_adapter_nats::{JetStream, NatsAdapter, async_nats};

use crate::{
    Node, adapter, config, log,
    sessions::session,
    suite::{check_sizes, until, within},
};

/// Payloads that an adapter with a limit of 1000 bytes must refuse.
fn garbage() -> Vec<Vec<u8>> {
    let head = b"\x01\0\0\0\0\0\0\0\x07\x03bad";
    let with = |rest: &[u8]| [head.as_slice(), rest].concat();
    vec![
        Vec::new(),
        vec![1],
        vec![2; 100],
        head[..10].to_vec(),
        b"\x01\0\0\0\0\0\0\0\x07\xffbad".to_vec(),
        b"\x01\0\0\0\0\0\0\0\x07\x02\xff\xff{}".to_vec(),
        with(b""),
        with(b"{"),
        with("[".repeat(900).as_bytes()),
        with(&[0x91; 900]),
        with(&[b' '; 1001]),
        with(br#"{"uid":"x","nsp":"/","type":99}"#),
    ]
}

#[tokio::test]
async fn garbage_is_counted_and_dropped() {
    let engine = Nats::start().unwrap();
    let config = config(&engine).await.max_message_bytes(1000);
    let one = Node::join(NatsAdapter::new(config).unwrap(), "/", "one").await;
    let two = Node::join(adapter(&engine).await, "/", "two").await;
    let other_client = async_nats::connect(engine.url()).await.unwrap();
    let bad = garbage();
    for payload in &bad {
        for subject in ["socketio.Lw.all", "socketio.Lw.node.b25l"] {
            other_client.publish(subject, payload.clone().into()).await.unwrap();
        }
    }
    // An empty message in the name of the node itself, which the node drops.
    other_client
        .publish("socketio.Lw.all", b"\x01\0\0\0\0\0\0\0\x07\x03one".as_slice().into())
        .await
        .unwrap();
    other_client.flush().await.unwrap();
    // A message without content on the subject of all nodes comes from a node that joins.
    until(|| async { one.inbox.undecodable().len() == 2 * bad.len() - 1 }).await;
    assert!(one.inbox.undecodable().iter().any(|text| text.contains("1001 bytes")));
    two.publish_now(&[], "good").await;
    one.inbox.wait(1).await;
    assert_eq!(one.events(), ["good"]);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_others_still_arrive() {
    let engine = Nats::start().unwrap();
    let one = Node::join(adapter(&engine).await, "/", "one").await;
    let two = Node::join(adapter(&engine).await, "/", "two").await;
    for size in [1_048_576, 11_000_000] {
        let large = one.message(&[], "x", &"a".repeat(size));
        let error = within(one.link.publish(large)).await.unwrap_err();
        assert!(matches!(error, AdapterError::Refused(_)), "{error}");
    }
    within(one.link.publish(one.message(&[], "fits", &"a".repeat(1_000_000)))).await.unwrap();
    two.inbox.wait(1).await;
    assert_eq!(two.events(), ["fits"]);
}

#[tokio::test]
async fn garbage_in_the_log_is_counted_and_skipped() {
    let engine = Nats::with_jetstream().unwrap();
    let config = config(&engine).await.max_message_bytes(1000);
    let config = config.connection_state_recovery(JetStream::default());
    let one = Node::join(NatsAdapter::new(config).unwrap(), "/", "one").await;
    let two = log::node(&engine, JetStream::default(), "two").await;
    let from = two.publish("before").await;
    let other_client = async_nats::connect(engine.url()).await.unwrap();
    let bad = garbage();
    for payload in &bad {
        other_client.publish("socketio.log.Lw", payload.clone().into()).await.unwrap();
    }
    // Subjects of no known namespace, or with too many tokens for the stream.
    for subject in ["socketio.log.x", "socketio.log.Lw.x", "socketio.log"] {
        other_client.publish(subject, bad[6].clone().into()).await.unwrap();
    }
    other_client.flush().await.unwrap();
    until(|| async { one.inbox.undecodable().len() == bad.len() }).await;
    assert!(one.inbox.undecodable().iter().any(|text| text.contains("1001 bytes")));
    let page = bad.len() / 3;
    let size = PageSize { packets: page, bytes: 1 << 20 };
    assert!(one.store().missed(&from, size).await.unwrap().events.is_empty());
    two.publish("good").await;
    assert_eq!(one.wait_for("good").await, ["before", "good"]);
    assert_eq!(log::missed(&one, &from).await.unwrap(), ["good"]);
}

#[tokio::test]
async fn a_malformed_session_restores_nothing() {
    let engine = Nats::with_jetstream().unwrap();
    let one = log::node(&engine, JetStream::default(), "one").await;
    let offset = one.publish("x").await;
    let other_client = async_nats::connect(engine.url()).await.unwrap();
    let sessions = async_nats::jetstream::new(other_client);
    for payload in [&b""[..], b"\xff", &[0xff; 100], &[b'x'; 500_000]] {
        // The acknowledgment says that the stream has the message; a flush only says that the server
        // has it.
        let stored =
            sessions.publish("socketio.session.UA", payload.to_vec().into()).await.unwrap();
        stored.await.unwrap();
        assert!(one.store().take("P", &offset, None).await.is_err());
    }
    one.store().persist(session("P", "/"), log::MINUTE).await.unwrap();
    assert!(one.store().take("P", &offset, None).await.unwrap().session().is_some());
}

#[tokio::test]
async fn a_message_that_is_accepted_is_received_whatever_its_size() {
    let engine = Nats::with_jetstream().unwrap();
    for recovery in [None, Some(log::memory())] {
        let limited = config(&engine).await.max_message_bytes(1000);
        let adapter = NatsAdapter::new(match recovery {
            Some(log) => limited.connection_state_recovery(log),
            None => limited,
        });
        let adapter = adapter.unwrap();
        let one = Node::join(adapter.clone(), "/", "one").await;
        let two = Node::join(adapter, "/", "two").await;
        let publish =
            async |event: &str| one.link.publish(one.message(&[], event, &1)).await.map(drop);
        check_sizes(publish, &two.inbox).await;
    }
}
