//! Protocol revision 3: "Heartbeat". The client sends pings, and the server answers them.

use crate::support;

use std::time::Duration;

use engineio_server::{CloseReason, EngineConfig};
use support::{Message, Server, within};

fn patient() -> EngineConfig {
    EngineConfig::default().allow_eio3(true)
}

/// Timings with which a silent client times out soon.
fn strict() -> EngineConfig {
    patient().ping_interval(Duration::from_millis(50)).ping_timeout(Duration::from_millis(50))
}

#[tokio::test]
async fn a_polling_client_that_pings_gets_pongs() {
    let server = Server::echo(patient()).await;
    let sid = server.open_v3("").await;
    for _ in 0..3 {
        within(server.post(&sid, "1:2")).await.is(200, "ok");
        within(server.get(&sid)).await.is(200, "1:3");
    }
}

#[tokio::test]
async fn a_websocket_that_pings_gets_pongs() {
    let server = Server::echo(patient()).await;
    let (mut websocket, _) = server.websocket_with("EIO=3").await;
    for _ in 0..3 {
        websocket.send("2").await;
        assert_eq!(websocket.text().await, "3");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_polling_client_times_out() {
    let mut server = Server::echo(strict()).await;
    let sid = server.open_v3("").await;
    within(server.get(&sid)).await.is(200, "1:1");
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn a_silent_websocket_times_out_without_a_ping() {
    let mut server = Server::echo(strict()).await;
    let (mut websocket, sid) = server.websocket_with("EIO=3").await;
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn a_pong_of_the_client_is_an_error() {
    let mut server = Server::echo(patient()).await;
    let (mut websocket, _) = server.websocket_with("EIO=3").await;
    websocket.send("3").await;
    assert_eq!(websocket.close_code().await, None);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}
