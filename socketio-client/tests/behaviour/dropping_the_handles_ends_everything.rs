//! No task, connection or attempt outlives the last handle.

use std::time::Duration;

use socketio_client::{Socket, connect_with};
use socketio_server::{Data, Server};

use crate::support::{Network, URL, connection_events, log, peer, settle, within};

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_connections_leave_no_task() {
    let io = Server::new();
    let network = Network::new(&io);
    let before = tasks();
    for n in 0..1000 {
        let config = if n % 10 == 0 { network.polling() } else { network.config() };
        let socket = within(connect_with(URL, config)).await.unwrap();
        socket.on("handler", || async {});
        if n % 3 == 0 {
            socket.disconnect();
        }
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    network.cut();
    settle().await;
    assert_eq!(tasks(), before);
    assert_eq!(io.of("/").sockets_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_dropped_while_connecting_stops_it() {
    let io = Server::new();
    let network = Network::new(&io);
    let before = tasks();
    network.freeze(true);
    let socket = network.socket("/");
    socket.open();
    settle().await;
    drop(socket);
    network.down();
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    socket.open();
    life.next().await;
    let dialed = network.dialed();
    drop(socket);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((network.dialed(), tasks()), (dialed, before));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_drops_the_last_handle_ends_the_task() {
    let io = Server::new();
    let before = tasks();
    for polling in [false, true] {
        let network = Network::new(&io);
        let config = if polling { network.polling() } else { network.config() };
        let socket = within(connect_with(URL, config)).await.unwrap();
        let peer = peer(&io, &socket);
        let last = std::sync::Mutex::new(None);
        let last = std::sync::Arc::new(last);
        let (given, here) = (last.clone(), tokio::time::Instant::now());
        socket.on("drop", move |socket: Socket| {
            drop((given.lock().unwrap().take(), socket));
            async {}
        });
        *last.lock().unwrap() = Some(socket);
        peer.emit("drop", &()).unwrap();
        drop(peer);
        while tasks() > before {
            settle().await;
        }
        // Not with the next ping.
        assert!(here.elapsed() < Duration::from_secs(20), "{polling}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handle_that_is_dropped_right_after_an_ack_ends_the_task() {
    let io = Server::new();
    io.on("echo", |args: socketio_server::Args| async move { args });
    let network = Network::new(&io);
    let before = tasks();
    for n in 0..50 {
        let socket = connect_with(URL, network.config()).await.unwrap();
        assert_eq!(socket.emit_with_ack::<u32>("echo", &n).await.unwrap(), n);
    }
    // Sooner than the next ping by far.
    let none = async {
        while tasks() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), none).await.expect("tasks are left");
}

#[tokio::test(start_paused = true)]
async fn events_emitted_before_the_drop_are_sent() {
    let io = Server::new();
    let (sender, mut seen) = log();
    io.on("last", move |Data(n): Data<u32>| {
        let _ = sender.send(n);
        async {}
    });
    let network = Network::new(&io);
    let socket = within(connect_with(URL, network.config())).await.unwrap();
    for n in 0..10 {
        socket.emit("last", &n).unwrap();
    }
    drop(socket);
    assert_eq!(seen.take(10).await, (0..10).collect::<Vec<u32>>());
}
