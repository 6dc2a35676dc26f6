//! The engine behind an adapter may hang, fail or be unreachable. Sockets of this node are not
//! affected. Messages for other nodes are refused or reported as lost, and every queue is limited.

use crate::support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketio_adapter::{
    AdapterError, BoxFuture, ClusterMember, Discovery, Heartbeats, Inbox, Link, Message, Offset,
};
use socketio_server::{
    BroadcastAckError, ClusterAdapter, ClusterError, ClusterLimits, EmitError, FetchError,
    Recovery, Server, ServerConfig, testing::TestClient,
};
use support::{Running, server_with, until, within};

/// The behavior of the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behavior {
    /// Takes messages and never confirms them.
    Hanging,
    /// Refuses messages.
    Failing,
    /// Is slow to count the nodes, and loses messages.
    Slow,
    /// Is unreachable.
    Unreachable,
    /// Never responds to the node that joins.
    Silent,
    /// Refuses the node permission to join.
    Denied,
}

#[derive(Debug)]
struct Engine {
    behavior: Behavior,
    discovery: Discovery,
    joins: AtomicUsize,
    /// How often the node has polled a join that never ends.
    polls: Arc<AtomicUsize>,
    published: Arc<AtomicUsize>,
}

impl Engine {
    fn new(behavior: Behavior, discovery: Discovery) -> Arc<Self> {
        let (joins, polls, published) = (AtomicUsize::new(0), Arc::default(), Arc::default());
        Arc::new(Self { behavior, discovery, joins, polls, published })
    }
}

fn refused() -> AdapterError {
    AdapterError::Engine("away".into())
}

impl ClusterAdapter for Engine {
    fn discovery(&self) -> Discovery {
        self.discovery
    }

    fn keeps_log(&self) -> bool {
        true
    }

    fn join(
        &self,
        _: ClusterMember,
        _: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        let tries = self.joins.fetch_add(1, Ordering::SeqCst);
        let (behavior, published) = (self.behavior, self.published.clone());
        let polls = self.polls.clone();
        Box::pin(async move {
            match behavior {
                Behavior::Unreachable => Err(refused()),
                Behavior::Silent => {
                    std::future::poll_fn(|_| {
                        polls.fetch_add(1, Ordering::SeqCst);
                        std::task::Poll::Pending
                    })
                    .await
                }
                Behavior::Denied => Err(AdapterError::Denied("no permission".into())),
                // The next attempt succeeds.
                Behavior::Failing if tries == 0 => Err(refused()),
                _ => Ok(Arc::new(Line { behavior, published }) as Arc<dyn Link>),
            }
        })
    }
}

struct Line {
    behavior: Behavior,
    published: Arc<AtomicUsize>,
}

