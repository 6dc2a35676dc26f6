//! RFC 6455 section 7.4.1. Every limit is checked on a frame's header, before its payload arrives.

use crate::support;

use engineio_server::{CloseReason, EngineConfig};
use support::{Server, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn closes_with(code: u16, bytes: &[u8]) {
    let mut server = Server::echo(EngineConfig::default().max_payload(1000).max_fragments(8)).await;
    let mut stream = server.raw_websocket().await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = [0; 4];
    support::within(stream.read_exact(&mut answer)).await.unwrap();
    let [high, low] = code.to_be_bytes();
    assert_eq!(answer, [0x88, 2, high, low], "{bytes:02x?}");
    assert_eq!(server.closed().await, CloseReason::TransportError);
    assert_eq!(support::rest(&mut stream).await, "", "nothing follows a close frame");
}

#[tokio::test]
async fn a_protocol_error_is_answered_with_1002() {
    for bytes in [
        &b"\x81\x014"[..], // not masked
        &frame(0xc1, b"4rsv1"),
        &frame(0xa1, b"4rsv2"),
        &frame(0x91, b"4rsv3"),
        &frame(0x83, b"reserved opcode"),
        &frame(0x8b, b"reserved opcode"),
        &frame(0x09, b"fragmented ping"),
        &frame(0x89, &[0; 126]),
        &frame(0x80, b"continues nothing"),
        &[frame(0x01, b"4a"), frame(0x81, b"4b")].concat(),
        &frame(0x88, b"\x03"),
        &frame(0x88, b"\x03\xed"), // 1005
    ] {
        closes_with(1002, bytes).await;
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_is_answered_with_1007() {
    closes_with(1007, &frame(0x81, b"4\xff")).await;
    closes_with(1007, &frame(0x88, b"\x03\xe8\xff")).await;
}

#[tokio::test]
async fn the_header_of_an_oversized_frame_is_answered_with_1009() {
    closes_with(1009, b"\x82\xfe\x03\xe9mask").await;
    closes_with(1009, b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask").await;
    // A message of 999 bytes may arrive in fragments, one of 1001 bytes may not.
    closes_with(1009, &[&frame(0x01, &[b'4'; 999])[..], b"\x80\x82mask"].concat()).await;
}

#[tokio::test]
async fn a_flood_of_fragments_is_answered_with_1008() {
    let mut flood = frame(0x01, b"4");
    for _ in 0..1000 {
        flood.extend(frame(0x00, b""));
    }
    closes_with(1008, &flood).await;
}
