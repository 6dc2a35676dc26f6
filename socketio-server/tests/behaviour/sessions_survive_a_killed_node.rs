//! With crash-safe sessions, any node restores the sessions of a node that was killed.

use crate::support;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use socketio_server::{ClusterLimits, MemoryCluster, Recovery, Socket};
use support::{
    nodes::{Held, Node, Trouble, Troubled, cluster},
    until,
};

fn safe() -> Recovery {
    Recovery::default().crash_safe(true)
}

async fn node(cluster: &MemoryCluster) -> (Node, Arc<Troubled>) {
    let engine = Troubled::new(cluster);
    (Node::with(engine.clone(), safe(), ClusterLimits::default()).await, engine)
}

#[tokio::test]
async fn another_node_restores_the_session_of_a_killed_node() {
    let cluster = cluster();
    let ((mut one, dying), (mut two, _)) = (node(&cluster).await, node(&cluster).await);
    let (_silent, socket, pid, offset) = one.client_with_offset().await;
    until(|| dying.written() == 1).await;
    socket.join("in").unwrap();
    until(|| dying.written() == 2).await;
    socket.set_shared(&json!({ "name": "x" })).unwrap();
    until(|| dying.written() == 3).await;
    dying.kill();
    two.server.io.to("in").emit("missed", &1).unwrap();
    two.settle().await;
    let mut back = two.claims(&pid, &offset).await;
    assert_eq!(back.recorded().await.0, json!(["missed", 1]));
    assert_eq!(back.recoverable().await, (socket.id().to_owned(), pid.clone()));
    let restored = two.socket().await;
    assert_eq!(restored.shared::<serde_json::Value>().unwrap(), json!({ "name": "x" }));
    // A node that was started again under another name restores it too.
    let offset = {
        restored.emit("got", &()).unwrap();
        back.recorded().await.1
    };
    let (three, _) = node(&cluster).await;
    // A claim so soon after the last one could have been made at the same time.
    tokio::time::sleep(Duration::from_millis(6)).await;
    let mut back = three.claims(&pid, &offset).await;
    assert_eq!(back.recoverable().await, (socket.id().to_owned(), pid));
    back.fence().await;
}

#[tokio::test]
async fn two_claims_for_the_session_of_a_killed_node_restore_it_once() {
    let cluster = cluster();
    let ((mut one, dying), (two, _), (three, _)) =
        (node(&cluster).await, node(&cluster).await, node(&cluster).await);
    let (_silent, _, pid, offset) = one.client_with_offset().await;
    until(|| dying.written() == 1).await;
    dying.kill();
    let (mut first, mut second) = (two.server.open().await, three.server.open().await);
    first.claim(&pid, &offset).await;
    second.claim(&pid, &offset).await;
    let pids = [first.recoverable().await.1, second.recoverable().await.1];
    // On a busy machine the second claim may come late enough to take the session over.
    let nodes = [&two, &three].map(|node| node.server.io.stats().recoveries.taken_over);
    let taken_over = usize::try_from(nodes.iter().sum::<u64>()).unwrap();
    assert_eq!(pids.iter().filter(|it| **it == pid).count(), 1 + taken_over, "{pids:?}");
}

#[tokio::test]
async fn a_session_that_the_store_refuses_does_not_hold_up_the_others() {
    let cluster = cluster();
    let (mut one, engine) = node(&cluster).await;
    let (_large_client, large, large_pid) = one.client().await;
    let (_client, socket, pid) = one.client().await;
    until(|| engine.written() == 2).await;
    engine.refuse(&large_pid);
    large.join("too many rooms").unwrap();
    socket.join("1").unwrap();
    until(|| engine.refusals() == 1 && engine.written_for(&pid) == 2).await;
    for (before, room) in (2..).zip(["2", "3", "4"]) {
        socket.join(room).unwrap();
        until(|| engine.written_for(&pid) > before).await;
    }
    assert_eq!(engine.refusals(), 1, "the refused session has not changed");
    large.leave("too many rooms");
    until(|| engine.refusals() == 2).await;
}

