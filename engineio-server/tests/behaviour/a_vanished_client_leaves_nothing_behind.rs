//! No session and no task remains after a client has vanished.

use crate::support;

use std::time::Duration;

use engineio_server::EngineConfig;
use support::{Server, until, within};

fn config() -> EngineConfig {
    EngineConfig::default()
        .ping_interval(Duration::from_secs(2))
        .ping_timeout(Duration::from_millis(500))
        .linger(Duration::from_millis(50))
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn a_vanished_client_leaves_nothing_behind() {
    let server = Server::echo(config()).await;
    let before = tasks();

    // One client never polls, one aborts its poll, and one disconnects during an upgrade.
    server.open().await;
    let sid = server.open().await;
    drop(server.waiting_get(&sid).await);
    let sid = server.open().await;
    let mut probe = server.probe(&sid).await;
    probe.send("2probe").await;
    assert_eq!(probe.text().await, "3probe");
    drop(probe);
    // Two WebSockets, one of which stays connected and silent.
    drop(server.websocket().await);
    let (_silent, _) = server.websocket().await;
    // A connection without a request, and a WebSocket request that is dropped.
    let _idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
    drop(server.connect("EIO=4&transport=websocket"));

    until(|| server.engine.clients_count() == 0).await;
    drop(_idle);
    until(|| tasks() == before).await;
}

#[tokio::test]
async fn an_application_that_panics_leaves_nothing_behind() {
    let engine = engineio_server::Engine::new(
        config(),
        |mut connection: engineio_server::Connection| async move {
            let _ = connection.recv().await;
            panic!("on purpose");
        },
    );
    let server = Server::start(engine).await;
    let before = tasks();
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    within(server.post(&sid, "4a")).await;
    within(get).await.is(200, "1");
    let (mut websocket, _) = server.websocket().await;
    websocket.send("4a").await;
    assert_eq!(websocket.close_code().await, None);
    drop(websocket);
    assert_eq!(server.engine.clients_count(), 0);
    until(|| tasks() == before).await;
}
