//! If the engine keeps a log and the sessions, a client can recover its session on any node.

use crate::support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use socketio_adapter::recovery::{SavedSession, SessionStore};
use socketio_server::{Binary, ClusterLimits, HandlerError, MemoryCluster, Recovery, Socket};
use support::{
    nodes::{Held, Node, Trouble, Troubled, cluster},
    until, within,
};

#[tokio::test]
async fn another_node_restores_a_session_with_all_missed_events() {
    let cluster = cluster();
    let (mut one, mut two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let (mut client, socket, pid) = one.client().await;
    socket.join(["in", "both"]).unwrap();
    socket.set_shared(&json!({ "name": "x" })).unwrap();
    socket.emit("got", &()).unwrap();
    let (event, offset) = client.recorded().await;
    assert_eq!(event, json!(["got"]));
    one.lose(client).await;
    for (n, io) in [&one.server.io, &two.server.io].into_iter().enumerate() {
        io.emit("all", &(n, "two")).unwrap();
        io.to("in").emit("in", &n).unwrap();
        io.to("elsewhere").emit("not", &n).unwrap();
        io.except("both").emit("not", &n).unwrap();
        io.to(["in", "both"]).emit("several", &n).unwrap();
        io.to(socket.id()).emit("own", &n).unwrap();
        io.volatile().emit("not", &n).unwrap();
        io.local().emit("not", &n).unwrap();
        io.emit("binary", &Binary(vec![1, 2].into())).unwrap();
        io.of("/other").emit("not", &n).unwrap();
        // Waits until the events of both nodes are in the log.
        within(io.fetch_sockets()).await.unwrap();
    }
    // Emits to the disconnected socket.
    socket.emit("late", &1).unwrap();
    within(one.server.io.fetch_sockets()).await.unwrap();
    let mut client = two.claims(&pid, &offset).await;
    let mut last = offset;
    for n in [0, 1] {
        assert_eq!(client.recorded().await.0, json!(["all", n, "two"]));
        for name in ["in", "several", "own"] {
            assert_eq!(client.recorded().await.0, json!([name, n]));
        }
        assert_eq!(client.recorded().await.0[0], "binary");
        client.expect_binary(&[1, 2]).await;
    }
    let (late, at) = client.recorded().await;
    assert_eq!(late, json!(["late", 1]));
    assert_ne!(std::mem::replace(&mut last, at), last);
    assert_eq!(client.recoverable().await, (socket.id().to_owned(), pid.clone()));
    let back = two.socket().await;
    assert!(back.recovered());
    assert_eq!(back.shared::<serde_json::Value>().unwrap(), json!({ "name": "x" }));
    let mut rooms: Vec<_> = back.rooms().iter().map(ToString::to_string).collect();
    rooms.sort_unstable();
    let mut expected = [socket.id(), "both", "in"];
    expected.sort_unstable();
    assert_eq!(rooms, expected);
    // The handle on the node that lost the client reaches it too.
    socket.emit("from afar", &1).unwrap();
    back.emit("from here", &2).unwrap();
    let mut names = [client.recorded().await.0, client.recorded().await.0];
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, [json!(["from afar", 1]), json!(["from here", 2])]);
    client.fence().await;
}

/// Waits until the store holds `sessions` sessions.
async fn kept(cluster: &MemoryCluster, sessions: usize) {
    until(|| cluster.sessions() == sessions).await;
}

#[tokio::test]
async fn a_session_is_restored_repeatedly_on_changing_nodes() {
    let cluster = cluster();
    let adapters = [Troubled::new(&cluster), Troubled::new(&cluster)];
    let mut nodes = Vec::new();
    for adapter in adapters {
        nodes.push(Node::with(adapter, Recovery::default(), ClusterLimits::default()).await);
    }
    let (mut client, socket, pid, mut offset) = nodes[0].client_with_offset().await;
    socket.join("in").unwrap();
    let mut next = 0_u32;
    for round in 0..20 {
        let (here, there) = (round % 2, (round / 3) % 2);
        // The client receives some events and misses others. The missed ones fill part of a page,
        // several pages, or none.
        for node in &nodes {
            node.server.io.to("in").emit("n", &next).unwrap();
            node.settle().await;
            let (event, at) = client.recorded().await;
            assert_eq!(event, json!(["n", next]));
            (next, offset) = (next + 1, at);
        }
        client.reset();
        until(|| nodes.iter().all(|node| node.server.io.of("/").sockets_count() == 0)).await;
        kept(&cluster, 1).await;
        for n in 0..round % 9 {
            nodes[(n + here) % 2].server.io.to("in").emit("n", &(next + n as u32)).unwrap();
            nodes[(n + here) % 2].settle().await;
        }
        client = nodes[there].claims(&pid, &offset).await;
        for _ in 0..round % 9 {
            let (event, at) = client.recorded().await;
            assert_eq!(event, json!(["n", next]));
            (next, offset) = (next + 1, at);
        }
        assert_eq!(client.recoverable().await, (socket.id().to_owned(), pid.clone()));
        assert_eq!(cluster.sessions(), 0);
    }
}

