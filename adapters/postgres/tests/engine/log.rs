//! Events and sessions in tables.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use engines::Postgres;
use socketio_adapter::{
    AdapterError, Body, ClusterAdapter, ClusterMember, Message, Offset, Selection, conformance,
    event_args,
    recovery::{PageSize, SavedSession, SessionStore},
};
use socketio_adapter_postgres::{EventLog, PostgresAdapter, PostgresConfig};
use socketio_parser::{Binary, Nsp};

use crate::{
    Node, adapter, config, connect_directly,
    sessions::{self, ALL},
    suite::{RecordingInbox, until, within},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Creates each adapter with connections of its own, which close with the adapter.
struct Log(Postgres, Mutex<Vec<Arc<PostgresAdapter>>>);

impl conformance::LogHarness for Log {
    async fn adapter(&self) -> Arc<dyn ClusterAdapter> {
        let adapter = logging(&self.0);
        self.1.lock().unwrap().push(adapter.clone());
        adapter
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn logging(engine: &Postgres) -> Arc<PostgresAdapter> {
    logging_with(config(engine), EventLog::default())
}

fn logging_with(config: PostgresConfig, log: EventLog) -> Arc<PostgresAdapter> {
    PostgresAdapter::new(config.connection_state_recovery(log)).unwrap()
}

pub(crate) async fn node(engine: &Postgres, uid: &str) -> Node {
    Node::join(logging(engine), "/", uid).await
}

pub(crate) fn session(pid: &str) -> SavedSession {
    sessions::session(pid, "/")
}

impl Node {
    pub(crate) fn store(&self) -> Arc<dyn SessionStore> {
        self.link.sessions().unwrap()
    }

    pub(crate) async fn log(&self, event: &str) -> Offset {
        within(self.link.publish(self.message("/", event, &1))).await.unwrap().unwrap()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        names(self.inbox.messages())
    }

    /// Waits until the node has received an event. Returns all events that it has received.
    pub(crate) async fn wait_for(&self, event: &str) -> Vec<String> {
        until(|| async { self.events().iter().any(|it| it == event) }).await;
        self.events()
    }
}

fn names(messages: Vec<Message>) -> Vec<String> {
    let name = |message: Message| match message.body {
        Body::Broadcast { args, .. } => args.event().to_owned(),
        other => format!("{other:?}"),
    };
    messages.into_iter().map(name).collect()
}

pub(crate) async fn missed(node: &Node, from: &Offset) -> Result<Vec<String>, AdapterError> {
    sessions::missed(&*node.store(), from, ALL).await
}

#[tokio::test]
async fn the_adapter_passes_the_conformance_suite_of_logs() {
    let log = Log(Postgres::start().unwrap(), Mutex::default());
    within(conformance::all_nodes_see_one_order(&log)).await;
    within(conformance::sessions_are_taken_once(&log)).await;
    within(conformance::missed_events_are_found(&log)).await;
}

/// Node's servers have no log.
#[tokio::test]
async fn a_node_without_a_log_receives_each_event_once() {
    let engine = Postgres::start().unwrap();
    let logging = node(&engine, "logging").await;
    let plain = Node::join(adapter(&engine), "/", "plain").await;
    assert!(plain.link.sessions().is_none());
    let mut sent = Vec::new();
    for n in 0..12 {
        let event = format!("n{n}");
        match n % 3 {
            0 => logging.publish(&event, &n).await,
            1 => logging.publish(&event, &"x".repeat(20_000)).await,
            _ => logging.publish(&event, &Binary(vec![0; 100].into())).await,
        }
        sent.push(event);
    }
    plain.publish("plain", &1).await;
    assert_eq!(logging.wait_for("plain").await, [&sent[..], &["plain".to_owned()]].concat());
    assert_eq!(plain.wait_for("n11").await, sent);
    let first = plain.inbox.messages().swap_remove(1);
    assert_eq!(first, logging.message("/", "n1", &"x".repeat(20_000)));
    assert_eq!(plain.inbox.undecodable(), [""; 0]);
    assert_eq!(logging.inbox.undecodable(), [""; 0]);
}

#[tokio::test]
async fn every_size_around_the_threshold_is_in_the_log() {
    let engine = Postgres::start().unwrap();
    let one = node(&engine, "one").await;
    let two = node(&engine, "two").await;
    let from = one.log("before").await;
    let rest = one.message("/", "x", &"").to_json().unwrap().len();
    for size in 7950..8010 {
        one.publish("x", &"a".repeat(size - rest)).await;
    }
    one.publish("end", &1).await;
    assert_eq!(two.wait_for("end").await.len(), 62);
    assert_eq!(missed(&two, &from).await.unwrap().len(), 61);
}

/// Clients never recover requests or volatile events.
#[tokio::test]
async fn requests_and_volatile_events_are_not_in_the_log() {
    let engine = Postgres::start().unwrap();
    let one = node(&engine, "one").await;
    let two = node(&engine, "two").await;
    let from = one.log("before").await;
    let mut selection = Selection::default();
    selection.flags.volatile = true;
    let args = event_args("volatile", &1).unwrap();
    let fetch = Body::FetchSockets { selection: Selection::default(), request: "r".into() };
    for body in [Body::Broadcast { args, selection, request: None }, fetch] {
        let message = Message { body, ..one.message("/", "", &1) };
        assert_eq!(within(one.link.publish(message)).await.unwrap(), None);
    }
    two.inbox.wait(3).await;
    assert!(missed(&two, &from).await.unwrap().is_empty());
    // The node would receive other messages before this one.
    one.log("after").await;
    let own = one.wait_for("after").await;
    assert_eq!(own, ["before", "after"], "a node receives its own messages from the log only");
}

#[tokio::test]
async fn a_session_is_not_taken_from_another_namespace() {
    let engine = Postgres::start().unwrap();
    let adapter = logging(&engine);
    let one = Node::join(adapter.clone(), "/", "one").await;
    let other = Node::join(adapter, "/other", "other").await;
    let offset = one.log("x").await;
    one.store().persist(session("P"), MINUTE).await.unwrap();
    // An offset of another namespace does not prove a session.
    assert_eq!(other.store().take("P", &offset, None).await.unwrap().session(), None);
    let message = other.message("/other", "y", &1);
    let elsewhere = within(other.link.publish(message)).await.unwrap().unwrap();
    assert_eq!(one.store().take("P", &elsewhere, None).await.unwrap().session(), None);
    assert_eq!(other.store().take("P", &elsewhere, None).await.unwrap().session(), None);
    // A client can claim any text as its private id.
    for pid in ["", "\0", "'", "é", &"p".repeat(10_000)] {
        assert_eq!(one.store().take(pid, &offset, None).await.unwrap().session(), None);
    }
    assert_eq!(one.store().take("P", &offset, None).await.unwrap().session(), Some(session("P")));
}

/// No node would decode it.
#[tokio::test]
async fn a_session_above_the_size_of_a_message_is_refused_and_the_others_are_stored() {
    let engine = Postgres::start().unwrap();
    let adapter = logging_with(config(&engine).max_message_bytes(1000), EventLog::default());
    let node = Node::join(adapter, "/", "one").await;
    let offset = node.log("x").await;
    let large = || SavedSession { data: "x".repeat(1000).into(), ..session("LARGE") };
    let refused = node.store().persist_all(vec![large(), session("P")], MINUTE).await.unwrap();
    assert_eq!(refused.iter().map(|it| &*it.pid).collect::<Vec<_>>(), ["LARGE"]);
    let refused = node.store().persist(large(), MINUTE).await;
    assert!(matches!(refused, Err(AdapterError::Refused(_))), "{refused:?}");
    assert_eq!(node.store().take("LARGE", &offset, None).await.unwrap().session(), None);
    assert_eq!(node.store().take("P", &offset, None).await.unwrap().session(), Some(session("P")));
}

#[tokio::test]
async fn sessions_are_stored_together_and_forgotten() {
    let engine = Postgres::start().unwrap();
    let one = node(&engine, "one").await;
    let offset = one.log("x").await;
    let store = one.store();
    let newer = SavedSession { sid: "newer".into(), ..session("P") };
    let sessions = vec![session("P"), session("Q"), newer.clone(), session("R")];
    store.persist_all(sessions, MINUTE).await.unwrap();
    store.persist_all(Vec::new(), MINUTE).await.unwrap();
    store.forget("R", 0).await.unwrap();
    store.forget("unknown", 0).await.unwrap();
    for (pid, expected) in [("P", Some(newer)), ("Q", Some(session("Q"))), ("R", None)] {
        assert_eq!(store.take(pid, &offset, None).await.unwrap().session(), expected);
    }
}

#[tokio::test]
async fn a_trimmed_log_restores_nothing() {
    let engine = Postgres::start().unwrap();
    let short = Duration::from_millis(100);
    let adapter = |log| logging_with(config(&engine).cleanup_interval(short), log);
    let one = Node::join(adapter(EventLog::default().max_events(3)), "/", "one").await;
    let first = one.log("first").await;
    one.store().persist(session("P"), MINUTE).await.unwrap();
    one.store().persist(session("expired"), short).await.unwrap();
    let mut last = first.clone();
    for n in 0..5 {
        last = one.log(&format!("n{n}")).await;
    }
    let client = connect_directly(&engine).await;
    let rows = async |table: &str| {
        let count = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await;
        count.unwrap().get::<_, i64>(0)
    };
    until(|| async { rows("socket_io_log").await == 3 && rows("socket_io_sessions").await == 1 })
        .await;
    assert_eq!(one.store().take("P", &first, None).await.unwrap().session(), None);
    assert!(missed(&one, &first).await.is_err());
    assert_eq!(one.store().take("P", &last, None).await.unwrap().session(), Some(session("P")));
    assert!(missed(&one, &last).await.unwrap().is_empty());
    let _two = Node::join(adapter(EventLog::default().max_age(short)), "/", "two").await;
    until(|| async { rows("socket_io_log").await == 0 }).await;
    one.log("after").await;
    one.wait_for("after").await;
}

#[tokio::test]
async fn a_page_ends_at_its_size_and_large_entries_are_skipped() {
    let engine = Postgres::start().unwrap();
    let small = config(&engine).max_message_bytes(100_000);
    let one = Node::join(logging_with(small, EventLog::default()), "/", "one").await;
    let two = node(&engine, "two").await;
    let from = two.log("before").await;
    for n in 0..4 {
        two.publish(&format!("n{n}"), &"x".repeat(30_000)).await;
    }
    two.publish("large", &"x".repeat(200_000)).await;
    two.publish("end", &1).await;
    let size = PageSize { packets: 10, bytes: 50_000 };
    let page = within(one.store().missed(&from, size)).await.unwrap();
    assert_eq!((page.events.len(), page.has_more), (2, true));
    assert_eq!(missed(&one, &from).await.unwrap(), ["n0", "n1", "n2", "n3", "end"]);
    one.wait_for("end").await;
    assert_eq!(one.inbox.undecodable().len(), 1, "the large entry");
}

async fn refusal(
    engine: &Postgres,
    role: &str,
    config: impl Fn(PostgresConfig) -> PostgresConfig,
) -> String {
    let url = engine.url().replace("postgres@", &format!("{role}@"));
    let log = EventLog::default().table("app.events").sessions_table("app.sessions");
    let config = config(PostgresConfig::new(url.parse().unwrap())).connection_state_recovery(log);
    let member = ClusterMember { nsp: Nsp::root(), uid: "one".into() };
    let adapter = PostgresAdapter::new(config).unwrap();
    match within(adapter.join(member, Arc::new(RecordingInbox::default()))).await {
        Ok(_) => String::new(),
        Err(AdapterError::Denied(error)) => error.to_string(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_role_needs_the_documented_privileges() {
    let engine = Postgres::start().unwrap();
    let owner = connect_directly(&engine).await;
    owner.batch_execute("CREATE SCHEMA app; CREATE ROLE app LOGIN").await.unwrap();
    let error = refusal(&engine, "app", |config| config).await;
    assert!(error.contains("permission denied for schema app"), "{error}");
    for (sql, missing) in [
        ("GRANT USAGE ON SCHEMA app TO app", "app.events does not exist"),
        (
            "CREATE TABLE app.events (id bigserial, nsp text, payload bytea NOT NULL, PRIMARY KEY (nsp, id)); \
             CREATE TABLE app.sessions (pid text PRIMARY KEY, nsp text NOT NULL, \
             expires_at timestamptz NOT NULL, session bytea NOT NULL, \
             owner text, epoch bigint NOT NULL)",
            "the privilege SELECT on app.events is missing",
        ),
        (
            "GRANT SELECT, INSERT, DELETE ON app.events TO app",
            "the privilege SELECT on app.sessions is missing",
        ),
        (
            "GRANT SELECT, INSERT, UPDATE, DELETE ON app.sessions TO app; \
             GRANT USAGE ON SEQUENCE app.events_id_seq TO app",
            "the privilege UPDATE on app.events_id_seq is missing",
        ),
        ("GRANT USAGE, UPDATE ON SEQUENCE app.events_id_seq TO app", ""),
    ] {
        owner.batch_execute(sql).await.unwrap();
        let error = refusal(&engine, "app", |config| config.create_table(false)).await;
        assert!(error.ends_with(missing) && error.is_empty() == missing.is_empty(), "{error}");
    }
    let url = engine.url().replace("postgres@", "app@");
    let log = EventLog::default().table("app.events").sessions_table("app.sessions");
    let config = PostgresConfig::new(url.parse().unwrap()).create_table(false);
    let one = Node::join(logging_with(config, log), "/", "one").await;
    let offset = one.log("x").await;
    one.store().persist(session("P"), MINUTE).await.unwrap();
    assert_eq!(one.store().take("P", &offset, None).await.unwrap().session(), Some(session("P")));
    one.wait_for("x").await;
}

#[test]
fn names_of_tables_are_checked() {
    for log in [
        EventLog::default().table("x; DROP TABLE y"),
        EventLog::default().sessions_table(""),
        // PostgreSQL would truncate the name of the sequence.
        EventLog::default().table("t".repeat(57)),
    ] {
        let config = PostgresConfig::new(Default::default()).connection_state_recovery(log);
        PostgresAdapter::new(config).unwrap_err();
    }
}
