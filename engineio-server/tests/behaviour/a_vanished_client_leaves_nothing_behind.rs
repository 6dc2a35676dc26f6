//! No session, no task.

use crate::support;

use std::time::Duration;

use engineio_server::EngineConfig;
use support::{Server, until, within};

fn config() -> EngineConfig {
    EngineConfig::default()
        .ping_interval(Duration::from_millis(500))
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

    // One that never polls, one whose poll breaks, one that breaks in the midst of an upgrade.
    server.open().await;
    let sid = server.open().await;
    drop(server.waiting_get(&sid).await);
    let sid = server.open().await;
    let mut probe = server.probe(&sid).await;
    probe.send("2probe").await;
    assert_eq!(probe.text().await, "3probe");
    drop(probe);
    // Two WebSockets, of which one stays connected and is silent.
    drop(server.websocket().await);
    let (_silent, _) = server.websocket().await;
    // One that does not even send its request, and one whose request is not read on.
    let _idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
    drop(server.connect("EIO=4&transport=websocket"));

    until(|| server.engine.clients_count() == 0).await;
    drop(_idle);
    until(|| tasks() == before).await;
}

#[tokio::test]
async fn neither_does_an_application_that_panics() {
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
