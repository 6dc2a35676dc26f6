//! The effect of `Server::drain` on sockets and on `listen`.

use crate::support;

use std::{net::TcpListener, time::Duration};

use socketio_server::Server;
use support::{Running, disconnections, fence, until, within};

#[tokio::test]
async fn drained_sockets_see_server_shutting_down() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let io = Server::new();
    fence(&io.of("/"));
    let mut reasons = disconnections(&io.of("/"));
    let listening = tokio::spawn({
        let io = io.clone();
        async move { io.listen(address).await }
    });
    until(|| std::net::TcpStream::connect(address).is_ok()).await;
    let server = Running { io: io.clone(), address };
    let mut leaver = server.client().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(server.client().await);
    }
    io.emit("last", &()).unwrap();

    let draining = tokio::spawn({
        let io = io.clone();
        async move { io.drain(Duration::from_secs(3)).await }
    });
    until(|| io.engine().clients_count() < 6).await;
    let (status, _) = server.request("GET", "", "").await;
    assert_eq!(status, 503, "it listens until all have ended");
    for client in clients.iter_mut().chain([&mut leaver]) {
        assert_eq!(client.text().await, r#"42["last"]"#);
        client.closed().await;
    }
    for _ in 0..6 {
        assert_eq!(reasons.next().await, "server shutting down");
    }
    drop((clients, leaver));
    let drained = within(draining).await.unwrap();
    assert_eq!((drained.sessions, drained.forced, drained.remaining), (6, 0, 0));
    within(listening).await.unwrap().unwrap();
}

/// Sockets that end while the server drains keep their own reasons.
#[tokio::test]
async fn sockets_that_end_while_the_server_drains_keep_their_reason() {
    let server = support::server().await;
    let mut reasons = disconnections(&server.io.of("/"));
    let (leaver, mut breaker) = (server.client().await, server.client().await);
    let io = server.io.clone();
    let draining = tokio::spawn(async move { io.drain(Duration::from_secs(1_000_000)).await });
    until(|| !draining.is_finished()).await;
    leaver.close().await;
    assert_eq!(reasons.next().await, "transport close");
    breaker.send("4abc").await;
    assert_eq!(reasons.next().await, "forced close");
    drop(breaker);
    assert_eq!(within(draining).await.unwrap().gone, 2);
}
