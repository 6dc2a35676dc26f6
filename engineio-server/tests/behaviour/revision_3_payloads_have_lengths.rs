//! Protocol revision 3: "Payload". Each packet follows its length. A payload is text, or binary if
//! it contains a binary packet.

use crate::support;

use engineio_server::{CloseReason, EngineConfig};
use support::{Answer, Server, text, within};

const TEXT: &str = "6:4hello10:b4AQIDBA==";
const BINARY: &[u8] = b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04";

async fn echo() -> Server {
    Server::echo(EngineConfig::default().allow_eio3(true)).await
}

/// Posts a body of two packets and waits until both are echoed.
async fn echoed(server: &mut Server, sid: &str, body: &[u8], content_type: &str) -> Answer {
    within(server.post_as(content_type, sid, body)).await.is(200, "ok");
    server.event().await;
    server.event().await;
    within(server.get(sid)).await
}

#[tokio::test]
async fn lengths_count_utf16_code_units() {
    let mut server = echo().await;
    let sid = server.open_v3("").await;
    let body = "6:4hello1:43:4€é3:4😀4:4:7:6:4last!";
    within(server.post(&sid, body)).await.is(200, "ok");
    while server.event().await != text("last!") {}
    let answer = within(server.get(&sid)).await;
    answer.is(200, body);
    assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
}

#[tokio::test]
async fn a_payload_with_a_binary_packet_is_binary() {
    let mut server = echo().await;
    for (body, content_type) in
        [(TEXT.as_bytes(), "text/plain;charset=UTF-8"), (BINARY, "application/octet-stream")]
    {
        let sid = server.open_v3("").await;
        let answer = echoed(&mut server, &sid, body, content_type).await;
        assert_eq!((answer.status, &answer.bytes[..]), (200, BINARY));
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        // A payload without binary packets is text again.
        within(server.post(&sid, "3:4hi")).await.is(200, "ok");
        server.event().await;
        within(server.get(&sid)).await.is(200, "3:4hi");
    }
}

#[tokio::test]
async fn a_session_opened_with_b64_gets_base64() {
    let mut server = echo().await;
    for (body, content_type) in
        [(TEXT.as_bytes(), "text/plain;charset=UTF-8"), (BINARY, "application/octet-stream")]
    {
        let sid = server.open_v3("&b64=1").await;
        let answer = echoed(&mut server, &sid, body, content_type).await;
        answer.is(200, TEXT);
        assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    }
}

#[tokio::test]
async fn a_malformed_length_closes_the_session() {
    let mut server = echo().await;
    for body in ["4hello", "7:4hello", ":4hello", "x:4hello", "1:9", ""] {
        let sid = server.open_v3("").await;
        assert_eq!(within(server.post(&sid, body)).await.status, 400, "{body}");
        assert_eq!(server.closed().await, CloseReason::ParseError, "{body}");
        assert!(server.is_gone(&sid).await, "{body}");
    }
}

#[tokio::test]
async fn a_noop_and_a_close_have_lengths() {
    let server = echo().await;
    let sid = server.open_v3("").await;
    let waiting = server.waiting_get(&sid).await;
    within(server.post(&sid, "1:1")).await.is(200, "ok");
    within(waiting).await.is(200, "1:6");

    let sid = server.open_v3("").await;
    let waiting = server.waiting_get(&sid).await;
    assert_eq!(within(server.get(&sid)).await.status, 400);
    within(waiting).await.is(200, "1:1");
}
