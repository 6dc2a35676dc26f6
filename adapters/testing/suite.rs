//! Shared by the engine tests of all back-ends: three servers with their adapters, in-memory
//! clients, and the conformance suite.
//!
//! This is not a crate. Each test program includes this file.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rigs::ops;
use socketio_adapter::{
    AdapterError, BoxFuture, ClusterAdapter, ClusterMember, Discovery, Inbox, Link, Message,
    MessageError, NodeId, Offset, Room, RoomInterest,
    conformance::{Client, Event, Harness},
    recovery::SessionStore,
};
use socketio_server::{
    ClusterLimits, Server, ServerConfig, Value, Values,
    testing::{ReceivedEvent, TestClient, TestError},
};
use tokio::sync::mpsc;

/// Time limit of a test step. Long enough for a busy machine, so only a hang reaches it.
pub const HANG: Duration = Duration::from_secs(120);

/// Awaits `future`. Panics if it hangs.
#[track_caller]
pub fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(HANG, future).await {
            Ok(value) => value,
            Err(_) => panic!("hangs at {caller}"),
        }
    }
}

/// Waits until `condition` holds. Polls, because engines are separate processes and give no
/// notification.
#[track_caller]
pub fn until<F: Future<Output = bool>>(
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        while !condition().await {
            assert!(begun.elapsed() < HANG, "never holds at {caller}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Returns whether a server receives messages to a room of a namespace.
pub type Reaches = Arc<dyn Fn(usize, &str, &str) -> bool + Send + Sync>;

/// Three servers in one cluster.
pub struct Servers {
    servers: Vec<(Server, Arc<Severed>)>,
    reaches: Reaches,
}

impl Servers {
    /// Starts servers with these adapters. Returns when they know each other.
    pub async fn new(adapters: Vec<Arc<dyn ClusterAdapter>>, reaches: Reaches) -> Self {
        let count = adapters.len();
        let mut servers = Vec::new();
        for (n, adapter) in adapters.into_iter().enumerate() {
            let adapter = Severed::new(adapter, n == 2);
            let limits = ClusterLimits::default().request_timeout(Duration::from_secs(15));
            let config = ServerConfig::default().adapter(adapter.clone()).cluster_limits(limits);
            let io = Server::with_config(config);
            ops::serve(&io, &format!("node {n}"));
            servers.push((io, adapter));
        }
        for (io, _) in &servers {
            within(io.joined()).await;
            for nsp in ["/", "/chat"] {
                let namespace = io.of(nsp);
                until(|| async { within(namespace.server_count()).await.ok() == Some(count) })
                    .await;
            }
        }
        Self { servers, reaches }
    }
}

impl Harness for Servers {
    type Client = InMemoryClient;

    async fn connect(
        &self,
        server: usize,
        nsp: &str,
        rooms: &[&str],
        data: Value,
    ) -> InMemoryClient {
        let hello = serde_json::json!({ "join": rooms, "data": data });
        let mut client = TestClient::connect(&self.servers[server].0, nsp, &hello).await.unwrap();
        client.set_timeout(HANG);
        InMemoryClient { client, kept: VecDeque::new(), pending_acks: HashMap::new() }
    }

    async fn settle(&self, server: usize, nsp: &str, room: &str) {
        until(|| async { (self.reaches)(server, nsp, room) }).await;
    }

    fn kill(&self, server: usize) {
        self.servers[server].1.kill();
    }
}

/// An in-memory client.
pub struct InMemoryClient {
    client: TestClient,
    kept: VecDeque<Event>,
    /// Events that wait for an ack, by a number assigned here.
    pending_acks: HashMap<u64, ReceivedEvent>,
}

impl Client for InMemoryClient {
    fn id(&self) -> &str {
        self.client.id()
    }

    async fn call(&mut self, op: Value) -> Value {
        self.client.emit_with_ack("op", &op).await.unwrap()
    }

    async fn next(&mut self) -> Option<Event> {
        match self.client.next().await {
            Ok(received) => {
                let ack = received.wants_ack().then_some(self.pending_acks.len() as u64);
                let args = Values(received.args().values().unwrap());
                let event = Event { name: received.event().to_owned(), args, ack };
                if let Some(ack) = ack {
                    self.pending_acks.insert(ack, received);
                }
                Some(event)
            }
            Err(TestError::Disconnected | TestError::Closed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    async fn acknowledge(&mut self, id: u64, value: Value) {
        self.pending_acks[&id].ack(&value).await.unwrap();
    }
}

/// An adapter that can be removed without a goodbye, like a machine that dies, and that can deliver
/// with a delay.
#[derive(Debug)]
pub struct Severed {
    discovery: Discovery,
    keeps_log: bool,
    slow: bool,
    inner: Mutex<Option<Arc<dyn ClusterAdapter>>>,
    dead: Arc<AtomicBool>,
    links: Mutex<Vec<Arc<SeveredLink>>>,
}

impl Severed {
    fn new(inner: Arc<dyn ClusterAdapter>, slow: bool) -> Arc<Self> {
        Arc::new(Self {
            discovery: inner.discovery(),
            keeps_log: inner.keeps_log(),
            slow,
            inner: Mutex::new(Some(inner)),
            dead: Arc::default(),
            links: Mutex::default(),
        })
    }

    fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        for link in &*self.links.lock().unwrap() {
            link.0.lock().unwrap().take();
        }
        self.inner.lock().unwrap().take();
    }
}

impl ClusterAdapter for Severed {
    fn discovery(&self) -> Discovery {
        self.discovery
    }

    fn keeps_log(&self) -> bool {
        self.keeps_log
    }

    fn join(
        &self,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            let Some(adapter) = self.inner.lock().unwrap().clone() else {
                return std::future::pending().await;
            };
            let filtering_inbox = FilteringInbox::new(inbox, self.dead.clone(), self.slow);
            let link = adapter.join(member, Arc::new(filtering_inbox)).await?;
            let link = Arc::new(SeveredLink(Mutex::new(Some(link))));
            self.links.lock().unwrap().push(link.clone());
            Ok(link as Arc<dyn Link>)
        })
    }
}

struct SeveredLink(Mutex<Option<Arc<dyn Link>>>);

impl std::fmt::Debug for SeveredLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SeveredLink")
    }
}

impl SeveredLink {
    fn get(&self) -> Option<Arc<dyn Link>> {
        self.0.lock().unwrap().clone()
    }
}

impl Link for SeveredLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            match self.get() {
                Some(link) => link.publish(message).await,
                None => Ok(None),
            }
        })
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            match self.get() {
                Some(link) => link.reply(to, message).await,
                None => Ok(()),
            }
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async move {
            match self.get() {
                Some(link) => link.count().await,
                None => Ok(1),
            }
        })
    }

    fn interest(&self) -> RoomInterest {
        self.get().map_or(RoomInterest::None, |link| link.interest())
    }

    fn room_appeared(&self, room: &Room) {
        if let Some(link) = self.get() {
            link.room_appeared(room);
        }
    }

    fn room_vanished(&self, room: &Room) {
        if let Some(link) = self.get() {
            link.room_vanished(room);
        }
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        self.get().and_then(|link| link.sessions())
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(link) = self.get() {
                link.leave().await;
            }
        })
    }
}

