//! A client with slow handlers learns that the server has dropped it.

use std::time::Duration;

use socketio_client::{Manager, Reconnection};
use socketio_server::{Server, ServerConfig};

use crate::support::{Network, URL, connection_events, peer, within};

#[tokio::test(start_paused = true)]
async fn a_client_dropped_by_the_server_is_not_connected() {
    for polling in [false, true] {
        let config = ServerConfig::default().engine(|engine| {
            let engine = engine.max_queued_bytes(1_000_000_000).max_queued_packets(1_000_000);
            engine
                .ping_interval(Duration::from_millis(300))
                .ping_timeout(Duration::from_millis(200))
        });
        let io = Server::with_config(config);
        let network = Network::new(&io);
        let config = if polling {
            network.polling().engine(|engine| engine.upgrade(false))
        } else {
            network.config()
        };
        let config = config.reconnection(Reconnection::off());
        let manager = Manager::with_config(URL, config).unwrap();
        let socket = manager.socket("/");
        socket.on("n", || tokio::time::sleep(Duration::from_secs(4)));
        let mut life = connection_events(&socket);
        within(socket.connect()).await.unwrap();
        assert_eq!(life.next().await, "connect");
        let peer = peer(&io, &socket);
        for _ in 0..300 {
            peer.emit("n", &"x".repeat(10_000)).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!peer.is_connected(), "the server has given it up");
        assert!(!socket.is_connected(), "polling: {polling}");
        // Handlers learn of it in the order of the events.
        assert!(life.rest().is_empty());
        assert!(life.next().await.starts_with("disconnect: "));
    }
}
