//! Tests for back-ends whose engine has a log: one order for all nodes, sessions that can be taken
//! once, and pages of missed events.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use socketio_parser::Nsp;
use socketio_parser::{Args, Value, Values, value};

use crate::{
    adapter::{ClusterAdapter, ClusterMember, Inbox, Link},
    error::{AdapterError, MessageError},
    internal::lock,
    message::{Body, Message, NodeId},
    payload::event_args,
    recovery::{
        FormerNode, MissedEvent, Offset, PageSize, SavedSession, SessionStore, TakeOutcome,
    },
    selection::{Room, Selection},
};

/// An engine with a log. No other test may use it at the same time.
pub trait LogHarness {
    /// Creates the adapter of one more server.
    fn adapter(&self) -> impl Future<Output = Arc<dyn ClusterAdapter>>;

    /// Waits 10 ms. Called in loops, so it must panic if a test takes too long.
    fn pause(&self) -> impl Future<Output = ()>;
}

const MINUTE: Duration = Duration::from_secs(60);

/// Records the events that a node receives from the log, with their offsets.
#[derive(Default)]
struct Seen {
    events: Mutex<Vec<(Offset, Args, Selection)>>,
    /// The numbers of the node's own events that the log has returned.
    own: Mutex<Vec<Option<u64>>>,
    uid: NodeId,
}

impl Inbox for Seen {
    fn receive(&self, message: Message, offset: Option<Offset>) {
        if let (Some(offset), Body::Broadcast { args, selection, request: None }) =
            (offset, message.body)
        {
            if message.uid == self.uid {
                lock(&self.own).push(message.seq);
            }
            let mut events = lock(&self.events);
            events.push((offset, args, selection));
        }
    }

    fn undecodable(&self, error: &MessageError) {
        assert_eq!(error.to_string(), "", "garbage");
    }
}

impl Seen {
    fn all(&self) -> Vec<(Offset, Args, Selection)> {
        lock(&self.events).clone()
    }
}

/// One node in one namespace.
struct Node {
    link: Arc<dyn Link>,
    member: ClusterMember,
    seen: Arc<Seen>,
    store: Arc<dyn SessionStore>,
    published: AtomicU64,
}

impl Node {
    async fn join<L: LogHarness>(engine: &L, nsp: &str, uid: &str) -> Self {
        let adapter = engine.adapter().await;
        assert!(adapter.keeps_log(), "an engine without a log");
        let member = ClusterMember { nsp: Nsp::unchecked(nsp), uid: uid.to_owned().into() };
        let seen = Arc::new(Seen { uid: member.uid.clone(), ..Seen::default() });
        let link = succeed(adapter.join(member.clone(), seen.clone())).await;
        let store = link.sessions();
        assert!(store.is_some(), "an engine without sessions");
        let Some(store) = store else { return std::future::pending().await };
        Self { link, member, seen, store, published: AtomicU64::new(0) }
    }

    async fn publish(&self, args: &Args, selection: Selection) -> Offset {
        let body = Body::Broadcast { args: args.clone(), selection, request: None };
        let ClusterMember { nsp, uid } = self.member.clone();
        let seq = Some(self.published.fetch_add(1, Ordering::Relaxed));
        let offset = succeed(self.link.publish(Message { uid, nsp, body, seq })).await;
        assert!(offset.is_some(), "no offset");
        offset.unwrap_or_default()
    }

    /// Waits for `count` events. Returns all received events.
    async fn wait_for_events<L: LogHarness>(
        &self,
        engine: &L,
        count: usize,
    ) -> Vec<(Offset, Args, Selection)> {
        while self.seen.all().len() < count {
            engine.pause().await;
        }
        self.seen.all()
    }
}

async fn succeed<T>(future: impl Future<Output = Result<T, AdapterError>>) -> T {
    match future.await {
        Ok(value) => value,
        Err(error) => {
            assert_eq!(error.to_string(), "", "an engine that fails");
            std::future::pending().await
        }
    }
}

fn event(n: u32) -> Args {
    // Every third event contains binary.
    let body =
        if n.is_multiple_of(3) { Bytes::from_static(b"\0\xffx").into() } else { Value::Null };
    event_args("n", &Values(vec![n.into(), body])).unwrap_or_else(|_| event(n + 1))
}

fn to(rooms: &[&str], except: &[&str]) -> Selection {
    let mut selection = Selection::default();
    selection.rooms.extend(rooms.iter().map(|room| Room::from(*room)));
    selection.except(except);
    selection
}

