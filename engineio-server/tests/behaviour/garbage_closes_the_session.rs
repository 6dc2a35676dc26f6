//! "parse error", after what preceded the garbage was delivered. Node answers `ok`; 400 is the better answer.

use crate::support;

use engineio_server::{CloseReason, EngineConfig, Event};
use support::{Server, text, within};

#[tokio::test]
async fn in_a_push() {
    for body in [&b"4good\x1eabc"[..], b"4good\x1e", b"4good\x1e9", b"4good\x1e4\xff"] {
        let mut server = Server::echo(EngineConfig::default()).await;
        let sid = server.open().await;
        let get = server.waiting_get(&sid).await;
        let answer = within(server.post(&sid, body)).await;
        answer.is(400, r#"{"code":3,"message":"Bad request"}"#);
        assert_eq!(server.event().await, text("good"));
        assert_eq!(server.event().await, Event::Closed(CloseReason::ParseError));
        assert_eq!(within(get).await.status, 200);
        assert!(server.is_gone(&sid).await);
    }
}

#[tokio::test]
async fn an_empty_push() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    assert_eq!(within(server.post(&sid, "")).await.status, 400);
    assert_eq!(server.closed().await, CloseReason::ParseError);
}

#[tokio::test]
async fn on_a_websocket() {
    for garbage in ["abc", "", "9"] {
        let mut server = Server::echo(EngineConfig::default()).await;
        let (mut websocket, sid) = server.websocket().await;
        websocket.send(garbage).await;
        assert_eq!(websocket.close_code().await, None);
        assert_eq!(server.closed().await, CloseReason::ParseError);
        assert!(server.is_gone(&sid).await);
    }
}
