//! A client that returns before the server has noticed that its connection is lost gets its
//! session.

use crate::support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use socketio_server::{ClusterLimits, Recovery, Server, ServerConfig, Socket};
use support::{
    Client, Log, Running, disconnections, log,
    nodes::{Node, Trouble, Troubled, cluster, patient},
    server_with, within,
};

async fn alone() -> Running {
    server_with(ServerConfig::default().connection_state_recovery(Recovery::default())).await
}

async fn claim(server: &Running, pid: &str, offset: &str) -> Client {
    let mut client = server.open().await;
    client.claim(pid, offset).await;
    client
}

/// Logs connections and disconnections in the order in which their handlers start.
fn lifecycle(io: &Server) -> Log<String> {
    let (sender, log) = log();
    let also = sender.clone();
    io.on_connection(move |socket: Socket| {
        let _ = sender.send(format!("connection {}", socket.recovered()));
        async {}
    });
    io.on_disconnect(move |reason: socketio_server::DisconnectReason| {
        let _ = also.send(reason.to_string());
        async {}
    });
    log
}

#[tokio::test]
async fn the_old_socket_ends_before_its_client_is_restored() {
    let server = alone().await;
    let mut lifecycle = lifecycle(&server.io);
    let (_silent, sid, pid, offset) = server.client_with_offset().await;
    server.io.emit("missed", &1).unwrap();
    let mut back = claim(&server, &pid, &offset).await;
    assert_eq!(back.recorded().await.0, json!(["missed", 1]));
    assert_eq!(back.recoverable().await, (sid, pid));
    for expected in ["connection false", "transport close", "connection true"] {
        assert_eq!(lifecycle.next().await, expected);
    }
    let stats = server.io.stats().recoveries;
    assert_eq!((stats.recovered, stats.not_recovered, stats.taken_over), (1, 0, 1));
    assert_eq!(server.io.of("/").sockets_count(), 1);
    back.fence().await;
}

