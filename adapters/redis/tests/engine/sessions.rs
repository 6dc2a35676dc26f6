//! Sessions and missed events in a stream.

use std::{sync::Arc, time::Duration};

use engines::{Redis, RedisCluster};
use socketio_adapter::{
    AdapterError, ClusterAdapter, Offset, conformance,
    recovery::{PageSize, SavedSession, SessionStore},
};
use socketio_parser::value;

use crate::{Node, Nodes, RawClient, RedisAdapter, suite::within};

const ALL: PageSize = PageSize { packets: 1000, bytes: 1_000_000 };

pub(crate) fn session() -> SavedSession {
    SavedSession {
        nsp: None,
        pid: "P".into(),
        sid: "S".into(),
        rooms: vec!["S".into(), "r".into()],
        data: value!({ "u": 1 }),
        owner: None,
        epoch: 0,
        former_nodes: Vec::new(),
    }
}

async fn publish(node: &Node, event: &str) -> Offset {
    within(node.link.publish(node.event(event, &["r"]))).await.unwrap().unwrap()
}

async fn names(store: &dyn SessionStore, offset: &Offset, size: PageSize) -> (Vec<String>, bool) {
    let page = within(store.missed(offset, size)).await.unwrap();
    let names = page.events.iter().map(|missed| missed.args.event().to_owned()).collect();
    if let Some(last) = page.events.last() {
        assert!(!store.is_after(&last.offset, &page.end));
    }
    (names, page.has_more)
}

async fn session_is_taken_once(nodes: Nodes) {
    let adapter = || RedisAdapter::streams(nodes.clone()).build().unwrap();
    let (one, two) = (adapter(), adapter());
    let (one, two) = (Node::join(&one, "/", "one").await, Node::join(&two, "/", "two").await);
    let other = Node::join(&adapter(), "/other", "three").await;
    let store: Arc<dyn SessionStore> = one.link.sessions().unwrap();
    let there: Arc<dyn SessionStore> = two.link.sessions().unwrap();

    let offset = publish(&one, "seen").await;
    store.persist(session(), Duration::from_secs(60)).await.unwrap();
    let mut offsets = vec![offset.clone()];
    for n in 0..5 {
        publish(&other, "of another namespace").await;
        offsets.push(publish(if n % 2 == 0 { &one } else { &two }, &format!("n{n}")).await);
    }
    assert!(offsets.is_sorted_by(|a, b| store.is_after(b, a) && !store.is_after(a, b)));

    for bad in ["$", "-", "+", "", "x", "0-1", "99999999999999-1", "1-1 COUNT 1"] {
        assert_eq!(there.take("P", &bad.into(), None).await.unwrap().session(), None, "{bad}");
    }
    assert_eq!(there.take("Q", &offset, None).await.unwrap().session(), None);
    let (first, second) =
        tokio::join!(store.take("P", &offset, None), there.take("P", &offset, None));
    let accepted: Vec<_> =
        [first, second].into_iter().filter_map(|it| it.unwrap().session()).collect();
    assert_eq!(accepted, [session()]);

    let (all, more) = names(&*there, &offset, ALL).await;
    assert_eq!((all, more), (["n0", "n1", "n2", "n3", "n4"].map(String::from).to_vec(), false));
    let (page, more) = names(&*there, &offset, PageSize { packets: 2, ..ALL }).await;
    assert_eq!((page, more), (vec!["n0".into(), "n1".into()], true));
    let (page, more) = names(&*there, &offsets[2], PageSize { bytes: 1, ..ALL }).await;
    assert_eq!((page, more), (vec!["n2".into()], true));
    let (page, more) = names(&*there, &offsets[5], ALL).await;
    assert_eq!((page, more), (vec![], false));
}

