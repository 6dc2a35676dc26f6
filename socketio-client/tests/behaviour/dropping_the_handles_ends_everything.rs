//! No task, connection or attempt outlives the last handle.

use std::time::Duration;

use socketio_client::connect_with;
use socketio_server::{Data, Server};

use crate::support::{Network, URL, life, log, settle, within};

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
    let mut life = life(&socket);
    socket.open();
    life.next().await;
    let dialled = network.dialled();
    drop(socket);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((network.dialled(), tasks()), (dialled, before));
}

#[tokio::test(start_paused = true)]
async fn what_was_emitted_before_still_leaves() {
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
