//! Every request ends once: with all replies, without nodes that are gone, or at its deadline with
//! the replies so far.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

mod common;

use std::time::Duration;

use common::{Node, ack, count, hello, selection, sockets};
use socketio_adapter::{
    Body, ClusterLimits, ClusterRequest, Discovery, Outcome, Output, Replies, RequestRefused,
    ack_args,
};

const SECOND: Duration = Duration::from_secs(1);

fn fetch() -> ClusterRequest {
    ClusterRequest::FetchSockets(selection(&[], &[]))
}

fn found(outcome: Outcome) -> (usize, usize) {
    let Replies::Sockets(sockets) = outcome.replies else { panic!() };
    (sockets.len(), outcome.missing_nodes)
}

fn summary(outcome: Outcome) -> (usize, usize, u64) {
    let Replies::Args(replies) = outcome.replies else { panic!() };
    (replies.len(), outcome.missing_nodes, outcome.missing_clients)
}

#[test]
fn a_request_ends_with_the_replies_of_all_nodes() {
    let mut node = Node::among(&["b", "c"]);
    let request = node.ask(fetch(), 0);
    assert_eq!(node.published(), [7]);
    node.hear("b", sockets(&request, &["1", "2"]));
    node.hear("b", sockets(&request, &["3"]));
    assert!(node.outcome().is_none(), "b answered twice");
    node.hear("c", sockets(&request, &["4"]));
    assert_eq!(node.outcome().map(found), Some((3, 0)));
    node.hear("c", sockets(&request, &["4"]));
    assert!(node.outcome().is_none());
    assert_eq!((node.cluster.pending_requests(), node.cluster.ignored_messages()), (0, 2));
}

#[test]
fn a_request_ends_at_once_without_other_nodes() {
    for discovery in [Discovery::Count, Discovery::Heartbeats(Default::default())] {
        let mut node = Node::new(discovery);
        node.ask(fetch(), 0);
        assert_eq!(node.outcome().map(found), Some((0, 0)));
        node.ask(ClusterRequest::ServerSideEmit(hello()), 0);
        let Some(Output::Done { .. }) = node.cluster.poll_output() else { panic!("published") };
        // A broadcast is published anyway, because a node may have just joined.
        node.ask(ClusterRequest::Broadcast(hello(), selection(&[], &[])), 0);
        let Some(Output::Publish(_)) = node.cluster.poll_output() else { panic!("not published") };
        assert_eq!(node.outcome().map(summary), Some((0, 0, 0)));
    }
}

#[test]
fn a_request_does_not_wait_for_nodes_that_left_or_died() {
    let mut node = Node::among(&["b", "c", "d"]);
    let request = node.ask(fetch(), 0);
    node.hear("b", sockets(&request, &["1"]));
    node.hear("c", Body::AdapterClose);
    for _ in 0..4 {
        node.pass(SECOND);
        node.hear("b", Body::Heartbeat);
    }
    assert!(node.outcome().is_none(), "d may still answer");
    let request = node.cluster.ask(node.now, fetch(), 0, SECOND * 60, "waiter").unwrap();
    node.hear("b", sockets(&request, &[]));
    node.pass(SECOND);
    assert_eq!(node.outcome().map(found), Some((1, 1)), "at its deadline, without d");
    for _ in 0..6 {
        node.hear("b", Body::Heartbeat);
        node.pass(SECOND);
    }
    assert_eq!(node.outcome().map(found), Some((0, 0)), "d died");
    assert_eq!(node.cluster.node_count(), Some(2));
}

#[test]
fn a_request_ends_at_its_deadline_with_the_replies_so_far() {
    let mut node = Node::new(Discovery::Count);
    let request = node.ask(ClusterRequest::ServerSideEmit(hello()), 2);
    let args = ack_args(&1).unwrap();
    let reply = Body::ServerSideEmitResponse { request, args };
    node.hear("b", reply.clone());
    node.hear("b", reply.clone());
    node.pass(SECOND * 5 - Duration::from_millis(1));
    assert!(node.outcome().is_none());
    node.pass(Duration::from_millis(1));
    assert_eq!(node.outcome().map(summary), Some((1, 1, 0)));
    node.hear("c", reply);
    assert!(node.outcome().is_none());
    assert_eq!(node.cluster.poll_timeout(), None);
}

