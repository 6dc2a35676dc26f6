//! Protocol: "WebSocket". Text and binary messages of every size, in one piece or many.

use crate::support;

use bytes::Bytes;
use engineio_server::EngineConfig;
use support::{Message, Server, frame, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn text_and_binary_of_every_size_are_echoed() {
    let server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 70_000, 999_999] {
        let text = Message::text(format!("4{}", "x".repeat(size)));
        websocket.send(text.clone()).await;
        assert_eq!(websocket.next().await, Some(text), "{size}");
        let binary = Message::binary(vec![4; size]);
        websocket.send(binary.clone()).await;
        assert_eq!(websocket.next().await, Some(binary), "{size}");
    }
}

#[tokio::test]
async fn base64_in_text_is_echoed_as_binary() {
    let server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    websocket.send("bAQIDBA==").await;
    assert_eq!(websocket.next().await, Some(Message::binary(vec![1, 2, 3, 4])));
}

#[tokio::test]
async fn a_message_that_arrives_byte_by_byte_is_echoed() {
    let server = Server::echo(EngineConfig::default()).await;
    let mut stream = server.raw_websocket().await;
    stream.set_nodelay(true).unwrap();
    let fragments =
        [frame(0x01, b"4he"), frame(0x89, b"!"), frame(0x00, b""), frame(0x80, b"llo")].concat();
    for byte in fragments {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 3 + 8];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"\x8a\x01!\x81\x064hello");
}

#[tokio::test]
async fn a_frame_in_the_same_packet_as_the_request_is_read() {
    let server = Server::echo(EngineConfig::default()).await;
    let mut request = b"GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n\
        connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        .to_vec();
    request.extend(frame(0x82, b"early"));
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"}\x82\x05early") {
        seen.push(within(stream.read_u8()).await.unwrap());
    }
}

#[tokio::test]
async fn messages_that_arrive_together_stay_in_order() {
    let server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    let messages: Vec<_> = (0..500).map(|n| Message::text(format!("4{n}"))).collect();
    for message in &messages {
        websocket.send(message.clone()).await;
    }
    for message in messages {
        assert_eq!(websocket.next().await, Some(message));
    }
    websocket.send(Message::Ping(Bytes::from_static(b"x"))).await;
    assert_eq!(websocket.next().await, Some(Message::Pong(Bytes::from_static(b"x"))));
}

#[tokio::test]
async fn a_client_that_offers_sub_protocols_gets_the_first() {
    let server = Server::echo(EngineConfig::default()).await;
    let head = "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n\
        connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-protocol: one, two\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut request = head.as_bytes().to_vec();
    request.extend(frame(0x88, b""));
    let answer = server.exchange(&request).await;
    assert!(answer.contains("sec-websocket-protocol: one\r\n"), "{answer:?}");
}
