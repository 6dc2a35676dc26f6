//! Events without a free handler wait in the inbox, and then in the network.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketio_client::{Data, Manager, SocketConfig};
use socketio_server::{Server, ServerConfig};
use tokio::sync::Semaphore;

use crate::support::{Network, URL, log, peer, settle, within};

#[tokio::test(start_paused = true)]
async fn nothing_more_is_read_until_the_inbox_has_room() {
    let config = ServerConfig::default()
        .engine(|engine| engine.max_queued_bytes(1_000_000_000).max_queued_packets(1_000_000));
    let io = Server::with_config(config);
    let network = Network::new(&io);
    let config = network.config().max_inbox_bytes(10_000);
    let manager = Manager::with_config(URL, config).unwrap();
    let socket = manager.socket_with("/", SocketConfig::default().max_in_flight(1));
    let gate = Arc::new(Semaphore::new(0));
    let started = Arc::new(AtomicUsize::new(0));
    let (sender, mut seen) = log();
    let (open, count) = (gate.clone(), started.clone());
    socket.on("n", move |Data((n, _)): Data<(usize, String)>| {
        let (open, sender) = (open.clone(), sender.clone());
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            open.acquire().await.unwrap().forget();
            let _ = sender.send(n);
        }
    });
    within(socket.connect()).await.unwrap();
    let peer = peer(&io, &socket);
    for n in 0..200 {
        peer.emit("n", &(n, "x".repeat(1000))).unwrap();
    }
    settle().await;
    assert_eq!(started.load(Ordering::Relaxed), 1);
    // Some events are in the inbox, 64 KiB are read ahead, and 16 KiB are in each of two pipes. The
    // others wait at the server, whose socket is not writable.
    peer.volatile().emit("n", &(1000, "dropped")).unwrap();
    gate.add_permits(1000);
    let expected: Vec<_> = (0..200).collect();
    let mut all = Vec::new();
    while all.len() < 200 {
        all.push(seen.next().await);
    }
    assert_eq!(all, expected);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(socket.is_connected() && seen.rest().is_empty());
}
