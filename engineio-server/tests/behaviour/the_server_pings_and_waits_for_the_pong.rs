//! Protocol: "Heartbeat", revision 4.

use crate::support;

use std::time::Duration;

use engineio_server::{CloseReason, EngineConfig};
use support::{Message, Server, within};

/// Timings with which a client that answers is never late, even on a busy machine.
fn patient() -> EngineConfig {
    EngineConfig::default().ping_interval(Duration::from_millis(50))
}

/// Timings with which a silent client times out soon.
fn strict() -> EngineConfig {
    patient().ping_timeout(Duration::from_millis(50))
}

#[tokio::test]
async fn a_polling_client_that_answers_pings_stays() {
    let server = Server::echo(patient()).await;
    let sid = server.open().await;
    for _ in 0..3 {
        within(server.get(&sid)).await.is(200, "2");
        within(server.post(&sid, "3")).await.is(200, "ok");
    }
}

#[tokio::test]
async fn a_websocket_that_answers_pings_stays() {
    let server = Server::echo(patient()).await;
    let (mut websocket, _) = server.websocket().await;
    for _ in 0..3 {
        assert_eq!(websocket.text().await, "2");
        websocket.send("3").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_polling_client_times_out() {
    let mut server = Server::echo(strict()).await;
    let sid = server.open().await;
    within(server.get(&sid)).await.is(200, "2");
    within(server.get(&sid)).await.is(200, "1");
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn a_client_that_never_polls_is_closed() {
    let mut server = Server::echo(strict()).await;
    let sid = server.open().await;
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn a_silent_websocket_is_closed() {
    let mut server = Server::echo(strict()).await;
    let (mut websocket, sid) = server.websocket().await;
    assert_eq!(websocket.text().await, "2");
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn an_unsolicited_pong_has_no_effect() {
    let server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    websocket.send("3").await;
    websocket.send("4still here").await;
    assert_eq!(websocket.text().await, "4still here");
}

#[tokio::test]
async fn a_ping_of_the_client_is_an_error() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    websocket.send("2").await;
    assert_eq!(websocket.close_code().await, None);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}
