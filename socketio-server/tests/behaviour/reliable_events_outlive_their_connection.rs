//! A reliable event is sent again after its client has recovered the session, until it is acked.
//! The sender learns the outcome.

use crate::support;

use std::{cell::Cell, pin::pin, time::Duration};

use futures_util::FutureExt;
use serde::{Serialize, Serializer, ser::Error};
use socketio_server::{AckError, DeliveryError, Recovery, ServerConfig, Socket};
use support::{Client, Running, server, server_with, sockets, until, within};

/// Connects a client that has received one event. Returns its socket, private id and offset.
async fn connected(recovery: Recovery) -> (Running, Client, Socket, String, String) {
    let config = ServerConfig::default()
        .connection_state_recovery(recovery)
        .engine(|engine| engine.max_queued_packets(100));
    let server = server_with(config).await;
    let mut sockets = sockets(&server.io.of("/"));
    let (client, _, pid, offset) = server.client_with_offset().await;
    let socket = within(sockets.recv()).await.unwrap();
    (server, client, socket, pid, offset)
}

#[tokio::test]
async fn a_reliable_event_is_sent_again_until_it_is_acked() {
    let (server, mut client, socket, pid, offset) = connected(Recovery::default()).await;
    let sender = socket.clone();
    let answer = tokio::spawn(async move { sender.emit_reliably::<u32>("pay", &7).await });
    client.expect(r#"420["pay",7]"#).await;
    for round in 1..=2 {
        client.reset();
        until(|| server.io.of("/").sockets_count() == 0).await;
        client = server.open().await;
        client.claim(&pid, &offset).await;
        client.recoverable().await;
        client.expect(&format!(r#"42{round}["pay",7]"#)).await;
    }
    client.send("432[9]").await;
    assert_eq!(within(answer).await.unwrap().unwrap(), 9);
    client.fence().await;
}

#[tokio::test]
async fn a_reliable_event_expires_with_its_session() {
    let soon = Recovery::default().max_disconnection_duration(Duration::from_millis(100));
    let (server, client, socket, ..) = connected(soon).await;
    let sender = socket.clone();
    let answer = tokio::spawn(async move { sender.emit_reliably::<()>("pay", &7).await });
    tokio::task::yield_now().await;
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
    let away = socket.emit_reliably::<()>("pay", &8);
    assert!(matches!(within(away).await, Err(DeliveryError::Expired)));
    assert!(matches!(within(answer).await.unwrap(), Err(DeliveryError::Expired)));

    let (_server, mut client, socket, ..) = connected(Recovery::default()).await;
    let sender = socket.clone();
    let answer = tokio::spawn(async move { sender.emit_reliably::<()>("pay", &7).await });
    client.expect(r#"420["pay",7]"#).await;
    client.send("41").await;
    assert!(matches!(within(answer).await.unwrap(), Err(DeliveryError::Expired)));
}

#[tokio::test]
async fn a_closed_server_fails_reliable_events() {
    // The client is disconnected or connected when the server closes, or connected when the server
    // drains.
    for (away, drain) in [(true, false), (false, false), (false, true)] {
        let (server, mut client, socket, ..) = connected(Recovery::default()).await;
        let sender = socket.clone();
        let answer = tokio::spawn(async move { sender.emit_reliably::<()>("pay", &7).await });
        client.expect(r#"420["pay",7]"#).await;
        if away {
            client.reset();
            until(|| server.io.of("/").sockets_count() == 0).await;
        }
        if drain {
            within(server.io.drain(Duration::from_millis(1))).await;
        } else {
            server.io.close();
        }
        let outcome = within(answer).await.unwrap();
        assert!(matches!(outcome, Err(DeliveryError::Closed)), "{away} {drain} {outcome:?}");
        let later = within(socket.emit_reliably::<()>("pay", &8)).await;
        assert!(matches!(later, Err(DeliveryError::Closed)), "{later:?}");
    }
}

#[tokio::test]
async fn a_closed_namespace_fails_reliable_events() {
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    let server = server_with(config).await;
    let mut sockets = sockets(&server.io.of("/some"));
    let mut answers = Vec::new();
    for stays in [false, true] {
        let mut client = server.open().await;
        client.send("40/some,").await;
        let text = client.text().await;
        assert!(text.starts_with(r#"40/some,{"sid":""#), "{text}");
        let socket = within(sockets.recv()).await.unwrap();
        let answer = tokio::spawn(async move { socket.emit_reliably::<()>("pay", &7).await });
        let text = client.text().await;
        assert!(text.ends_with(r#"["pay",7]"#), "{text}");
        answers.push(answer);
        if stays {
            assert!(server.io.close_namespace("/some"));
            client.expect("41/some,").await;
        } else {
            client.reset();
            until(|| server.io.of("/some").sockets_count() == 0).await;
        }
    }
    for answer in answers {
        let outcome = within(answer).await.unwrap();
        assert!(matches!(outcome, Err(DeliveryError::Closed)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_client_that_missed_too_much_fails_reliable_events() {
    // More events than the log holds, and more than the client's queue holds.
    for recovery in [Recovery::default().max_packets(5), Recovery::default()] {
        let (server, mut client, socket, pid, offset) = connected(recovery).await;
        let answer = tokio::spawn(async move { socket.emit_reliably::<()>("pay", &7).await });
        client.expect(r#"420["pay",7]"#).await;
        client.reset();
        until(|| server.io.of("/").sockets_count() == 0).await;
        for n in 0..100 {
            server.io.emit("missed", &n).unwrap();
        }
        assert!(!answer.is_finished());
        let mut client = server.open().await;
        client.claim(&pid, &offset).await;
        let (_, other) = client.recoverable().await;
        assert_ne!(other, pid);
        let outcome = within(answer).await.unwrap();
        assert!(matches!(outcome, Err(DeliveryError::Expired)), "{outcome:?}");
    }
}

#[tokio::test]
async fn pending_reliable_events_are_limited() {
    let few = Recovery::default().max_reliable_packets(1).max_reliable_bytes(100);
    let (_server, mut client, socket, ..) = connected(few).await;
    let long = "x".repeat(100);
    let refused = socket.emit_reliably::<()>("pay", &long).await;
    assert!(matches!(refused, Err(DeliveryError::TooMany)));
    let sender = socket.clone();
    let answer = tokio::spawn(async move { sender.emit_reliably::<()>("pay", &7).await });
    client.expect(r#"420["pay",7]"#).await;
    let refused = socket.emit_reliably::<()>("pay", &8).await;
    assert!(matches!(refused, Err(DeliveryError::TooMany)));
    client.send("430[]").await;
    within(answer).await.unwrap().unwrap();
    // An acked or abandoned event makes room.
    for id in 1..3 {
        let dropped = tokio::time::timeout(support::SOON, socket.emit_reliably::<()>("pay", &8));
        assert!(dropped.await.is_err());
        client.expect(&format!(r#"42{id}["pay",8]"#)).await;
    }
}

#[tokio::test]
async fn a_reliable_event_is_sent_once_without_recovery() {
    let server = server().await;
    let mut sockets = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(sockets.recv()).await.unwrap();
    let answer = tokio::spawn(async move { socket.emit_reliably::<()>("pay", &7).await });
    client.expect(r#"420["pay",7]"#).await;
    client.reset();
    let error = within(answer).await.unwrap().unwrap_err();
    assert!(matches!(error, DeliveryError::Ack(AckError::Disconnected)), "{error:?}");
}

/// Arguments that fail to encode after ten times, so that a loop ends.
struct Counted(Cell<u32>);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > 10 {
            return Err(S::Error::custom("encoded too often"));
        }
        serializer.serialize_unit()
    }
}

/// Connects a polling client that does not poll any more and has an event in its queue.
async fn stalled() -> (Running, String, Socket) {
    let soon = Recovery::default().max_disconnection_duration(Duration::from_millis(100));
    let config = ServerConfig::default().connection_state_recovery(soon);
    let server = server_with(config).await;
    let mut sockets = sockets(&server.io.of("/"));
    let sid = server.polling_client().await;
    let socket = within(sockets.recv()).await.unwrap();
    socket.emit("fill", &()).unwrap();
    (server, sid, socket)
}

#[tokio::test]
async fn a_reliable_event_waits_while_the_session_is_closing() {
    let (server, sid, socket) = stalled().await;
    // An unknown packet type: the server closes the session once its queue has left.
    server.request("POST", &sid, "49").await;
    until(|| socket.conn().send("refused").is_err()).await;
    assert!(socket.is_connected() && !socket.conn().is_closed());

    let args = Counted(Cell::new(0));
    let mut answer = pin!(socket.emit_reliably::<()>("pay", &args));
    for _ in 0..100 {
        let early = answer.as_mut().now_or_never();
        assert!(early.is_none(), "{early:?}");
        tokio::task::yield_now().await;
    }
    let attempts = args.0.get();
    assert!(attempts <= 2, "{attempts} attempts");
    while !socket.conn().is_closed() {
        server.request("GET", &sid, "").await;
    }
    let outcome = within(answer).await;
    assert!(matches!(outcome, Err(DeliveryError::Expired)), "{outcome:?}");
}

#[tokio::test]
async fn a_closing_server_fails_reliable_events_of_clients_that_do_not_read() {
    let (server, _, socket) = stalled().await;
    server.io.close();
    let args = Counted(Cell::new(0));
    let outcome = within(socket.emit_reliably::<()>("pay", &args)).await;
    assert!(matches!(outcome, Err(DeliveryError::Closed)), "{outcome:?}");
}
