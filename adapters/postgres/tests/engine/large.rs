//! Messages that notifications cannot hold.

use engines::Postgres;
use socketio_parser::Binary;

use crate::{Node, adapter, stranger, suite::within};

#[tokio::test]
async fn large_and_binary_messages_keep_their_order_among_small_ones() {
    let engine = Postgres::start().unwrap();
    let one = Node::join(adapter(&engine), "/", "one").await;
    let two = Node::join(adapter(&engine), "/", "two").await;
    let mut sent = Vec::new();
    for n in 0..60_u32 {
        let (name, large) = (format!("{n}"), "é\u{0}".repeat(40_000));
        match n % 3 {
            0 => one.say(&name, &n).await,
            1 => one.say(&name, &large).await,
            _ => one.say(&name, &Binary(vec![0; 100_000].into())).await,
        }
        sent.push(name);
    }
    let heard = two.inbox.wait(60).await;
    let names = heard.iter().map(|message| match &message.body {
        socketio_adapter::Body::Broadcast { args, .. } => args.event().to_owned(),
        other => panic!("{other:?}"),
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names, sent);
    let again = one.message("/", "1", &"é\u{0}".repeat(40_000));
    assert_eq!(heard[1], again);
}

#[tokio::test]
async fn every_size_about_the_threshold_arrives() {
    let engine = Postgres::start().unwrap();
    let one = Node::join(adapter(&engine), "/", "one").await;
    let two = Node::join(adapter(&engine), "/", "two").await;
    let rest = one.message("/", "x", &"").to_json().unwrap().len();
    for size in 7990..8010 {
        one.say("x", &"a".repeat(size - rest)).await;
    }
    assert_eq!(two.inbox.wait(20).await.len(), 20);
    let rows = stranger(&engine).await;
    let rows = rows.query_one("SELECT count(*) FROM socket_io_attachments", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 10, "from 8000 bytes on");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_rest_goes_on() {
    let engine = Postgres::start().unwrap();
    let one = Node::join(adapter(&engine), "/", "one").await;
    let two = Node::join(adapter(&engine), "/", "two").await;
    let large = one.message("/", "x", &"a".repeat(11_000_000));
    let error = within(one.link.publish(large)).await.unwrap_err();
    assert!(matches!(error, socketio_adapter::AdapterError::Refused(_)), "{error}");
    one.say("y", &1).await;
    assert_eq!(two.inbox.wait(1).await.len(), 1);
}
