//! Users whose ACL allows only some channels. A refused channel affects only its own namespace.

use std::time::Duration;

use engines::{Redis, RedisCluster};
use socketio_adapter::{AdapterError, ClusterAdapter, ClusterMember, Room};

use crate::{
    Adapter, Arc, Node, Nodes, RawClient, RedisAdapter, SubscriptionMode, events,
    sessions::session,
    suite::{RecordingInbox, until, within},
    until_received,
};

/// Sets the permissions of the user `app`.
fn allow(redis: &mut RawClient, rules: &str) {
    let set = redis.command_line(&format!("ACL SETUSER app reset on >secret +@all {rules}"));
    assert_eq!(set, "+OK");
}

fn address(port: u16) -> String {
    format!("redis://app:secret@127.0.0.1:{port}")
}

/// Returns how often a command was executed or refused.
fn calls(redis: &mut RawClient, command: &str) -> usize {
    let statistics = redis.command_line("INFO commandstats");
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
    let member = ClusterMember { nsp: socketio_parser::Nsp::unchecked(nsp), uid: "denied".into() };
    match within(adapter.join(member, Arc::new(RecordingInbox::default()))).await {
        Err(error @ AdapterError::Denied(_)) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it has joined"),
    }
}

/// Joins an allowed namespace and a denied one.
async fn join_allowed_and_denied_namespaces(
    adapters: [Adapter; 2],
    redis: &mut RawClient,
    channel: &str,
    command: &str,
) {
    let [one, two] = &adapters;
    let (here, there) = (Node::join(one, "/", "one").await, Node::join(two, "/", "two").await);
    until_received(&here, &there).await;
    let connections =
        redis.command_line("CLIENT LIST").lines().filter(|line| line.contains("user=app")).count();
    for _ in 0..3 {
        let error = denied(one, "/denied").await;
        assert!(error.contains(channel), "{error}");
        here.publish_event("meanwhile").await;
        there.publish_event("meanwhile").await;
    }
    // The allowed namespace has lost no events.
    for node in [&here, &there] {
        until(|| async { events(node).iter().filter(|it| *it == "meanwhile").count() == 3 }).await;
    }
    let now =
        redis.command_line("CLIENT LIST").lines().filter(|line| line.contains("user=app")).count();
    assert_eq!(now, connections, "the connections are the same");
    assert!(calls(redis, command) <= 20, "{} calls", calls(redis, command));
}

#[tokio::test]
async fn a_refused_channel_affects_only_its_own_namespace_with_pub_sub() {
    let redis = Redis::start().unwrap();
    let mut admin = RawClient::new(&redis);
    allow(&mut admin, "~* &socket.io#/#* &socket.io-request#/#* &socket.io-response#/#*");
    let adapter = || RedisAdapter::classic(address(redis.port())).build().unwrap();
    join_allowed_and_denied_namespaces(
        [adapter(), adapter()],
        &mut admin,
        "`socket.io",
        "subscribe",
    )
    .await;
}

#[tokio::test]
async fn a_refused_channel_affects_only_its_own_namespace_with_sharded_pub_sub() {
    let redis = Redis::start().unwrap();
    let mut admin = RawClient::new(&redis);
    allow(&mut admin, "~* &socket.io#/#*");
    let adapter = || RedisAdapter::sharded(address(redis.port())).build().unwrap();
    join_allowed_and_denied_namespaces(
        [adapter(), adapter()],
        &mut admin,
        "`socket.io#/denied#",
        "ssubscribe",
    )
    .await;
}

#[tokio::test]
async fn a_refused_channel_affects_only_its_own_namespace_with_streams() {
    let redis = Redis::start().unwrap();
    let mut admin = RawClient::new(&redis);
    allow(&mut admin, "~* &socket.io#/#*");
    let adapter = || RedisAdapter::streams(address(redis.port())).build().unwrap();
    join_allowed_and_denied_namespaces(
        [adapter(), adapter()],
        &mut admin,
        "`socket.io#/denied#",
        "subscribe",
    )
    .await;
}

