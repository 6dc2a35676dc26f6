//! Messages that are published in batches.

use engines::{Redis, RedisCluster};
use socketio_adapter::{AdapterError, Body};
use socketio_adapter_redis::{Publisher, RedisAdapter};

use crate::{
    Node, RawClient, SHORT, all_kinds, events,
    suite::{check_sizes, until, within},
};

#[tokio::test]
async fn batched_messages_arrive_in_order() {
    let engine = Redis::start().unwrap();
    for adapter in all_kinds(&engine.url().into()) {
        let (one, two) =
            (Node::join(&adapter, "/", "one").await, Node::join(&adapter, "/", "two").await);
        let names: Vec<_> = (0..200).map(|n| format!("event {n}")).collect();
        for some in names.chunks(one.link.max_batch()) {
            // A heartbeat travels separately from events.
            let mut messages: Vec<_> = some.iter().map(|name| one.event(name, &[])).collect();
            messages.insert(messages.len() / 2, one.message(Body::Heartbeat));
            let results = within(one.link.publish_all(messages)).await;
            assert_eq!(results.len(), some.len() + 1);
            results.into_iter().for_each(|result| drop(result.unwrap()));
        }
        let received = || events(&two).into_iter().filter(|it| it.starts_with("event"));
        until(|| async { received().count() == names.len() }).await;
        let received: Vec<_> = received().collect();
        assert_eq!(received, names, "{adapter:?}");
    }
}

#[tokio::test]
async fn a_refused_message_does_not_fail_the_others() {
    let engine = Redis::start().unwrap();
    let adapter = RedisAdapter::streams(engine.url()).response_timeout(SHORT).build().unwrap();
    let (one, two) =
        (Node::join(&adapter, "/", "one").await, Node::join(&adapter, "/", "two").await);
    let mut raw_client = RawClient::new(&engine);
    raw_client.command_line("SET socket.io text");
    let messages = vec![
        one.event("lost", &[]),
        one.message(Body::SocketsLeave {
            selection: Default::default(),
            rooms: vec!["room".into()],
        }),
    ];
    let mut results = within(one.link.publish_all(messages)).await.into_iter();
    assert!(matches!(results.next(), Some(Err(AdapterError::Engine(_)))));
    drop(results.next().unwrap());
    raw_client.command_line("DEL socket.io");
    let results =
        within(one.link.publish_all(vec![one.event("a", &[]), one.event("b", &[])])).await;
    assert!(results.iter().all(|result| matches!(result, Ok(Some(_)))), "{results:?}");
    two.inbox.wait(1).await;
}

#[tokio::test]
async fn a_message_that_is_accepted_is_received_whatever_its_size() {
    let engine = Redis::start().unwrap();
    let classic = || RedisAdapter::classic(engine.url()).max_message_bytes(1000);
    let sharded = || RedisAdapter::sharded(engine.url()).max_message_bytes(1000);
    let streams = || RedisAdapter::streams(engine.url()).max_message_bytes(1000);
    let kinds = [
        (classic().build(), Publisher::classic(classic())),
        (sharded().build(), Publisher::sharded(sharded())),
        (streams().build(), Publisher::streams(streams())),
    ];
    for (adapter, publisher) in kinds {
        let (adapter, publisher) = (adapter.unwrap(), publisher.unwrap());
        within(publisher.connected()).await.unwrap();
        let one = Node::join(&adapter, "/", "one").await;
        let two = Node::join(&adapter, "/", "two").await;
        let publish = async |event: &str| one.link.publish(one.event(event, &[])).await.map(drop);
        check_sizes(publish, &two.inbox).await;
        let three = Node::join(&adapter, "/", "three").await;
        let publish = async |event: &str| publisher.publish(&one.event(event, &[])).await;
        check_sizes(publish, &three.inbox).await;

        let names = ["first", &"x".repeat(1000), "last"];
        let batch = names.map(|name| one.event(name, &[])).to_vec();
        let results = within(one.link.publish_all(batch)).await;
        let refused = results.iter().map(|result| matches!(result, Err(AdapterError::Refused(_))));
        assert_eq!(refused.collect::<Vec<_>>(), [false, true, false], "{adapter:?}");
        until(|| async { events(&three).ends_with(&["first".into(), "last".into()]) }).await;
    }
}

#[tokio::test]
async fn all_messages_of_a_batch_fail_with_their_connection() {
    let engine = Redis::start().unwrap();
    for adapter in all_kinds(&engine.url().into()) {
        let one = Node::join(&adapter, "/", "one").await;
        engine.kill().unwrap();
        let results =
            within(one.link.publish_all(vec![one.event("a", &[]), one.event("b", &[])])).await;
        assert_eq!(results.len(), 2);
        assert!(results.iter().all(Result::is_err), "{results:?}");
        engine.restart().unwrap();
    }
}

#[tokio::test]
async fn messages_to_the_nodes_of_a_redis_cluster_are_sent_one_by_one() {
    let engine = RedisCluster::start().unwrap();
    let mut batches = Vec::new();
    for adapter in all_kinds(&engine.urls().into()) {
        batches.push(Node::join(&adapter, "/", "one").await.link.max_batch());
    }
    assert_eq!(batches, [64, 1, 1]);
}
