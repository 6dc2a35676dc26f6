//! A master of a Redis Cluster dies, and its replica takes over.

use std::time::{Duration, Instant};

use engines::RedisCluster;
use socketio_adapter::AdapterError;

use crate::{
    Adapter, Node, Nodes, RawClient, RedisAdapter, SHORT, events, suite::until, until_received,
};

/// Number of consecutive events that must arrive in the end.
const LAST: usize = 50;
/// Longer than it takes to detect that the master is dead (0.75 s), to elect another, and to find
/// it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns one adapter of each kind, with all of its keys and channels on one master.
fn all_kinds(nodes: &Nodes, tag: &str) -> Vec<Adapter> {
    let classic = RedisAdapter::classic(nodes.clone()).key(tag);
    let sharded = RedisAdapter::sharded(nodes.clone()).channel_prefix(tag);
    let streams = RedisAdapter::streams(nodes.clone()).stream_name(tag).channel_prefix(tag);
    vec![
        classic.response_timeout(SHORT).build().unwrap(),
        sharded.response_timeout(SHORT).build().unwrap(),
        streams.response_timeout(SHORT).build().unwrap(),
    ]
}

/// Returns a hash tag whose slot belongs to the first master.
fn tag(engine: &RedisCluster) -> String {
    let mut raw_client = RawClient::new(&engine.masters()[0]);
    let mut tags = (0..).map(|n| format!("{{{n}}}"));
    tags.find(|tag| !raw_client.command_line(&format!("EXISTS {tag}")).starts_with("-MOVED"))
        .unwrap()
}

/// The fate of the events published during the failover.
#[derive(Debug)]
struct Outcome {
    /// Events that Redis accepted and the other node received.
    received: usize,
    /// Events that Redis accepted and then lost.
    lost: usize,
    recovered_after: Duration,
}

/// Publishes until an event is refused.
async fn publish_until_refused((one, _): &(Node, Node)) {
    until(|| async {
        match one.link.publish(one.event("early", &[])).await {
            Err(error @ (AdapterError::NotInCluster | AdapterError::Refused(_))) => {
                panic!("{error}")
            }
            published => published.is_err(),
        }
    })
    .await;
}

/// Publishes events until the last [`LAST`] consecutive ones have arrived.
async fn publish_until_recovered(kind: &str, (one, two): &(Node, Node)) -> Outcome {
    let begun = Instant::now();
    let (mut accepted, mut refused, mut in_a_row) = (Vec::new(), 0, 0);
    let received = || -> Vec<usize> {
        let events = events(two).into_iter();
        events.filter_map(|event| event.strip_prefix('n')?.parse().ok()).collect()
    };
    let mut recovered_after = Duration::ZERO;
    for n in 0.. {
        match one.link.publish(one.event(&format!("n{n}"), &[])).await {
            Ok(_) => {
                if in_a_row == 0 {
                    recovered_after = begun.elapsed();
                }
                accepted.push(n);
                in_a_row += 1;
            }
            Err(AdapterError::NotInCluster | AdapterError::Refused(_)) => {
                panic!("{n} is refused for good")
            }
            Err(_) => {
                refused += 1;
                in_a_row = 0;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let last = accepted.get(accepted.len().saturating_sub(LAST)..).unwrap_or_default();
        if in_a_row >= LAST && received().ends_with(last) {
            break;
        }
        let counts = (accepted.len(), refused, received().len());
        assert!(begun.elapsed() < PATIENCE, "{kind}: accepted, refused, received: {counts:?}");
    }
    let received = received();
    assert!(received.is_sorted_by(|one, two| one < two), "out of order or repeated: {received:?}");
    let lost = accepted.iter().filter(|n| !received.contains(n)).count();
    Outcome { received: received.len(), lost, recovered_after }
}

#[tokio::test]
async fn a_replica_replaces_a_dead_master() {
    let engine = RedisCluster::with_replicas().unwrap();
    let (nodes, tag) = (Nodes::from(engine.urls()), tag(&engine));
    let mut pairs = Vec::new();
    for (one, two) in all_kinds(&nodes, &tag).iter().zip(all_kinds(&nodes, &tag)) {
        let pair = (Node::join(one, "/", "one").await, Node::join(&two, "/", "two").await);
        until_received(&pair.0, &pair.1).await;
        pairs.push(pair);
    }
    // The replica cannot replace its master before a publisher of each kind has got an error.
    let replica = engine.replicas().iter().find(|replica| {
        let role = RawClient::new(replica).command_line("ROLE");
        role.contains(&format!(":{} ", engine.masters()[0].port()))
    });
    let replica = replica.unwrap();
    replica.pause().unwrap();
    engine.masters()[0].kill().unwrap();
    let [classic, sharded, streams] = &pairs[..] else { panic!() };
    tokio::join!(
        publish_until_refused(classic),
        publish_until_refused(sharded),
        publish_until_refused(streams),
    );
    replica.resume().unwrap();
    let outcomes = tokio::join!(
        publish_until_recovered("classic", classic),
        publish_until_recovered("sharded", sharded),
        publish_until_recovered("streams", streams),
    );
    println!("{outcomes:#?}");
    for outcome in [&outcomes.0, &outcomes.1, &outcomes.2] {
        assert!(outcome.received >= LAST);
        assert!(outcome.recovered_after < PATIENCE / 2, "{outcomes:?}");
    }
    // The other kinds also lose what is published after the publisher has found the new master and
    // before the subscriber has.
    let streams = &outcomes.2;
    assert!(streams.lost < LAST, "entries that the master had not replicated: {streams:?}");
    engine.failed_over().unwrap();
    engine.masters()[0].restart().unwrap();
    engine.agreed().unwrap();
    for (one, two) in &pairs {
        until_received(one, two).await;
        until_received(two, one).await;
    }
}