#[tokio::test]
async fn a_refused_channel_affects_only_its_own_namespace_in_a_redis_cluster() {
    let cluster = RedisCluster::start().unwrap();
    for node in cluster.masters() {
        allow(&mut RawClient::at(node.port()), "~* &socket.io#/#*");
    }
    let nodes: Vec<_> = cluster.masters().iter().map(|node| address(node.port())).collect();
    let adapter = || RedisAdapter::sharded(Nodes::from(nodes.clone())).build().unwrap();
    let (one, two) = (adapter(), adapter());
    let (here, there) = (Node::join(&one, "/", "one").await, Node::join(&two, "/", "two").await);
    for _ in 0..3 {
        assert!(denied(&one, "/denied").await.contains("`socket.io#/denied#"));
        here.publish_event("meanwhile").await;
    }
    until(|| async { events(&there).len() == 3 }).await;
    for node in cluster.masters() {
        let calls = calls(&mut RawClient::at(node.port()), "ssubscribe");
        assert!(calls <= 20, "{calls} calls");
    }
}

#[tokio::test]
async fn a_node_that_must_not_wait_for_entries_does_not_join() {
    let redis = Redis::start().unwrap();
    allow(&mut RawClient::new(&redis), "~* &* -xread");
    let adapter = RedisAdapter::streams(address(redis.port())).build().unwrap();
    let error = denied(&adapter, "/").await;
    assert!(error.contains("xread"), "{error}");
}

#[tokio::test]
async fn the_error_names_a_stream_that_must_not_be_read() {
    let redis = Redis::start().unwrap();
    let mut admin = RawClient::new(&redis);
    allow(&mut admin, "~mine* &*");
    let adapter = RedisAdapter::streams(address(redis.port())).build().unwrap();
    let error = denied(&adapter, "/").await;
    assert!(error.contains("`socket.io`"), "{error}");
    assert!(calls(&mut admin, "xrevrange") <= 5, "{} calls", calls(&mut admin, "xrevrange"));
    let mine = RedisAdapter::streams(address(redis.port())).stream_name("mine").build().unwrap();
    let other = RedisAdapter::streams(address(redis.port())).stream_name("mine").build().unwrap();
    let (here, there) = (Node::join(&mine, "/", "one").await, Node::join(&other, "/", "two").await);
    until_received(&here, &there).await;
    // With the permission, the stream works again.
    allow(&mut admin, "~* &*");
    Node::join(&adapter, "/", "three").await;
}

#[tokio::test]
async fn a_refused_room_does_not_affect_other_rooms() {
    let redis = Redis::start().unwrap();
    let mut admin = RawClient::new(&redis);
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
    // Each was tried once, or twice on a slow machine.
    let calls = calls(&mut admin, "ssubscribe");
    assert!((55..500).contains(&calls), "{calls} calls");
}

#[tokio::test]
async fn a_user_without_permission_for_ping_keeps_the_connection() {
    let redis = Redis::start().unwrap();
    let mut admin = RawClient::new(&redis);
    allow(&mut admin, "~* &* -ping");
    let adapter = RedisAdapter::classic(address(redis.port())).build().unwrap();
    let node = Node::join(&adapter, "/", "one").await;
    let before = calls(&mut admin, "psubscribe");
    until(|| {
        let asked = calls(&mut admin, "ping") > 0;
        async move { asked }
    })
    .await;
    node.publish_event("x").await;
    assert_eq!(calls(&mut admin, "psubscribe"), before);
}

#[tokio::test]
async fn the_permissions_that_the_security_policy_recommends_suffice() {
    let policy = include_str!("../../../../SECURITY.md");
    let (_, rule) = policy.split_once("`ACL SETUSER io ").unwrap();
    let (rule, _) = rule.split_once('`').unwrap();
    let redis = Redis::start().unwrap();
    let mut admin = RawClient::new(&redis);
    assert_eq!(admin.command_line(&format!("ACL SETUSER app {rule}")), "+OK");
    let to = || address(redis.port());
    let pair = |adapter: &dyn Fn() -> Adapter| [adapter(), adapter()];
    for adapters in [
        pair(&|| RedisAdapter::classic(to()).build().unwrap()),
        pair(&|| RedisAdapter::sharded(to()).build().unwrap()),
        pair(&|| RedisAdapter::streams(to()).build().unwrap()),
    ] {
        let here = Node::join(&adapters[0], "/chat", "one").await;
        let there = Node::join(&adapters[1], "/chat", "two").await;
        here.publish_event("hello").await;
        until(|| async { events(&there).len() == 1 }).await;
        if let Some(store) = here.link.sessions() {
            store.persist(session(), Duration::from_secs(60)).await.unwrap();
        }
    }
}
