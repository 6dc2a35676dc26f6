//! `ready` waits until the refused event fits, so that a loop around it never spins.

use std::time::Duration;

use socketio_client::{EmitError, Manager, SocketConfig};
use socketio_server::Server;

use crate::support::{Network, settle, within};

fn is_full(result: Result<(), EmitError>) -> bool {
    matches!(result, Err(EmitError::Full))
}

fn manager(io: &Server) -> Manager {
    Network::new(io).manager()
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_an_event_with_retries() {
    let io = Server::new();
    io.on("slow", |ack: socketio_server::Ack| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        ack.send(&())?;
        Ok(())
    });
    let config = SocketConfig::default().retries(1).max_queued_packets(1);
    let socket = manager(&io).socket_with("/", config);
    within(socket.connect()).await.unwrap();
    socket.emit("slow", &()).unwrap();
    assert!(is_full(socket.emit("slow", &())));
    let before = tokio::time::Instant::now();
    within(socket.ready()).await;
    assert_eq!(before.elapsed().as_secs(), 5);
    socket.emit("slow", &()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn ready_waits_until_a_large_event_fits() {
    let io = Server::new();
    let socket = manager(&io).socket_with("/", SocketConfig::default().max_queued_bytes(100));
    socket.emit("a", &"x".repeat(60)).unwrap();
    assert!(is_full(socket.emit("b", &"x".repeat(60))));
    let waiting = socket.clone();
    let ready = tokio::spawn(async move { waiting.ready().await });
    settle().await;
    assert!(!ready.is_finished());
    within(socket.connect()).await.unwrap();
    within(ready).await.unwrap();
    socket.emit("b", &"x".repeat(60)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn ready_resolves_after_an_event_is_given_up() {
    let io = Server::new();
    let socket = manager(&io).socket_with("/", SocketConfig::default().max_queued_packets(1));
    let asking = socket.clone();
    let asked = tokio::spawn(async move { asking.emit_with_ack::<()>("a", &()).await });
    settle().await;
    assert!(is_full(socket.emit("b", &())));
    let waiting = socket.clone();
    let ready = tokio::spawn(async move { waiting.ready().await });
    settle().await;
    assert!(!ready.is_finished());
    asked.abort();
    within(ready).await.unwrap();
    socket.emit("b", &()).unwrap();
}
