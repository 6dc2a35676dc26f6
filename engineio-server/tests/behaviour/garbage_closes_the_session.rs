//! Garbage ends the session ("parse error") after the packets before it were delivered. The
//! response is 400, unlike Node's `ok`.

use crate::support;

use engineio_server::{CloseReason, EngineConfig, Event};
use support::{Server, text, within};

#[tokio::test]
async fn garbage_in_a_push_closes_the_session() {
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
async fn an_empty_push_closes_the_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    assert_eq!(within(server.post(&sid, "")).await.status, 400);
    assert_eq!(server.closed().await, CloseReason::ParseError);
}

#[tokio::test]
async fn garbage_on_a_websocket_closes_the_session() {
    for garbage in ["abc", "", "9"] {
        let mut server = Server::echo(EngineConfig::default()).await;
        let (mut websocket, sid) = server.websocket().await;
        websocket.send(garbage).await;
        assert_eq!(websocket.close_code().await, None);
        assert_eq!(server.closed().await, CloseReason::ParseError);
        assert!(server.is_gone(&sid).await);
    }
}