#[tokio::test]
async fn a_session_that_ends_deliberately_leaves_nothing_in_the_store() {
    let cluster = cluster();
    let (mut one, engine) = node(&cluster).await;
    let (mut client, _, pid, offset) = one.client_with_offset().await;
    until(|| engine.written() == 1 && cluster.sessions() == 1).await;
    client.send("41").await;
    until(|| cluster.sessions() == 0).await;
    let mut client = one.claims(&pid, &offset).await;
    assert_ne!(client.recoverable().await.1, pid);
    // A session that is lost stays stored, without an owner.
    until(|| engine.written() == 2 && cluster.sessions() == 1).await;
    client.reset();
    until(|| engine.written() == 3 && cluster.sessions() == 1).await;
}

#[tokio::test]
async fn a_burst_of_changes_is_written_once() {
    let cluster = cluster();
    let (mut one, engine) = node(&cluster).await;
    let (_client, socket, ..) = one.client_with_offset().await;
    until(|| engine.written() == 1).await;
    for n in 0..1000 {
        socket.join(n.to_string()).unwrap();
        socket.leave(n.to_string().as_str());
    }
    socket.join("last").unwrap();
    until(|| engine.written() == 2).await;
    one.settle().await;
    assert_eq!(engine.written(), 2);
}

#[tokio::test]
async fn without_the_option_nothing_is_written_for_connected_clients() {
    let cluster = cluster();
    let engine = Troubled::new(&cluster);
    let mut one = Node::with(engine.clone(), Recovery::default(), ClusterLimits::default()).await;
    let (mut client, socket, ..) = one.client_with_offset().await;
    socket.join("in").unwrap();
    client.fence().await;
    one.settle().await;
    assert_eq!(engine.written(), 0);
}

#[tokio::test]
async fn stored_sessions_are_renewed_and_written_again_after_a_failure() {
    let cluster = cluster();
    let (mut one, engine) = node(&cluster).await;
    let (_client, socket, ..) = one.client_with_offset().await;
    until(|| engine.written() == 1).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    until(|| engine.written() == 2).await;
    engine.set(Trouble::Failing);
    socket.join("in").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(engine.written(), 2);
    engine.set(Trouble::None);
    until(|| engine.written() == 3).await;
}

/// While one batch is written, the session of the busy socket changes, so the writer never rests.
#[tokio::test]
async fn stored_sessions_are_renewed_while_others_change_all_the_time() {
    let cluster = cluster();
    let engine = Troubled::new(&cluster);
    let recovery = safe().max_disconnection_duration(Duration::from_secs(2));
    let mut one = Node::with(engine.clone(), recovery, ClusterLimits::default()).await;
    let (_idle, _, idle_pid, _) = one.client_with_offset().await;
    let (_busy, busy, busy_pid, _) = one.client_with_offset().await;
    until(|| engine.written() == 2).await;
    let mut n = 0;
    engine.during_write(move |pid| {
        if *pid == busy_pid {
            n += 1;
            busy.join(n.to_string()).unwrap();
            busy.leave(n.to_string().as_str());
        }
    });
    one.server.io.sockets_join("in").unwrap();
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(5)).await;
    tokio::time::resume();
    // At first, for the room, and at each renewal.
    assert!(engine.written_for(&idle_pid) > 3, "{}", engine.written_for(&idle_pid));
}

/// A node that cannot ask does not know whether the owner lives.
#[tokio::test]
async fn a_session_stays_with_its_owner_if_the_owner_cannot_be_asked() {
    let cluster = cluster();
    let (mut one, engine) = node(&cluster).await;
    let none = ClusterLimits::default().max_requests(0);
    let two = Node::with(cluster.adapter(), safe(), none).await;
    let (mut client, socket, pid, offset) = one.client_with_offset().await;
    until(|| engine.written() == 1).await;
    let mut thief = two.claims(&pid, &offset).await;
    assert_ne!(thief.recoverable().await.1, pid);
    client.fence().await;
    until(|| cluster.sessions() == 2).await;
    // Another node still gets it.
    let (three, _) = node(&cluster).await;
    let mut back = three.claims(&pid, &offset).await;
    assert_eq!(back.recoverable().await, (socket.id().to_owned(), pid));
}

