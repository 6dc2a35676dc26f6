//! Messages that notifications cannot hold.

use std::{sync::Arc, time::Duration};

use engines::Postgres;
use socketio_adapter::{ClusterAdapter, ClusterMember};
use socketio_adapter_postgres::{EventLog, PostgresAdapter};
use socketio_parser::Binary;
use socketio_parser::Nsp;

use crate::{
    Node, adapter, config, connect_directly,
    suite::{RecordingInbox, check_sizes, within},
};

#[tokio::test]
async fn large_and_binary_messages_keep_their_order_among_small_ones() {
    let engine = Postgres::start().unwrap();
    let one = Node::join(adapter(&engine), "/", "one").await;
    let two = Node::join(adapter(&engine), "/", "two").await;
    let mut sent = Vec::new();
    for n in 0..60_u32 {
        let (name, large) = (format!("{n}"), "é\u{0}".repeat(40_000));
        match n % 3 {
            0 => one.publish(&name, &n).await,
            1 => one.publish(&name, &large).await,
            _ => one.publish(&name, &Binary(vec![0; 100_000].into())).await,
        }
        sent.push(name);
    }
    let received = two.inbox.wait(60).await;
    let names = received.iter().map(|message| match &message.body {
        socketio_adapter::Body::Broadcast { args, .. } => args.event().to_owned(),
        other => panic!("{other:?}"),
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names, sent);
    let again = one.message("/", "1", &"é\u{0}".repeat(40_000));
    assert_eq!(received[1], again);
}

#[tokio::test]
async fn every_size_around_the_threshold_arrives() {
    let engine = Postgres::start().unwrap();
    let one = Node::join(adapter(&engine), "/", "one").await;
    let two = Node::join(adapter(&engine), "/", "two").await;
    let rest = one.message("/", "x", &"").to_json().unwrap().len();
    for size in 7990..8010 {
        one.publish("x", &"a".repeat(size - rest)).await;
    }
    assert_eq!(two.inbox.wait(20).await.len(), 20);
    let rows = connect_directly(&engine).await;
    let rows = rows.query_one("SELECT count(*) FROM socket_io_attachments", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 10, "messages of 8000 bytes or more");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_others_still_arrive() {
    let engine = Postgres::start().unwrap();
    let one = Node::join(adapter(&engine), "/", "one").await;
    let two = Node::join(adapter(&engine), "/", "two").await;
    let large = one.message("/", "x", &"a".repeat(11_000_000));
    let error = within(one.link.publish(large)).await.unwrap_err();
    assert!(matches!(error, socketio_adapter::AdapterError::Refused(_)), "{error}");
    one.publish("y", &1).await;
    assert_eq!(two.inbox.wait(1).await.len(), 1);
}

#[tokio::test]
async fn a_node_that_is_slow_to_fetch_attachments_keeps_its_connection() {
    let engine = Postgres::start().unwrap();
    let client = connect_directly(&engine).await;
    // A table whose rows take a fifth of a second to read. The row is {type: 2, uid: "x"}.
    let slow = "CREATE VIEW slow AS SELECT n AS id, now() AS created_at, \
                '\\x82a47479706502a3756964a178'::bytea AS payload \
                FROM generate_series(1::bigint, 1) AS n, pg_sleep(0.2)";
    client.batch_execute(slow).await.unwrap();
    let short = config(&engine).table("slow").timeout(Duration::from_secs(2));
    let adapter = PostgresAdapter::new(short).unwrap();
    let node = Node::join(adapter.clone(), "/", "one").await;
    // The number makes each text unique, because PostgreSQL drops duplicate notifications of a
    // transaction.
    let many = r#"SELECT pg_notify('socket.io#/', '{"uid":"x","type":2,"attachmentId":"1","n":' || n || '}') FROM generate_series(1, 40) AS n"#;
    client.batch_execute(many).await.unwrap();
    // The response to this join arrives after all notifications.
    let member = ClusterMember { nsp: Nsp::new("/other").unwrap(), uid: "one".into() };
    let _ = adapter.join(member, Arc::new(RecordingInbox::default())).await;
    assert_eq!(node.inbox.wait(40).await.len(), 40);
    assert_eq!(node.inbox.undecodable(), [""; 0]);
}

#[tokio::test]
async fn a_message_that_is_accepted_is_received_whatever_its_size() {
    let engine = Postgres::start().unwrap();
    let limited = || config(&engine).max_message_bytes(1000);
    let plain = PostgresAdapter::new(limited()).unwrap();
    let logging = limited().connection_state_recovery(EventLog::default());
    for (nsp, adapter) in [("/", plain), ("/log", PostgresAdapter::new(logging).unwrap())] {
        let one = Node::join(adapter.clone(), nsp, "one").await;
        let two = Node::join(adapter.clone(), nsp, "two").await;
        let publish =
            async |event: &str| one.link.publish(one.message(nsp, event, &1)).await.map(drop);
        check_sizes(publish, &two.inbox).await;
        let binary = Binary(vec![0; 20].into());
        let publish =
            async |event: &str| one.link.publish(one.message(nsp, event, &binary)).await.map(drop);
        let three = Node::join(adapter.clone(), nsp, "three").await;
        check_sizes(publish, &three.inbox).await;
    }
}