/// Passes messages on until the server is dead, with a delay of some milliseconds if it is slow.
struct FilteringInbox {
    inbox: Arc<dyn Inbox>,
    dead: Arc<AtomicBool>,
    delayed: Option<mpsc::UnboundedSender<(Message, Option<Offset>)>>,
}

impl FilteringInbox {
    fn new(inbox: Arc<dyn Inbox>, dead: Arc<AtomicBool>, slow: bool) -> Self {
        let delayed = slow.then(|| {
            let (sender, mut delayed) = mpsc::unbounded_channel::<(Message, Option<Offset>)>();
            let inbox = inbox.clone();
            tokio::spawn(async move {
                while let Some((message, offset)) = delayed.recv().await {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    inbox.receive(message, offset);
                }
            });
            sender
        });
        Self { inbox, dead, delayed }
    }
}

impl Inbox for FilteringInbox {
    fn receive(&self, message: Message, offset: Option<Offset>) {
        if self.dead.load(Ordering::SeqCst) {
            return;
        }
        match &self.delayed {
            Some(delayed) => {
                let _ = delayed.send((message, offset));
            }
            None => self.inbox.receive(message, offset),
        }
    }

    fn undecodable(&self, error: &MessageError) {
        self.inbox.undecodable(error);
    }
}

/// An inbox that records messages.
#[derive(Default)]
pub struct RecordingInbox {
    messages: Mutex<Vec<Message>>,
    undecodable: Mutex<Vec<String>>,
}

impl RecordingInbox {
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    pub fn undecodable(&self) -> Vec<String> {
        self.undecodable.lock().unwrap().clone()
    }

    /// Waits for `count` messages. Returns all recorded messages.
    pub async fn wait(&self, count: usize) -> Vec<Message> {
        until(|| async { self.messages.lock().unwrap().len() >= count }).await;
        self.messages()
    }
}

impl Inbox for RecordingInbox {
    fn receive(&self, message: Message, _: Option<Offset>) {
        self.messages.lock().unwrap().push(message);
    }

    fn undecodable(&self, error: &MessageError) {
        self.undecodable.lock().unwrap().push(error.to_string());
    }
}

/// Publishes events of increasing size in a cluster whose limit is 1000 bytes. Another node must
/// get all events that are not refused.
pub async fn check_sizes(
    publish: impl AsyncFn(&str) -> Result<(), AdapterError>,
    other: &RecordingInbox,
) {
    let mut accepted = 0;
    for bytes in 700..1000 {
        match within(publish(&"x".repeat(bytes))).await {
            Ok(()) => accepted += 1,
            Err(AdapterError::Refused(error)) => {
                assert!(error.to_string().contains("`max_message_bytes`"), "{error}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..300).contains(&accepted));
    within(publish("last")).await.unwrap();
    other.wait(accepted + 1).await;
    assert_eq!((other.messages().len(), other.undecodable()), (accepted + 1, Vec::new()));
}

/// Declares the tests of the suite. `$servers` starts three servers and an engine, which lives as
/// long as the test.
#[macro_export]
macro_rules! conformance_suite {
    ($servers:path) => {
        $crate::conformance_suite!(@ $servers:
            broadcasts_reach_the_selected_clients,
            messages_of_a_server_keep_their_order,
            namespaces_are_separate,
            acks_are_collected,
            partial_acks_are_returned_at_the_deadline,
            sockets_are_fetched,
            sockets_join_and_leave,
            sockets_are_disconnected,
            server_side_events_reach_the_other_servers,
            dead_servers_do_not_block_requests,
        );
    };
    (@ $servers:path: $($behaviour:ident),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let (servers, _engine) = $servers().await;
            socketio_adapter::conformance::$behaviour(&servers).await;
        }
    )* };
}
