//! Events and sessions in JetStream.

use std::{sync::Arc, time::Duration};

use engines::Nats;
use socketio_adapter::{
    AdapterError, Body, ClusterAdapter, ClusterMember, Offset, Selection, conformance, event_args,
    recovery::{PageSize, SavedSession, SessionStore},
};
use socketio_adapter_nats::{
    JetStream, NatsAdapter, NatsConfig, NatsError, StorageType,
    async_nats::{
        self, jetstream,
        jetstream::stream::{Config, RetentionPolicy},
    },
    connect_options,
};
use socketio_parser::Nsp;

use crate::{
    Node, config,
    sessions::{self, ALL, session},
    suite::{HANG, RecordingInbox, until, within},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Longer than a response of a busy machine takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Creates each adapter with a connection of its own.
struct Log(Nats);

impl conformance::LogHarness for Log {
    async fn adapter(&self) -> Arc<dyn ClusterAdapter> {
        logging(&self.0, JetStream::default()).await
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn logging(engine: &Nats, jetstream: JetStream) -> Arc<NatsAdapter> {
    let config = config(engine).await.timeout(LONG);
    NatsAdapter::new(config.connection_state_recovery(jetstream)).unwrap()
}

pub(crate) async fn node(engine: &Nats, jetstream: JetStream, uid: &str) -> Node {
    Node::join(logging(engine, jetstream).await, "/", uid).await
}

pub(crate) fn memory() -> JetStream {
    JetStream::default().storage(StorageType::Memory)
}

impl Node {
    pub(crate) fn store(&self) -> Arc<dyn SessionStore> {
        self.link.sessions().unwrap()
    }

    pub(crate) async fn publish(&self, event: &str) -> Offset {
        within(self.link.publish(self.message(&["r"], event, &1))).await.unwrap().unwrap()
    }

    /// Waits until the node has received an event. Returns all events that it has received.
    pub(crate) async fn wait_for(&self, event: &str) -> Vec<String> {
        until(|| async { self.events().iter().any(|it| it == event) }).await;
        self.events()
    }
}

pub(crate) async fn missed(node: &Node, from: &Offset) -> Result<Vec<String>, AdapterError> {
    sessions::missed(&*node.store(), from, ALL).await
}

#[tokio::test]
async fn the_adapter_passes_the_conformance_suite_of_logs() {
    let log = Log(Nats::with_jetstream().unwrap());
    within(conformance::all_nodes_see_one_order(&log)).await;
    within(conformance::sessions_are_taken_once(&log)).await;
    within(conformance::missed_events_are_found(&log)).await;
}

#[tokio::test]
async fn a_missing_jetstream_is_reported_at_once() {
    let engine = Nats::start().unwrap();
    let adapter = logging(&engine, JetStream::default()).await;
    let error = within(adapter.prepare()).await.unwrap_err();
    assert!(matches!(error, NatsError::NoJetStream), "{error}");
    let member = ClusterMember { nsp: Nsp::root(), uid: "one".into() };
    let error =
        within(adapter.join(member, Arc::new(RecordingInbox::default()))).await.err().unwrap();
    assert!(error.to_string().contains("needs JetStream"), "{error}");
    // Without recovery, the adapter does not need JetStream.
    let plain = crate::adapter(&engine).await;
    within(plain.prepare()).await.unwrap();
    assert!(!plain.keeps_log());
}

#[tokio::test]
async fn prepare_waits_for_the_first_connection() {
    let engine = Nats::with_jetstream().unwrap();
    engine.kill().unwrap();
    let client = connect_options().connect(engine.url()).await.unwrap();
    let config = |client| NatsConfig::new(client).connection_state_recovery(JetStream::default());
    let short = config(client.clone()).timeout(Duration::from_millis(100));
    let error = within(NatsAdapter::new(short).unwrap().prepare()).await.unwrap_err();
    assert!(matches!(error, NatsError::NotConnected), "{error}");
    let adapter = NatsAdapter::new(config(client).timeout(HANG)).unwrap();
    let restart = async { engine.restart().unwrap() };
    let (prepared, ()) = tokio::join!(within(adapter.prepare()), restart);
    prepared.unwrap();
}

#[tokio::test]
async fn many_nodes_make_the_streams_at_once() {
    let engine = Nats::with_jetstream().unwrap();
    // They need not agree on the limits.
    let adapters = (0..8).map(|n| {
        let limits = JetStream::default().max_messages(1000 + n % 2);
        logging(&engine, limits)
    });
    let mut making = tokio::task::JoinSet::new();
    for adapter in adapters {
        let adapter = adapter.await;
        making.spawn(async move { within(adapter.prepare()).await.map(|()| adapter) });
    }
    let adapters: Vec<_> = making.join_all().await.into_iter().map(Result::unwrap).collect();
    let one = Node::join(adapters[0].clone(), "/", "one").await;
    let two = Node::join(adapters[7].clone(), "/", "two").await;
    one.publish("x").await;
    two.wait_for("x").await;
}

#[tokio::test]
async fn an_incompatible_stream_is_left_alone() {
    let engine = Nats::with_jetstream().unwrap();
    let context = jetstream::new(async_nats::connect(engine.url()).await.unwrap());
    let adapter = logging(&engine, JetStream::default()).await;
    let log = Config {
        name: "socketio-log".into(),
        subjects: vec!["socketio.log.*".into()],
        max_messages: 5,
        ..Config::default()
    };
    let sessions = Config {
        name: "socketio-sessions".into(),
        subjects: vec!["socketio.session.*".into()],
        max_messages_per_subject: 1,
        ..Config::default()
    };
    for theirs in [
        Config { subjects: vec!["orders.>".into()], ..log.clone() },
        Config { max_messages_per_subject: 1, ..log.clone() },
        Config { retention: RetentionPolicy::WorkQueue, ..log.clone() },
        Config { max_messages_per_subject: -1, ..sessions.clone() },
    ] {
        let wanted = theirs.name.clone();
        let _ = context.delete_stream(&wanted).await;
        context.create_stream(theirs).await.unwrap();
        let error = within(adapter.prepare()).await.unwrap_err();
        assert!(matches!(&error, NatsError::ForeignStream(name) if *name == wanted), "{error}");
        context.delete_stream(wanted).await.unwrap();
    }
    // Different limits are accepted, because the operator may set them.
    for theirs in [log, sessions] {
        let name = theirs.name.clone();
        let _ = context.delete_stream(&name).await;
        context.create_stream(theirs).await.unwrap();
    }
    within(adapter.prepare()).await.unwrap();
}

#[tokio::test]
async fn a_session_is_not_taken_from_another_namespace() {
    let engine = Nats::with_jetstream().unwrap();
    let adapter = logging(&engine, JetStream::default()).await;
    let one = Node::join(adapter.clone(), "/", "one").await;
    let other = Node::join(adapter, "/other", "other").await;
    let offset = one.publish("x").await;
    one.store().persist(session("P", "/"), MINUTE).await.unwrap();
    // An offset of another namespace does not prove a session.
    assert_eq!(other.store().take("P", &offset, None).await.unwrap().session(), None);
    let message = socketio_adapter::Message {
        nsp: Nsp::new("/other").unwrap(),
        ..other.message(&[], "y", &1)
    };
    let elsewhere = within(other.link.publish(message)).await.unwrap().unwrap();
    assert_eq!(one.store().take("P", &elsewhere, None).await.unwrap().session(), None);
    assert_eq!(other.store().take("P", &elsewhere, None).await.unwrap().session(), None);
    // A client can claim any text as its private id.
    for pid in ["", "*", ">", "a.b", " \r\n", &"p".repeat(10_000)] {
        assert_eq!(one.store().take(pid, &offset, None).await.unwrap().session(), None);
    }
    assert_eq!(
        one.store().take("P", &offset, None).await.unwrap().session(),
        Some(session("P", "/"))
    );
}

#[tokio::test]
async fn a_session_that_is_too_large_does_not_hold_up_the_others() {
    let engine = Nats::with_jetstream().unwrap();
    let node = node(&engine, memory(), "one").await;
    let offset = node.publish("x").await;
    let large = SavedSession { data: vec![0; 2 << 20].into(), ..session("LARGE", "/") };
    let small: Vec<_> = (0..200).map(|n| session(&format!("P{n}"), "/")).collect();
    let sessions = [large].into_iter().chain(small.clone()).collect();
    let refused = node.store().persist_all(sessions, MINUTE).await.unwrap();
    assert_eq!(refused.iter().map(|it| &*it.pid).collect::<Vec<_>>(), ["LARGE"]);
    let config = config(&engine).await.max_message_bytes(1000);
    let adapter = NatsAdapter::new(config.connection_state_recovery(memory())).unwrap();
    let strict = Node::join(adapter, "/", "two").await;
    // Another node would not decode it.
    let large = SavedSession { data: vec![0; 1000].into(), ..session("LARGE", "/") };
    let refused = strict.store().persist(large, MINUTE).await;
    assert!(matches!(refused, Err(AdapterError::Refused(_))), "{refused:?}");
    for session in small {
        let taken = node.store().take(&session.pid, &offset, None).await.unwrap().session();
        assert_eq!(taken, Some(session));
    }
}

/// The session stays in the store if the stream does not reach back to its offset.
#[tokio::test]
async fn a_trimmed_stream_restores_nothing() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, JetStream::default().max_messages(3), "one").await;
    let first = one.publish("first").await;
    one.store().persist(session("P", "/"), MINUTE).await.unwrap();
    let mut last = first.clone();
    for n in 0..5 {
        last = one.publish(&format!("n{n}")).await;
    }
    assert_eq!(one.store().take("P", &first, None).await.unwrap().session(), None);
    assert!(missed(&one, &first).await.is_err());
    assert_eq!(
        one.store().take("P", &last, None).await.unwrap().session(),
        Some(session("P", "/"))
    );
    assert!(missed(&one, &last).await.unwrap().is_empty());
}

#[tokio::test]
async fn many_missed_events_are_found_whatever_their_size() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, JetStream::default(), "one").await;
    let two = node(&engine, JetStream::default(), "two").await;
    let from = one.publish("before").await;
    let mut expected = Vec::new();
    for n in 0..300 {
        // Some messages are larger than a page.
        let filler = "x".repeat(if n % 50 == 0 { 900_000 } else { n });
        let message = two.message(&[], &format!("n{n}"), &filler);
        within(two.link.publish(message)).await.unwrap();
        expected.push(format!("n{n}"));
    }
    assert_eq!(missed(&one, &from).await.unwrap(), expected);
}