impl Link for Line {
    fn publish(&self, _: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        self.published.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match self.behavior {
                Behavior::Hanging => std::future::pending().await,
                Behavior::Slow => Ok(None),
                _ => Err(refused()),
            }
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async move {
            if self.behavior == Behavior::Slow {
                tokio::time::sleep(Duration::from_secs(2)).await;
                return Ok(2);
            }
            Err(refused())
        })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

async fn server(engine: Arc<Engine>) -> Running {
    let limits =
        ClusterLimits::default().max_queued_messages(3).request_timeout(Duration::from_millis(50));
    server_with(ServerConfig::default().adapter(engine).cluster_limits(limits)).await
}

#[tokio::test]
async fn a_hanging_engine_fills_a_limited_queue() {
    let engine = Engine::new(Behavior::Hanging, Discovery::Count);
    let server = server(engine.clone()).await;
    let mut client = server.client().await;
    within(server.io.joined()).await;
    let mut sent = 0;
    let error = loop {
        match server.io.emit("n", &sent) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        until(|| engine.published.load(Ordering::SeqCst) == 1).await;
    };
    assert_eq!(error.to_string(), "the queue to the other nodes is full");
    assert!(matches!(error, EmitError::Cluster(ClusterError::QueueFull)));
    assert_eq!(sent, 4, "one is on its way, three wait");
    for n in 0..sent {
        client.expect(&format!(r#"42["n",{n}]"#)).await;
    }
    // Refused operations reached no socket. Local operations are not refused.
    assert!(server.io.sockets_join("x").is_err());
    assert!(server.io.close_connections().is_err());
    server.io.local().emit("local", &()).unwrap();
    client.expect(r#"42["local"]"#).await;
    server.io.local().close_connections().unwrap();
    assert_eq!(client.rest().await, ["41"]);
}

#[tokio::test]
async fn a_failing_engine_loses_only_messages_for_other_nodes() {
    let engine = Engine::new(Behavior::Failing, Discovery::Count);
    let server = server(engine.clone()).await;
    let mut client = server.client().await;
    within(server.io.joined()).await;
    assert_eq!(engine.joins.load(Ordering::SeqCst), 2, "tried again");
    for n in 0..10 {
        server.io.emit("n", &n).unwrap();
        client.expect(&format!(r#"42["n",{n}]"#)).await;
        until(|| engine.published.load(Ordering::SeqCst) == n + 1).await;
    }
    let error = within(server.io.fetch_sockets()).await.unwrap_err();
    assert!(matches!(error, FetchError::Cluster(ClusterError::Adapter(_))), "{error:?}");
    assert_eq!(within(server.io.local().fetch_sockets()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_call_waits_for_an_unreachable_engine() {
    let server = server(Engine::new(Behavior::Unreachable, Discovery::Count)).await;
    let mut client = server.client().await;
    server.io.emit("hello", &()).unwrap();
    client.expect(r#"42["hello"]"#).await;
    let error = within(server.io.fetch_sockets()).await.unwrap_err();
    assert!(matches!(error, FetchError::Cluster(ClusterError::Unreachable)), "{error:?}");
    let error = within(server.io.of("/").server_count()).await.unwrap_err();
    assert!(matches!(error, ClusterError::Unreachable), "{error:?}");
    server.io.close();
    within(server.io.ended()).await;
}

#[tokio::test(start_paused = true)]
async fn counting_the_nodes_is_part_of_the_time_limit_of_a_request() {
    let engine = Engine::new(Behavior::Slow, Discovery::Count);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(3));
    let io = Server::with_config(ServerConfig::default().adapter(engine).cluster_limits(limits));
    io.of("/").joined().await;
    let began = tokio::time::Instant::now();
    let error = io.fetch_sockets().await.unwrap_err();
    assert!(matches!(error, FetchError::Partial { missing: 1, .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(4));
    // The clients of this node are asked after the count.
    let _silent = TestClient::connect(&io, "/", &()).await.unwrap();
    let began = tokio::time::Instant::now();
    let everyone = io.of("/").timeout(Duration::from_secs(3));
    let error = everyone.emit_with_ack::<()>("ask", &()).await.unwrap_err();
    assert!(matches!(error, BroadcastAckError::Partial { missing: 1, .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(4));
}

/// If the engine keeps a log, events wait until joining has failed.
#[tokio::test]
async fn an_unreachable_log_loses_only_events_for_other_nodes_and_counts_them() {
    let engine = Engine::new(Behavior::Unreachable, Discovery::Count);
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    let server = server_with(config.adapter(engine.clone())).await;
    let mut client = server.open().await;
    client.send("40").await;
    client.recoverable().await;
    server.io.emit("hello", &()).unwrap();
    client.expect(r#"42["hello"]"#).await;
    assert_eq!(server.io.stats().cluster.lost, 1);
}

/// Events wait until they are delivered without the log, and acks wait for events.
#[tokio::test]
async fn an_engine_that_hangs_while_the_node_joins_delays_acks_for_a_limited_time() {
    for (behavior, discovery) in [
        (Behavior::Silent, Discovery::Count),
        (Behavior::Hanging, Discovery::Heartbeats(Heartbeats::default())),
    ] {
        let engine = Engine::new(behavior, discovery);
        let limits = ClusterLimits::default().request_timeout(Duration::from_millis(50));
        let config = ServerConfig::default().connection_state_recovery(Recovery::default());
        let server = server_with(config.adapter(engine).cluster_limits(limits)).await;
        server.io.on("ask", || async { "answer" });
        let mut client = server.open().await;
        client.send("40").await;
        client.recoverable().await;
        server.io.emit("hello", &()).unwrap();
        client.send(r#"420["ask"]"#).await;
        if behavior == Behavior::Silent {
            client.expect(r#"42["hello"]"#).await;
        }
        client.expect(r#"430["answer"]"#).await;
    }
}

/// The clock stands still while the test runs.
#[tokio::test(start_paused = true)]
async fn a_request_timeout_of_zero_does_not_keep_the_joining_node_busy() {
    let engine = Engine::new(Behavior::Silent, Discovery::Count);
    let limits = ClusterLimits::default().request_timeout(Duration::ZERO);
    let config = ServerConfig::default().adapter(engine.clone()).cluster_limits(limits);
    let io = Server::with_config(config);
    let _ = io.of("/");
    until(|| engine.polls.load(Ordering::SeqCst) > 0).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(engine.polls.load(Ordering::SeqCst) < 5);
}

#[tokio::test]
async fn leaving_a_hanging_engine_takes_a_limited_time() {
    let heartbeats = Discovery::Heartbeats(Heartbeats::default());
    let engine = Engine::new(Behavior::Failing, heartbeats);
    let server = server(engine.clone()).await;
    within(server.io.joined()).await;
    server.io.close();
    within(server.io.ended()).await;
    assert_eq!(engine.published.load(Ordering::SeqCst), 2, "a greeting and a goodbye");
}

#[tokio::test(start_paused = true)]
async fn joining_without_permission_is_retried_with_growing_pauses() {
    let tries = async |behavior| {
        let engine = Engine::new(behavior, Discovery::Count);
        let io = Server::with_config(ServerConfig::default().adapter(engine.clone()));
        let namespace = io.of("/");
        let joined = tokio::time::timeout(Duration::from_secs(3600), namespace.joined());
        assert!(joined.await.is_err(), "it never joins");
        engine.joins.load(Ordering::SeqCst)
    };
    // The attempts after the first six are a minute apart.
    assert!((60..=66).contains(&tries(Behavior::Denied).await));
    // An unreachable engine may return at any moment.
    assert!(tries(Behavior::Unreachable).await > 3000);
}

#[tokio::test(start_paused = true)]
async fn events_do_not_wait_for_a_join_without_permission() {
    let engine = Engine::new(Behavior::Denied, Discovery::Count);
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    let io = Server::with_config(config.adapter(engine.clone()));
    let _namespace = io.of("/");
    // The next attempt is after 243 seconds.
    tokio::time::sleep(Duration::from_secs(200)).await;
    let tries = engine.joins.load(Ordering::SeqCst);
    io.emit("hello", &()).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(io.stats().cluster.lost, 1, "it was delivered here");
    assert_eq!(engine.joins.load(Ordering::SeqCst), tries, "before the next try");
}
