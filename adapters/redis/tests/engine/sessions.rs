//! Sessions and what was missed, in a stream.

use std::{sync::Arc, time::Duration};

use engines::{Redis, RedisCluster};
use socketio_adapter::{
    ClusterAdapter, Offset, conformance,
    recovery::{PageSize, SavedSession, SessionStore},
};
use socketio_parser::value;

use crate::{Node, Nodes, RedisAdapter, Stranger, suite::within};

const ALL: PageSize = PageSize { packets: 1000, bytes: 1_000_000 };

fn session() -> SavedSession {
    SavedSession {
        nsp: None,
        pid: "P".into(),
        sid: "S".into(),
        rooms: vec!["S".into(), "r".into()],
        data: value!({ "u": 1 }),
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
    (names, page.more)
}

async fn is_kept(nodes: Nodes) {
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
        assert_eq!(there.take("P", &bad.into()).await.unwrap(), None, "{bad}");
    }
    assert_eq!(there.take("Q", &offset).await.unwrap(), None);
    let (first, second) = tokio::join!(store.take("P", &offset), there.take("P", &offset));
    let taken: Vec<_> = [first.unwrap(), second.unwrap()].into_iter().flatten().collect();
    assert_eq!(taken, [session()]);

    let (all, more) = names(&*there, &offset, ALL).await;
    assert_eq!((all, more), (["n0", "n1", "n2", "n3", "n4"].map(String::from).to_vec(), false));
    let (page, more) = names(&*there, &offset, PageSize { packets: 2, ..ALL }).await;
    assert_eq!((page, more), (vec!["n0".into(), "n1".into()], true));
    let (page, more) = names(&*there, &offsets[2], PageSize { bytes: 1, ..ALL }).await;
    assert_eq!((page, more), (vec!["n2".into()], true));
    let (page, more) = names(&*there, &offsets[5], ALL).await;
    assert_eq!((page, more), (vec![], false));
}

#[tokio::test]
async fn a_session_is_taken_once_with_what_it_missed() {
    let engine = Redis::start().unwrap();
    is_kept(engine.url().into()).await;
}

#[tokio::test]
async fn also_in_a_cluster() {
    let engine = RedisCluster::start().unwrap();
    is_kept(engine.urls().into()).await;
}

#[tokio::test]
async fn a_session_is_kept_in_nodes_form_for_a_time() {
    let engine = Redis::start().unwrap();
    let adapter = RedisAdapter::streams(engine.url()).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let store = node.link.sessions().unwrap();
    let mut stranger = Stranger::new(&engine);
    store.persist(session(), Duration::from_secs(60)).await.unwrap();
    let kept = stranger.words("GET sio:session:P");
    assert_eq!(kept, "hKNzaWShU6NwaWShUKVyb29tc5KhU6FypGRhdGGBoXUB");
    let ttl: u32 = stranger.words("PTTL sio:session:P")[1..].parse().unwrap();
    assert!((1..=60_000).contains(&ttl), "{ttl}");

    let offset = publish(&node, "x").await;
    stranger.words("SET sio:session:P garbage");
    assert!(store.take("P", &offset).await.is_err());
}

/// The session stays where it is if the stream does not reach back to its offset.
#[tokio::test]
async fn a_trimmed_stream_restores_nothing() {
    let engine = Redis::start().unwrap();
    let adapter = RedisAdapter::streams(engine.url()).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let store = node.link.sessions().unwrap();
    let offset = publish(&node, "x").await;
    store.persist(session(), Duration::from_secs(60)).await.unwrap();
    let last = publish(&node, "y").await;
    Stranger::new(&engine).words("XTRIM socket.io MAXLEN 1");
    assert_eq!(store.take("P", &offset).await.unwrap(), None);
    assert!(store.missed(&offset, ALL).await.is_err());
    assert_eq!(store.take("P", &last).await.unwrap(), Some(session()));
}

/// Each adapter on connections of its own.
struct Streams(Nodes);

impl conformance::Logging for Streams {
    async fn adapter(&self) -> Arc<dyn ClusterAdapter> {
        RedisAdapter::streams(self.0.clone()).build().unwrap()
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn passes(nodes: Nodes) {
    let streams = Streams(nodes);
    within(conformance::all_nodes_see_one_order(&streams)).await;
    within(conformance::sessions_are_taken_once(&streams)).await;
    within(conformance::missed_events_are_found(&streams)).await;
}

#[tokio::test]
async fn the_suite_of_logs_is_passed() {
    let engine = Redis::start().unwrap();
    passes(engine.url().into()).await;
}

#[tokio::test]
async fn the_suite_of_logs_is_passed_in_a_cluster() {
    let engine = RedisCluster::start().unwrap();
    passes(engine.urls().into()).await;
}
