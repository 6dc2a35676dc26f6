//! Acks in both directions, and each way in which they fail.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socketio_client::{Ack, AckError, Binary, Data, EmitError, Event, HandlerError, Json};
use socketio_server::{Args, Server, Socket as Peer};

use crate::support::{Network, connection_events, log, peer, received, settle, within};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Upload {
    name: String,
    parts: Vec<Binary>,
}

const ADD: Event<(u32, u32), u32> = Event::new("add");

#[tokio::test(start_paused = true)]
async fn the_server_acks_an_event() {
    let io = Server::new();
    io.on("echo", |args: Args| async move { args });
    io.handle(
        socketio_server::Event::<(u32, u32), u32>::new("add"),
        |_, (a, b)| async move { a + b },
    );
    let socket = Network::new(&io).socket("/");
    within(socket.connect()).await.unwrap();
    let (text, number): (String, u8) = socket.emit_with_ack("echo", &("a", 1)).await.unwrap();
    assert_eq!((text.as_str(), number), ("a", 1));
    let upload = Upload { name: "x".into(), parts: vec![b"12".to_vec().into(), vec![].into()] };
    assert_eq!(socket.emit_with_ack::<Upload>("echo", &upload).await.unwrap(), upload);
    assert_eq!(socket.emit_event_with_ack(ADD, &(1, 2)).await.unwrap(), 3);
    let error = socket.emit_with_ack::<u32>("echo", "text").await.unwrap_err();
    assert!(matches!(error, AckError::Decode(_)));
}

#[tokio::test(start_paused = true)]
async fn the_client_acks_an_event_once() {
    let io = Server::new();
    let (sender, mut peers) = log();
    io.on_connection(move |peer: Peer| {
        let _ = sender.send(peer);
        async {}
    });
    let socket = Network::new(&io).socket("/");
    socket.on("returned", |Data(n): Data<u32>| async move { n + 1 });
    socket.on("json", |Data(upload): Data<Upload>| async move { Json(upload) });
    socket.on("by hand", |ack: Ack| async move {
        ack.send(&(1, 2))?;
        ack.send("ignored")?;
        Ok(())
    });
    socket.on("fails", || async { Err::<u32, _>(HandlerError::public("no")) });
    socket
        .on("private", || async { Err::<u32, HandlerError>(std::io::Error::other("db-3").into()) });
    socket.on("panics", || async {
        if true {
            panic!("!")
        }
        1
    });
    socket.handle(ADD, |_, (a, b)| async move { a + b });
    within(socket.connect()).await.unwrap();
    let peer = peers.next().await;
    assert_eq!(peer.emit_with_ack::<u32>("returned", &1).await.unwrap(), 2);
    assert_eq!(peer.emit_with_ack::<u32>("add", &(1, 2)).await.unwrap(), 3);
    assert_eq!(peer.emit_with_ack::<(u32, u32)>("by hand", &()).await.unwrap(), (1, 2));
    let upload = Upload { name: "x".into(), parts: vec![b"12".to_vec().into()] };
    assert_eq!(peer.emit_with_ack::<Upload>("json", &upload).await.unwrap(), upload);
    let error = |event| {
        let peer = peer.clone();
        async move {
            peer.emit_with_ack::<serde_json::Value>(event, &()).await.unwrap()["error"].clone()
        }
    };
    assert_eq!(error("fails").await, "no");
    assert_eq!(error("private").await, "internal error");
    assert_eq!(error("panics").await, "internal error");
    assert!(error("returned").await.is_string(), "an argument is missing");
    assert!(socket.is_connected());
}

#[tokio::test(start_paused = true)]
async fn an_ack_times_out() {
    let io = Server::new();
    io.on("silence", || async {});
    let socket = Network::new(&io).socket("/");
    within(socket.connect()).await.unwrap();
    let before = tokio::time::Instant::now();
    let ask = socket.timeout(Duration::from_secs(3)).emit_with_ack::<()>("silence", &());
    assert!(matches!(within(ask).await, Err(AckError::Timeout)));
    assert_eq!(before.elapsed().as_secs(), 3);
    let ask = socket.emit_with_ack::<()>("silence", &());
    assert!(matches!(within(ask).await, Err(AckError::Timeout)));
    assert_eq!(before.elapsed().as_secs(), 33);
}