#[tokio::test]
async fn two_claims_restore_a_session_once() {
    let cluster = cluster();
    let engines = [Troubled::new(&cluster), Troubled::new(&cluster)];
    let (recovery, limits) = (Recovery::default(), ClusterLimits::default());
    let mut one = Node::with(engines[0].clone(), recovery.clone(), limits.clone()).await;
    let two = Node::with(engines[1].clone(), recovery, limits).await;
    let (client, _, pid, offset) = one.client_with_offset().await;
    one.lose(client).await;
    kept(&cluster, 1).await;
    // Neither is restored before both have claimed the session.
    engines.iter().for_each(|engine| engine.set(Trouble::LateSession));
    let mut claimants = Vec::new();
    for node in [&one, &two] {
        node.server.io.of("/other");
        let mut claimant = node.claims(&pid, &offset).await;
        claimant.send("40/other,").await;
        assert!(claimant.text().await.starts_with("40/other,"));
        claimants.push(claimant);
    }
    engines.iter().for_each(|engine| engine.set(Trouble::None));
    let [first, second] = &mut claimants[..] else { unreachable!() };
    let pids = [first.recoverable().await.1, second.recoverable().await.1];
    assert_eq!(pids.iter().filter(|it| **it == pid).count(), 1, "{pids:?}");
}

/// While the store has not replied, the client vanishes and claims the session again on the same
/// node.
#[tokio::test]
async fn a_session_survives_a_client_that_vanishes_during_the_query() {
    let cluster = cluster();
    let engine = Troubled::new(&cluster);
    let mut one = Node::of(&cluster).await;
    let limits = ClusterLimits::default();
    let mut two = Node::with(engine.clone(), Recovery::default(), limits).await;
    let (client, socket, pid, offset) = one.client_with_offset().await;
    one.lose(client).await;
    kept(&cluster, 1).await;
    engine.set(Trouble::LateSession);
    let vanishing = two.claims(&pid, &offset).await;
    kept(&cluster, 0).await;
    vanishing.reset();
    until(|| two.server.io.engine().clients_count() == 0).await;
    let mut client = two.claims(&pid, &offset).await;
    until(|| two.server.io.engine().clients_count() == 1).await;
    engine.set(Trouble::None);
    assert_eq!(client.recoverable().await, (socket.id().to_owned(), pid));
    assert!(two.socket().await.recovered());
}

