//! Tests of channels per room.

use engines::Redis;
use socketio_adapter::Link;

use crate::{Node, RawClient, RedisAdapter, SubscriptionMode, events, suite::until};

const ID: &str = "abcdefghijklmnopqrst";

#[tokio::test]
async fn only_nodes_with_the_room_receive_messages_to_its_channel() {
    let engine = Redis::start().unwrap();
    for (mode, rooms, received) in [
        (SubscriptionMode::Static, 0, vec!["to room", "to id", "end"]),
        (SubscriptionMode::Dynamic, 1, vec!["to id", "end"]),
        (SubscriptionMode::DynamicPrivate, 2, vec!["end"]),
    ] {
        let prefix = format!("{mode:?}");
        let adapter = || {
            let adapter = RedisAdapter::sharded(engine.url()).subscription_mode(mode);
            adapter.channel_prefix(prefix.clone()).build().unwrap()
        };
        let [from, with, without] = [adapter(), adapter(), adapter()];
        let from = Node::join(&from, "/", "from").await;
        let (with_node, without) =
            (Node::join(&with, "/", "with").await, Node::join(&without, "/", "without").await);
        let mut raw_client = RawClient::new(&engine);
        let before = raw_client.subscriptions();
        for room in ["r", ID] {
            with_node.link.room_appeared(&room.into());
            with_node.link.room_appeared(&room.into());
        }
        until(|| {
            let now = raw_client.subscriptions();
            async move { now == [before[0], before[1], before[2] + rooms] }
        })
        .await;
        for (event, rooms) in [("to room", &["r"][..]), ("to id", &[ID]), ("end", &[])] {
            from.link.publish(from.event(event, rooms)).await.unwrap();
        }
        with_node.inbox.wait(3).await;
        without.inbox.wait(received.len()).await;
        assert_eq!(events(&with_node), ["to room", "to id", "end"], "{mode:?}");
        assert_eq!(events(&without), received, "{mode:?}");
        for room in ["r", ID] {
            with_node.link.room_vanished(&room.into());
        }
        until(|| {
            let now = raw_client.subscriptions();
            async move { now == before }
        })
        .await;
    }
}

/// After a restart, the current rooms are subscribed to and no others.
#[tokio::test]
async fn rooms_are_resubscribed_after_a_restart() {
    let engine = Redis::start().unwrap();
    let adapter = RedisAdapter::sharded(engine.url()).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let link: &dyn Link = &*node.link;
    for n in 0..500 {
        link.room_appeared(&format!("r{n}").into());
    }
    until(|| async { adapter.is_subscribed("socket.io#/#r499#") }).await;
    engine.kill().unwrap();
    until(|| async { !adapter.is_subscribed("socket.io#/#r0#") }).await;
    for n in 100..500 {
        link.room_vanished(&format!("r{n}").into());
    }
    link.room_appeared(&"new".into());
    engine.restart().unwrap();
    until(|| {
        let sharded = RawClient::new(&engine).subscriptions()[2];
        async move { sharded == 2 + 100 + 1 }
    })
    .await;
    // Redis has the subscription before the adapter reads the confirmation.
    until(|| async { adapter.is_subscribed("socket.io#/#new#") }).await;
}
