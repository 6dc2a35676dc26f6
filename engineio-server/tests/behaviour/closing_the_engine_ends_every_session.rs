//! [`Engine::close`](engineio_server::Engine::close) and [`Listening::stop`](engineio_server::Listening::stop).

use crate::support;

use std::time::Duration;

use engineio_server::{CloseReason, EngineConfig};
use support::{Message, Server, within};
use tokio::net::TcpStream;

#[tokio::test]
async fn closing_the_engine_ends_every_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let (mut websocket, _) = server.websocket().await;
    assert_eq!(server.engine.clients_count(), 2);

    server.engine.close();
    within(get).await.is(200, "1");
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
    for _ in 0..2 {
        assert_eq!(server.closed().await, CloseReason::ForcedClose);
    }
    assert_eq!(server.engine.clients_count(), 0);
    let refused = within(server.request("GET", "EIO=4&transport=polling", "")).await;
    refused.is(503, r#"{"code":6,"message":"Server shutting down"}"#);
}

#[tokio::test]
async fn queued_messages_are_sent_first() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let mut connection = within(connections.recv()).await.unwrap();
    connection.send("last words").unwrap();
    server.engine.close();
    within(connection.event()).await;
    assert!(websocket.text().await.starts_with('0'));
    assert_eq!(websocket.text().await, "4last words");
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_read_is_dropped_after_linger() {
    let linger = Duration::from_secs(2);
    let mut server = Server::echo(EngineConfig::default().linger(linger)).await;
    let sid = server.open().await;
    server.engine.client(&sid).unwrap().send("never fetched").unwrap();
    let start = tokio::time::Instant::now();
    server.engine.close();
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert_eq!(start.elapsed(), linger);
    server.engine.ended().await;
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn a_stopped_listener_accepts_no_connections_and_keeps_websockets() {
    let server = Server::echo(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let Server { address, listening, .. } = server;
    listening.stop();
    within(listening.join()).await;

    assert_eq!(support::rest(&mut idle).await, "", "idle connections are closed");
    assert!(TcpStream::connect(address).await.is_err());
    websocket.send("4hello").await;
    assert_eq!(websocket.text().await, "4hello");
}
