//! No connection opens after an intended disconnection.

use std::time::Duration;

use socketio_server::{Server, Socket as Peer};

use crate::support::{Network, connection_events, log, manager_events, settle, within};

const LONG: Duration = Duration::from_secs(300);

#[tokio::test(start_paused = true)]
async fn nothing_opens_after_disconnect() {
    let io = Server::new();
    let (sender, mut reasons) = log();
    io.on_disconnect(move |reason: socketio_server::DisconnectReason| {
        let _ = sender.send(reason.to_string());
        async {}
    });
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    socket.disconnect();
    assert!(!socket.is_connected() && !socket.is_active() && socket.id().is_none());
    socket.disconnect();
    assert_eq!(life.take(2).await, ["connect", "disconnect: io client disconnect"]);
    assert_eq!(reasons.next().await, "client namespace disconnect");
    tokio::time::sleep(LONG).await;
    assert_eq!((network.dialed(), life.rest().len()), (1, 0));
    within(socket.connect()).await.unwrap();
    assert_eq!(network.dialed(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_opens_after_the_server_has_disconnected_the_socket() {
    let io = Server::new();
    io.on("leave", |peer: Peer| async move { peer.disconnect() });
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    socket.emit("leave", &()).unwrap();
    assert_eq!(life.take(2).await, ["connect", "disconnect: io server disconnect"]);
    assert!(!socket.is_active());
    tokio::time::sleep(LONG).await;
    assert_eq!(network.dialed(), 1);
    within(socket.connect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn disconnecting_ends_the_attempts_at_once() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let manager = network.manager();
    let socket = manager.socket("/");
    let mut life = connection_events(&socket);
    socket.open();
    life.take(3).await;
    let dialed = network.dialed();
    socket.disconnect();
    tokio::time::sleep(LONG).await;
    assert_eq!((network.dialed(), life.rest().len()), (dialed, 0));
}

#[tokio::test(start_paused = true)]
async fn disconnecting_while_the_server_decides_leaves_nothing_there() {
    let io = Server::new();
    io.use_(|_: Peer| async { tokio::time::sleep(Duration::from_secs(5)).await });
    let network = Network::new(&io);
    let socket = network.socket("/");
    let waiting = socket.clone();
    let connecting = tokio::spawn(async move { waiting.connect().await });
    settle().await;
    socket.disconnect();
    let error = within(connecting).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "io client disconnect");
    tokio::time::sleep(LONG).await;
    assert_eq!(io.of("/").sockets_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_the_manager_keeps_sockets_for_the_next_time() {
    let io = Server::new();
    let network = Network::new(&io);
    let manager = network.manager();
    let mut log = manager_events(&manager);
    let socket = manager.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    manager.close();
    assert_eq!(life.take(2).await, ["connect", "disconnect: forced close"]);
    tokio::time::sleep(LONG).await;
    assert_eq!(log.rest(), ["Open", "close: forced close"]);
    assert!(socket.is_active() && !manager.is_open());
    manager.open();
    assert_eq!(life.next().await, "connect");
}

#[tokio::test(start_paused = true)]
async fn a_connect_right_after_close_waits_for_the_next_connection() {
    let io = Server::new();
    let network = Network::new(&io);
    let manager = network.manager();
    let socket = manager.socket("/");
    within(socket.connect()).await.unwrap();
    let id = socket.id();
    manager.close();
    assert!(!socket.is_connected() && socket.is_active());
    within(socket.connect()).await.unwrap();
    settle().await;
    assert!(socket.is_connected() && socket.id() != id);
    assert_eq!(network.dialed(), 2);
}

#[tokio::test(start_paused = true)]
async fn disconnecting_and_connecting_at_once_is_both() {
    let io = Server::new();
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    socket.disconnect();
    within(socket.connect()).await.unwrap();
    settle().await;
    assert_eq!(life.rest(), ["connect", "disconnect: io client disconnect", "connect"]);
    assert_eq!(io.of("/").sockets_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn events_that_wait_are_not_handled_after_disconnect() {
    let io = Server::new();
    let manager = Network::new(&io).manager();
    let config = socketio_client::SocketConfig::default().max_in_flight(1);
    let socket = manager.socket_with("/", config);
    let (sender, mut seen) = log();
    socket.on("n", move |socketio_client::Data(n): socketio_client::Data<u32>| {
        let _ = sender.send(n);
        tokio::time::sleep(Duration::from_secs(5))
    });
    within(socket.connect()).await.unwrap();
    for n in 0..3 {
        io.emit("n", &n).unwrap();
    }
    settle().await;
    socket.disconnect();
    tokio::time::sleep(LONG).await;
    within(socket.connect()).await.unwrap();
    settle().await;
    assert_eq!(seen.rest(), [0]);
}

#[tokio::test(start_paused = true)]
async fn close_fails_waiting_connects_but_not_later_ones() {
    let io = Server::new();
    io.use_(|_: Peer| async { tokio::time::sleep(Duration::from_secs(5)).await });
    let network = Network::new(&io);
    let manager = network.manager();
    let socket = manager.socket("/");
    let waiting = socket.clone();
    let connecting = tokio::spawn(async move { waiting.connect().await });
    settle().await;
    manager.close();
    let again = within(socket.connect()).await;
    assert_eq!(within(connecting).await.unwrap().unwrap_err().to_string(), "forced close");
    again.unwrap();
    assert_eq!(io.of("/").sockets_count(), 1);
}
