//! Connection state recovery: missed events come first, and the session stays the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use socketio_client::{Binary, Data, EventName, Manager, Reconnection};
use socketio_server::{Recovery, Server, ServerConfig, Socket as Peer};

use crate::support::{Network, URL, log, settle, within};

fn recovering() -> Server {
    let recovery = Recovery::default();
    Server::with_config(ServerConfig::default().connection_state_recovery(recovery))
}

#[tokio::test(start_paused = true)]
async fn missed_events_come_before_connect() {
    let io = recovering();
    io.on_connection(|peer: Peer| async move { Ok(peer.join("news")?) });
    let network = Network::new(&io);
    let socket = network.socket("/");
    let (sender, mut seen) = log();
    let events = sender.clone();
    socket.on_any(move |EventName(event): EventName, Data(text): Data<String>| {
        let _ = events.send(format!("{event} {text}"));
        async {}
    });
    socket.on("connect", move |socket: socketio_client::Socket| {
        let _ = sender.send(format!("connect {}", socket.is_recovered()));
        async {}
    });
    within(socket.connect()).await.unwrap();
    let id = socket.id();
    settle().await;
    io.to("news").emit("news", "first").unwrap();
    assert_eq!(seen.take(2).await, ["connect false", "news first"]);
    network.down();
    settle().await;
    io.to("news").emit("news", "missed").unwrap();
    io.to("news").emit("news", "too").unwrap();
    network.replace(Some(&io));
    assert_eq!(seen.take(3).await, ["news missed", "news too", "connect true"]);
    assert_eq!(socket.id(), id);
    settle().await;
    io.to("news").emit("news", "after").unwrap();
    assert_eq!(seen.next().await, "news after");
    assert!(seen.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_session_gives_a_new_one() {
    let network = Network::new(&recovering());
    let socket = network.socket("/");
    within(socket.connect()).await.unwrap();
    let id = socket.id();
    let other = recovering();
    network.replace(Some(&other));
    network.cut();
    settle().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(socket.is_connected() && !socket.is_recovered());
    assert_ne!(socket.id(), id);
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_that_drops_missed_events_ends_the_session() {
    let (sender, mut connects) = log();
    let network = Network::raw(move |message| {
        let Some(connect) = message.filter(|message| message.starts_with('0')) else {
            return Vec::new();
        };
        let _ = sender.send(connect.to_owned());
        if connect.contains("pid") {
            // The missed event, and no response to CONNECT yet.
            return vec![r#"2["n",2,"second"]"#.into()];
        }
        vec![r#"0{"sid":"a","pid":"b"}"#.into(), r#"2["n",1,"first"]"#.into()]
    });
    let socket = network.socket("/");
    within(socket.connect()).await.unwrap();
    assert_eq!(connects.next().await, "0");
    settle().await;
    network.cut();
    assert_eq!(connects.next().await, r#"0{"pid":"b","offset":"first"}"#);
    settle().await;
    socket.disconnect();
    socket.open();
    // A recovered session would not contain the event again.
    assert_eq!(connects.next().await, "0");
}

/// The connection stays open for another namespace.
#[tokio::test(start_paused = true)]
async fn a_disconnect_that_was_sent_ends_the_session() {
    let (sender, mut packets) = log();
    let network = Network::raw(move |message| {
        let Some(message) = message else { return Vec::new() };
        let _ = sender.send(message.to_owned());
        match message.split_once(',') {
            Some(("0/chat", _)) => vec![r#"0/chat,{"sid":"a","pid":"b"}"#.into()],
            None if message == "0" => vec![r#"0{"sid":"c"}"#.into()],
            _ => Vec::new(),
        }
    });
    let manager = network.manager();
    let (main, socket) = (manager.socket("/"), manager.socket("/chat"));
    within(main.connect()).await.unwrap();
    within(socket.connect()).await.unwrap();
    socket.disconnect();
    within(socket.connect()).await.unwrap();
    assert_eq!(packets.take(4).await, ["0", "0/chat,", "1/chat,", "0/chat,"]);
    assert!(!socket.is_recovered());
}

#[tokio::test(start_paused = true)]
async fn events_of_a_connect_that_timed_out_belong_to_no_later_session() {
    for arrives_early in [true, false] {
        let (sender, mut connects) = log();
        let asked = Arc::new(AtomicUsize::new(0));
        let network = Network::raw(move |message| {
            let Some(connect) = message.filter(|message| message.starts_with('0')) else {
                return Vec::new();
            };
            let _ = sender.send(connect.to_owned());
            let missed = |n: u8| format!(r#"2["n",{n},"{n}"]"#);
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => vec![r#"0{"sid":"a","pid":"b"}"#.into(), missed(1)],
                // The response to CONNECT comes too late.
                1 if arrives_early => vec![missed(2)],
                1 => Vec::new(),
                // Another missed event was on its way when the client asked again.
                _ => vec![missed(3), r#"0{"sid":"c","pid":"d"}"#.into(), missed(4)],
            }
        });
        let socket = network.socket("/");
        let (events, mut seen) = log();
        socket.on("n", move |Data((n, _)): Data<(u32, String)>| {
            let _ = events.send(n);
            async {}
        });
        within(socket.connect()).await.unwrap();
        assert_eq!(connects.next().await, "0");
        assert_eq!(seen.next().await, 1);
        network.cut();
        assert_eq!(connects.next().await, r#"0{"pid":"b","offset":"1"}"#);
        assert_eq!(connects.next().await, "0");
        assert_eq!(seen.next().await, 4, "{arrives_early}");
        assert!(seen.rest().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_response_recovers_no_session_without_its_missed_events() {
    let asked = Arc::new(AtomicUsize::new(0));
    let network = Network::raw(move |message| {
        if !message.is_some_and(|message| message.starts_with('0')) {
            return Vec::new();
        }
        let granted = || r#"0{"sid":"a","pid":"b"}"#.to_owned();
        let event = |n: u8| format!(r#"2["n",{n},"{n}"]"#);
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => vec![granted(), event(1)],
            1 => Vec::new(),
            // The response to the CONNECT that timed out arrives after the next one was sent.
            _ => vec![event(2), granted(), event(3)],
        }
    });
    let socket = network.socket("/");
    let (sender, mut seen) = log();
    socket.on("n", move |socket: socketio_client::Socket, Data((n, _)): Data<(u32, String)>| {
        let _ = sender.send((n, socket.is_recovered()));
        async {}
    });
    within(socket.connect()).await.unwrap();
    assert_eq!(seen.next().await, (1, false));
    network.cut();
    assert_eq!(seen.next().await, (3, false));
}

#[tokio::test(start_paused = true)]
async fn each_response_to_a_connect_that_was_sent_twice_starts_a_new_session() {
    let (sender, mut connects) = log();
    let asked = Arc::new(AtomicUsize::new(0));
    let network = Network::raw(move |message| {
        let Some(connect) = message.filter(|message| message.starts_with('0')) else {
            return Vec::new();
        };
        let _ = sender.send(connect.to_owned());
        let granted = |sid: &str, pid: &str| format!(r#"0{{"sid":"{sid}","pid":"{pid}"}}"#);
        let event = |n: u8| format!(r#"2["n",{n},"{n}"]"#);
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => vec![granted("a", "b"), event(1)],
            // The response takes too long.
            1 => Vec::new(),
            // The server recovers the session, ends it because of the client's DISCONNECT, and
            // responds to the next CONNECT.
            _ => vec![granted("a", "b"), event(2), granted("c", "d"), event(4)],
        }
    });
    let socket = network.socket("/");
    let (sender, mut seen) = log();
    let events = sender.clone();
    socket.on("n", move |Data((n, _)): Data<(u32, String)>| {
        let _ = events.send(format!("event {n}"));
        async {}
    });
    socket.on("connect", move |socket: socketio_client::Socket| {
        let _ = sender.send(format!("connect {}", socket.is_recovered()));
        async {}
    });
    within(socket.connect()).await.unwrap();
    assert_eq!(seen.take(2).await, ["connect false", "event 1"]);
    network.cut();
    let expected = ["connect false", "event 2", "connect false", "event 4"];
    assert_eq!(seen.take(4).await, expected);
    assert_eq!(socket.id().as_deref(), Some("c"));
    assert_eq!(connects.take(3).await, ["0", r#"0{"pid":"b","offset":"1"}"#, "0"]);
}

#[tokio::test(start_paused = true)]
async fn missed_events_may_exceed_the_inbox() {
    let io = recovering();
    let network = Network::new(&io);
    let config = network.config().max_inbox_bytes(2_000);
    let manager = Manager::with_config(URL, config).unwrap();
    let socket = manager.socket("/");
    let (sender, mut seen) = log();
    socket.on("n", move |Data((n, _)): Data<(u32, String)>| {
        let _ = sender.send(n);
        async {}
    });
    within(socket.connect()).await.unwrap();
    settle().await;
    io.emit("n", &(0, "")).unwrap();
    assert_eq!(seen.next().await, 0);
    network.down();
    settle().await;
    for n in 1..20 {
        io.emit("n", &(n, "x".repeat(1000))).unwrap();
    }
    network.replace(Some(&io));
    assert_eq!(seen.take(19).await, (1..20).collect::<Vec<_>>());
    settle().await;
    assert!(socket.is_recovered() && socket.is_connected());
}

/// The server emits while lines are cut, also in the middle of a packet.
async fn survive(steps: Vec<(u8, u64)>, polling: bool) {
    let io = recovering();
    let network = Network::new(&io);
    let config = if polling { network.polling() } else { network.config() };
    let soon = Duration::from_millis(50);
    let config = config.reconnection(Reconnection::default().delay(soon).delay_max(soon));
    let socket = Manager::with_config(URL, config).unwrap().socket("/");
    let (sender, mut seen) = log();
    socket.on("n", move |Data((n, _)): Data<(u32, String)>| {
        let _ = sender.send(n);
        async {}
    });
    let (sender, mut lives) = log();
    socket.on("connect", move |socket: socketio_client::Socket| {
        let _ = sender.send(socket.is_recovered());
        async {}
    });
    within(socket.connect()).await.unwrap();
    assert!(!lives.next().await);
    let first = Binary(vec![1; 10].into());
    // Only events after another event have an offset to recover from.
    let mut sent = 1;
    io.emit("n", &(sent, "", first)).unwrap();
    assert_eq!(seen.next().await, sent);
    for (step, millis) in steps {
        match step {
            0..5 => {
                sent += 1;
                let size = if step == 0 { 50_000 } else { 10 };
                io.emit("n", &(sent, "x".repeat(size), Binary(vec![1; size].into()))).unwrap();
            }
            5 | 6 => network.cut(),
            _ => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    sent += 1;
    io.emit("n", &(sent, "")).unwrap();
    let mut numbers = Vec::new();
    while numbers.last() != Some(&sent) {
        numbers.push(seen.next().await);
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    // A server that has not noticed the loss of its polling client gives a new session.
    if lives.rest().into_iter().all(|recovered| recovered) {
        assert_eq!(numbers.len(), sent as usize - 1, "{numbers:?}");
    } else {
        assert!(polling);
    }
    settle().await;
    assert!(seen.rest().is_empty() && socket.is_connected());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_missed_event_arrives_exactly_once(
        steps in vec((0..10_u8, 0..300_u64), 0..40),
        polling in any::<bool>(),
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(survive(steps, polling));
    }
}

/// The connections stay open, so neither end notices the loss.
#[tokio::test(start_paused = true)]
async fn a_client_that_replaces_a_hundred_silent_connections_loses_nothing() {
    let io = recovering();
    let network = Network::new(&io);
    let config = network.config().reconnection(Reconnection::default().immediate(true));
    let manager = Manager::with_config(URL, config).unwrap();
    let socket = manager.socket("/");
    let (sender, mut seen) = log();
    let events = sender.clone();
    socket.on("n", move |Data(n): Data<u32>| {
        let _ = events.send(n.to_string());
        async {}
    });
    socket.on("connect", move |socket: socketio_client::Socket| {
        let _ = sender.send(format!("recovered {}", socket.is_recovered()));
        async {}
    });
    within(socket.connect()).await.unwrap();
    assert_eq!(seen.next().await, "recovered false");
    settle().await;
    io.emit("n", &0).unwrap();
    assert_eq!(seen.next().await, "0");
    for round in 1..=100 {
        network.freeze(true);
        settle().await;
        io.emit("n", &round).unwrap();
        settle().await;
        network.freeze(false);
        manager.network_changed();
        assert_eq!(seen.take(2).await, [round.to_string(), "recovered true".to_owned()]);
    }
    let recoveries = io.stats().recoveries;
    assert_eq!((recoveries.recovered, recoveries.taken_over), (100, 100));
    assert!(seen.rest().is_empty());
}

/// The attempt over the network before would fail only after `connect_timeout`.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_being_opened_is_opened_anew_after_a_change_of_networks() {
    let io = recovering();
    let network = Network::new(&io);
    let manager = Manager::with_config(URL, network.config()).unwrap();
    let socket = manager.socket("/");
    network.freeze(true);
    let began = tokio::time::Instant::now();
    let connecting = tokio::spawn(async move { within(socket.connect()).await });
    settle().await;
    network.freeze(false);
    manager.network_changed();
    connecting.await.unwrap().unwrap();
    assert_eq!(network.dialed(), 2);
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn events_emitted_without_a_connection_stay_in_order_around_recovered_ones() {
    let io = recovering();
    let (sender, mut received) = log();
    io.on("said", move |socketio_server::Data(text): socketio_server::Data<String>| {
        let _ = sender.send(text);
        async {}
    });
    let network = Network::new(&io);
    let socket = network.socket("/");
    socket.on("n", |socket: socketio_client::Socket, Data(n): Data<u32>| async move {
        let _ = socket.emit("said", &format!("about {n}"));
    });
    socket.on("connect", |socket: socketio_client::Socket| async move {
        let _ = socket.emit("said", &format!("connected {}", socket.is_recovered()));
    });
    within(socket.connect()).await.unwrap();
    settle().await;
    io.emit("n", &0).unwrap();
    assert_eq!(received.take(2).await, ["connected false", "about 0"]);
    socket.emit("said", &"before").unwrap();
    assert_eq!(received.next().await, "before");
    network.down();
    settle().await;
    io.emit("n", &1).unwrap();
    socket.emit("said", &"cut off 1").unwrap();
    socket.emit("said", &"cut off 2").unwrap();
    network.replace(Some(&io));
    let all = received.take(4).await;
    assert_eq!(all, ["cut off 1", "cut off 2", "about 1", "connected true"]);
    socket.emit("said", &"after").unwrap();
    assert_eq!(received.next().await, "after");
}
