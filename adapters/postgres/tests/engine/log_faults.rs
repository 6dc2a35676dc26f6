//! The order of the log, and what it survives.

use std::{sync::Arc, time::Duration};

use engines::Postgres;
use socketio_adapter::AdapterError;
use socketio_adapter_postgres::{EventLog, PostgresAdapter, tokio_postgres::Client};

use crate::{
    Node, config, connect_directly,
    log::{MINUTE, missed, node, session},
    suite::{until, within},
};

/// A connection that appends events by the same statement as the adapter, which must have appended
/// an event.
struct Appender {
    client: Client,
    statement: String,
}

impl Appender {
    async fn new(engine: &Postgres) -> Self {
        let client = connect_directly(engine).await;
        let last = "SELECT query FROM pg_stat_activity WHERE query LIKE 'WITH turn %'";
        let statement = client.query_one(last, &[]).await.unwrap().get(0);
        Self { client, statement }
    }

    async fn append(&self, event: &str) {
        let members = format!(
            r#""type":3,"data":{{"packet":{{"type":2,"data":["{event}"]}},"opts":{{"rooms":[],"except":[]}}}},"uid":"other","nsp":"/"}}"#
        );
        let params: [&(dyn socketio_adapter_postgres::tokio_postgres::types::ToSql + Sync); 3] =
            [&"/", &members, &"socket.io#/"];
        self.client.query(&self.statement, &params).await.unwrap();
    }
}

/// Waits until a publisher waits for the lock of the log.
async fn until_blocked(client: &Client) {
    let waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    until(|| async { client.query(waiting, &[]).await.unwrap().len() == 1 }).await;
}

/// Otherwise a reader would pass the gap that the slow transaction fills later.
#[tokio::test]
async fn events_behind_a_slow_transaction_wait_for_it() {
    let engine = Postgres::start().unwrap();
    let (one, two) = (node(&engine, "one").await, node(&engine, "two").await);
    let from = one.log("before").await;
    let slow = Appender::new(&engine).await;
    slow.client.batch_execute("BEGIN").await.unwrap();
    slow.append("slow").await;
    let watcher = connect_directly(&engine).await;
    let commit = async {
        until_blocked(&watcher).await;
        assert!(missed(&two, &from).await.unwrap().is_empty());
        slow.client.batch_execute("COMMIT").await.unwrap();
    };
    let (late, ()) = tokio::join!(one.log("late"), commit);
    for node in [&one, &two] {
        assert_eq!(node.wait_for("late").await, ["before", "slow", "late"]);
    }
    assert_eq!(missed(&two, &from).await.unwrap(), ["slow", "late"]);
    assert!(missed(&two, &late).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_long_transaction_of_another_program_delays_nothing() {
    let engine = Postgres::start().unwrap();
    let (one, two) = (node(&engine, "one").await, node(&engine, "two").await);
    let other = connect_directly(&engine).await;
    other.batch_execute("BEGIN; CREATE TABLE migration (n int)").await.unwrap();
    let from = one.log("x").await;
    one.log("y").await;
    assert_eq!(two.wait_for("y").await, ["x", "y"]);
    assert_eq!(missed(&two, &from).await.unwrap(), ["y"]);
    other.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_log_that_stays_locked_fails_the_event_and_keeps_the_connection() {
    let engine = Postgres::start().unwrap();
    let short = config(&engine).timeout(Duration::from_secs(4));
    let adapter =
        PostgresAdapter::new(short.connection_state_recovery(EventLog::default())).unwrap();
    let one = Node::join(adapter, "/", "one").await;
    one.log("before").await;
    let slow = Appender::new(&engine).await;
    let connections = async || {
        let pids = "SELECT pid FROM pg_stat_activity WHERE datname = 'postgres' ORDER BY pid";
        let pids = slow.client.query(pids, &[]).await.unwrap();
        pids.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>()
    };
    let before = connections().await;
    slow.client.batch_execute("BEGIN").await.unwrap();
    slow.append("slow").await;
    let error = within(one.link.publish(one.message("/", "x", &1))).await.unwrap_err();
    assert!(
        matches!(error, AdapterError::Engine(_)) && error.to_string().contains("lock"),
        "{error}"
    );
    slow.client.batch_execute("ROLLBACK").await.unwrap();
    one.log("after").await;
    assert_eq!(one.wait_for("after").await, ["before", "after"]);
    assert_eq!(connections().await, before);
}

/// More events than fit into a page, so that several are read.
#[tokio::test]
async fn events_from_a_time_without_a_connection_arrive_once_it_is_back() {
    let engine = Postgres::start().unwrap();
    let (one, two) = (node(&engine, "one").await, node(&engine, "two").await);
    one.log("before").await;
    two.wait_for("before").await;
    let other = Appender::new(&engine).await;
    let terminate = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                     WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    assert_eq!(other.client.query(terminate, &[]).await.unwrap().len(), 4, "two per server");
    let mut expected = vec!["before".to_owned()];
    for n in 0..600 {
        other.append(&format!("n{n}")).await;
        expected.push(format!("n{n}"));
    }
    for node in [&one, &two] {
        until(|| async { node.events().len() >= expected.len() }).await;
    }
    let after = async || one.link.publish(one.message("/", "after", &1)).await.is_ok();
    until(after).await;
    expected.push("after".to_owned());
    for node in [&one, &two] {
        assert_eq!(node.wait_for("after").await, expected);
    }
}

#[tokio::test]
async fn events_and_sessions_survive_a_crash_of_the_database() {
    let engine = Postgres::start().unwrap();
    let (one, two) = (node(&engine, "one").await, node(&engine, "two").await);
    let from = one.log("before").await;
    one.store().persist(session("P"), MINUTE).await.unwrap();
    one.log("x").await;
    // Without it, the last transactions may be lost.
    connect_directly(&engine).await.batch_execute("CHECKPOINT").await.unwrap();
    engine.kill().unwrap();
    engine.restart().unwrap();
    until(|| async { two.link.publish(two.message("/", "after", &1)).await.is_ok() }).await;
    assert_eq!(one.wait_for("after").await, ["before", "x", "after"]);
    // The connection for statements may return after the one for notifications.
    until(|| async { missed(&one, &from).await.is_ok() }).await;
    assert_eq!(missed(&one, &from).await.unwrap(), ["x", "after"]);
    let taken = async |node: &Node| node.store().take("P", &from, None).await.unwrap().session();
    let (first, second) = tokio::join!(taken(&one), taken(&two));
    assert_eq!([first, second].into_iter().flatten().collect::<Vec<_>>(), [session("P")]);
}

#[tokio::test]
async fn offsets_grow_whatever_happens_to_the_sequence_or_the_clock() {
    let engine = Postgres::start().unwrap();
    let one = Arc::new(node(&engine, "one").await);
    let client = connect_directly(&engine).await;
    let mut last = one.log("first").await;
    for sql in [
        // A crash may set the sequence back.
        "SELECT setval('socket_io_log_id_seq', 1)",
        "TRUNCATE socket_io_log RESTART IDENTITY",
        // As if the clock were set back by years.
        "SELECT setval('socket_io_log_id_seq', 4000000000000000)",
        "SELECT 1",
    ] {
        client.batch_execute(sql).await.unwrap();
        let next = one.log(sql).await;
        assert!(one.store().is_after(&next, &last), "{sql}");
        one.wait_for(sql).await;
        last = next;
    }
}
