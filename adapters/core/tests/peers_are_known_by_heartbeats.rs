//! Nodes announce themselves, send heartbeats, and are removed when they are silent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

mod common;

use std::time::Duration;

use common::{Node, hello, message};
use socketio_adapter::{Body, ClusterLimits, Discovery, Heartbeats, Output};
use socketio_parser::Nsp;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_new_node_gets_a_heartbeat_in_reply() {
    let mut node = Node::new(Discovery::Heartbeats(Heartbeats::default()));
    assert_eq!(node.cluster.poll_timeout(), None);
    node.cluster.join(node.now);
    assert_eq!(node.published(), [1]);
    node.hear("b", Body::InitialHeartbeat);
    assert_eq!(node.published(), [2]);
    node.hear("b", Body::Heartbeat);
    assert_eq!(node.published(), [0_u8; 0]);
    assert_eq!(node.cluster.node_count(), Some(2));
}

#[test]
fn a_heartbeat_is_sent_every_interval() {
    let mut node = Node::among(&[]);
    let mut beats = 0;
    for _ in 0..20 {
        node.now = node.cluster.poll_timeout().unwrap();
        node.pass(Duration::ZERO);
        beats += node.published().len();
    }
    assert_eq!(beats, 4, "in 20 seconds");
}

#[test]
fn a_time_of_zero_counts_as_a_millisecond() {
    let zero = Heartbeats { interval: Duration::ZERO, timeout: Duration::ZERO };
    let mut node = Node::new(Discovery::Heartbeats(zero));
    node.cluster.join(node.now);
    for _ in 0..3 {
        let next = node.cluster.poll_timeout().unwrap();
        assert_eq!(next - node.now, Duration::from_millis(1));
        node.now = next;
        node.pass(Duration::ZERO);
    }
}

#[test]
fn heartbeats_may_be_disabled_by_an_infinite_interval() {
    let never = Heartbeats { interval: Duration::MAX, timeout: Duration::MAX };
    let mut node = Node::new(Discovery::Heartbeats(never));
    node.cluster.join(node.now);
    assert_eq!(node.published(), [1]);
    node.hear("b", Body::Heartbeat);
    for _ in 0..100 {
        node.pass(SECOND);
    }
    assert_eq!(node.published(), [0_u8; 0]);
    assert_eq!(node.cluster.node_count(), Some(2));
}

#[test]
fn any_message_of_a_node_shows_that_it_is_alive() {
    let mut node = Node::among(&["b", "c"]);
    for _ in 0..11 {
        node.pass(SECOND);
        node.hear("b", Body::ServerSideEmit { args: hello(), request: None });
    }
    assert_eq!(node.cluster.node_count(), Some(2), "c was silent");
    node.hear("b", Body::AdapterClose);
    assert_eq!(node.cluster.node_count(), Some(1));
}

#[test]
fn emitters_own_messages_and_other_namespaces_are_not_peers() {
    let mut node = Node::among(&[]);
    node.hear("emitter", Body::ServerSideEmit { args: hello(), request: None });
    let Some(Output::Execute { .. }) = node.cluster.poll_output() else { panic!("not heard") };
    node.cluster.receive(node.now, message(Body::Heartbeat));
    let mut other = message(Body::InitialHeartbeat);
    (other.uid, other.nsp) = ("b".into(), Nsp::new("/other").unwrap());
    node.cluster.receive(node.now, other);
    assert!(node.cluster.poll_output().is_none());
    assert_eq!((node.cluster.node_count(), node.cluster.ignored_messages()), (Some(1), 2));
}

#[test]
fn the_number_of_peers_is_limited() {
    let limits = ClusterLimits::default().max_peers(2);
    let mut node = Node::with(Discovery::Heartbeats(Heartbeats::default()), limits);
    node.cluster.join(node.now);
    for peer in ["b", "c", "d", "e"] {
        node.hear(peer, Body::Heartbeat);
    }
    assert_eq!(node.cluster.node_count(), Some(3));
}

#[test]
fn no_heartbeats_are_sent_if_the_engine_counts_nodes() {
    let mut node = Node::new(Discovery::Count);
    node.cluster.join(node.now);
    node.hear("b", Body::InitialHeartbeat);
    assert_eq!(node.published(), [0_u8; 0]);
    assert_eq!((node.cluster.node_count(), node.cluster.poll_timeout()), (None, None));
    node.cluster.close();
    assert_eq!(node.published(), [0_u8; 0]);
}
