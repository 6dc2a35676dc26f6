//! Events emitted without a connection wait in order and arrive once. Their number is limited.

use std::time::Duration;

use socketio_client::{EmitError, Manager, SocketConfig};
use socketio_server::Server;

use crate::support::{self, Log, Network, URL, connection_events, settle, within};

/// Records every event that the server receives.
fn received(io: &Server) -> Log<String> {
    support::received(io, |args| format!("{} {}", args.event(), args.raw()))
}

#[tokio::test(start_paused = true)]
async fn events_are_sent_before_the_handlers_of_connect_run() {
    let io = Server::new();
    let mut received = received(&io);
    let socket = Network::new(&io).socket("/");
    socket.on("connect", |socket: socketio_client::Socket| async move {
        socket.emit("connected", &())?;
        Ok(())
    });
    for n in 0..3 {
        socket.emit("early", &n).unwrap();
    }
    within(socket.connect()).await.unwrap();
    assert_eq!(received.take(4).await, ["early 0", "early 1", "early 2", "connected "]);
}

#[tokio::test(start_paused = true)]
async fn events_of_an_outage_arrive_once_and_in_order() {
    let io = Server::new();
    let mut received = received(&io);
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    socket.emit("before", &()).unwrap();
    assert_eq!(received.next().await, "before ");
    network.down();
    assert_eq!(life.take(2).await, ["connect", "disconnect: transport close"]);
    for n in 0..100 {
        socket.emit("n", &n).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let restarted = Server::new();
    let mut received = self::received(&restarted);
    network.replace(Some(&restarted));
    let expected: Vec<_> = (0..100).map(|n| format!("n {n}")).collect();
    assert_eq!(received.take(100).await, expected);
    settle().await;
    assert!(received.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_packets_and_bytes() {
    let io = Server::new();
    let mut received = received(&io);
    let manager = Network::new(&io).manager();
    let config = SocketConfig::default().max_queued_packets(2).max_queued_bytes(100);
    let socket = manager.socket_with("/", config);
    socket.emit("a", &()).unwrap();
    socket.emit("b", &()).unwrap();
    assert!(matches!(socket.emit("c", &()), Err(EmitError::Full)));
    let waiting = socket.clone();
    let ready = tokio::spawn(async move { waiting.ready().await });
    settle().await;
    assert!(!ready.is_finished());
    within(socket.connect()).await.unwrap();
    within(ready).await.unwrap();
    assert_eq!(received.take(2).await, ["a ", "b "]);
    socket.disconnect();
    socket.emit("d", &"x".repeat(60)).unwrap();
    assert!(matches!(socket.emit("e", &"x".repeat(60)), Err(EmitError::Full)));
    settle().await;
    assert!(received.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn events_before_a_disconnection_are_sent_and_later_ones_wait() {
    let io = Server::new();
    let mut received = received(&io);
    let socket = Network::new(&io).socket("/");
    within(socket.connect()).await.unwrap();
    socket.emit("before", &()).unwrap();
    socket.disconnect();
    socket.emit("after", &()).unwrap();
    assert_eq!(received.next().await, "before ");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(received.rest().is_empty());
    within(socket.connect()).await.unwrap();
    assert_eq!(received.next().await, "after ");
}

/// The ways in which the user ends a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Disconnect,
    Close,
    Both,
    BothReversed,
    Drop,
}

#[tokio::test(start_paused = true)]
async fn events_beyond_the_sessions_queue_are_sent_before_every_end_and_none_after() {
    for polling in [false, true] {
        for end in [End::Disconnect, End::Close, End::Both, End::BothReversed, End::Drop] {
            let io = Server::new();
            let mut received = received(&io);
            let network = Network::new(&io);
            let config = if polling { network.polling() } else { network.config() };
            let config = config.engine(|engine| engine.max_queued_packets(4));
            let socket = Manager::with_config(URL, config).unwrap().socket("/");
            within(socket.connect()).await.unwrap();
            for n in 0..500 {
                socket.emit("n", &n).unwrap();
            }
            match end {
                End::Disconnect => socket.disconnect(),
                End::Close => socket.manager().close(),
                End::Both => {
                    socket.disconnect();
                    socket.manager().close();
                }
                End::BothReversed => {
                    socket.manager().close();
                    socket.disconnect();
                }
                End::Drop => {}
            }
            let kept = (end != End::Drop).then_some(socket);
            if let Some(socket) = &kept {
                socket.emit("after", &()).unwrap();
                within(socket.manager().closed()).await;
            }
            let expected: Vec<_> = (0..500).map(|n| format!("n {n}")).collect();
            assert_eq!(received.take(500).await, expected, "{end:?}");
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(received.rest().is_empty(), "{end:?}");
            if let Some(socket) = kept {
                within(socket.connect()).await.unwrap();
                assert_eq!(received.next().await, "after ", "{end:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_while_there_is_no_connection_ends_at_once_and_events_wait() {
    let io = Server::new();
    let mut received = received(&io);
    let network = Network::new(&io);
    network.down();
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    socket.open();
    assert_eq!(life.next().await, "connect_error: websocket error");
    socket.emit("offline", &()).unwrap();
    let before = tokio::time::Instant::now();
    socket.manager().close();
    within(socket.manager().closed()).await;
    assert!(before.elapsed() < Duration::from_secs(1));
    network.replace(Some(&io));
    within(socket.connect()).await.unwrap();
    assert_eq!(received.next().await, "offline ");
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_response_lasts_until_the_timeout() {
    for polling in [false, true] {
        let io = Server::new();
        let network = Network::new(&io);
        let config = if polling { network.polling() } else { network.config() };
        let config = config.close_timeout(Duration::from_secs(5));
        let socket = Manager::with_config(URL, config).unwrap().socket("/");
        within(socket.connect()).await.unwrap();
        settle().await;
        network.freeze(true);
        socket.emit("n", &1).unwrap();
        let before = tokio::time::Instant::now();
        socket.disconnect();
        within(socket.manager().closed()).await;
        let took = before.elapsed();
        assert!((4..6).contains(&took.as_secs()), "{polling}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reserved_names_are_refused() {
    let io = Server::new();
    let socket = Network::new(&io).socket("/");
    assert!(matches!(socket.emit("disconnect", &()), Err(EmitError::Encode(_))));
}

#[tokio::test(start_paused = true)]
async fn events_beyond_the_sessions_queue_are_sent_bit_by_bit() {
    let io = Server::new();
    let mut received = received(&io);
    let network = Network::new(&io);
    let config = network.config().engine(|engine| engine.max_queued_packets(4));
    let manager = socketio_client::Manager::with_config(crate::support::URL, config).unwrap();
    let socket = manager.socket("/");
    for n in 0..500 {
        socket.emit("n", &n).unwrap();
    }
    within(socket.connect()).await.unwrap();
    let expected: Vec<_> = (0..500).map(|n| format!("n {n}")).collect();
    assert_eq!(received.take(500).await, expected);
}
