//! A master of a Redis Cluster dies, and its replica takes its place.

use std::time::{Duration, Instant};

use engines::RedisCluster;
use socketio_adapter::AdapterError;

use crate::{Adapter, Node, Nodes, RedisAdapter, SHORT, Stranger, events, until_heard};

/// What has to be there at last, one after the other.
const LAST: usize = 50;
/// Longer than it takes to notice that the master is dead (0.75 s), to elect another, and to find it.
const PATIENCE: Duration = Duration::from_secs(30);

/// One of each kind, with all of its keys and channels on one master.
fn kinds(nodes: &Nodes, tag: &str) -> Vec<Adapter> {
    let classic = RedisAdapter::classic(nodes.clone()).key(tag);
    let sharded = RedisAdapter::sharded(nodes.clone()).channel_prefix(tag);
    let streams = RedisAdapter::streams(nodes.clone()).stream_name(tag).channel_prefix(tag);
    vec![
        classic.response_timeout(SHORT).build().unwrap(),
        sharded.response_timeout(SHORT).build().unwrap(),
        streams.response_timeout(SHORT).build().unwrap(),
    ]
}

/// A tag whose slot is the first master's.
fn tag(engine: &RedisCluster) -> String {
    let mut stranger = Stranger::new(&engine.masters()[0]);
    let mut tags = (0..).map(|n| format!("{{{n}}}"));
    tags.find(|tag| !stranger.words(&format!("EXISTS {tag}")).starts_with("-MOVED")).unwrap()
}

/// What became of the events that were published meanwhile.
#[derive(Debug)]
struct Account {
    /// Redis took them, and the other node heard them.
    heard: usize,
    /// Redis took them, and they are gone.
    lost: usize,
    /// The publisher was told that they were not taken.
    refused: usize,
    back: Duration,
}

/// Publishes one event after the other, until as many in a row as have to be there at last are heard.
async fn talk(one: &Node, two: &Node) -> Account {
    let begun = Instant::now();
    let before = two.inbox.messages().len();
    let (mut taken, mut refused, mut in_a_row) = (Vec::new(), 0, 0);
    let heard = || -> Vec<usize> {
        let numbers = events(two).into_iter().skip(before);
        numbers.filter_map(|event| event.strip_prefix('n')?.parse().ok()).collect()
    };
    let mut back = Duration::ZERO;
    for n in 0.. {
        match one.link.publish(one.event(&format!("n{n}"), &[])).await {
            Ok(_) => {
                if in_a_row == 0 {
                    back = begun.elapsed();
                }
                taken.push(n);
                in_a_row += 1;
            }
            Err(AdapterError::Left | AdapterError::Refused(_)) => panic!("{n} is refused for good"),
            Err(_) => {
                refused += 1;
                in_a_row = 0;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        // A cluster client may have been answered by the old master, before the first refusal.
        let last = taken.get(taken.len().saturating_sub(LAST)..).unwrap_or_default();
        if refused > 0 && in_a_row >= LAST && heard().ends_with(last) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{taken:?} are taken, {:?} heard", heard());
    }
    let heard = heard();
    assert!(heard.is_sorted_by(|one, two| one < two), "in order, and once: {heard:?}");
    let lost = taken.iter().filter(|n| !heard.contains(n)).count();
    Account { heard: heard.len(), lost, refused, back }
}

#[tokio::test]
async fn a_replica_takes_the_place_of_a_dead_master() {
    let engine = RedisCluster::with_replicas().unwrap();
    let (nodes, tag) = (Nodes::from(engine.urls()), tag(&engine));
    let mut pairs = Vec::new();
    for (one, two) in kinds(&nodes, &tag).iter().zip(kinds(&nodes, &tag)) {
        let pair = (Node::join(one, "/", "one").await, Node::join(&two, "/", "two").await);
        until_heard(&pair.0, &pair.1).await;
        pairs.push(pair);
    }
    engine.masters()[0].kill().unwrap();
    let [classic, sharded, streams] = &pairs[..] else { panic!() };
    let accounts = tokio::join!(
        talk(&classic.0, &classic.1),
        talk(&sharded.0, &sharded.1),
        talk(&streams.0, &streams.1),
    );
    println!("{accounts:#?}");
    for account in [&accounts.0, &accounts.1, &accounts.2] {
        assert!(account.heard >= LAST && account.refused > 0);
        assert!(account.back < PATIENCE / 2, "{accounts:?}");
    }
    // Others lose what comes after the publisher has found the new master and before the subscriber has.
    let streams = &accounts.2;
    assert!(streams.lost < LAST, "what the master had not handed on: {streams:?}");
    engine.failed_over().unwrap();
    engine.masters()[0].restart().unwrap();
    engine.agreed().unwrap();
    for (one, two) in &pairs {
        until_heard(one, two).await;
        until_heard(two, one).await;
    }
}
