//! Close frames and close reasons.

use crate::support;

use engineio_server::{CloseReason, EngineConfig, Event, Unsent};
use support::{Message, Server, frame, within};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

#[tokio::test]
async fn the_close_code_of_the_client_is_returned() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, sid) = server.websocket().await;
    let close = CloseFrame { code: CloseCode::Library(4001), reason: "enough".into() };
    websocket.send("4last").await;
    websocket.send(Message::Close(Some(close))).await;
    assert_eq!(websocket.text().await, "4last");
    assert_eq!(websocket.close_code().await, Some(4001));
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn a_close_packet_does_not_close_a_websocket() {
    let server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    // As in Node, a close packet has no effect on a WebSocket.
    websocket.send("1").await;
    websocket.send("4alive").await;
    assert_eq!(websocket.text().await, "4alive");
}

#[tokio::test]
async fn nothing_is_read_after_a_close_frame() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let mut stream = server.raw_websocket().await;
    let bytes = [frame(0x88, b"\x03\xe8"), frame(0x81, b"4late"), frame(0xff, b"")].concat();
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(server.event().await, Event::Closed(CloseReason::TransportClose));
    assert_eq!(support::rest(&mut stream).await, "\u{fffd}\u{2}\u{3}\u{fffd}");
}

#[tokio::test]
async fn the_server_sends_its_queue_before_it_closes() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, sid) = server.websocket().await;
    let handle = server.engine.client(&sid).unwrap();
    for n in 0..1000 {
        handle.send(format!("{n}")).unwrap();
    }
    handle.close(Unsent::Send);
    assert!(handle.send("late").is_err());
    for n in 0..1000 {
        assert_eq!(websocket.text().await, format!("4{n}"));
    }
    assert_eq!(websocket.close_code().await, None);
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert!(handle.is_closed());
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn discarding_closes_at_once() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, sid) = server.websocket().await;
    let handle = server.engine.client(&sid).unwrap();
    handle.send("never sent").unwrap();
    handle.close(Unsent::Discard);
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
}

#[tokio::test]
async fn the_end_of_the_connection_closes_the_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let (websocket, _) = server.websocket().await;
    drop(websocket);
    assert_eq!(server.closed().await, CloseReason::TransportClose);
}

#[tokio::test]
async fn a_connection_that_ends_without_a_close_frame_gets_none() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let mut stream = server.raw_websocket().await;
    stream.shutdown().await.unwrap();
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert_eq!(support::rest(&mut stream).await, "");
}

#[tokio::test]
async fn the_handshake_is_sent_before_the_application_drives_the_session() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let _websocket = server.websocket().await;
    assert_eq!(server.engine.clients_count(), 1);
    drop(within(connections.recv()).await);
}

#[tokio::test]
async fn the_end_of_the_application_closes_the_session() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    drop(within(connections.recv()).await);
    assert_eq!(websocket.close_code().await, None);
    assert_eq!(server.engine.clients_count(), 0);
}
