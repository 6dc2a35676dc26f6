//! Malformed messages. Every client of the database can send notifications.

use engines::Postgres;
use socketio_adapter::Body;
use socketio_adapter_postgres::PostgresAdapter;

use crate::{Node, adapter, config, connect_directly, suite::until};

#[tokio::test]
async fn garbage_is_counted_and_dropped() {
    let engine = Postgres::start().unwrap();
    let adapter = PostgresAdapter::new(config(&engine).max_message_bytes(100_000)).unwrap();
    let node = Node::join(adapter, "/", "one").await;
    let client = connect_directly(&engine).await;
    let insert = "INSERT INTO socket_io_attachments (payload) VALUES ($1) RETURNING id";
    let mut ids = Vec::new();
    for payload in [vec![0x91_u8; 90_000], vec![0xc1; 10], Vec::new(), vec![0; 100_001]] {
        ids.push(client.query_one(insert, &[&payload]).await.unwrap().get::<_, i64>(0));
    }
    let mut bad: Vec<String> = vec![
        String::new(),
        "{".into(),
        "null".into(),
        "[".repeat(7000),
        format!(
            r#"{{"uid":"x","nsp":"/","type":3,"data":{}{}}}"#,
            "[".repeat(3000),
            "]".repeat(3000)
        ),
        r#"{"uid":"x","nsp":"/","type":99}"#.into(),
        r#"{"uid":"x","nsp":"/","type":-1}"#.into(),
        r#"{"uid":"x","nsp":"/","type":3,"data":{"packet":{"type":2,"data":[]}}}"#.into(),
        r#"{"uid":"x","type":3,"attachmentId":"999999"}"#.into(),
        r#"{"uid":"x","type":3,"attachmentId":"99999999999999999999"}"#.into(),
        r#"{"uid":"x","type":3,"attachmentId":"1; DROP TABLE socket_io_attachments"}"#.into(),
        r#"{"uid":"x","type":3,"attachmentId":5}"#.into(),
    ];
    bad.extend(ids.iter().map(|id| format!(r#"{{"uid":"x","type":3,"attachmentId":"{id}"}}"#)));
    for payload in &bad {
        client.execute("SELECT pg_notify('socket.io#/', $1)", &[payload]).await.unwrap();
    }
    until(|| async { node.inbox.undecodable().len() == bad.len() }).await;
    assert!(node.inbox.messages().is_empty());
    assert!(node.inbox.undecodable().iter().any(|text| text.contains("100001 bytes")));

    let good = r#"{"uid":"x","nsp":"/","type":2}"#;
    client.execute("SELECT pg_notify('socket.io#/', $1)", &[&good]).await.unwrap();
    assert_eq!(node.inbox.wait(1).await[0].body, Body::Heartbeat);
}

#[tokio::test]
async fn a_message_without_namespace_belongs_to_the_namespace_of_its_channel() {
    let engine = Postgres::start().unwrap();
    let node = Node::join(adapter(&engine), "/chat", "one").await;
    let client = connect_directly(&engine).await;
    let text = r#"{"type":4,"data":{"opts":{"rooms":["a"],"except":[],"flags":{}},"rooms":["b"]},"uid":"emitter"}"#;
    client.execute("SELECT pg_notify('socket.io#/chat', $1)", &[&text]).await.unwrap();
    // {type: 6, uid: "emitter", data: {opts: {}, close: true}}
    let attached =
        b"\x83\xa4type\x06\xa3uid\xa7emitter\xa4data\x82\xa4opts\x80\xa5close\xc3".to_vec();
    let insert = "INSERT INTO socket_io_attachments (payload) VALUES ($1) RETURNING id";
    let id: i64 = client.query_one(insert, &[&attached]).await.unwrap().get(0);
    let header = format!(r#"{{"uid":"emitter","type":6,"attachmentId":"{id}"}}"#);
    client.execute("SELECT pg_notify('socket.io#/chat', $1)", &[&header]).await.unwrap();
    let received = node.inbox.wait(2).await;
    assert!(received.iter().all(|message| message.nsp == *"/chat"), "{received:?}");
    assert!(matches!(received[0].body, Body::SocketsJoin { .. }), "{received:?}");
    assert!(
        matches!(received[1].body, Body::DisconnectSockets { close: true, .. }),
        "{received:?}"
    );
}

#[tokio::test]
async fn names_of_namespaces_are_quoted() {
    let engine = Postgres::start().unwrap();
    let nsp = r#"/a"; DROP TABLE socket_io_attachments; --"#;
    let one = Node::join(adapter(&engine), nsp, "one").await;
    let two = Node::join(adapter(&engine), nsp, "two").await;
    one.link.publish(one.message(nsp, "x", &1)).await.unwrap();
    assert_eq!(two.inbox.wait(1).await.len(), 1);
}
