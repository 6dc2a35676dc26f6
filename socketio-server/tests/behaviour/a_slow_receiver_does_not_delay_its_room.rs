//! A broadcast never waits. The overflow policy decides whether a recipient whose queue is full is
//! disconnected or misses the event.

use crate::support;

use socketio_server::{Overflow, Server, ServerConfig};
use support::{Client, disconnections, server_with, sockets, until, within};

/// Broadcasts until `done`, to a client that reads everything. Returns the number of broadcasts.
async fn flood(io: &Server, reader: &mut Client, mut done: impl FnMut() -> bool) -> usize {
    let payload = "x".repeat(500_000);
    for n in 0..1000 {
        io.to("room").emit("cast", &(n, &payload)).unwrap();
        let text = reader.text().await;
        assert!(text.starts_with(&format!(r#"42["cast",{n},"x"#)), "{}", &text[..40]);
        if done() {
            return n;
        }
    }
    panic!("the slow client's queue never filled");
}

fn config(overflow: Overflow) -> ServerConfig {
    ServerConfig::default().overflow(overflow).engine(|engine| engine.max_queued_packets(2))
}

#[tokio::test]
async fn a_slow_receiver_is_disconnected_by_default() {
    let server = server_with(config(Overflow::default())).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let mut slow = server.open_slow().await;
    slow.connect("/").await;
    let slow_socket = within(connected.recv()).await.unwrap();
    let mut reader = server.client().await;
    let reader_socket = within(connected.recv()).await.unwrap();
    slow_socket.join("room").unwrap();
    reader_socket.join("room").unwrap();

    flood(&server.io, &mut reader, || !slow_socket.is_connected()).await;
    assert_eq!(reasons.next().await, "forced close");
    until(|| server.io.of("/").sockets_count() == 1).await;
    reader.fence().await;
    drop(slow);
}

#[tokio::test]
async fn a_slow_receiver_misses_events_if_configured() {
    let server = server_with(config(Overflow::Drop)).await;
    let mut connected = sockets(&server.io.of("/"));
    let mut slow = server.open_slow().await;
    slow.connect("/").await;
    let slow_socket = within(connected.recv()).await.unwrap();
    let mut reader = server.client().await;
    let reader_socket = within(connected.recv()).await.unwrap();
    slow_socket.join("room").unwrap();
    reader_socket.join("room").unwrap();

    let full = || slow_socket.conn().queued().packets == 2;
    flood(&server.io, &mut reader, full).await;
    server.io.to("room").emit("missed", &()).unwrap();
    reader.expect(r#"42["missed"]"#).await;
    assert!(slow_socket.is_connected());

    // The client reads the queued events, and those sent after there is room again.
    let drained = tokio::spawn(async move {
        loop {
            let text = slow.text().await;
            assert!(!text.contains("missed"));
            if text.starts_with(r#"42["after"#) {
                break;
            }
        }
        slow.fence().await;
    });
    within(slow_socket.ready()).await.unwrap();
    server.io.to("room").emit("after", &()).unwrap();
    reader.expect(r#"42["after"]"#).await;
    within(drained).await.unwrap();
}
