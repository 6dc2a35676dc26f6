//! Every event is counted once, gauges return to zero, and the metrics facade has the documented
//! names.

#![cfg(feature = "testing")]

use crate::support;

use std::{
    fmt,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use socketio_adapter::{
    AdapterError, BoxFuture, ClusterMember, Discovery, Inbox, Link, Message, MessageError, Offset,
};
use socketio_server::{
    AckError, ClusterAdapter, ClusterLimits, Data, HandlerError, Limits, MemoryCluster, Rate,
    RateLimit, Recovery, Server, ServerConfig, Socket, Stats, testing::TestClient,
};
use support::{SOON, disconnections, server_with, sockets, within};
use tokio::{join, sync::Semaphore, time::timeout};

/// Advances the paused clock until `condition` holds. A condition that never holds fails the test
/// instead of hanging.
#[track_caller]
fn until(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    within(async move {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
}

async fn connect(io: &Server) -> (TestClient, Socket) {
    let mut connected = sockets(&io.of("/"));
    let client = TestClient::connect(io, "/", &()).await.unwrap();
    (client, connected.recv().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn connects_and_disconnections_of_sockets_are_counted() {
    let io = Server::new();
    let mut reasons = disconnections(&io.of("/"));
    io.of("/closed").use_(|| async { Err::<(), _>(HandlerError::public("no")) });
    assert_eq!(io.stats().namespaces, 2);

    let (mut client, socket) = connect(&io).await;
    assert!(TestClient::connect(&io, "/closed", &()).await.is_err());
    assert!(TestClient::connect(&io, "/unknown", &()).await.is_err());
    socket.join(["a", "b"]).unwrap();
    let stats = io.stats();
    assert_eq!((stats.sockets, stats.rooms), (1, 2));
    assert_eq!((stats.connected, stats.refused), (1, 2));

    client.disconnect().await.unwrap();
    reasons.next().await;
    assert_eq!((io.stats().sockets, io.stats().rooms), (0, 0));
    client.reconnect().await.unwrap();
    client.close().await.unwrap();
    reasons.next().await;
    client.reconnect().await.unwrap();
    client.drop_connection();
    reasons.next().await;
    client.reconnect().await.unwrap();
    io.disconnect_sockets().unwrap();
    reasons.next().await;
    client.reconnect().await.unwrap();
    io.close();
    reasons.next().await;

    let stats = io.stats();
    let ends = stats.disconnected;
    assert_eq!((ends.client_namespace_disconnect, ends.server_namespace_disconnect), (1, 1));
    assert_eq!((ends.transport_close, ends.transport_error, ends.server_shutting_down), (1, 1, 1));
    assert_eq!((ends.total(), stats.connected, stats.refused, stats.sockets), (5, 5, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn received_and_emitted_events_are_counted() {
    let config = ServerConfig::default().max_in_flight(1);
    let io = Server::with_config(
        config.rate_limit(RateLimit::default().events(Rate::per_second(0).burst(4))),
    );
    let mut reasons = disconnections(&io.of("/"));
    io.on("wait", pending::<()>);
    let (mut client, socket) = connect(&io).await;
    socket.emit("one", &()).unwrap();
    io.emit("all", &()).unwrap();
    io.to("nobody").emit("all", &()).unwrap();
    for _ in 0..5 {
        client.emit("wait", &()).await.unwrap();
    }
    until(|| io.stats().events.received == 5).await;
    let events = io.stats().events;
    assert_eq!((events.emitted, events.broadcasts), (1, 2));
    assert_eq!((events.rate_limited, events.dropped), (1, 0));
    client.drop_connection();
    reasons.next().await;
    let events = io.stats().events;
    assert_eq!((events.received, events.dropped), (5, 3), "the first was started");
    // A late ack is not counted.
    assert!(socket.emit("late", &()).is_err());
    assert_eq!(io.stats().events, events);
}

#[tokio::test(start_paused = true)]
async fn an_event_dropped_in_a_middleware_is_counted() {
    let io = Server::new();
    let mut reasons = disconnections(&io.of("/"));
    let (mut client, socket) = connect(&io).await;
    socket.use_(pending::<()>);
    client.emit("a", &()).await.unwrap();
    client.emit("b", &()).await.unwrap();
    until(|| io.stats().events.received == 2).await;
    client.drop_connection();
    reasons.next().await;
    assert_eq!(io.stats().events.dropped, 2);
}

#[tokio::test(start_paused = true)]
async fn events_that_find_no_room_are_counted() {
    let io =
        Server::with_config(ServerConfig::default().engine(|engine| engine.max_queued_packets(4)));
    let (_client, socket) = connect(&io).await;
    // Nothing is written in between, because the test has one thread and does not await.
    let mut queued = 0;
    while socket.emit("fill", &()).is_ok() {
        queued += 1;
    }
    socket.volatile().emit("dropped", &()).unwrap();
    io.volatile().emit("dropped", &()).unwrap();
    let events = io.stats().events;
    assert_eq!((events.emitted, events.queue_full), (queued, 1));
    assert_eq!((events.volatile_dropped, events.slow_clients_closed), (2, 0));
    io.emit("too much", &()).unwrap();
    let events = io.stats().events;
    assert_eq!((events.queue_full, events.slow_clients_closed), (2, 1));
    until(|| io.stats().sockets == 0).await;
    assert_eq!(io.stats().disconnected.forced_close, 1);
}

#[tokio::test(start_paused = true)]
async fn handlers_are_counted_by_outcome() {
    let io = Server::with_config(ServerConfig::default().measure_handlers(true));
    io.on("well", || async { "well" });
    io.on("slowly", || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        "slowly"
    });
    io.on("badly", || async { Err::<(), HandlerError>("secret".into()) });
    io.on("panics", || async {
        if true {
            panic!("as it should")
        }
    });
    io.on("number", |Data(_): Data<u32>| async {});
    io.on("refused", || async {});
    let client = TestClient::connect(&io, "/", &()).await.unwrap();
    let ask = async |event: &str| client.emit_with_ack::<Value>(event, &"text").await.unwrap();
    for event in ["well", "slowly", "badly", "panics", "number"] {
        ask(event).await;
    }
    let handlers = io.stats().handlers;
    assert_eq!((handlers.started, handlers.timed), (4, 4));
    assert_eq!((handlers.failed, handlers.panicked, handlers.not_extracted), (1, 1, 1));
    let second = 1_000_000_000;
    assert!((second..2 * second).contains(&handlers.nanoseconds), "{}", handlers.nanoseconds);

    let (client, socket) = connect(&io).await;
    socket.use_(|| async { Err::<(), HandlerError>("no".into()) });
    client.emit_with_ack::<Value>("refused", &()).await.unwrap();
    let handlers = io.stats().handlers;
    // One more is the connection handler.
    assert_eq!((handlers.started, handlers.middleware_failed), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn running_time_is_measured_only_on_request() {
    let io = Server::new();
    io.on("event", || async { true });
    let client = TestClient::connect(&io, "/", &()).await.unwrap();
    assert!(client.emit_with_ack::<bool>("event", &()).await.unwrap());
    let handlers = io.stats().handlers;
    assert_eq!((handlers.started, handlers.timed, handlers.nanoseconds), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn awaited_acks_are_counted_by_outcome() {
    let limits = Limits::default().max_pending_acks(1);
    let io = Server::with_config(ServerConfig::default().limits(limits));
    let (mut client, socket) = connect(&io).await;
    let answer = async {
        let question = client.next().await.unwrap();
        assert_eq!(io.stats().acks.pending(), 1);
        question.ack(&5).await.unwrap();
    };
    let (answered, ()) = join!(socket.emit_with_ack::<u32>("a", &()), answer);
    assert_eq!(answered.unwrap(), 5);
    let expired = socket.timeout(SOON).emit_with_ack::<()>("b", &()).await;
    assert!(matches!(expired, Err(AckError::Timeout)));
    let abandoned = timeout(SOON, socket.emit_with_ack::<()>("c", &()));
    let (abandoned, refused) = join!(abandoned, socket.volatile().emit_with_ack::<()>("d", &()));
    assert!(abandoned.is_err());
    assert!(matches!(refused, Err(AckError::TooManyPending)));
    let lost = async { client.drop_connection() };
    let (disconnected, ()) = join!(socket.emit_with_ack::<()>("e", &()), lost);
    assert!(matches!(disconnected, Err(AckError::Disconnected)));

    let acks = io.stats().acks;
    assert_eq!((acks.requested, acks.received, acks.expired), (4, 1, 1));
    assert_eq!((acks.disconnected, acks.abandoned, acks.refused), (1, 1, 1));
    assert_eq!(acks.pending(), 0);
    assert_eq!(io.stats().events.emitted, 4);
}

#[tokio::test]
async fn recovered_sessions_are_counted() {
    let recovery = ServerConfig::default().connection_state_recovery(Recovery::default());
    let server = server_with(recovery).await;
    let mut client = server.open().await;
    client.send("40").await;
    let (_, pid) = client.recoverable().await;
    server.io.emit("first", &()).unwrap();
    let (_, offset) = client.recorded().await;
    client.reset();
    support::until(|| server.io.stats().sockets == 0).await;
    let log = server.io.stats().recovery_log;
    assert_eq!((log.events, log.sessions), (1, 1));
    assert!(log.bytes > 0);

    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    client.recoverable().await;
    let mut stranger = server.open().await;
    stranger.claim("unknown", "unknown").await;
    stranger.recoverable().await;
    let stats = server.io.stats();
    assert_eq!((stats.recoveries.recovered, stats.recoveries.not_recovered), (1, 1));
    assert_eq!((stats.recovery_log.sessions, stats.connected), (0, 3));
}

#[test]
fn a_dropped_task_is_counted_as_a_disconnection() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let io = Server::new();
    runtime.block_on(async {
        let (_client, socket) = connect(&io).await;
        let asking = tokio::spawn(async move { socket.emit_with_ack::<()>("a", &()).await });
        until(|| io.stats().acks.pending() == 1).await;
        drop(asking);
    });
    drop(runtime);
    let stats = io.stats();
    assert_eq!((stats.disconnected.canceled, stats.disconnected.total()), (1, 1));
    assert_eq!((stats.sockets, stats.acks.pending()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn messages_between_nodes_are_counted() {
    let cluster = MemoryCluster::new();
    let limits = ClusterLimits::default().request_timeout(SOON).max_handlers(1);
    let config = ServerConfig::default().cluster_limits(limits);
    let one = Server::with_config(config.clone().adapter(cluster.adapter()));
    let two = Server::with_config(config.adapter(cluster.adapter()));
    two.on_server_side("ask", pending::<()>);
    one.joined().await;
    two.joined().await;
    let before = two.stats().cluster.received;
    one.emit("all", &()).unwrap();
    until(|| two.stats().cluster.received > before).await;
    assert!(one.stats().cluster.sent > 0);
    assert_eq!((one.stats().events.broadcasts, two.stats().events.broadcasts), (1, 1));

    let asking = async {
        until(|| one.stats().cluster_requests == 1).await;
        assert_eq!(one.stats().cluster.timed_out, 0);
    };
    let (asked, ()) = join!(one.server_side_emit_with_ack::<()>("ask", &()), asking);
    assert!(asked.is_err());
    let stats = one.stats();
    assert_eq!((stats.cluster.timed_out, stats.cluster_requests), (1, 0));
    one.server_side_emit("ask", &()).unwrap();
    until(|| two.stats().cluster.too_many_handlers == 1).await;
}

/// Loses the first message, and never confirms the second.
#[derive(Default)]
struct Broken {
    published: Arc<AtomicUsize>,
    inbox: Mutex<Option<Arc<dyn Inbox>>>,
}

struct Line(Arc<AtomicUsize>);

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broken")
    }
}

impl ClusterAdapter for Broken {
    fn discovery(&self) -> Discovery {
        Discovery::Count
    }

    fn join(
        &self,
        _: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        *self.inbox.lock().unwrap() = Some(inbox);
        let line: Arc<dyn Link> = Arc::new(Line(self.published.clone()));
        Box::pin(async move { Ok(line) })
    }
}

impl Link for Line {
    fn publish(&self, _: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            if first { Err(AdapterError::Engine("away".into())) } else { pending().await }
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async { Ok(1) })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[tokio::test(start_paused = true)]
async fn lost_messages_between_nodes_are_counted() {
    let adapter = Arc::new(Broken::default());
    let limits = ClusterLimits::default().max_queued_messages(1);
    let config = ServerConfig::default().cluster_limits(limits);
    let io = Server::with_config(config.adapter(adapter.clone()));
    within(io.joined()).await;
    for n in 1..=2 {
        io.emit("n", &n).unwrap();
        until(|| adapter.published.load(Ordering::SeqCst) == n).await;
    }
    io.emit("waits", &()).unwrap();
    io.emit("refused", &()).unwrap_err();
    let inbox = adapter.inbox.lock().unwrap().clone().unwrap();
    inbox.undecodable(&MessageError::Malformed("noise"));
    let cluster = io.stats().cluster;
    assert_eq!((cluster.lost, cluster.sent, cluster.received), (1, 0, 0));
    assert_eq!((cluster.queue_full, cluster.undecodable), (1, 1));
}

#[test]
fn a_new_server_has_counted_nothing() {
    let mut expected = Stats::default();
    expected.namespaces = 1;
    assert_eq!(Server::new().stats(), expected);
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn the_metrics_facade_reports_the_same_counts() {
    let io = Server::new();
    let (_client, socket) = connect(&io).await;
    socket.join("room").unwrap();
    let seen = crate::reported::reported("/socket.io/", || io.report_metrics());
    for (name, count) in [
        ("engineio_opened_total", 1),
        ("socketio_namespaces", 1),
        ("socketio_sockets", 1),
        ("socketio_rooms", 1),
        ("socketio_connected_total", 1),
        ("socketio_refused_total", 0),
        ("socketio_disconnected_total ping_timeout", 0),
        ("socketio_events_total received", 0),
        ("socketio_events_total slow_clients_closed", 0),
        ("socketio_handlers_total started", 1),
        ("socketio_handlers_total timed", 0),
        ("socketio_handler_nanoseconds_total", 0),
        ("socketio_acks_total expired", 0),
        ("socketio_inbox_events", 0),
        ("socketio_inbox_bytes", 0),
        ("socketio_unfinished_bytes", 0),
        ("socketio_acks_pending", 0),
        ("socketio_recoveries_total recovered", 0),
        ("socketio_recovery_log_events", 0),
        ("socketio_recovery_log_bytes", 0),
        ("socketio_recovery_log_sessions", 0),
        ("socketio_cluster_total lost", 0),
        ("socketio_cluster_requests", 0),
    ] {
        assert_eq!(seen.get(name), Some(&count), "{name}");
    }
    assert_eq!(seen.get("socketio_handlers_total nanoseconds"), None);
}

#[tokio::test]
async fn waiting_events_and_incomplete_packets_are_reported() {
    let server = server_with(ServerConfig::default().max_in_flight(1)).await;
    let permits = Arc::new(Semaphore::new(0));
    let handler_permits = permits.clone();
    server.io.on("work", move || {
        let permits = handler_permits.clone();
        async move { permits.acquire().await.unwrap().forget() }
    });
    let inbox = || (server.io.stats().inbox_events, server.io.stats().inbox_bytes > 0);
    let mut client = server.client().await;
    client.burst(&[r#"42["work"]"#; 3]).await;
    until(|| inbox() == (2, true)).await;
    permits.add_permits(1);
    until(|| inbox() == (1, true)).await;
    permits.add_permits(2);
    until(|| inbox() == (0, false)).await;

    let unfinished = || server.io.stats().unfinished_bytes;
    let packet = r#"452-["work",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    client.send(packet).await;
    client.send_binary(&[7; 1000]).await;
    until(|| unfinished() > 1000).await;
    assert!(unfinished() < 1200, "{}", unfinished());
    client.send_binary(&[7; 1000]).await;
    until(|| unfinished() == 0).await;

    client.burst(&[r#"42["work"]"#; 3]).await;
    client.send(packet).await;
    until(|| inbox().0 > 0 && unfinished() > 0).await;
    client.close().await;
    until(|| inbox() == (0, false)).await;
    // The client's task ends with its last handler.
    permits.add_permits(1);
    until(|| unfinished() == 0).await;
}
