//! Ended requests, namespaces, rooms and clients leave nothing in the cluster. Malformed messages
//! are dropped. Replies have the deadlines of their acks.

use crate::support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketio_adapter::MemoryMessage;
use socketio_server::{
    BroadcastAckError, ClusterLimits, Data, MemoryCluster, ServerConfig, ServerEvent,
    ServerSideError, Socket,
};
use support::{Running, server_with, until, within};

async fn node(cluster: &MemoryCluster, limits: ClusterLimits) -> Running {
    let config = ServerConfig::default().adapter(cluster.adapter()).cluster_limits(limits);
    let server = server_with(config).await;
    within(server.io.joined()).await;
    server
}

async fn two(cluster: &MemoryCluster, limits: ClusterLimits) -> (Running, Running) {
    (node(cluster, limits.clone()).await, node(cluster, limits).await)
}

#[tokio::test]
async fn an_abandoned_request_frees_its_slot() {
    let cluster = MemoryCluster::new();
    let limits = ClusterLimits::default().max_requests(1);
    let (one, _two) = two(&cluster, limits).await;
    // No message is delivered, so every request waits.
    cluster.on_message(drop);
    for _ in 0..3 {
        let abandoned = one.io.fetch_sockets();
        assert!(tokio::time::timeout(Duration::ZERO, abandoned).await.is_err());
    }
    let waiting = one.io.fetch_sockets();
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
    let error = one.io.fetch_sockets().await.unwrap_err();
    assert_eq!(error.to_string(), "1 requests wait for other nodes already");
}

#[tokio::test]
async fn a_closed_namespace_leaves_and_a_new_one_joins_again() {
    let cluster = MemoryCluster::new();
    let (one, two) = two(&cluster, ClusterLimits::default()).await;
    for _ in 0..3 {
        one.io.of("/room");
        within(one.io.joined()).await;
        two.io.of("/room");
        within(two.io.joined()).await;
        assert_eq!(within(one.io.of("/room").server_count()).await.unwrap(), 2);
        assert!(two.io.close_namespace("/room"));
        until(|| !cluster.reaches(1, "/room", "")).await;
        assert_eq!(within(one.io.of("/room").server_count()).await.unwrap(), 1);
    }
    one.io.close();
    within(one.io.ended()).await;
    assert!(!cluster.reaches(0, "/", "") && !cluster.reaches(0, "/room", ""));
}

#[tokio::test]
async fn a_room_channel_is_left_with_its_last_socket() {
    let cluster = MemoryCluster::with_room_channels();
    let server = node(&cluster, ClusterLimits::default()).await;
    let mut connected = support::sockets(&server.io.of("/"));
    let (client, _other) = (server.client().await, server.client().await);
    let socket = within(connected.recv()).await.unwrap();
    let other = within(connected.recv()).await.unwrap();
    socket.join(["a", "b"]).unwrap();
    other.join("b").unwrap();
    for room in [socket.id(), "a", "b"] {
        until(|| cluster.reaches(0, "/", room)).await;
    }
    // Sockets that join and leave at the same time do not disturb each other.
    for _ in 0..100 {
        other.leave("b");
        other.join("b").unwrap();
    }
    client.close().await;
    for room in [socket.id(), "a"] {
        until(|| !cluster.reaches(0, "/", room)).await;
    }
    assert!(cluster.reaches(0, "/", "b"));
    other.leave("b");
    until(|| !cluster.reaches(0, "/", "b")).await;
}

