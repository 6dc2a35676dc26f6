//! What a waiting GET, or the next one, is told.

use crate::support;

use engineio_server::{CloseReason, EngineConfig, Event};
use support::{Server, within};

#[tokio::test]
async fn by_the_client() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    within(server.post(&sid, "1")).await.is(200, "ok");
    within(get).await.is(200, "6");
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn by_the_server_while_a_poll_waits() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let handle = server.engine.client(&sid).unwrap();
    handle.send("bye").unwrap();
    handle.close(false);
    within(get).await.is(200, "4bye");
    within(server.get(&sid)).await.is(200, "6\x1e1");
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn by_the_server_before_the_next_poll() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    server.engine.client(&sid).unwrap().close(false);
    within(server.get(&sid)).await.is(200, "6\x1e1");
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
}

#[tokio::test]
async fn by_the_end_of_the_application() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    let get = server.waiting_get(&sid).await;
    connection.handle().close(true);
    assert_eq!(connection.event().await, Event::Closed(CloseReason::ForcedClose));
    assert_eq!(connection.event().await, Event::Closed(CloseReason::ForcedClose));
    assert!(connection.send("late").is_err());
    within(get).await.is(200, "1");

    let sid = server.open().await;
    let connection = connections.recv().await.unwrap();
    let get = server.waiting_get(&sid).await;
    drop(connection);
    within(get).await.is(200, "1");
    assert!(server.is_gone(&sid).await);
}
