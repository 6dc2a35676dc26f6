//! A session that changes nodes survives lost messages, nodes that are cut off, and nodes with
//! other settings.

use crate::support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use socketio_server::{ClusterLimits, Recovery, ServerConfig};
use support::{
    nodes::{Held, Node, Troubled, cluster},
    server_with, until,
};

fn recovery(crash_safe: bool) -> Recovery {
    Recovery::default().crash_safe(crash_safe)
}

/// A handover may take an eighth of this.
fn limits() -> ClusterLimits {
    ClusterLimits::default().request_timeout(Duration::from_secs(4))
}

#[tokio::test]
async fn a_session_survives_the_loss_of_the_reply_to_its_handover() {
    for crash_safe in [false, true] {
        let cluster = cluster();
        cluster.on_message(|message| {
            if (message.from, message.to) != (0, 1) {
                message.deliver();
            }
        });
        let mut one = Node::with(cluster.adapter(), recovery(crash_safe), limits()).await;
        let two = Node::with(cluster.adapter(), recovery(crash_safe), limits()).await;
        let (_silent, socket, pid, offset) = one.client_with_offset().await;
        let mut back = two.claims(&pid, &offset).await;
        assert_eq!(back.recoverable().await, (socket.id().to_owned(), pid), "{crash_safe}");
        back.fence().await;
    }
}

/// Its node has nothing left to store when the request reaches it.
#[tokio::test]
async fn a_session_that_is_stored_while_its_node_is_asked_is_restored() {
    let cluster = cluster();
    let [held] = Held::of(&cluster);
    let mut one = Node::with(cluster.adapter(), recovery(false), limits()).await;
    let few = Recovery::default().max_failed_claims(1);
    let two = Node::with(cluster.adapter(), few, limits()).await;
    // The first claim does not count as failed, so the second one may ask too.
    for _ in 0..2 {
        let (client, socket, pid, offset) = one.client_with_offset().await;
        held.hold();
        let mut back = two.claims(&pid, &offset).await;
        until(|| held.len() == 1).await;
        one.lose(client).await;
        until(|| cluster.sessions() == 1).await;
        held.release();
        assert_eq!(back.recoverable().await, (socket.id().to_owned(), pid));
    }
}

/// The claiming node dies before it gets the reply.
#[tokio::test]
async fn a_session_survives_a_node_that_is_killed_while_it_claims_the_session() {
    for crash_safe in [[false, false], [false, true], [true, false], [true, true]] {
        let cluster = cluster();
        let engines = crash_safe.map(|_| Troubled::new(&cluster));
        let [_, held] = Held::of(&cluster);
        let mut one = Node::with(engines[0].clone(), recovery(crash_safe[0]), limits()).await;
        let two = Node::with(engines[1].clone(), recovery(crash_safe[1]), limits()).await;
        let three = Node::with(cluster.adapter(), recovery(false), limits()).await;
        let (_silent, socket, pid, offset) = one.client_with_offset().await;
        if crash_safe[0] {
            until(|| engines[0].written() == 1).await;
        }
        held.hold();
        let _claimant = two.claims(&pid, &offset).await;
        // Both other nodes have replied.
        until(|| held.len() == 2).await;
        engines[1].kill();
        let mut back = three.claims(&pid, &offset).await;
        assert_eq!(back.recoverable().await, (socket.id().to_owned(), pid), "{crash_safe:?}");
    }
}

/// The bus does not reach the owner, but the owner reaches the store.
#[tokio::test]
async fn an_owner_that_the_bus_hides_does_not_overwrite_the_session_of_the_next_owner() {
    for crash_safe in [true, false] {
        let cluster = cluster();
        let engine = Troubled::new(&cluster);
        let mut one = Node::with(engine.clone(), recovery(true), limits()).await;
        let mut two = Node::with(cluster.adapter(), recovery(crash_safe), limits()).await;
        let [held] = Held::of(&cluster);
        let (hidden, before, pid, offset) = one.client_with_offset().await;
        until(|| engine.written() == 1).await;
        held.hold();
        let mut back = two.claims(&pid, &offset).await;
        assert_eq!(back.recoverable().await.1, pid);
        let after = two.socket().await;
        after.join("after").unwrap();
        after.emit("got", &()).unwrap();
        let offset = back.recorded().await.1;
        // The previous owner still writes the session, first with itself as the owner.
        before.join("before").unwrap();
        until(|| engine.written_for(&pid) == 2).await;
        one.lose(hidden).await;
        until(|| engine.written_for(&pid) == 3).await;
        let mut three = Node::with(cluster.adapter(), recovery(false), limits()).await;
        // A claim so soon after the last one could have been made at the same time.
        tokio::time::sleep(Duration::from_millis(6)).await;
        let mut back = three.claims(&pid, &offset).await;
        assert_eq!(back.recoverable().await.1, pid, "{crash_safe}");
        let rooms = three.socket().await.rooms();
        let has = |name: &str| rooms.iter().any(|room| **room == *name);
        assert!(has("after") && !has("before"), "{rooms:?}");
        until(|| two.server.io.of("/").sockets_count() == 0).await;
    }
}

