//! Users of NATS who may use some subjects only. A denied subject affects only its own namespace.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use engines::Nats;
use socketio_adapter::{AdapterError, ClusterAdapter, ClusterMember};
use socketio_adapter_nats::{JetStream, NatsAdapter, NatsConfig, connect_options};
use socketio_server::{Server, ServerConfig};
use tokio::task::JoinSet;

use crate::{
    Node,
    log::{LONG, MINUTE},
    sessions::session,
    suite::{RecordingInbox, until, within},
    with,
};

/// The subjects of `/`, and of `/denied`.
const MAIN: &str = "socketio.Lw";
const DENIED: &str = "socketio.L2RlbmllZA";

/// Starts a server. Its user `app` has these permissions.
fn engine(permissions: &str) -> Nats {
    let user = format!("user: app, password: secret, permissions: {{ {permissions} }}");
    Nats::with_configuration(&format!("authorization {{ users: [ {{ {user} }} ] }}\n")).unwrap()
}

async fn config(engine: &Nats) -> NatsConfig {
    let options = connect_options().user_and_password("app".into(), "secret".into());
    // A refusal takes as long.
    with(engine, options).await.timeout(Duration::from_secs(4))
}

async fn adapter(engine: &Nats) -> Arc<NatsAdapter> {
    NatsAdapter::new(config(engine).await).unwrap()
}

async fn denied(adapter: &NatsAdapter, nsp: &str) -> String {
    let member = ClusterMember { nsp: socketio_parser::Nsp::unchecked(nsp), uid: "denied".into() };
    match within(adapter.join(member, Arc::new(RecordingInbox::default()))).await {
        Err(error @ AdapterError::Denied(_)) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it has joined"),
    }
}

/// Returns how often the server has refused something, such as `Subscription`.
fn violations(engine: &Nats, kind: &str) -> usize {
    engine.log().matches(&format!("{kind} Violation")).count()
}

/// Joins an allowed namespace and a denied one. The error names `subject`.
async fn join_allowed_and_denied_namespaces(engine: &Nats, subject: &str) {
    let (one, two) = (adapter(engine).await, adapter(engine).await);
    let here = Node::join(one.clone(), "/", "one").await;
    let there = Node::join(two, "/", "two").await;
    for n in 1..=2 {
        let error = denied(&one, "/denied").await;
        assert!(error.contains(&format!("`{subject}`")), "{error}");
        here.publish_now(&[], "meanwhile").await;
        there.publish_now(&[], "meanwhile").await;
        here.inbox.wait(n).await;
        there.inbox.wait(n).await;
    }
    there.join_room("room").await;
    here.publish_now(&["room"], "room").await;
    there.inbox.wait(3).await;
    assert_eq!(here.events(), ["meanwhile"; 2]);
    assert!(here.inbox.undecodable().is_empty() && there.inbox.undecodable().is_empty());
}

#[tokio::test]
async fn a_denied_subscription_affects_only_its_own_namespace() {
    let engine = engine(&format!("subscribe: {{ deny: \"{DENIED}.>\" }}"));
    join_allowed_and_denied_namespaces(&engine, &format!("{DENIED}.all")).await;
    // Each attempt subscribes once to each of its three subjects.
    assert_eq!(violations(&engine, "Subscription"), 2 * 3);
}

#[tokio::test]
async fn a_denied_publication_affects_only_its_own_namespace() {
    let engine = engine(&format!("publish: {{ allow: \"{MAIN}.>\" }}"));
    join_allowed_and_denied_namespaces(&engine, &format!("{DENIED}.all")).await;
    // Each attempt publishes once a second to each of its three subjects.
    let refused = violations(&engine, "Publish");
    assert!((2 * 3..=2 * 3 * 6).contains(&refused), "{refused} refused messages");
}