#[tokio::test]
async fn malformed_messages_are_dropped_and_the_next_one_is_delivered() {
    let cluster = MemoryCluster::new();
    let (one, two) = two(&cluster, ClusterLimits::default()).await;
    let mut client = two.client().await;
    let left = Arc::new(AtomicUsize::new(3));
    let garbage = [&b"{\"type\":3"[..], &[0xc1; 9], b""];
    cluster.on_message(move |message: MemoryMessage| {
        let next =
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match next {
            Ok(left) => message.deliver_as(garbage[left - 1]),
            Err(_) => message.deliver(),
        }
    });
    for n in 0..4 {
        one.io.emit("n", &n).unwrap();
    }
    client.expect(r#"42["n",3]"#).await;
}

#[tokio::test]
async fn acks_of_clients_may_take_longer_than_replies_of_servers() {
    let cluster = MemoryCluster::new();
    // The deadline for replies of servers has passed at once.
    let limits = ClusterLimits::default().request_timeout(Duration::ZERO);
    let (one, two) = two(&cluster, limits).await;
    let mut client = two.client().await;
    let io = one.io.clone();
    let asked = tokio::spawn(async move { io.emit_with_ack::<u32>("q", &()).await });
    let question = client.text().await;
    client.send(&question.replace("42", "43").replace(r#"["q"]"#, "[7]")).await;
    assert_eq!(within(asked).await.unwrap().unwrap(), [7]);
}

#[tokio::test]
async fn silent_servers_and_nodes_are_reported_as_missing() {
    let cluster = MemoryCluster::new();
    let limits = ClusterLimits::default().request_timeout(Duration::from_millis(1500));
    let (one, two) = two(&cluster, limits.clone()).await;
    let three = node(&cluster, limits).await;
    two.io.on_server_side("q", |event: ServerEvent| async move {
        event.reply(&7)?;
        Ok(())
    });
    let asked = one.io.server_side_emit_with_ack::<u32>("q", &());
    let error = within(asked).await.unwrap_err();
    assert_eq!(error.to_string(), "1 servers have not answered");
    assert!(
        matches!(error, ServerSideError::Partial { responses, missing: 1 } if responses == [7])
    );

    cluster.on_message(drop);
    let asked = one.io.timeout(Duration::from_millis(50));
    let error = within(asked.emit_with_ack::<u32>("q", &())).await.unwrap_err();
    assert_eq!(error.to_string(), "0 clients have not acknowledged, and 2 nodes are silent");
    assert!(matches!(error, BroadcastAckError::Partial { missing: 0, missing_nodes: 2, .. }));
    drop(three);
}

#[tokio::test]
async fn handlers_of_server_side_events_are_limited_and_may_panic() {
    let cluster = MemoryCluster::new();
    let limits = ClusterLimits::default().max_handlers(2);
    let (one, two) = two(&cluster, limits).await;
    let (started, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (counter, waits, log) = (started.clone(), gate.clone(), seen.clone());
    two.io.on_server_side("work", move |Data(number): Data<u32>| {
        let (counter, waits, log) = (counter.clone(), waits.clone(), log.clone());
        async move {
            counter.fetch_add(1, Ordering::SeqCst);
            log.lock().unwrap().push(number);
            let _ = waits.acquire().await;
            panic!("on purpose");
        }
    });
    for n in 0..5 {
        one.io.server_side_emit("work", &n).unwrap();
    }
    // A later event shows that the earlier ones were processed.
    let mut client = two.client().await;
    one.io.emit("fence", &()).unwrap();
    client.expect(r#"42["fence"]"#).await;
    until(|| started.load(Ordering::SeqCst) == 2).await;
    gate.add_permits(2);
    one.io.server_side_emit("work", &9).unwrap();
    until(|| {
        // The event is dropped while the other handlers run.
        one.io.server_side_emit("work", &9).unwrap();
        started.load(Ordering::SeqCst) > 2
    })
    .await;
    let mut seen = seen.lock().unwrap().clone();
    seen.truncate(2);
    seen.sort_unstable();
    assert_eq!(seen, [0, 1]);
}

#[tokio::test]
async fn disconnect_handlers_of_a_closing_server_reach_other_nodes() {
    let cluster = MemoryCluster::new();
    let (one, two) = two(&cluster, ClusterLimits::default()).await;
    one.io.on_disconnect(|socket: Socket| async move {
        socket.broadcast().emit("left", socket.id())?;
        Ok(())
    });
    let (mut client, id) = one.client_in("/").await;
    let mut other = two.client().await;
    one.io.close();
    client.closed().await;
    other.expect(&format!(r#"42["left","{id}"]"#)).await;
    within(one.io.ended()).await;
    assert_eq!(within(two.io.of("/").server_count()).await.unwrap(), 1);
}
