//! WebSocket pings (RFC 6455 section 5.5.2) are answered, and a flood of them costs no memory.

use crate::support;

use bytes::Bytes;
use engineio_server::EngineConfig;
use support::{Message, Server, frame, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    for payload in [&b""[..], b"payload", &[7; 125]] {
        let payload = Bytes::copy_from_slice(payload);
        websocket.send(Message::Ping(payload.clone())).await;
        assert_eq!(websocket.next().await, Some(Message::Pong(payload)));
    }
    websocket.send(Message::Pong(Bytes::new())).await;
    websocket.send("4still here").await;
    assert_eq!(websocket.text().await, "4still here");
}

#[tokio::test]
async fn the_server_keeps_reading_a_client_that_pings_without_reading() {
    let server = Server::echo(EngineConfig::default()).await;
    let mut stream = server.raw_websocket().await;
    let flood = frame(0x89, b"x").repeat(100_000);
    within(stream.write_all(&flood)).await.unwrap();
    stream.write_all(&frame(0x81, b"4behind")).await.unwrap();
    let mut seen = [0; 7];
    while &seen != b"4behind" {
        seen.rotate_left(1);
        seen[6] = within(stream.read_u8()).await.unwrap();
    }
}
