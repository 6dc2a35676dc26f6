//! A user whose ACL allows only some channels: a refused channel costs its own namespace, and nothing else.

use engines::{Redis, RedisCluster};
use socketio_adapter::{AdapterError, ClusterAdapter, Room, Seat};

use crate::{
    Adapter, Arc, Node, Nodes, RedisAdapter, Stranger, SubscriptionMode, events,
    suite::{Kept, until, within},
    until_heard,
};

/// Sets what the user `app` may do, from nothing.
fn allow(redis: &mut Stranger, rules: &str) {
    let set = redis.words(&format!("ACL SETUSER app reset on >secret +@all {rules}"));
    assert_eq!(set, "+OK");
}

fn address(port: u16) -> String {
    format!("redis://app:secret@127.0.0.1:{port}")
}

/// How often a command was run or refused.
fn calls(redis: &mut Stranger, command: &str) -> usize {
    let statistics = redis.words("INFO commandstats");
    let line = statistics.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
    let number = |line: &str, name: &str| {
        let rest = line.split(name).nth(1).unwrap_or_default();
        rest.split(',').next().and_then(|digits| digits.trim().parse::<usize>().ok())
    };
    line.map_or(0, |line| {
        number(line, ":calls=").unwrap_or(0) + number(line, "rejected_calls=").unwrap_or(0)
    })
}

async fn denied(adapter: &Adapter, nsp: &str) -> String {
    let seat = Seat { nsp: nsp.into(), uid: "denied".into() };
    match within(adapter.join(seat, Arc::new(Kept::default()))).await {
        Err(error @ AdapterError::Denied(_)) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it has joined"),
    }
}

/// One namespace is allowed, another one is not.
async fn one_namespace_of_two(
    adapters: [Adapter; 2],
    redis: &mut Stranger,
    channel: &str,
    command: &str,
) {
    let [one, two] = &adapters;
    let (here, there) = (Node::join(one, "/", "one").await, Node::join(two, "/", "two").await);
    until_heard(&here, &there).await;
    let connections =
        redis.words("CLIENT LIST").lines().filter(|line| line.contains("user=app")).count();
    for _ in 0..3 {
        let error = denied(one, "/denied").await;
        assert!(error.contains(channel), "{error}");
        here.say("meanwhile").await;
        there.say("meanwhile").await;
    }
    // Nothing of the allowed namespace was lost.
    for node in [&here, &there] {
        until(|| async { events(node).iter().filter(|it| *it == "meanwhile").count() == 3 }).await;
    }
    let now = redis.words("CLIENT LIST").lines().filter(|line| line.contains("user=app")).count();
    assert_eq!(now, connections, "the connections are the same");
    assert!(calls(redis, command) <= 20, "{} calls", calls(redis, command));
}

#[tokio::test]
async fn a_refused_channel_costs_its_own_namespace_with_pub_sub() {
    let redis = Redis::start().unwrap();
    let mut admin = Stranger::new(&redis);
    allow(&mut admin, "~* &socket.io#/#* &socket.io-request#/#* &socket.io-response#/#*");
    let adapter = || RedisAdapter::classic(address(redis.port())).build().unwrap();
    one_namespace_of_two([adapter(), adapter()], &mut admin, "`socket.io", "subscribe").await;
}

#[tokio::test]
async fn a_refused_channel_costs_its_own_namespace_with_sharded_pub_sub() {
    let redis = Redis::start().unwrap();
    let mut admin = Stranger::new(&redis);
    allow(&mut admin, "~* &socket.io#/#*");
    let adapter = || RedisAdapter::sharded(address(redis.port())).build().unwrap();
    one_namespace_of_two([adapter(), adapter()], &mut admin, "`socket.io#/denied#", "ssubscribe")
        .await;
}

#[tokio::test]
async fn a_refused_channel_costs_its_own_namespace_with_streams() {
    let redis = Redis::start().unwrap();
    let mut admin = Stranger::new(&redis);
    allow(&mut admin, "~* &socket.io#/#*");
    let adapter = || RedisAdapter::streams(address(redis.port())).build().unwrap();
    one_namespace_of_two([adapter(), adapter()], &mut admin, "`socket.io#/denied#", "subscribe")
        .await;
}