#[tokio::test]
async fn an_address_asks_the_other_nodes_for_unknown_sessions_only_so_often() {
    let cluster = cluster();
    let (asked, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, counting) = (asked.clone(), counted.clone());
    cluster.on_message(move |message| {
        if message.to == 1 && counting.load(Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        message.deliver();
    });
    let few = Recovery::default().max_failed_claims(3);
    let mut one = Node::with(cluster.adapter(), few, limits()).await;
    let mut two = Node::with(cluster.adapter(), recovery(false), limits()).await;
    let (client, _, stored, stored_offset) = two.client_with_offset().await;
    two.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    let (_silent, _, connected, offset) = two.client_with_offset().await;
    let (_client, _, _, other_offset) = one.client_with_offset().await;
    one.settle().await;
    counted.store(true, Ordering::SeqCst);
    // A claim that succeeds does not count.
    let mut back = one.claims(&connected, &offset).await;
    assert_eq!(back.recoverable().await.1, connected);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let mut others = Vec::new();
    for guess in 0..10 {
        let mut client = one.claims(&format!("guess{guess}"), &other_offset).await;
        client.recoverable().await;
        others.push(client);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    let mut back = one.claims(&stored, &stored_offset).await;
    assert_eq!(back.recoverable().await.1, stored);
}

/// A handler of the previous connection blocks its driver.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_claim_on_one_node_waits_for_the_previous_connection_only_so_long() {
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    let short = ClusterLimits::default().request_timeout(Duration::from_millis(100));
    let server = server_with(config.cluster_limits(short)).await;
    let (end, ending) = std::sync::mpsc::channel::<()>();
    let ending = std::sync::Mutex::new(ending);
    server.io.on_disconnect(move || {
        let _ = ending.lock().unwrap().recv();
        async {}
    });
    let mut silent = server.open().await;
    silent.send("40").await;
    let (sid, pid) = silent.recoverable().await;
    server.io.to(sid.as_str()).emit("got", &()).unwrap();
    let offset = silent.recorded().await.1;
    // A blocked worker may leave the timers to the others, which have to be woken.
    let (runtime, awake) = (tokio::runtime::Handle::current(), Arc::new(()));
    let waking = Arc::downgrade(&awake);
    std::thread::spawn(move || {
        while waking.strong_count() > 0 {
            drop(runtime.spawn(async {}));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mut back = server.open().await;
    back.claim(&pid, &offset).await;
    assert_ne!(back.recoverable().await.1, pid);
    drop((end, awake));
}

#[tokio::test]
async fn a_draining_node_stores_sessions_before_their_clients_leave() {
    let cluster = cluster();
    let engine = Troubled::new(&cluster);
    let mut one = Node::with(engine.clone(), recovery(false), limits()).await;
    let two = Node::with(cluster.adapter(), recovery(false), limits()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(one.client_with_offset().await);
    }
    let draining = one.server.io.clone();
    let drain = async move { draining.drain(Duration::from_secs(3600)).await };
    let drained = tokio::spawn(drain);
    until(|| cluster.sessions() == 3).await;
    // Changes are stored too, as long as the node runs.
    let Some((_, socket, pid, _)) = clients.first() else { return };
    socket.join("late").unwrap();
    until(|| engine.written_for(pid) == 2).await;
    engine.kill();
    two.server.io.to("late").emit("missed", &1).unwrap();
    two.settle().await;
    for (n, (_, socket, pid, offset)) in clients.iter().enumerate() {
        let mut back = two.claims(pid, offset).await;
        if n == 0 {
            assert_eq!(back.recorded().await.0, json!(["missed", 1]));
        }
        assert_eq!(back.recoverable().await, (socket.id().to_owned(), pid.clone()));
    }
    drained.abort();
}
