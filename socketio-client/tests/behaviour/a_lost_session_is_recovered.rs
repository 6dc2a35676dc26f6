//! Connection state recovery: what was missed comes first, and the session is the same.

use std::time::Duration;

use socketio_client::{Data, EventName, Manager};
use socketio_server::{Recovery, Server, ServerConfig, Socket as Peer};

use crate::support::{Network, URL, log, settle, within};

fn recovering() -> Server {
    let recovery = Recovery::default();
    Server::with_config(ServerConfig::default().connection_state_recovery(recovery))
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_comes_before_connect() {
    let io = recovering();
    io.on_connection(|peer: Peer| async move { Ok(peer.join("news")?) });
    let network = Network::new(&io);
    let socket = network.socket("/");
    let (sender, mut seen) = log();
    let events = sender.clone();
    socket.on_any(move |EventName(event): EventName, Data(text): Data<String>| {
        let _ = events.send(format!("{event} {text}"));
        async {}
    });
    socket.on("connect", move |socket: socketio_client::Socket| {
        let _ = sender.send(format!("connect {}", socket.is_recovered()));
        async {}
    });
    within(socket.connect()).await.unwrap();
    let id = socket.id();
    settle().await;
    io.to("news").emit("news", "first").unwrap();
    assert_eq!(seen.take(2).await, ["connect false", "news first"]);
    network.down();
    settle().await;
    io.to("news").emit("news", "missed").unwrap();
    io.to("news").emit("news", "too").unwrap();
    network.replace(Some(&io));
    assert_eq!(seen.take(3).await, ["news missed", "news too", "connect true"]);
    assert_eq!(socket.id(), id);
    settle().await;
    io.to("news").emit("news", "after").unwrap();
    assert_eq!(seen.next().await, "news after");
    assert!(seen.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_nothing_of_it_gives_a_new_session() {
    let network = Network::new(&recovering());
    let socket = network.socket("/");
    within(socket.connect()).await.unwrap();
    let id = socket.id();
    let other = recovering();
    network.replace(Some(&other));
    network.cut();
    settle().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(socket.is_connected() && !socket.is_recovered());
    assert_ne!(socket.id(), id);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_inbox_holds_may_be_missed() {
    let io = recovering();
    let network = Network::new(&io);
    let config = network.config().max_inbox_bytes(2_000);
    let manager = Manager::with_config(URL, config).unwrap();
    let socket = manager.socket("/");
    let (sender, mut seen) = log();
    socket.on("n", move |Data((n, _)): Data<(u32, String)>| {
        let _ = sender.send(n);
        async {}
    });
    within(socket.connect()).await.unwrap();
    settle().await;
    io.emit("n", &(0, "")).unwrap();
    assert_eq!(seen.next().await, 0);
    network.down();
    settle().await;
    for n in 1..20 {
        io.emit("n", &(n, "x".repeat(1000))).unwrap();
    }
    network.replace(Some(&io));
    assert_eq!(seen.take(19).await, (1..20).collect::<Vec<_>>());
    settle().await;
    assert!(socket.is_recovered() && socket.is_connected());
}
