//! If any node can restore sessions, events are delivered at their position in the engine's log: in
//! one order on all nodes, and once on a node that lags behind. Packets that are not logged stay
//! behind the events before them.

use crate::support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::json;
use socketio_server::{AckError, Binary, ClusterError, ClusterLimits, EmitError, Recovery};
use support::{
    Client,
    nodes::{Held, Node, Trouble, Troubled, cluster, event, patient, skipping},
    until, within,
};

/// A node whose engine can fail, one client of it, and the messages to the node, which can be held
/// back.
async fn troubled(limits: ClusterLimits) -> (Held, Arc<Troubled>, Node, Client) {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let engine = Troubled::new(&cluster);
    let mut node = Node::with(engine.clone(), Recovery::default(), limits).await;
    let (client, _, _) = node.client().await;
    (held, engine, node, client)
}

#[tokio::test]
async fn acks_requests_and_disconnections_wait_for_earlier_events() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let mut node = Node::of(&cluster).await;
    node.server.io.on("ask", |socket: socketio_server::Socket| async move {
        socket.emit("before the answer", &())?;
        Ok("answer")
    });
    let (mut client, socket, _) = node.client().await;
    held.hold();
    socket.emit("first", &1).unwrap();
    let question = {
        let socket = socket.clone();
        tokio::spawn(async move { socket.emit_with_ack::<u8>("question", &()).await })
    };
    client.send(r#"421["ask"]"#).await;
    until(|| held.len() == 2).await;
    socket.emit("last", &1).unwrap();
    socket.disconnect();
    assert!(socket.is_connected());
    until(|| held.len() == 3).await;
    held.release();
    assert_eq!(client.recorded().await.0, json!(["first", 1]));
    assert!(client.text().await.ends_with(r#"["question"]"#));
    assert_eq!(client.recorded().await.0, json!(["before the answer"]));
    client.expect(r#"431["answer"]"#).await;
    assert_eq!(client.recorded().await.0, json!(["last", 1]));
    client.expect("41").await;
    assert!(matches!(within(question).await.unwrap(), Err(AckError::Disconnected)));
    assert!(matches!(socket.emit("late", &()), Err(EmitError::Disconnected)));
}

#[tokio::test]
async fn a_broadcast_with_acks_waits_for_earlier_events() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let mut node = Node::of(&cluster).await;
    let (mut client, socket, _) = node.client().await;
    held.hold();
    socket.emit("first", &1).unwrap();
    let io = node.server.io.clone();
    let asked = tokio::spawn(async move { io.emit_with_ack::<u8>("all?", &()).await });
    until(|| held.len() == 1).await;
    tokio::task::yield_now().await;
    held.release();
    assert_eq!(client.recorded().await.0, json!(["first", 1]));
    let question = client.text().await;
    let id = question.strip_prefix("42").unwrap().strip_suffix(r#"["all?"]"#).unwrap();
    client.send(&format!("43{id}[7]")).await;
    assert_eq!(within(asked).await.unwrap().unwrap(), [7]);
}

#[tokio::test]
async fn waiting_for_the_engine_is_limited() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(1));
    let mut node = Node::with(cluster.adapter(), Recovery::default(), limits).await;
    let (mut client, socket, _) = node.client().await;
    held.hold();
    socket.emit("held", &1).unwrap();
    socket.disconnect();
    client.expect("41").await;
    held.release();
}

#[tokio::test]
async fn events_beyond_the_limit_are_refused() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let limits = ClusterLimits::default().max_queued_messages(3);
    let mut node = Node::with(cluster.adapter(), Recovery::default(), limits).await;
    let (mut client, socket, _) = node.client().await;
    held.hold();
    for n in 0..3 {
        node.server.io.emit("n", &n).unwrap();
        until(|| held.len() == n + 1).await;
    }
    let full = |result| matches!(result, Err(EmitError::Cluster(ClusterError::QueueFull)));
    assert!(full(node.server.io.emit("n", &3)));
    assert!(full(socket.emit("n", &3)));
    held.release();
    for n in 0..3 {
        assert_eq!(client.recorded().await.0, json!(["n", n]));
    }
    socket.emit("n", &3).unwrap();
    assert_eq!(client.recorded().await.0, json!(["n", 3]));
}

