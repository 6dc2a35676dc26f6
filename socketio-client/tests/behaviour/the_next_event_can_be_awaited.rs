//! `next` waits for one event. A disconnection ends the wait.

use std::time::Duration;

use socketio_client::{ConnectError, DisconnectReason, Manager, NextError, Reconnection, Socket};
use socketio_server::{HandlerError, Server};

use crate::support::{Network, URL, log, peer, settle, within};

async fn connected(io: &Server) -> (Network, Socket) {
    let network = Network::new(io);
    let socket = network.socket("/");
    within(socket.connect()).await.unwrap();
    (network, socket)
}

#[tokio::test(start_paused = true)]
async fn next_decodes_arguments_as_handlers_do() {
    let io = Server::new();
    let (_network, socket) = connected(&io).await;
    let one = socket.next::<String>("one");
    let two = socket.next::<(u32, Option<u32>)>("two");
    let none = socket.next::<()>("none");
    let wrong = socket.next::<u32>("one");
    io.emit("two", &(1, 2)).unwrap();
    io.emit("none", &()).unwrap();
    io.emit("one", "text").unwrap();
    assert_eq!(within(one).await.unwrap(), "text");
    assert_eq!(within(two).await.unwrap(), (1, Some(2)));
    within(none).await.unwrap();
    assert!(matches!(within(wrong).await, Err(NextError::Decode(_))));
    assert!(socket.event_names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn next_counts_from_the_call_and_holds_one_event() {
    let io = Server::new();
    let network = Network::new(&io);
    io.on_connection(|socket: socketio_server::Socket| async move {
        for n in 0..3 {
            socket.emit("n", &n)?;
        }
        Ok(())
    });
    let socket = network.socket("/");
    let (sender, mut seen) = log();
    socket.on("n", move |socketio_client::Data(n): socketio_client::Data<u32>| {
        let _ = sender.send(n);
        async {}
    });
    let first = socket.next::<u32>("n");
    within(socket.connect()).await.unwrap();
    settle().await;
    assert_eq!(within(first).await.unwrap(), 0);
    assert_eq!(seen.rest(), [0, 1, 2]);
    let later = socket.next::<u32>("n");
    peer(&io, &socket).emit("n", &4).unwrap();
    assert_eq!(within(later).await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_disconnection_ends_the_wait_also_if_the_client_reconnects() {
    let io = Server::new();
    let (network, socket) = connected(&io).await;
    let next = socket.next::<u32>("n");
    network.cut();
    assert!(matches!(within(next).await, Err(NextError::Disconnected(_))));
    within(socket.connected()).await.unwrap();

    let next = socket.next::<u32>("n");
    socket.disconnect();
    let reason = DisconnectReason::IoClientDisconnect;
    assert!(matches!(within(next).await, Err(NextError::Disconnected(found)) if found == reason));
}

#[tokio::test(start_paused = true)]
async fn an_event_before_the_disconnection_is_received() {
    let io = Server::new();
    let (_network, socket) = connected(&io).await;
    let peer = peer(&io, &socket);
    let next = socket.next::<u32>("n");
    peer.emit("n", &1).unwrap();
    peer.disconnect();
    assert_eq!(within(next).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn next_waits_for_the_connection_unless_the_client_gives_up() {
    let io = Server::new();
    io.of("/no").use_(|| async { Err::<(), _>(HandlerError::public("no")) });
    let network = Network::new(&io);
    network.down();
    let manager = network.manager();
    let (socket, refused) = (manager.socket("/"), manager.socket("/no"));
    let (next, never) = (socket.next::<u32>("n"), refused.next::<u32>("n"));
    socket.open();
    refused.open();
    tokio::time::sleep(Duration::from_secs(20)).await;
    network.replace(Some(&io));
    within(socket.connected()).await.unwrap();
    io.emit("n", &1).unwrap();
    assert_eq!(within(next).await.unwrap(), 1);
    let error = within(never).await.unwrap_err();
    assert!(matches!(error, NextError::Connect(ConnectError::Refused { .. })), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_ends_the_wait_of_next() {
    for reconnection in [Reconnection::default().attempts(2), Reconnection::off()] {
        let io = Server::new();
        let network = Network::new(&io);
        network.down();
        let config = network.config().reconnection(reconnection);
        let socket = Manager::with_config(URL, config).unwrap().socket("/");
        let waiting = socket.next::<u32>("n");
        // Without a request to connect, it waits for one.
        let waiting = tokio::spawn(waiting);
        settle().await;
        assert!(!waiting.is_finished());
        socket.open();
        let error = within(waiting).await.unwrap().unwrap_err();
        assert!(matches!(error, NextError::Connect(ConnectError::Transport(_))), "{error:?}");
        assert!(socket.is_active());

        let again = socket.next::<u32>("n");
        network.replace(Some(&io));
        within(socket.connect()).await.unwrap();
        io.emit("n", &1).unwrap();
        assert_eq!(within(again).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn next_ends_if_reconnection_is_disabled_before_the_next_attempt() {
    let network = Network::new(&Server::new());
    network.down();
    let socket = network.socket("/");
    let next = tokio::spawn(socket.next::<u32>("n"));
    socket.open();
    settle().await;
    assert!(!next.is_finished());
    socket.manager().set_reconnection(Reconnection::off());
    let error = within(next).await.unwrap().unwrap_err();
    assert!(matches!(error, NextError::Connect(ConnectError::Transport(_))), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn next_waits_on_if_a_handler_of_the_error_connects_again() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let config = network.config().reconnection(Reconnection::off());
    let socket = Manager::with_config(URL, config).unwrap().socket("/");
    let (up, server) = (network.clone(), io.clone());
    socket.on_connect_error(move |socket: Socket| {
        up.replace(Some(&server));
        socket.open();
        async {}
    });
    let next = socket.next::<u32>("n");
    socket.open();
    within(socket.connect()).await.unwrap_err();
    within(socket.connected()).await.unwrap();
    io.emit("n", &1).unwrap();
    assert_eq!(within(next).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn off_and_the_end_of_the_runtime_end_the_wait() {
    let io = Server::new();
    let (_network, socket) = connected(&io).await;
    let next = socket.next::<u32>("n");
    socket.off("n");
    assert!(matches!(within(next).await, Err(NextError::Removed)));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let network = Network::new(&io);
    let guard = runtime.enter();
    let socket = Manager::with_config(URL, network.config().reconnection(Reconnection::off()))
        .unwrap()
        .socket("/");
    drop(guard);
    let before = socket.next::<u32>("n");
    std::thread::spawn(move || drop(runtime)).join().unwrap();
    let after = socket.next::<u32>("n");
    for next in [before, after] {
        assert!(matches!(within(next).await, Err(NextError::Removed)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_leaves_no_listener() {
    let io = Server::new();
    let (_network, socket) = connected(&io).await;
    drop(socket.next::<u32>("n"));
    assert!(socket.event_names().is_empty());
}
