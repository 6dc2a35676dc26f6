//! Reconnection: its attempts, their number, and the order of the events that report them.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use socketio_client::{DisconnectDescription, Manager, ManagerEvent, Reconnection};
use socketio_server::{Server, ServerConfig};

use crate::support::{Network, URL, connection_events, log, manager_events, settle, within};

fn limited(network: &Network, attempts: u32) -> Manager {
    let reconnection = Reconnection::default().attempts(attempts).randomization_factor(0.0);
    Manager::with_config(URL, network.config().reconnection(reconnection)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn attempts_end_with_reconnect_failed_before_the_last_error() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let manager = limited(&network, 2);
    let mut log = manager_events(&manager);
    let socket = manager.socket("/");
    socket.open();
    let error = "error: websocket error";
    let again = "reconnect_error: websocket error";
    let expected = [error, "ReconnectAttempt(1)", error, again, "ReconnectAttempt(2)", error];
    assert_eq!(log.take(6).await, expected);
    assert_eq!(log.take(2).await, ["ReconnectFailed", again]);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((network.dialed(), log.rest().len()), (3, 0));
    assert!(socket.is_active());

    // Stays disconnected until it is opened.
    network.replace(Some(&io));
    within(socket.connect()).await.unwrap();
    assert_eq!(log.next().await, "Open");
}

#[tokio::test(start_paused = true)]
async fn delays_double() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let manager = limited(&network, 4);
    let (sender, mut at) = log();
    let start = tokio::time::Instant::now();
    manager.on(move |event| {
        if let ManagerEvent::ReconnectAttempt(_) = event {
            let _ = sender.send(start.elapsed().as_secs());
        }
    });
    manager.open();
    assert_eq!(at.take(4).await, [1, 3, 7, 12]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_after_reconnection_was_disabled_reports_no_reconnection() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    // Disabled while the client waits for the next attempt, and while an attempt fails.
    for wait in [true, false] {
        let manager = limited(&network, 5);
        let socket = manager.socket("/");
        socket.open();
        settle().await;
        let disabling = manager.clone();
        let listener = manager.on(move |event| {
            if !wait && matches!(event, ManagerEvent::ReconnectAttempt(_)) {
                disabling.set_reconnection(Reconnection::off());
            }
        });
        let listener = listener.listener();
        if wait {
            manager.set_reconnection(Reconnection::off());
        }
        within(manager.closed()).await;
        assert!(listener.remove());
        let mut log = manager_events(&manager);
        network.replace(Some(&io));
        within(socket.connect()).await.unwrap();
        settle().await;
        assert_eq!(log.rest(), ["Open"]);
        network.down();
        within(manager.closed()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_during_a_failing_attempt_is_not_lost() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let config = network.config().reconnection(Reconnection::off());
    let manager = Manager::with_config(URL, config).unwrap();
    let socket = manager.socket("/");
    // Another thread may call this at any time.
    let (asking, server) = (socket.clone(), io.clone());
    manager.on(move |event| {
        if let ManagerEvent::Error(_) = event {
            network.replace(Some(&server));
            asking.open();
        }
    });
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap_err();
    assert_eq!(life.take(2).await, ["connect_error: websocket error", "connect"]);
    manager.off();
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_has_failed() {
    let io = Server::new();
    let network = Network::new(&io);
    for early in [true, false] {
        let (dialling, count) = (network.clone(), AtomicU32::new(0));
        let config = network.config().engine(|engine| {
            engine.connector(move |_: String, _: u16| {
                let first = count.fetch_add(1, Ordering::Relaxed) == 0;
                assert!(!(early && first), "at once");
                let dialling = dialling.clone();
                async move {
                    assert!(!first, "later");
                    dialling.dial()
                }
            })
        });
        let socket = Manager::with_config(URL, config).unwrap().socket("/");
        let mut life = connection_events(&socket);
        socket.open();
        assert_eq!(life.take(2).await, ["connect_error: websocket error", "connect"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_first_connection_is_tried_again() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let manager = network.manager();
    let mut log = manager_events(&manager);
    let socket = manager.socket("/");
    let mut life = connection_events(&socket);
    socket.open();
    assert_eq!(life.next().await, "connect_error: websocket error");
    network.replace(Some(&io));
    assert_eq!(life.next().await, "connect");
    let rest = log.rest();
    assert_eq!(rest, ["error: websocket error", "ReconnectAttempt(1)", "Open", "Reconnect(1)"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_cut_comes_back_with_another_id() {
    let io = Server::new();
    let network = Network::new(&io);
    let manager = network.manager();
    let mut log = manager_events(&manager);
    let socket = manager.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    let id = socket.id();
    network.cut();
    let expected = ["connect", "disconnect: transport close", "connect"];
    assert_eq!(life.take(3).await, expected);
    assert_ne!(socket.id(), id);
    let expected =
        ["Open", "close: transport close", "ReconnectAttempt(1)", "Open", "Reconnect(1)"];
    assert_eq!(log.rest(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_noticed_by_its_pings() {
    let io = Server::new();
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(socket.is_connected(), "pings are answered");
    network.freeze(true);
    let before = tokio::time::Instant::now();
    assert_eq!(life.take(2).await, ["connect", "disconnect: ping timeout"]);
    assert!(before.elapsed() <= Duration::from_secs(45));
    network.freeze(false);
    assert_eq!(life.next().await, "connect");
}

#[tokio::test(start_paused = true)]
async fn the_client_reconnects_after_the_server_closes() {
    let io = Server::new();
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    let other = Server::with_config(ServerConfig::default());
    network.replace(Some(&other));
    io.close();
    let log = life.take(3).await;
    assert!(log[1].starts_with("disconnect: "), "{log:?}");
    assert_eq!(log[2], "connect");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_the_protocol_is_left() {
    let io = Server::new();
    let network = Network::new(&io);
    let limits = socketio_client::Limits::default().max_event_name(4);
    let manager = Manager::with_config(URL, network.config().limits(limits)).unwrap();
    let socket = manager.socket("/");
    let mut life = connection_events(&socket);
    let (sender, mut descriptions) = log();
    socket.on_disconnect(move |DisconnectDescription(text): DisconnectDescription| {
        let _ = sender.send(text);
        async {}
    });
    within(socket.connect()).await.unwrap();
    io.emit("a long name", &()).unwrap();
    assert_eq!(descriptions.next().await, "event name longer than 4 bytes");
    assert_eq!(life.take(3).await, ["connect", "disconnect: parse error", "connect"]);
}

#[tokio::test(start_paused = true)]
async fn the_policy_changes_at_run_time() {
    let io = Server::new();
    let network = Network::new(&io);
    let manager = network.manager();
    let socket = manager.socket("/");
    within(socket.connect()).await.unwrap();
    manager.set_reconnection(Reconnection::off());
    network.cut();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!socket.is_connected() && network.dialed() == 1);
    manager.set_reconnection(Reconnection::default());
    within(socket.connect()).await.unwrap();
    network.cut();
    settle().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(socket.is_connected());
    manager.set_connect_timeout(Duration::from_secs(3));
    network.freeze(true);
    socket.disconnect();
    within(manager.closed()).await;
    let before = tokio::time::Instant::now();
    let error = within(socket.connect()).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), before.elapsed().as_secs()), ("timeout", 3));
}

#[tokio::test(start_paused = true)]
async fn pings_upgrades_and_the_session_are_reported() {
    let config =
        ServerConfig::default().engine(|engine| engine.ping_interval(Duration::from_secs(5)));
    let io = Server::with_config(config);
    let network = Network::new(&io);
    let manager = Manager::with_config(URL, network.polling()).unwrap();
    let (sender, mut seen) = log();
    manager.on(move |event| _ = sender.send(event.name()));
    let socket = manager.socket("/");
    within(socket.connect()).await.unwrap();
    let id = manager.engine_id().unwrap();
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(seen.rest(), ["open", "upgrade", "ping", "ping"]);
    assert_eq!(manager.engine_id().unwrap(), id);
    network.down();
    assert_eq!(seen.take(2).await, ["close", "reconnecting"]);
    assert!(manager.engine_id().is_none() && manager.transport().is_none());
}