/// No node would decode it.
#[tokio::test]
async fn a_session_above_the_size_of_a_message_is_refused_and_the_others_are_stored() {
    let engine = Redis::start().unwrap();
    let adapter = RedisAdapter::streams(engine.url()).max_message_bytes(1000).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let (store, minute) = (node.link.sessions().unwrap(), Duration::from_secs(60));
    let offset = publish(&node, "x").await;
    let large = || SavedSession { pid: "LARGE".into(), data: "x".repeat(1000).into(), ..session() };
    let refused = store.persist_all(vec![large(), session()], minute).await.unwrap();
    assert_eq!(refused.iter().map(|it| &*it.pid).collect::<Vec<_>>(), ["LARGE"]);
    let refused = store.persist(large(), minute).await;
    assert!(matches!(refused, Err(AdapterError::Refused(_))), "{refused:?}");
    assert_eq!(store.take("LARGE", &offset, None).await.unwrap().session(), None);
    assert_eq!(store.take("P", &offset, None).await.unwrap().session(), Some(session()));
}

#[tokio::test]
async fn a_session_is_taken_once_and_its_missed_events_are_found() {
    let engine = Redis::start().unwrap();
    session_is_taken_once(engine.url().into()).await;
}

#[tokio::test]
async fn a_session_is_taken_once_in_a_redis_cluster_too() {
    let engine = RedisCluster::start().unwrap();
    session_is_taken_once(engine.urls().into()).await;
}

#[tokio::test]
async fn a_session_is_stored_in_nodes_format_and_expires() {
    let engine = Redis::start().unwrap();
    let adapter = RedisAdapter::streams(engine.url()).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let store = node.link.sessions().unwrap();
    let mut raw_client = RawClient::new(&engine);
    store.persist(session(), Duration::from_secs(60)).await.unwrap();
    let kept = raw_client.command_line("GET sio:session:P");
    assert_eq!(kept, "hKNzaWShU6NwaWShUKVyb29tc5KhU6FypGRhdGGBoXUB");
    let ttl: u32 = raw_client.command_line("PTTL sio:session:P")[1..].parse().unwrap();
    assert!((1..=60_000).contains(&ttl), "{ttl}");

    let offset = publish(&node, "x").await;
    raw_client.command_line("SET sio:session:P garbage");
    assert!(store.take("P", &offset, None).await.is_err());
}

/// The session stays in the store if the stream does not reach back to its offset.
#[tokio::test]
async fn a_trimmed_stream_restores_nothing() {
    let engine = Redis::start().unwrap();
    let adapter = RedisAdapter::streams(engine.url()).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let store = node.link.sessions().unwrap();
    let offset = publish(&node, "x").await;
    store.persist(session(), Duration::from_secs(60)).await.unwrap();
    let last = publish(&node, "y").await;
    RawClient::new(&engine).command_line("XTRIM socket.io MAXLEN 1");
    assert_eq!(store.take("P", &offset, None).await.unwrap().session(), None);
    assert!(store.missed(&offset, ALL).await.is_err());
    assert_eq!(store.take("P", &last, None).await.unwrap().session(), Some(session()));
}

/// Creates each adapter with connections of its own.
struct Streams(Nodes);

impl conformance::LogHarness for Streams {
    async fn adapter(&self) -> Arc<dyn ClusterAdapter> {
        RedisAdapter::streams(self.0.clone()).build().unwrap()
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn passes_suite(nodes: Nodes) {
    let streams = Streams(nodes);
    within(conformance::all_nodes_see_one_order(&streams)).await;
    within(conformance::sessions_are_taken_once(&streams)).await;
    within(conformance::missed_events_are_found(&streams)).await;
}

#[tokio::test]
async fn streams_pass_the_conformance_suite_of_logs() {
    let engine = Redis::start().unwrap();
    passes_suite(engine.url().into()).await;
}

#[tokio::test]
async fn streams_pass_the_conformance_suite_of_logs_in_a_redis_cluster() {
    let engine = RedisCluster::start().unwrap();
    passes_suite(engine.urls().into()).await;
}