/// A page with few events is not the last one if other entries fill the log.
#[tokio::test]
async fn missed_events_are_found_among_other_entries() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, JetStream::default(), "one").await;
    let from = one.publish("before").await;
    let other_client = async_nats::connect(engine.url()).await.unwrap();
    for n in 0..3 {
        for _ in 0..30 {
            let rooms = vec!["r".into()];
            let body = Body::SocketsJoin { selection: Selection::default(), rooms };
            let message = socketio_adapter::Message { body, ..one.message(&[], "", &1) };
            within(one.link.publish(message)).await.unwrap();
            other_client.publish("socketio.log.Lw", vec![b'x'; 100_000].into()).await.unwrap();
        }
        other_client.flush().await.unwrap();
        one.publish(&format!("n{n}")).await;
    }
    for size in [PageSize { packets: 10, bytes: 10_000_000 }, PageSize { packets: 1000, bytes: 1 }]
    {
        assert_eq!(sessions::missed(&*one.store(), &from, size).await.unwrap(), ["n0", "n1", "n2"]);
    }
}

/// Clients never recover requests or volatile events.
#[tokio::test]
async fn requests_and_volatile_events_are_not_in_the_log() {
    let engine = Nats::with_jetstream().unwrap();
    let one = node(&engine, JetStream::default(), "one").await;
    let two = node(&engine, JetStream::default(), "two").await;
    let from = one.publish("before").await;
    let mut selection = Selection::default();
    selection.flags.volatile = true;
    let args = event_args("volatile", &1).unwrap();
    let fetch = Body::FetchSockets { selection: Selection::default(), request: "r".into() };
    for body in [Body::Broadcast { args, selection, request: None }, fetch] {
        let message = socketio_adapter::Message { body, ..one.message(&[], "", &1) };
        assert_eq!(within(one.link.publish(message)).await.unwrap(), None);
    }
    two.inbox.wait(3).await;
    assert!(missed(&two, &from).await.unwrap().is_empty());
    // The node would receive other messages before this one.
    one.publish("after").await;
    let own = one.wait_for("after").await;
    assert_eq!(own, ["before", "after"], "a node receives its own messages from the log only");
}