#[tokio::test]
async fn a_node_joins_only_if_it_may_use_every_kind_of_subject() {
    let mut cases = JoinSet::new();
    for kind in ["subscribe", "publish"] {
        for subject in ["all", "room.ZGVuaWVk", "node.ZGVuaWVk"] {
            let pattern = subject.replace("ZGVuaWVk", "*");
            let engine = engine(&format!("{kind}: {{ deny: \"{DENIED}.{pattern}\" }}"));
            cases.spawn(async move {
                join_allowed_and_denied_namespaces(&engine, &format!("{DENIED}.{subject}")).await;
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn a_node_without_subjects_for_rooms_needs_no_permission_for_them() {
    let engine = engine("subscribe: { deny: \"socketio.*.room.>\" }");
    let config = async || config(&engine).await.room_subjects(false);
    let one = NatsAdapter::new(config().await).unwrap();
    let two = NatsAdapter::new(config().await).unwrap();
    let (here, there) = (Node::join(one, "/", "one").await, Node::join(two, "/", "two").await);
    here.publish_now(&["room"], "x").await;
    there.inbox.wait(1).await;
    assert_eq!(violations(&engine, "Subscription"), 0);
}

#[tokio::test]
async fn a_server_logs_one_warning_and_tries_again_after_a_pause() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let engine = engine(&format!("subscribe: {{ deny: \"{DENIED}.>\" }}"));
    let server = async || {
        let adapter = adapter(&engine).await;
        let io = Server::with_config(ServerConfig::default().adapter(adapter));
        io.of("/denied");
        io
    };
    let (one, two) = (server().await, server().await);
    for io in [&one, &two] {
        let main = io.of("/");
        until(|| async { within(main.server_count()).await.ok() == Some(2) }).await;
    }
    // Two servers, two attempts each, three subjects.
    until(|| async { violations(&engine, "Subscription") >= 2 * 2 * 3 }).await;
    until(|| async { log.text().matches("WARN").count() >= 2 }).await;
    let log = log.text();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 2, "one per server: {log}");
    let subject = format!("`{DENIED}.all`");
    assert!(warnings.iter().all(|warning| warning.contains(&subject)), "{log}");
}

#[tokio::test]
async fn a_namespace_that_must_not_write_to_the_log_affects_no_other() {
    const LOG: &str = "socketio.log.L2RlbmllZA";
    let engine = engine(&format!("publish: {{ deny: \"{LOG}\" }}"));
    let adapter = async || {
        let config = config(&engine).await.connection_state_recovery(JetStream::default());
        NatsAdapter::new(config).unwrap()
    };
    let (one, two) = (adapter().await, adapter().await);
    let here = Node::join(one.clone(), "/", "one").await;
    let there = Node::join(two, "/", "two").await;
    for n in 1..=2 {
        let error = denied(&one, "/denied").await;
        assert!(error.contains(&format!("`{LOG}`")), "{error}");
        here.publish_now(&[], "meanwhile").await;
        there.inbox.wait(n).await;
    }
    assert_eq!(there.events(), ["meanwhile"; 2]);
    assert_eq!(violations(&engine, "Publish"), 2);
}

#[tokio::test]
async fn the_permissions_that_the_readme_recommends_suffice() {
    let readme = include_str!("../../README.md");
    let (_, rules) = readme.split_once("```text\nauthorization").unwrap();
    let (rules, _) = rules.split_once("```").unwrap();
    let engine = Nats::with_configuration(&format!("authorization{rules}")).unwrap();
    let options = |user: &str, password: &str| {
        connect_options().user_and_password(user.into(), password.into())
    };
    let join = async |uid| {
        let config = with(&engine, options("servers", "secret")).await.timeout(LONG);
        let config = config.connection_state_recovery(JetStream::default());
        Node::join(NatsAdapter::new(config).unwrap(), "/", uid).await
    };
    let (here, there) = (join("one").await, join("two").await);
    here.publish_now(&[], "hello").await;
    there.wait_for("hello").await;
    // JetStream asks for a reply after each megabyte, and stops without one.
    let offset = here.publish("first").await;
    let megabytes = "x".repeat(500_000);
    for n in 0..20 {
        let large = here.message(&["r"], &format!("n{n}"), &megabytes);
        within(here.link.publish(large)).await.unwrap();
    }
    there.wait_for("n19").await;
    here.store().persist(session("P", "/"), MINUTE).await.unwrap();
    assert!(there.store().take("P", &offset, None).await.unwrap().session().is_some());
    assert!(!engine.log().contains("Violation"), "{}", engine.log());

    let other = options("others", "other").connect(engine.url()).await.unwrap();
    for subject in ["socketio.Lw.all", "socketio.log.Lw", "$JS.API.STREAM.INFO.socketio-log"] {
        other.publish(subject, "x".into()).await.unwrap();
    }
    let _denied = other.subscribe("socketio.>").await.unwrap();
    other.flush().await.unwrap();
    until(|| async { violations(&engine, "Publish") == 3 }).await;
    until(|| async { violations(&engine, "Subscription") == 1 }).await;
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