/// Abandons a client's connection a hundred times without closing it, and checks that the client
/// gets every event once and in order.
async fn switch_connections(servers: &[&Running]) {
    let (_first, sid, pid, mut offset) = servers[0].client_with_offset().await;
    let switched = Arc::new(AtomicU32::new(0));
    let senders: Vec<_> = servers.iter().map(|server| server.io.clone()).collect();
    let talking = tokio::spawn({
        let switched = switched.clone();
        async move {
            let mut n = 0_u32;
            while switched.load(Ordering::SeqCst) < 100 {
                // Events of one node are in order, so the nodes take turns by the hundred.
                senders[n as usize / 100 % senders.len()].emit("n", &n).unwrap();
                n += 1;
                if n.is_multiple_of(100) {
                    for io in &senders {
                        within(io.fetch_sockets()).await.unwrap();
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            senders[0].emit("n", &n).unwrap();
            n
        }
    });
    let (mut next, mut silent) = (0_u32, Vec::new());
    let mut last = None;
    for round in 0..=100 {
        let server = servers[round % servers.len()];
        let mut back = claim(server, &pid, &offset).await;
        let mut restored = false;
        let mut live = 0;
        while !restored || live < round % 5 {
            let text = back.text().await;
            if let Some(connected) = text.strip_prefix("40") {
                let connected: serde_json::Value = serde_json::from_str(connected).unwrap();
                assert_eq!(connected, json!({ "sid": sid, "pid": pid }), "round {round}");
                restored = true;
                continue;
            }
            let (name, n, at): (String, u32, String) = serde_json::from_str(&text[2..]).unwrap();
            assert_eq!((&*name, n), ("n", next), "round {round}");
            (next, offset) = (n + 1, at);
            live += usize::from(restored);
        }
        switched.store(u32::try_from(round).unwrap(), Ordering::SeqCst);
        // A claim so soon after the last one could have been made at the same time.
        tokio::time::sleep(Duration::from_millis(6)).await;
        silent.push(last.replace(back));
    }
    let end = talking.await.unwrap();
    let mut client = last.unwrap();
    while next <= end {
        let event = client.recorded().await.0;
        assert_eq!(event, json!(["n", next]));
        next += 1;
    }
    client.fence().await;
    let recoveries = servers.iter().map(|server| server.io.stats().recoveries);
    let counts = recoveries.fold((0, 0, 0), |sum, it| {
        (sum.0 + it.recovered, sum.1 + it.not_recovered, sum.2 + it.taken_over)
    });
    assert_eq!(counts, (101, 0, 101));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_switches_connections_a_hundred_times_loses_nothing() {
    switch_connections(&[&alone().await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_switches_nodes_a_hundred_times_loses_nothing() {
    let cluster = cluster();
    let (one, two, three) =
        (Node::of(&cluster).await, Node::of(&cluster).await, Node::of(&cluster).await);
    switch_connections(&[&one.server, &two.server, &three.server]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_switches_crash_safe_nodes_a_hundred_times_loses_nothing() {
    let cluster = cluster();
    let node = || {
        let recovery = Recovery::default().crash_safe(true);
        Node::with(cluster.adapter(), recovery, patient())
    };
    let (one, two, three) = (node().await, node().await, node().await);
    switch_connections(&[&one.server, &two.server, &three.server]).await;
}

#[tokio::test]
async fn a_session_moves_with_its_rooms_and_data_to_another_node() {
    let cluster = cluster();
    let (mut one, mut two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let mut reasons = disconnections(&one.server.io.of("/"));
    let (_silent, socket, pid, offset) = one.client_with_offset().await;
    socket.join("in").unwrap();
    socket.set_shared(&json!({ "name": "x" })).unwrap();
    two.server.io.to("in").emit("missed", &1).unwrap();
    two.settle().await;
    let mut back = two.claims(&pid, &offset).await;
    assert_eq!(back.recorded().await.0, json!(["missed", 1]));
    assert_eq!(back.recoverable().await, (socket.id().to_owned(), pid));
    assert_eq!(reasons.next().await, "transport close");
    let restored = two.socket().await;
    assert_eq!(restored.shared::<serde_json::Value>().unwrap(), json!({ "name": "x" }));
    one.server.io.to("in").emit("live", &2).unwrap();
    assert_eq!(back.recorded().await.0, json!(["live", 2]));
    back.fence().await;
    assert_eq!((one.server.io.of("/").sockets_count(), cluster.sessions()), (0, 0));
}

/// On one thread both claims are read before the driver of the old connection runs.
#[tokio::test]
async fn two_claims_at_once_take_a_session_over_once() {
    let cluster = cluster();
    let (one, two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let alone = alone().await;
    let (one, two) = (&one.server, &two.server);
    let total_taken_over = || {
        [&alone, one, two].map(|server| server.io.stats().recoveries.taken_over).iter().sum::<u64>()
    };
    let mut taken_over = 0;
    for servers in [[&alone, &alone, &alone], [one, one, one], [one, two, two], [one, one, two]] {
        let (_silent, _, pid, offset) = servers[0].client_with_offset().await;
        let mut claimants = [servers[1].open().await, servers[2].open().await];
        for claimant in &mut claimants {
            claimant.claim(&pid, &offset).await;
        }
        let [first, second] = &mut claimants;
        let pids = [first.recoverable().await.1, second.recoverable().await.1];
        // On a busy machine the second claim may come late enough to take the session over.
        let total = total_taken_over();
        let winners = pids.iter().filter(|it| **it == pid).count() as u64;
        assert_eq!(winners, total - taken_over, "{pids:?}");
        taken_over = total;
    }
}

#[tokio::test]
async fn a_claim_for_another_namespace_leaves_the_client_connected() {
    let cluster = cluster();
    let mut nodes = [Node::of(&cluster).await, Node::of(&cluster).await];
    let alone = alone().await;
    nodes.iter().for_each(|node| drop(node.server.io.of("/other")));
    alone.io.of("/other");
    let (mut client_0, _, pid_0, offset_0) = nodes[0].client_with_offset().await;
    let (mut client_1, _, pid_1, offset_1) = alone.client_with_offset().await;
    for (server, pid, offset) in [
        (&nodes[0].server, &pid_0, &offset_0),
        (&nodes[1].server, &pid_0, &offset_0),
        (&alone, &pid_1, &offset_1),
    ] {
        let mut thief = server.open().await;
        thief.send(&format!(r#"40/other,{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
        let text = thief.text().await;
        assert!(text.starts_with("40/other,") && !text.contains(pid), "{text}");
    }
    client_0.fence().await;
    client_1.fence().await;
}

#[tokio::test]
async fn a_claim_with_another_private_id_leaves_the_client_connected() {
    let server = alone().await;
    let (mut owner, _, pid, offset) = server.client_with_offset().await;
    let mut thief = claim(&server, &"x".repeat(20), &offset).await;
    assert_ne!(thief.recoverable().await.1, pid);
    owner.fence().await;
}

#[tokio::test]
async fn a_client_whose_missed_events_are_gone_gets_a_new_session() {
    let few = Recovery::default().max_packets(2);
    let server = server_with(ServerConfig::default().connection_state_recovery(few)).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let (_silent, _, pid, offset) = server.client_with_offset().await;
    for n in 0..3 {
        server.io.emit("missed", &n).unwrap();
    }
    let mut back = claim(&server, &pid, &offset).await;
    assert_ne!(back.recoverable().await.1, pid);
    assert_eq!(reasons.next().await, "transport close");
    let cluster = cluster();
    let (mut one, two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let (_silent, _, pid, offset) = one.client_with_offset().await;
    one.server.io.emit("missed", &1).unwrap();
    one.settle().await;
    cluster.trim(0);
    let mut back = two.claims(&pid, &offset).await;
    assert_ne!(back.recoverable().await.1, pid);
}

/// The store is not needed for the takeover on one node, but the log is.
#[tokio::test]
async fn a_store_in_trouble_costs_only_the_session() {
    for trouble in [Trouble::Failing, Trouble::Stuck, Trouble::NoLog] {
        let cluster = cluster();
        let adapters = [Troubled::new(&cluster), Troubled::new(&cluster)];
        let limits = ClusterLimits::default().request_timeout(Duration::from_secs(1));
        let mut one = Node::with(adapters[0].clone(), Recovery::default(), limits.clone()).await;
        let two = Node::with(adapters[1].clone(), Recovery::default(), limits).await;
        let (_silent, _, pid, offset) = one.client_with_offset().await;
        adapters.iter().for_each(|adapter| adapter.set(trouble));
        let mut back = two.claims(&pid, &offset).await;
        assert_ne!(back.recoverable().await.1, pid, "{trouble:?}");
        back.fence().await;
    }
}

#[tokio::test]
async fn a_deliberate_disconnection_wins_against_a_claim() {
    let server = alone().await;
    let (sender, mut connected) = tokio::sync::mpsc::unbounded_channel();
    server.io.on_connection(move |socket: Socket| {
        let _ = sender.send(socket);
        async {}
    });
    let (_silent, _, pid, offset) = server.client_with_offset().await;
    let socket = within(connected.recv()).await.unwrap();
    let mut back = server.open().await;
    // Neither driver runs in between.
    socket.disconnect();
    back.claim(&pid, &offset).await;
    assert_ne!(back.recoverable().await.1, pid);
}

#[tokio::test]
async fn a_session_that_expires_during_its_takeover_is_not_restored() {
    let short = Recovery::default().max_disconnection_duration(Duration::ZERO);
    let server = server_with(ServerConfig::default().connection_state_recovery(short)).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let (_silent, _, pid, offset) = server.client_with_offset().await;
    let mut back = claim(&server, &pid, &offset).await;
    assert_ne!(back.recoverable().await.1, pid);
    assert_eq!(reasons.next().await, "transport close");
    back.fence().await;
}

/// They claim their sessions as soon as they are disconnected, before a slow store has them.
#[tokio::test]
async fn clients_of_a_draining_node_return_to_another_at_once() {
    let cluster = cluster();
    let (one, two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let (one, two) = (&one.server, &two.server);
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(one.client_with_offset().await);
    }
    let draining = one.io.clone();
    let drained = tokio::spawn(async move { draining.drain(Duration::from_millis(200)).await });
    let talking = two.io.clone();
    let talking = tokio::spawn(async move {
        for n in 0..300 {
            talking.emit("n", &n).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let back = clients.into_iter().map(async |(mut client, sid, pid, mut offset)| {
        let mut next = 0;
        for frame in client.rest().await {
            let Some(event) = frame.strip_prefix("42") else { continue };
            let (_, n, at): (String, u32, String) = serde_json::from_str(event).unwrap();
            assert_eq!(n, next);
            (next, offset) = (n + 1, at);
        }
        let mut back = claim(two, &pid, &offset).await;
        let mut restored = false;
        while next < 300 {
            let text = back.text().await;
            if text.starts_with("40") {
                assert!(text.contains(&*sid), "{text}");
                restored = true;
                continue;
            }
            let (_, n, _): (String, u32, String) = serde_json::from_str(&text[2..]).unwrap();
            assert_eq!(n, next);
            next += 1;
        }
        if !restored {
            assert_eq!(back.recoverable().await, (sid, pid));
        }
    });
    futures_util::future::join_all(back).await;
    talking.await.unwrap();
    drained.await.unwrap();
    assert_eq!(two.io.stats().recoveries.recovered, 20);
}