#[tokio::test(start_paused = true)]
async fn a_disconnection_fails_the_acks_of_sent_events_at_once() {
    let io = Server::new();
    io.on("silence", || async {});
    let network = Network::new(&io);
    let socket = network.socket("/");
    within(socket.connect()).await.unwrap();
    let before = tokio::time::Instant::now();
    let asking = socket.clone();
    let asked = tokio::spawn(async move { asking.emit_with_ack::<()>("silence", &()).await });
    settle().await;
    network.cut();
    assert!(matches!(within(asked).await.unwrap(), Err(AckError::Disconnected)));
    let asking = socket.clone();
    within(socket.connect()).await.unwrap();
    let asked = tokio::spawn(async move { asking.emit_with_ack::<()>("silence", &()).await });
    settle().await;
    socket.disconnect();
    assert!(matches!(within(asked).await.unwrap(), Err(AckError::Disconnected)));
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_timed_out_event_is_not_sent() {
    let io = Server::new();
    let mut seen = received(&io, |args| args.event().to_owned());
    let network = Network::new(&io);
    let socket = network.socket("/");
    let late = socket.timeout(Duration::from_secs(1)).emit_with_ack::<()>("late", &());
    assert!(matches!(within(late).await, Err(AckError::Timeout)));
    {
        let given_up = socket.emit_with_ack::<()>("given up", &());
        assert!(tokio::time::timeout(Duration::from_secs(1), given_up).await.is_err());
    }
    socket.emit("in time", &()).unwrap();
    within(socket.connect()).await.unwrap();
    assert_eq!(seen.next().await, "in time");
    settle().await;
    assert!(seen.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_ack_that_waits_outlives_a_failed_attempt() {
    let io = Server::new();
    io.on("echo", |args: Args| async move { args });
    let network = Network::new(&io);
    network.down();
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    socket.open();
    let asking = socket.clone();
    let asked = tokio::spawn(async move { asking.emit_with_ack::<u32>("echo", &7).await });
    assert_eq!(life.next().await, "connect_error: websocket error");
    network.replace(Some(&io));
    assert_eq!(within(asked).await.unwrap().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn events_beyond_the_limit_of_pending_acks_wait_for_room_in_order() {
    let io = Server::new();
    let mut received = received(&io, |args| args.decode::<u32>().unwrap());
    let network = Network::new(&io);
    let limits = socketio_client::Limits::default().max_pending_acks(2);
    let config = network.config().limits(limits).socket(|socket| socket.max_queued_packets(3));
    let manager = socketio_client::Manager::with_config(crate::support::URL, config).unwrap();
    let socket = manager.socket("/");
    within(socket.connect()).await.unwrap();
    let ask = |n: u32, seconds| {
        let socket = socket.clone();
        tokio::spawn(async move {
            let socket = socket.timeout(Duration::from_secs(seconds));
            socket.emit_with_ack::<()>("silence", &n).await
        })
    };
    let (one, _two, three) = (ask(1, 10), ask(2, 20), ask(3, 30));
    settle().await;
    socket.emit("no ack", &4).unwrap();
    socket.emit("no ack", &5).unwrap();
    assert!(matches!(socket.emit("no ack", &6), Err(EmitError::Full)));
    assert_eq!(received.take(2).await, [1, 2]);
    assert!(received.rest().is_empty());
    assert!(matches!(within(one).await.unwrap(), Err(AckError::Timeout)));
    assert_eq!(received.take(3).await, [3, 4, 5]);
    // A timed-out event is not sent.
    let late = ask(7, 1);
    assert!(matches!(within(late).await.unwrap(), Err(AckError::Timeout)));
    assert!(!three.is_finished());
    settle().await;
    assert!(received.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn thousands_of_acks_can_be_awaited_at_once() {
    for polling in [false, true] {
        for offline in [false, true] {
            let io = Server::new();
            io.on("echo", |args: Args| async move { args });
            let network = Network::new(&io);
            let config = if polling { network.polling() } else { network.config() };
            let manager = socketio_client::Manager::with_config(crate::support::URL, config);
            let socket = manager.unwrap().socket("/");
            if !offline {
                within(socket.connect()).await.unwrap();
            }
            let ask = |n: u32| {
                let socket = socket.clone();
                tokio::spawn(async move { socket.emit_with_ack::<u32>("echo", &n).await })
            };
            let asked: Vec<_> = (0..3000).map(ask).collect();
            settle().await;
            within(socket.connect()).await.unwrap();
            for (n, ack) in asked.into_iter().enumerate() {
                assert_eq!(within(ack).await.unwrap().unwrap() as usize, n);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ack_belongs_to_its_connection() {
    let io = Server::new();
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    let (sender, mut seen) = log();
    socket.on("ask", move |ack: Ack| {
        let _ = sender.send(ack);
        async {}
    });
    within(socket.connect()).await.unwrap();
    let peer = peer(&io, &socket);
    let asked = tokio::spawn(async move { peer.emit_with_ack::<u32>("ask", &()).await });
    let ack = seen.next().await;
    network.cut();
    life.take(3).await;
    assert!(within(asked).await.unwrap().is_err());
    assert!(matches!(ack.send(&1), Err(socketio_client::EmitError::Disconnected)));
}