#[tokio::test]
async fn a_disconnection_waits_for_earlier_events_even_if_too_many_packets_wait() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let limits = ClusterLimits::default().max_queued_messages(1);
    let mut node = Node::with(cluster.adapter(), Recovery::default(), limits).await;
    let (mut client, socket, _) = node.client().await;
    held.hold();
    socket.emit("first", &1).unwrap();
    until(|| held.len() == 1).await;
    let question = {
        let socket = socket.clone();
        tokio::spawn(async move { socket.emit_with_ack::<u8>("question", &()).await })
    };
    tokio::task::yield_now().await;
    let another = within(socket.emit_with_ack::<u8>("another", &())).await;
    assert!(matches!(another, Err(AckError::Emit(EmitError::Cluster(ClusterError::QueueFull)))));
    for _ in 0..3 {
        socket.disconnect();
    }
    assert!(socket.is_connected());
    held.release();
    assert_eq!(client.recorded().await.0, json!(["first", 1]));
    assert!(client.text().await.ends_with(r#"["question"]"#));
    client.expect("41").await;
    assert!(matches!(within(question).await.unwrap(), Err(AckError::Disconnected)));
}

#[tokio::test]
async fn events_that_the_engine_never_returns_stop_counting() {
    let cluster = cluster();
    cluster.on_message(drop);
    let limits =
        ClusterLimits::default().max_queued_messages(1).request_timeout(Duration::from_secs(1));
    let node = Node::with(cluster.adapter(), Recovery::default(), limits).await;
    for n in 0..3 {
        until(|| node.server.io.emit("n", &n).is_ok()).await;
        node.server.io.emit("n", &n).unwrap_err();
    }
}

/// The client returns to a node that has not yet received the events that the client got elsewhere
/// or missed.
#[tokio::test]
async fn a_client_gets_each_event_once_on_a_node_that_lags_behind() {
    let cluster = cluster();
    let [_, held] = Held::of(&cluster);
    let (mut one, mut two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let (mut client, socket, pid) = one.client().await;
    socket.join("in").unwrap();
    held.hold();
    one.server.io.to("in").volatile().emit("volatile", &1).unwrap();
    client.expect(r#"42["volatile",1]"#).await;
    let mut offset = String::new();
    for n in 0..3 {
        one.server.io.to("in").emit("got", &n).unwrap();
        offset = client.recorded().await.1;
    }
    one.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    for n in 0..3 {
        one.server.io.to("in").emit("missed", &n).unwrap();
        one.server.io.to("later").emit("not", &n).unwrap();
    }
    until(|| held.len() == 10).await;
    let mut client = two.claims(&pid, &offset).await;
    for n in 0..3 {
        assert_eq!(client.recorded().await.0, json!(["missed", n]));
    }
    assert_eq!(client.recoverable().await.1, pid);
    // Events sent before the socket joined the room are not delivered.
    two.socket().await.join("later").unwrap();
    held.release();
    client.fence().await;
    one.server.io.to("later").emit("now", &1).unwrap();
    assert_eq!(client.recorded().await.0, json!(["now", 1]));
}

#[tokio::test]
async fn events_are_delivered_locally_without_an_engine() {
    let cluster = cluster();
    let engine = Troubled::new(&cluster);
    let (recovery, limits) = (Recovery::default(), ClusterLimits::default());
    let mut node = Node::with(engine.clone(), recovery, limits).await;
    let (mut client, socket, _) = node.client().await;
    for trouble in [Trouble::NoPublishing, Trouble::NoOffset] {
        engine.set(trouble);
        node.server.io.emit("n", &1).unwrap();
        socket.emit("own", &2).unwrap();
        socket.broadcast().emit("not", &3).unwrap();
        client.expect(r#"42["n",1]"#).await;
        client.expect(r#"42["own",2]"#).await;
    }
    engine.set(Trouble::None);
    node.server.io.emit("n", &1).unwrap();
    assert_eq!(client.recorded().await.0, json!(["n", 1]));
    client.fence().await;
}

#[tokio::test]
async fn an_event_that_could_not_be_logged_overtakes_no_earlier_event() {
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(600));
    let (held, engine, node, mut client) = troubled(limits).await;
    held.hold();
    node.server.io.emit("accepted", &1).unwrap();
    until(|| held.len() == 1).await;
    engine.set(Trouble::NoPublishing);
    node.server.io.emit("refused", &2).unwrap();
    until(|| node.server.io.stats().cluster.lost == 1).await;
    held.release();
    assert_eq!(client.recorded().await.0, json!(["accepted", 1]));
    // The engine may have logged the event, until the log returns a later one.
    engine.set(Trouble::None);
    node.server.io.emit("last", &3).unwrap();
    assert_eq!(event(&mut client).await.0, json!(["refused", 2]));
    assert_eq!(client.recorded().await.0, json!(["last", 3]));
    client.fence().await;
}

#[tokio::test]
async fn an_event_that_could_not_be_logged_waits_a_limited_time_for_earlier_events() {
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(1));
    let (held, engine, node, mut client) = troubled(limits).await;
    held.hold();
    node.server.io.emit("accepted", &1).unwrap();
    until(|| held.len() == 1).await;
    engine.set(Trouble::NoPublishing);
    node.server.io.emit("refused", &2).unwrap();
    client.expect(r#"42["accepted",1]"#).await;
    client.expect(r#"42["refused",2]"#).await;
    engine.set(Trouble::None);
    held.release();
    node.server.io.emit("last", &3).unwrap();
    assert_eq!(client.recorded().await.0, json!(["last", 3]));
    client.fence().await;
}

/// The engine has not answered for so long that the node does not wait for the first event any more.
#[tokio::test]
async fn an_event_that_could_not_be_logged_overtakes_no_unconfirmed_event() {
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(1));
    let cluster = cluster();
    let engine = Troubled::new(&cluster);
    let mut node = Node::with(engine.clone(), Recovery::default(), limits).await;
    let (mut client, socket, _) = node.client().await;
    engine.set(Trouble::SlowPublishing);
    node.server.io.emit("first", &1).unwrap();
    let asked = tokio::spawn(async move { socket.emit_with_ack::<u8>("waits", &()).await });
    assert!(client.text().await.ends_with(r#"["waits"]"#));
    node.server.io.emit("second", &2).unwrap();
    engine.set(Trouble::NotConnected);
    assert_eq!(event(&mut client).await.0, json!(["first", 1]));
    assert_eq!(event(&mut client).await.0, json!(["second", 2]));
    engine.set(Trouble::None);
    client.fence().await;
    asked.abort();
}

/// A reader that has lost its position, or that cannot decode an entry, skips events.
#[tokio::test]
async fn events_that_the_log_skips_reach_the_clients_of_their_node_in_order() {
    let (cluster, skip) = skipping(|_| true);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(600));
    let mut node = Node::with(cluster.adapter(), Recovery::default(), limits).await;
    let (mut client, socket, _) = node.client().await;
    let sent = node.server.io.stats().cluster.sent;
    skip.store(true, Ordering::SeqCst);
    node.server.io.emit("skipped", &1).unwrap();
    let question = tokio::spawn(async move { socket.emit_with_ack::<u8>("question", &()).await });
    tokio::task::yield_now().await;
    node.server.io.emit("skipped", &2).unwrap();
    until(|| node.server.io.stats().cluster.sent == sent + 2).await;
    skip.store(false, Ordering::SeqCst);
    node.server.io.emit("returned", &3).unwrap();
    client.expect(r#"42["skipped",1]"#).await;
    let asked = client.text().await;
    let id = asked.strip_prefix("42").unwrap().strip_suffix(r#"["question"]"#).unwrap();
    client.expect(r#"42["skipped",2]"#).await;
    assert_eq!(client.recorded().await.0, json!(["returned", 3]));
    client.send(&format!("43{id}[7]")).await;
    assert_eq!(within(question).await.unwrap().unwrap(), 7);
    client.fence().await;
}

/// The engine may return the event before or after its sender stops waiting for the confirmation.
#[tokio::test]
async fn an_event_with_an_unconfirmed_publish_is_delivered_once() {
    let (held, engine, node, mut client) = troubled(ClusterLimits::default()).await;
    engine.set(Trouble::NoAnswer);
    node.server.io.emit("before", &1).unwrap();
    assert_eq!(client.recorded().await.0, json!(["before", 1]));
    held.hold();
    node.server.io.emit("after", &2).unwrap();
    assert_eq!(event(&mut client).await.0, json!(["after", 2]));
    engine.set(Trouble::None);
    held.release();
    node.server.io.emit("last", &3).unwrap();
    assert_eq!(client.recorded().await.0, json!(["last", 3]));
    client.fence().await;
}

#[tokio::test]
async fn equal_events_with_unconfirmed_publishes_are_delivered_once_each() {
    let (held, engine, node, mut client) = troubled(ClusterLimits::default()).await;
    held.hold();
    engine.set(Trouble::NoAnswer);
    node.server.io.emit("n", &1).unwrap();
    client.expect(r#"42["n",1]"#).await;
    engine.set(Trouble::None);
    node.server.io.emit("n", &1).unwrap();
    until(|| held.len() == 2).await;
    held.release();
    assert_eq!(client.recorded().await.0, json!(["n", 1]));
    client.fence().await;
}

/// Its own events are still in its memory, except if the engine's response was lost.
#[tokio::test]
async fn a_node_gets_its_own_events_from_the_log_without_their_content() {
    let (_held, engine, node, mut client) = troubled(patient()).await;
    for n in 0..3 {
        node.server.io.emit("n", &n).unwrap();
        assert_eq!(client.recorded().await.0, json!(["n", n]));
    }
    node.server.io.volatile().emit("volatile", &0).unwrap();
    client.expect(r#"42["volatile",0]"#).await;
    node.settle().await;
    // A volatile event has the number of another series, so it is decoded, and ignored.
    assert_eq!(engine.decoded(), 1);
    // The log may be configured not to keep binary.
    node.server.io.emit("binary", &Binary(vec![1, 2].into())).unwrap();
    assert_eq!(client.recorded().await.0[0], "binary");
    client.expect_binary(&[1, 2]).await;
    assert_eq!(engine.decoded(), 2);
    client.fence().await;
}
