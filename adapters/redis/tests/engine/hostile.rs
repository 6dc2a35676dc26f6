//! Malformed messages. Every client of Redis can publish to the channels of the cluster.

use engines::Redis;
use socketio_adapter::Body;

use crate::{Node, RawClient, RedisAdapter, events, suite::until};

const LIMIT: usize = 100_000;

/// Payloads that an adapter must refuse.
fn garbage() -> Vec<Vec<u8>> {
    let deep =
        |open: &str| format!(r#"{{"type":3,"uid":"x","nsp":"/","data":{}"#, open.repeat(3000));
    vec![
        b"{".to_vec(),
        b"null".to_vec(),
        b"\xc1".to_vec(),
        b"\xdd\xff\xff\xff\xff".to_vec(),
        b"\x93\xdf\xff\xff\xff\xff".to_vec(),
        b"{\"type\":\xff}".to_vec(),
        vec![0x91; 90_000],
        vec![b'['; 90_000],
        vec![b'{'; LIMIT + 1],
        deep("[").into_bytes(),
        deep(r#"{"a":"#).into_bytes(),
        br#"{"type":99,"uid":"x","nsp":"/"}"#.to_vec(),
        br#"{"type":-1,"uid":"x","nsp":"/"}"#.to_vec(),
    ]
}

async fn counted(node: &Node, count: usize) {
    until(|| async { node.inbox.undecodable().len() == count }).await;
    assert!(node.inbox.messages().is_empty(), "{:?}", node.inbox.messages());
    assert!(
        node.inbox
            .undecodable()
            .iter()
            .any(|text| text.contains("exceeds the limit of 100000 bytes"))
    );
}

#[tokio::test]
async fn garbage_on_channels_is_counted_and_dropped() {
    let engine = Redis::start().unwrap();
    let mut raw_client = RawClient::new(&engine);
    let adapter = RedisAdapter::classic(engine.url()).max_message_bytes(LIMIT).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let two = Node::join(&adapter, "/two", "one").await;
    let channels =
        ["socket.io#/#", "socket.io#/#r#", "socket.io-request#/#", "socket.io-response#/#"];
    for garbage in garbage() {
        for channel in channels {
            raw_client.command(&[b"PUBLISH", channel.as_bytes(), &garbage]);
        }
    }
    counted(&node, garbage().len() * channels.len()).await;
    assert!(two.inbox.undecodable().is_empty());

    let adapter = RedisAdapter::sharded(engine.url()).max_message_bytes(LIMIT).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let channels = ["socket.io#/#", "socket.io#/#one#"];
    for garbage in garbage() {
        for channel in channels {
            raw_client.command(&[b"SPUBLISH", channel.as_bytes(), &garbage]);
        }
    }
    counted(&node, garbage().len() * channels.len()).await;
    raw_client.command_line(r#"SPUBLISH socket.io#/# {"type":2,"uid":"x","nsp":"/"}"#);
    assert_eq!(node.inbox.wait(1).await[0].body, Body::Heartbeat);
}

#[tokio::test]
async fn garbage_in_a_stream_is_counted_and_skipped() {
    let engine = Redis::start().unwrap();
    let mut raw_client = RawClient::new(&engine);
    let adapter = RedisAdapter::streams(engine.url()).max_message_bytes(LIMIT).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    for garbage in garbage() {
        let command_line = "XADD socket.io * uid x nsp / type 3 data".split(' ').map(str::as_bytes);
        let parts: Vec<&[u8]> = command_line.chain([&garbage[..]]).collect();
        raw_client.command(&parts);
    }
    let mut count = garbage().len();
    for entry in ["nsp / type 3", "uid x nsp /", "uid x nsp / type x", "uid x nsp / type 3"] {
        raw_client.command_line(&format!("XADD socket.io * {entry}"));
        count += 1;
    }
    // Entries of no known namespace.
    raw_client.command_line("XADD socket.io * uid x type 3");
    raw_client.command(&[b"XADD", b"socket.io", b"*", b"\xff\xfe", b"\xff", b"nsp", b"\xff"]);
    counted(&node, count).await;
    // The reader must survive a key of another type.
    raw_client.command_line("DEL socket.io");
    raw_client.command_line("SET socket.io x");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    raw_client.command_line("DEL socket.io");
    let data = r#"{"packet":{"type":2,"data":["x"]},"opts":{}}"#;
    until(|| {
        raw_client.command_line(&format!("XADD socket.io * uid emitter nsp / type 3 data {data}"));
        async { !events(&node).is_empty() }
    })
    .await;
    assert_eq!(events(&node)[0], "x");
}

/// Special characters in a namespace's name do not match other namespaces. Namespaces with a common
/// prefix are separate.
#[tokio::test]
async fn namespaces_with_special_characters_are_separate() {
    let engine = Redis::start().unwrap();
    let adapter = || RedisAdapter::classic(engine.url()).build().unwrap();
    let (one, two) = (adapter(), adapter());
    for nsp in ["/*", "/[a]?", r"/\", "/#", "/#a", "/"] {
        let here = Node::join(&one, nsp, "one").await;
        let there = Node::join(&two, nsp, "two").await;
        let other = Node::join(&two, &format!("{nsp}#x"), "two").await;
        other.publish_event("other").await;
        here.publish_event("this").await;
        there.inbox.wait(1).await;
        assert_eq!(events(&there), ["this"], "{nsp}");
        assert!(events(&other).is_empty() && here.inbox.undecodable().is_empty(), "{nsp}");
    }
}