#[tokio::test]
async fn a_refused_channel_costs_its_own_namespace_in_a_redis_cluster() {
    let cluster = RedisCluster::start().unwrap();
    for node in cluster.masters() {
        allow(&mut Stranger::at(node.port()), "~* &socket.io#/#*");
    }
    let nodes: Vec<_> = cluster.masters().iter().map(|node| address(node.port())).collect();
    let adapter = || RedisAdapter::sharded(Nodes::from(nodes.clone())).build().unwrap();
    let (one, two) = (adapter(), adapter());
    let (here, there) = (Node::join(&one, "/", "one").await, Node::join(&two, "/", "two").await);
    for _ in 0..3 {
        assert!(denied(&one, "/denied").await.contains("`socket.io#/denied#"));
        here.say("meanwhile").await;
    }
    until(|| async { events(&there).len() == 3 }).await;
    for node in cluster.masters() {
        let calls = calls(&mut Stranger::at(node.port()), "ssubscribe");
        assert!(calls <= 20, "{calls} calls");
    }
}

#[tokio::test]
async fn a_stream_that_may_not_be_read_is_named() {
    let redis = Redis::start().unwrap();
    let mut admin = Stranger::new(&redis);
    allow(&mut admin, "~mine* &*");
    let adapter = RedisAdapter::streams(address(redis.port())).build().unwrap();
    let error = denied(&adapter, "/").await;
    assert!(error.contains("`socket.io`"), "{error}");
    assert!(calls(&mut admin, "xrevrange") <= 5, "{} calls", calls(&mut admin, "xrevrange"));
    let mine = RedisAdapter::streams(address(redis.port())).stream_name("mine").build().unwrap();
    let other = RedisAdapter::streams(address(redis.port())).stream_name("mine").build().unwrap();
    let (here, there) = (Node::join(&mine, "/", "one").await, Node::join(&other, "/", "two").await);
    until_heard(&here, &there).await;
    // The permission is given: nothing of the refusal stays.
    allow(&mut admin, "~* &*");
    Node::join(&adapter, "/", "three").await;
}

#[tokio::test]
async fn a_refused_room_leaves_the_namespace_and_its_other_rooms_alone() {
    let redis = Redis::start().unwrap();
    let mut admin = Stranger::new(&redis);
    allow(&mut admin, "~* &socket.io#/# &socket.io#/#one# &socket.io#/#two# &socket.io#/#good*");
    let adapter = || {
        let sharded = RedisAdapter::sharded(address(redis.port()));
        sharded.subscription_mode(SubscriptionMode::Dynamic).build().unwrap()
    };
    let (one, two) = (adapter(), adapter());
    let (here, there) = (Node::join(&one, "/", "one").await, Node::join(&two, "/", "two").await);
    for n in 0..50 {
        there.link.room_appeared(&Room::from(format!("bad{n}")));
    }
    there.link.room_appeared(&Room::from("good"));
    until(|| async { two.is_subscribed("socket.io#/#good#") }).await;
    within(here.link.publish(here.event("room", &["good"]))).await.unwrap();
    within(here.link.publish(here.event("all", &[]))).await.unwrap();
    until(|| async { events(&there).len() == 2 }).await;
    // Each of them once, or twice where this takes long.
    let calls = calls(&mut admin, "ssubscribe");
    assert!((55..500).contains(&calls), "{calls} calls");
}

#[tokio::test]
async fn a_user_who_may_not_ping_keeps_the_connection() {
    let redis = Redis::start().unwrap();
    let mut admin = Stranger::new(&redis);
    allow(&mut admin, "~* &* -ping");
    let adapter = RedisAdapter::classic(address(redis.port())).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let before = calls(&mut admin, "psubscribe");
    until(|| {
        let asked = calls(&mut admin, "ping") > 0;
        async move { asked }
    })
    .await;
    node.say("x").await;
    assert_eq!(calls(&mut admin, "psubscribe"), before);
}