/// The client of the first claim has not been let in yet.
#[tokio::test]
async fn a_claim_that_comes_second_leaves_the_session_in_the_store() {
    let cluster = cluster();
    let (mut one, dying) = node(&cluster).await;
    let engines = [Troubled::new(&cluster), Troubled::new(&cluster)];
    let recovery = safe().skip_middlewares(false);
    let two = Node::with(engines[0].clone(), recovery.clone(), ClusterLimits::default()).await;
    let three = Node::with(engines[1].clone(), recovery, ClusterLimits::default()).await;
    two.server.io.use_(|socket: Socket| async move {
        if socket.recovered() {
            std::future::pending::<()>().await;
        }
    });
    let (_silent, _, pid, offset) = one.client_with_offset().await;
    until(|| dying.written() == 1).await;
    dying.kill();
    let _waiting = two.claims(&pid, &offset).await;
    until(|| two.server.io.of("/").sockets_count() == 1).await;
    for node in [&two, &three] {
        let mut second = node.claims(&pid, &offset).await;
        assert_ne!(second.recoverable().await.1, pid);
    }
    assert_eq!(engines.each_ref().map(|engine| engine.written_for(&pid)), [1, 0]);
}

/// The request takes a moment, and the owner does not end the socket in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_session_stays_with_an_owner_that_is_slow_to_end_its_socket() {
    let cluster = cluster();
    let engine = Troubled::new(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(16));
    let mut one = Node::with(engine.clone(), safe(), limits.clone()).await;
    let two = Node::with(cluster.adapter(), safe(), limits).await;
    let [held] = Held::of(&cluster);
    let (end, ending) = std::sync::mpsc::channel::<()>();
    let ending = std::sync::Mutex::new(ending);
    one.server.io.on_disconnect(move || {
        let _ = ending.lock().unwrap().recv();
        async {}
    });
    let (_silent, _, pid, offset) = one.client_with_offset().await;
    until(|| engine.written() == 1).await;
    held.hold();
    let mut back = two.claims(&pid, &offset).await;
    until(|| held.len() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    held.release();
    assert_ne!(back.recoverable().await.1, pid);
    drop(end);
    until(|| engine.written() == 2).await;
    let mut back = two.claims(&pid, &offset).await;
    assert_eq!(back.recoverable().await.1, pid);
}

/// The session is lost while the store is writing it.
#[tokio::test]
async fn a_session_that_is_lost_while_it_is_written_has_no_owner() {
    let cluster = cluster();
    let (mut one, engine) = node(&cluster).await;
    let (two, _) = node(&cluster).await;
    let (client, socket, pid, offset) = one.client_with_offset().await;
    until(|| engine.written() == 1).await;
    engine.set(Trouble::SlowOwned);
    socket.join("in").unwrap();
    until(|| engine.writing() == 1).await;
    one.lose(client).await;
    one.settle().await;
    engine.set(Trouble::None);
    until(|| engine.written() == 3).await;
    let mut back = two.claims(&pid, &offset).await;
    assert_eq!(back.recoverable().await.1, pid);
}

#[tokio::test]
async fn a_node_that_was_slow_to_reply_is_asked_again() {
    let cluster = cluster();
    let engine = Troubled::new(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_millis(1600));
    let mut one = Node::with(engine.clone(), safe(), limits.clone()).await;
    let two = Node::with(cluster.adapter(), safe(), limits).await;
    let [held] = Held::of(&cluster);
    let (_silent, _, first, first_offset) = one.client_with_offset().await;
    let (_quiet, _, second, second_offset) = one.client_with_offset().await;
    until(|| engine.written() == 2).await;
    held.hold();
    let mut back = two.claims(&first, &first_offset).await;
    assert_eq!(back.recoverable().await.1, first);
    // The late request still ends the socket.
    held.release();
    until(|| one.server.io.of("/").sockets_count() == 1).await;
    one.settle().await;
    let mut back = two.claims(&second, &second_offset).await;
    assert_eq!(back.recoverable().await.1, second);
    until(|| one.server.io.of("/").sockets_count() == 0).await;
}
