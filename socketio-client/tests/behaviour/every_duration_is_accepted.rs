//! A duration that the clock cannot express means no limit.

use std::time::Duration;

use socketio_client::{ClientConfig, Manager, Reconnection, SocketConfig};
use socketio_server::{Ack, Server};

use crate::support::{Network, URL, connection_events, log, settle, within};

fn manager(config: ClientConfig) -> Manager {
    Manager::with_config(URL, config).unwrap()
}

#[tokio::test(start_paused = true)]
async fn close_timeout_may_be_any_duration() {
    let io = Server::new();
    let network = Network::new(&io);
    let manager = manager(network.config().close_timeout(Duration::MAX));
    let socket = manager.socket("/");
    within(socket.connect()).await.unwrap();
    socket.disconnect();
    within(manager.closed()).await;
    within(socket.connect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_reconnection_delay_may_be_any_duration() {
    let io = Server::new();
    let network = Network::new(&io);
    network.down();
    let policy = Reconnection::default().delay(Duration::MAX).delay_max(Duration::MAX);
    let manager = manager(network.config().reconnection(policy).connect_timeout(Duration::MAX));
    let socket = manager.socket("/");
    let mut life = connection_events(&socket);
    socket.open();
    assert_eq!(life.next().await, "connect_error: websocket error");
    settle().await;
    socket.disconnect();
    network.replace(Some(&io));
    within(socket.connect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_ack_timeout_may_be_any_duration() {
    let io = Server::new();
    let (sender, mut seen) = log();
    io.on("slow", move |ack: Ack| {
        let _ = sender.send(());
        async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            ack.send(&7)?;
            Ok(())
        }
    });
    let network = Network::new(&io);
    for config in [SocketConfig::default(), SocketConfig::default().retries(3)] {
        let socket = network.manager().socket_with("/", config.ack_timeout(Duration::MAX));
        within(socket.connect()).await.unwrap();
        assert_eq!(within(socket.emit_with_ack::<u32>("slow", &())).await.unwrap(), 7);
        assert_eq!(seen.rest().len(), 1, "it was sent once");
    }
}