/// Every node receives the events of all nodes, including its own, once, in the order of their
/// offsets. Its own events keep their numbers.
pub async fn all_nodes_see_one_order<L: LogHarness>(engine: &L) {
    let nsp = "/conformance/order";
    let (one, two) = (Node::join(engine, nsp, "one").await, Node::join(engine, nsp, "two").await);
    let other = Node::join(engine, "/conformance/elsewhere", "three").await;
    other.publish(&event(1), Selection::default()).await;
    let mut published: Vec<(Offset, Args, Selection)> = Vec::new();
    for n in 0..40 {
        let node = if n % 3 == 0 { &one } else { &two };
        let selection = to(&["in", "é"][..(n % 3) as usize], &["out"][..(n % 2) as usize]);
        let offset = node.publish(&event(n), selection.clone()).await;
        // The node may not have read its own events yet.
        if let Some((before, ..)) = published.len().checked_sub(3).map(|n| &published[n]) {
            let is_after = |offset, other| node.store.is_after(offset, other);
            assert!(is_after(&offset, before) && !is_after(before, &offset), "its own events");
        }
        published.push((offset, event(n), selection));
    }
    for node in [&one, &two] {
        assert_eq!(node.wait_for_events(engine, published.len()).await, published);
        let own = lock(&node.seen.own).clone();
        let numbers = 0..node.published.load(Ordering::Relaxed);
        assert_eq!(own, numbers.map(Some).collect::<Vec<_>>(), "its own events");
        for pair in published.windows(2) {
            let [(before, ..), (after, ..)] = pair else { continue };
            assert!(node.store.is_after(after, before), "{after} after {before}");
            assert!(!node.store.is_after(before, after), "{before} after {after}");
            assert!(!node.store.is_after(after, after), "{after} after itself");
        }
    }
    // Two events at the same time.
    let (first, second) = (event(41), event(42));
    let offsets =
        both(one.publish(&first, Selection::default()), two.publish(&second, Selection::default()));
    let (first, second) = offsets.await;
    let offsets = |seen: Vec<(Offset, Args, Selection)>| -> Vec<Offset> {
        seen.into_iter().skip(published.len()).map(|(offset, ..)| offset).collect()
    };
    let total = published.len() + 2;
    let at_one = offsets(one.wait_for_events(engine, total).await);
    let expected =
        if one.store.is_after(&second, &first) { [first, second] } else { [second, first] };
    assert_eq!(at_one, expected);
    assert_eq!(offsets(two.wait_for_events(engine, total).await), expected);
    assert_eq!(other.wait_for_events(engine, 1).await.len(), 1);
    for node in [one, two, other] {
        node.link.leave().await;
    }
}

fn session(pid: &str, nsp: &str, n: u32) -> SavedSession {
    SavedSession {
        nsp: Some(Nsp::unchecked(nsp)),
        pid: pid.into(),
        sid: "sid".into(),
        rooms: vec!["sid".into(), "é".into()],
        data: value!({ "n": n, "binary": [Bytes::from_static(b"\0\xff")], "null": null }),
        owner: (n % 2 == 1).then(|| "one".into()),
        epoch: 0,
        former_nodes: vec![FormerNode { node: "node".into(), next_volatile: Some(n.into()) }],
    }
}

/// A session can be taken once, by any node, with an offset that the log still contains. While a
/// node owns it, it stays stored, and the store refuses what earlier owners write.
pub async fn sessions_are_taken_once<L: LogHarness>(engine: &L) {
    let nsp = "/conformance/sessions";
    let (one, two) = (Node::join(engine, nsp, "one").await, Node::join(engine, nsp, "two").await);
    let offset = one.publish(&event(1), Selection::default()).await;
    let pid = format!("conformance-{offset}");
    let taken = async |node: &Node, offset: &str| {
        let (offset, gone) = (Offset::from(offset.to_owned()), NodeId::from("one"));
        succeed(node.store.take(&pid, &offset, Some(&gone))).await.session()
    };
    assert_eq!(taken(&one, &offset).await, None, "nothing was stored");
    succeed(one.store.persist(session(&pid, nsp, 1), MINUTE)).await;
    succeed(one.store.persist(session(&pid, nsp, 2), MINUTE)).await;
    assert_eq!(succeed(two.store.take("another", &offset, None)).await, TakeOutcome::Missing);
    let long = "9".repeat(1000);
    for wrong in ["", "x", "-", "+", "$", "*", "0", "0-0", "1-1-1", "99999999999999-0", &long] {
        assert_eq!(taken(&two, wrong).await, None, "{wrong}");
    }
    assert_eq!(
        taken(&two, &offset).await,
        Some(session(&pid, nsp, 2)),
        "the session must stay stored"
    );
    assert_eq!(taken(&one, &offset).await, None, "once only");
    succeed(one.store.persist_all(vec![session(&pid, nsp, 1), session("b", nsp, 2)], MINUTE)).await;
    for gone in [None, Some(NodeId::from("another"))] {
        let outcome = succeed(two.store.take(&pid, &offset, gone.as_ref())).await;
        assert_eq!(outcome, TakeOutcome::Owned("one".into()));
    }
    succeed(two.store.forget(&pid, 0)).await;
    succeed(two.store.forget(&pid, 0)).await;
    assert_eq!(taken(&one, &offset).await, None, "forgotten");
    let outcome = succeed(one.store.take("b", &offset, None)).await;
    assert_eq!(outcome, TakeOutcome::Session(session("b", nsp, 2)));
    let at = |n, epoch| SavedSession { epoch, ..session(&pid, nsp, n) };
    for n in [5, 6] {
        succeed(two.store.persist(at(n, 2), MINUTE)).await;
        succeed(one.store.persist(at(7, 1), MINUTE)).await;
        succeed(one.store.persist_all(vec![at(8, 0), session("b", nsp, 2)], MINUTE)).await;
        succeed(one.store.forget(&pid, 1)).await;
        assert_eq!(taken(&one, &offset).await, Some(at(n, 2)), "an earlier owner");
    }
    for epoch in [3, 4, 4] {
        succeed(two.store.persist(at(1, epoch), MINUTE)).await;
    }
    assert_eq!(taken(&one, &offset).await, Some(at(1, 4)), "a later owner");
    succeed(one.store.forget("b", 0)).await;
    for n in 0..10 {
        succeed(one.store.persist(session(&pid, nsp, n), MINUTE)).await;
        let (first, second) = both(taken(&one, &offset), taken(&two, &offset)).await;
        assert_eq!(
            [first, second].iter().flatten().count(),
            1,
            "taken by two nodes at the same time"
        );
    }
    succeed(one.store.persist(session(&pid, nsp, 3), Duration::from_millis(50))).await;
    for _ in 0..20 {
        engine.pause().await;
    }
    assert_eq!(taken(&one, &offset).await, None, "expired");
    for node in [one, two] {
        node.link.leave().await;
    }
}