#[tokio::test]
async fn a_session_survives_a_claim_for_another_namespace() {
    let cluster = cluster();
    let mut one = Node::of(&cluster).await;
    one.server.io.of("/other");
    let (client, socket, pid, offset) = one.client_with_offset().await;
    one.lose(client).await;
    kept(&cluster, 1).await;
    let mut thief = one.server.open().await;
    thief.send(&format!(r#"40/other,{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
    assert!(thief.text().await.starts_with("40/other,"));
    kept(&cluster, 1).await;
    let mut client = one.claims(&pid, &offset).await;
    assert_eq!(client.recoverable().await, (socket.id().to_owned(), pid));
}

#[tokio::test]
async fn a_session_whose_offset_was_trimmed_stays_in_the_store() {
    let cluster = cluster();
    let (mut one, two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let (client, socket, pid, offset) = one.client_with_offset().await;
    one.lose(client).await;
    kept(&cluster, 1).await;
    one.server.io.emit("missed", &1).unwrap();
    one.settle().await;
    let mut others = Vec::new();
    for wrong in ["", "1", "7-0", "18446744073709551615-0", "0-0", "x"] {
        let mut client = two.claims(&pid, wrong).await;
        assert_ne!(client.recoverable().await.1, pid, "{wrong}");
        others.push(client);
    }
    let mut unknown = two.claims("unknown", &offset).await;
    assert_ne!(unknown.recoverable().await.0, socket.id());
    let mut client = two.claims(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["missed", 1]));
    assert_eq!(client.recoverable().await.1, pid);
    client.reset();
    kept(&cluster, 1).await;
    cluster.trim(0);
    let mut client = one.claims(&pid, &offset).await;
    assert_ne!(client.recoverable().await.1, pid);
    assert_eq!(cluster.sessions(), 1);
    assert_eq!(two.server.io.stats().recoveries.not_recovered, 7);
}

#[tokio::test]
async fn an_expired_session_is_not_restored() {
    let cluster = cluster();
    let short = Recovery::default().max_disconnection_duration(Duration::from_millis(20));
    let mut one = Node::with(cluster.adapter(), short, ClusterLimits::default()).await;
    let two = Node::of(&cluster).await;
    let (client, _, pid, offset) = one.client_with_offset().await;
    one.lose(client).await;
    kept(&cluster, 1).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let mut client = two.claims(&pid, &offset).await;
    assert_ne!(client.recoverable().await.1, pid);
}

#[tokio::test]
async fn a_deliberately_ended_session_is_not_restored() {
    let cluster = cluster();
    let (mut one, two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let (mut client, _, pid, offset) = one.client_with_offset().await;
    client.send("41").await;
    until(|| one.server.io.of("/").sockets_count() == 0).await;
    let mut client = two.claims(&pid, &offset).await;
    assert_ne!(client.recoverable().await.1, pid);
    let (mut client, socket, pid, offset) = one.client_with_offset().await;
    socket.disconnect();
    client.expect("41").await;
    let mut client = two.claims(&pid, &offset).await;
    assert_ne!(client.recoverable().await.1, pid);
    assert_eq!(cluster.sessions(), 0);
}

#[tokio::test]
async fn a_session_of_a_closed_node_is_restored() {
    let cluster = cluster();
    let (mut one, two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let (mut client, socket, pid, offset) = one.client_with_offset().await;
    one.server.io.close();
    client.rest().await;
    kept(&cluster, 1).await;
    two.server.io.emit("missed", &1).unwrap();
    two.settle().await;
    let mut client = two.claims(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["missed", 1]));
    assert_eq!(client.recoverable().await, (socket.id().to_owned(), pid));
}

#[tokio::test]
async fn a_restored_session_skips_the_middlewares_of_its_namespace_only() {
    let cluster = cluster();
    let skips = Recovery::default();
    let mut one = Node::with(cluster.adapter(), skips.clone(), ClusterLimits::default()).await;
    let two = Node::with(cluster.adapter(), skips, ClusterLimits::default()).await;
    let asks = Recovery::default().skip_middlewares(false);
    let three = Node::with(cluster.adapter(), asks, ClusterLimits::default()).await;
    for node in [&two, &three] {
        let admin = node.server.io.of("/admin");
        for namespace in [node.server.io.of("/"), admin] {
            namespace.use_(|| async { Err::<(), _>(HandlerError::public("no")) });
        }
        within(node.server.io.joined()).await;
    }
    let (client, socket, pid, offset) = one.client_with_offset().await;
    one.lose(client).await;
    kept(&cluster, 1).await;
    // A refused client gets no missed events.
    let mut refused = three.claims(&pid, &offset).await;
    refused.expect(r#"44{"message":"no"}"#).await;
    assert_eq!(cluster.sessions(), 0, "it was refused for good");
    let (client, socket_2, pid, offset) = one.client_with_offset().await;
    assert_ne!(socket.id(), socket_2.id());
    one.lose(client).await;
    kept(&cluster, 1).await;
    let mut client = two.claims(&pid, &offset).await;
    assert_eq!(client.recoverable().await.1, pid);
    // A session is valid only in its own namespace.
    client.reset();
    kept(&cluster, 1).await;
    let mut client = two.server.open().await;
    client.send(&format!(r#"40/admin,{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
    client.expect(r#"44/admin,{"message":"no"}"#).await;
}

#[tokio::test]
async fn a_session_without_a_namespace_passes_the_middlewares() {
    let cluster = cluster();
    let mut one = Node::of(&cluster).await;
    let two = Node::of(&cluster).await;
    let (_client, _, _, offset) = one.client_with_offset().await;
    let store = store(&cluster).await;
    let of_node = |pid: &str| SavedSession {
        nsp: None,
        pid: pid.into(),
        sid: "sid".into(),
        rooms: vec!["sid".into(), "in".into()],
        data: socketio_server::Value::Null,
        owner: None,
        epoch: 0,
        former_nodes: Vec::new(),
    };
    let minute = Duration::from_secs(60);
    store.persist(of_node("first"), minute).await.unwrap();
    store.persist(of_node("second"), minute).await.unwrap();
    one.server.io.to("in").emit("missed", &1).unwrap();
    one.settle().await;
    let mut client = two.claims("first", &offset).await;
    assert_eq!(client.recorded().await.0, json!(["missed", 1]));
    assert_eq!(client.recoverable().await, ("sid".to_owned(), "first".to_owned()));
    two.server.io.use_(|socket: Socket| async move {
        assert!(socket.recovered());
        Err::<(), _>(HandlerError::public("no"))
    });
    let mut client = two.claims("second", &offset).await;
    client.expect(r#"44{"message":"no"}"#).await;
}

/// A client that breaks off while the middlewares decide must not be taken for an accepted one.
#[tokio::test]
async fn a_session_without_a_namespace_passes_the_middlewares_after_each_loss() {
    let cluster = cluster();
    let mut one = Node::of(&cluster).await;
    let two = Node::of(&cluster).await;
    let (_client, _, _, offset) = one.client_with_offset().await;
    let store = store(&cluster).await;
    let session = SavedSession {
        nsp: None,
        pid: "of Node".into(),
        sid: "sid".into(),
        rooms: vec!["sid".into()],
        data: socketio_server::Value::Null,
        owner: None,
        epoch: 0,
        former_nodes: Vec::new(),
    };
    store.persist(session, Duration::from_secs(60)).await.unwrap();
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = runs.clone();
    two.server.io.use_(move |_: Socket| {
        let run = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            if run == 0 {
                std::future::pending::<()>().await;
            }
            Err::<(), _>(HandlerError::public("no"))
        }
    });
    let client = two.claims("of Node", &offset).await;
    until(|| runs.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    two.lose(client).await;
    until(|| cluster.sessions() == 1).await;
    let mut client = two.claims("of Node", &offset).await;
    client.expect(r#"44{"message":"no"}"#).await;
}

/// Returns the session store of the main namespace, as another server sees it.
async fn store(cluster: &MemoryCluster) -> std::sync::Arc<dyn SessionStore> {
    use socketio_adapter::{ClusterAdapter, ClusterMember, Inbox, Message, MessageError, Offset};
    struct Nobody;
    impl Inbox for Nobody {
        fn receive(&self, _: Message, _: Option<Offset>) {}
        fn undecodable(&self, _: &MessageError) {}
    }
    let member = ClusterMember { nsp: socketio_parser::Nsp::root(), uid: "node".into() };
    let link = cluster.adapter().join(member, std::sync::Arc::new(Nobody)).await.unwrap();
    let store = link.sessions().unwrap();
    // This node answers no requests, so it leaves.
    link.leave().await;
    store
}

/// The first node has not noticed yet that the connection is lost on which a middleware holds the
/// client. No node gets the request of the other one for the session.
#[tokio::test]
async fn a_returning_client_displaces_its_socket_that_waits_for_a_middleware() {
    let cluster = cluster();
    let [held, other_held] = Held::of(&cluster);
    let limits = ClusterLimits::default().request_timeout(Duration::from_secs(1));
    let recovery = Recovery::default().crash_safe(true).skip_middlewares(false);
    let mut node = Node::with(cluster.adapter(), recovery.clone(), limits.clone()).await;
    let mut other = Node::with(cluster.adapter(), recovery, limits).await;
    let (client, _, pid, offset) = other.client_with_offset().await;
    other.lose(client).await;
    let middlewares = Arc::new(AtomicUsize::new(0));
    let started = middlewares.clone();
    node.server.io.use_(move || {
        let is_first = started.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    });
    let mut waiting = node.claims(&pid, &offset).await;
    until(|| middlewares.load(Ordering::SeqCst) == 1).await;
    held.hold();
    let mut client = other.claims(&pid, &offset).await;
    assert_eq!(client.recoverable().await.1, pid);
    other_held.hold();
    held.release();
    let mut client = node.claims(&pid, &offset).await;
    assert_eq!(client.recoverable().await.1, pid);
    node.socket().await;
    waiting.closed().await;
    node.server.io.emit("all", &1).unwrap();
    assert_eq!(client.recorded().await.0, json!(["all", 1]));
    assert_eq!(node.server.io.of("/").sockets_count(), 1);
    node.lose(client).await;
}