#[test]
fn a_broadcast_ends_when_all_clients_have_acknowledged() {
    let mut node = Node::among(&["b", "c"]);
    let request = node.ask(ClusterRequest::Broadcast(hello(), selection(&[], &[])), 0);
    node.hear("b", ack(&request, 1)); // before its count
    node.hear("b", count(&request, 2));
    node.hear("c", count(&request, 0));
    assert!(node.outcome().is_none());
    node.hear("b", ack(&request, 2));
    assert_eq!(node.outcome().map(summary), Some((2, 0, 0)));
}

#[test]
fn a_broadcast_does_not_wait_for_clients_of_a_dead_node() {
    let mut node = Node::among(&["b", "c"]);
    let request = node.ask(ClusterRequest::Broadcast(hello(), selection(&[], &[])), 0);
    node.hear("b", count(&request, 3));
    node.hear("b", ack(&request, 1));
    node.hear("c", count(&request, 1));
    node.hear("c", ack(&request, 1));
    node.hear("b", Body::AdapterClose);
    assert_eq!(node.outcome().map(summary), Some((2, 0, 2)));
}

#[test]
fn a_broadcast_counts_replies_of_nodes_without_names() {
    let mut node = Node::new(Discovery::Count);
    let request = node.ask(ClusterRequest::Broadcast(hello(), selection(&[], &[])), 2);
    node.hear("", count(&request, 1));
    node.hear("", ack(&request, 1));
    assert!(node.outcome().is_none(), "one more node");
    node.hear("", count(&request, 1));
    node.hear("", ack(&request, 1));
    assert_eq!(node.outcome().map(summary), Some((2, 0, 0)));
}

#[test]
fn requests_end_when_the_node_leaves() {
    let mut node = Node::among(&["b"]);
    node.ask(fetch(), 0);
    node.published();
    node.cluster.close();
    let Some(Output::Publish(goodbye)) = node.cluster.poll_output() else { panic!() };
    assert_eq!(goodbye.body, Body::AdapterClose);
    assert_eq!(node.outcome().map(found), Some((0, 1)));
    let refused = node.cluster.ask(node.now, fetch(), 0, SECOND, "waiter").unwrap_err();
    assert_eq!(refused, RequestRefused { waiter: "waiter", limit: None });
    assert_eq!(node.cluster.poll_timeout(), None);
}

#[test]
fn a_cancelled_request_has_no_outcome() {
    let mut node = Node::among(&["b"]);
    let request = node.ask(fetch(), 0);
    assert_eq!(node.cluster.forget(&request), Some("waiter"));
    assert_eq!(node.cluster.forget(&request), None);
    node.hear("b", sockets(&request, &["1"]));
    assert!(node.outcome().is_none());
    assert_eq!(node.cluster.pending_requests(), 0);
}

#[test]
fn requests_and_their_replies_are_limited() {
    let limits = ClusterLimits::default().max_requests(1).max_replies(2);
    let mut node = Node::with(Discovery::Count, limits);
    let request = node.ask(fetch(), 2);
    let refused = node.cluster.ask(node.now, fetch(), 2, SECOND, "other").unwrap_err();
    assert_eq!(refused, RequestRefused { waiter: "other", limit: Some(1) });
    node.hear("b", sockets(&request, &["1"]));
    node.hear("c", sockets(&request, &["2", "3"]));
    assert_eq!(node.outcome().map(found), Some((2, 0)));
    let request = node.ask(ClusterRequest::Broadcast(hello(), selection(&[], &[])), 1);
    node.hear("b", count(&request, 3));
    for value in 0..3 {
        node.hear("b", ack(&request, value));
    }
    node.pass(SECOND * 5);
    assert_eq!(node.outcome().map(summary), Some((2, 0, 1)));
    // The number of unknown nodes is limited too.
    let request = node.ask(ClusterRequest::Broadcast(hello(), selection(&[], &[])), 1);
    for stranger in ["b", "c", "d", "e"] {
        node.hear(stranger, count(&request, 1));
    }
    node.pass(SECOND * 5);
    assert_eq!(node.outcome().map(summary), Some((0, 0, 2)));
}
