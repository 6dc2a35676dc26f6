//! Volatile events are dropped if the transport cannot take them at once.

use socketio_client::AckError;
use socketio_server::Server;

use crate::support::{Network, URL, connection_events, log, received, settle, within};

#[tokio::test(start_paused = true)]
async fn volatile_events_are_dropped_without_a_connection() {
    let io = Server::new();
    let mut seen = received(&io, |args| args.event().to_owned());
    let network = Network::new(&io);
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    socket.volatile().emit("early", &()).unwrap();
    let asked = socket.volatile().emit_with_ack::<()>("early", &()).await;
    assert!(matches!(asked, Err(AckError::Disconnected)));
    within(socket.connect()).await.unwrap();
    settle().await;
    socket.volatile().emit("there", &()).unwrap();
    socket.compress(false).emit("plain", &()).unwrap();
    socket.send("text").unwrap();
    assert_eq!(seen.take(3).await, ["there", "plain", "message"]);
    network.down();
    life.take(2).await;
    socket.volatile().emit("away", &()).unwrap();
    network.replace(Some(&io));
    life.next().await;
    settle().await;
    assert!(seen.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn volatile_events_wait_for_the_namespace() {
    let io = Server::new();
    io.use_(|| async { tokio::time::sleep(std::time::Duration::from_secs(1)).await });
    let (sender, mut seen) = log();
    io.on("early", move || {
        let _ = sender.send(());
        async {}
    });
    let socket = Network::new(&io).socket("/");
    socket.open();
    settle().await;
    assert!(socket.manager().is_open() && !socket.is_connected());
    socket.volatile().emit("early", &()).unwrap();
    seen.next().await;
}

#[tokio::test(start_paused = true)]
async fn volatile_events_are_dropped_behind_unsent_packets() {
    let io = Server::new();
    let mut seen = received(&io, |args| args.decode::<u32>().unwrap_or(0));
    let network = Network::new(&io);
    for config in [network.config(), network.polling().engine(|engine| engine.upgrade(false))] {
        let socket = within(socketio_client::connect_with(URL, config)).await.unwrap();
        settle().await;
        for n in 1..4 {
            socket.volatile().emit("n", &n).unwrap();
        }
        settle().await;
        assert_eq!(seen.rest(), [1]);
    }
}