/// The events after an offset are found page by page, whichever node published them, without those
/// of other namespaces.
pub async fn missed_events_are_found<L: LogHarness>(engine: &L) {
    let nsp = "/conformance/missed";
    let (one, two) = (Node::join(engine, nsp, "one").await, Node::join(engine, nsp, "two").await);
    let other = Node::join(engine, "/conformance/elsewhere", "three").await;
    one.publish(&event(100), Selection::default()).await;
    let from = one.publish(&event(101), Selection::default()).await;
    let mut expected = Vec::new();
    for n in 0..10 {
        let selection = to(&["in", "é"][..(n % 3) as usize], &["out"][..(n % 2) as usize]);
        let node = if n % 2 == 0 { &one } else { &two };
        let offset = node.publish(&event(n), selection.clone()).await;
        expected.push((offset, event(n), selection));
        other.publish(&event(n), Selection::default()).await;
    }
    two.wait_for_events(engine, 2 + expected.len()).await;
    let bytes = 1 << 20;
    for size in [
        PageSize { packets: 100, bytes },
        PageSize { packets: 3, bytes },
        PageSize { packets: 1, bytes },
        PageSize { packets: 100, bytes: 1 },
    ] {
        let (mut found, mut senders, mut end) = (Vec::new(), Vec::new(), from.clone());
        loop {
            let page = succeed(two.store.missed(&end, size)).await;
            assert!(page.events.len() <= size.packets, "{size:?}");
            for MissedEvent { offset, args, selection, uid, seq } in page.events {
                assert!(!two.store.is_after(&offset, &page.end));
                found.push((offset, args, selection));
                senders.push((uid, seq));
            }
            if !page.has_more {
                break;
            }
            assert!(two.store.is_after(&page.end, &end), "no progress with {size:?}");
            end = page.end;
        }
        assert_eq!(found, expected, "{size:?}");
        let sender = |n: u64| match n % 2 {
            0 => (one.member.uid.clone(), Some(2 + n / 2)),
            _ => (two.member.uid.clone(), Some(n / 2)),
        };
        assert_eq!(senders, (0..10).map(sender).collect::<Vec<_>>(), "{size:?}");
    }
    let last = one.publish(&event(102), Selection::default()).await;
    let page = succeed(one.store.missed(&last, PageSize { packets: 10, bytes })).await;
    assert!(page.events.is_empty() && !page.has_more && !one.store.is_after(&last, &page.end));
    for node in [one, two, other] {
        node.link.leave().await;
    }
}

/// Polls two futures concurrently.
async fn both<A, B>(one: impl Future<Output = A>, two: impl Future<Output = B>) -> (A, B) {
    let (mut one, mut two) = (pin!(one), pin!(two));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |cx| {
        if first.is_none()
            && let Poll::Ready(value) = one.as_mut().poll(cx)
        {
            first = Some(value);
        }
        if second.is_none()
            && let Poll::Ready(value) = two.as_mut().poll(cx)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (one, two) => {
                (first, second) = (one, two);
                Poll::Pending
            }
        }
    })
    .await
}
