//! A failed probe does not end its session. The session continues with polling and may be upgraded
//! again.

use crate::support;

use std::time::Duration;

use engineio_server::{EngineConfig, Event, Transport};
use support::{Message, Server, WebSocket, text, within};

/// Checks that the session is open and that another upgrade succeeds.
async fn lives(server: &mut Server, sid: &str) {
    within(server.post(sid, "4hello")).await.is(200, "ok");
    assert_eq!(server.event().await, text("hello"));
    within(server.get(sid)).await.is(200, "4hello");
    let websocket = server.probe(sid).await;
    succeeds(server, websocket).await;
}

async fn succeeds(server: &mut Server, mut websocket: WebSocket) {
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    websocket.send("5").await;
    assert_eq!(server.event().await, Event::Upgraded(Transport::WebSocket));
    websocket.send("4again").await;
    assert_eq!(websocket.text().await, "4again");
}

async fn start(config: EngineConfig) -> (Server, String, WebSocket) {
    let server = Server::echo(config).await;
    let sid = server.open().await;
    let websocket = server.probe(&sid).await;
    (server, sid, websocket)
}

#[tokio::test]
async fn a_probe_is_dropped_after_its_timeout() {
    let config = EngineConfig::default().upgrade_timeout(Duration::from_secs(1));
    for probes in [false, true] {
        let (mut server, sid, mut websocket) = start(config.clone()).await;
        if probes {
            websocket.send("2probe").await;
            assert_eq!(websocket.text().await, "3probe");
        }
        assert_eq!(websocket.next().await, Some(Message::Close(None)));
        lives(&mut server, &sid).await;
    }
}

#[tokio::test]
async fn a_probe_is_dropped_after_a_wrong_packet() {
    for wrong in ["4hello", "2", "2prob", "garbage", "1"] {
        let (mut server, sid, mut websocket) = start(EngineConfig::default()).await;
        websocket.send(wrong).await;
        assert_eq!(websocket.next().await, Some(Message::Close(None)), "{wrong}");
        lives(&mut server, &sid).await;
    }
}

#[tokio::test]
async fn a_probe_is_dropped_after_a_message_beyond_the_limit() {
    let (mut server, sid, mut websocket) = start(EngineConfig::default().max_payload(100)).await;
    websocket.send(Message::binary(vec![0; 101])).await;
    assert_eq!(websocket.close_code().await, Some(1009));
    assert_eq!(websocket.next().await, None, "one close frame is enough");
    lives(&mut server, &sid).await;
}

#[tokio::test]
async fn a_probe_that_the_client_closes_is_dropped() {
    let (mut server, sid, mut websocket) = start(EngineConfig::default()).await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    websocket.send(Message::Close(None)).await;
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
    lives(&mut server, &sid).await;
}

#[tokio::test]
async fn a_probe_whose_connection_fails_is_dropped() {
    let config = EngineConfig::default().upgrade_timeout(Duration::from_secs(3600));
    let (mut server, sid, websocket) = start(config).await;
    drop(websocket);
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    let next = within(async {
        loop {
            match server.connect(&query).await {
                Ok(websocket) => return websocket,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    succeeds(&mut server, next).await;
}
