//! The response to the pending GET, or to the next one, when a session closes.

use crate::support;

use engineio_server::{CloseReason, EngineConfig, Event, Unsent};
use support::{Server, within};

#[tokio::test]
async fn a_close_packet_of_the_client_ends_the_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    within(server.post(&sid, "1")).await.is(200, "ok");
    within(get).await.is(200, "6");
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn closing_answers_the_pending_get() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let handle = server.engine.client(&sid).unwrap();
    handle.send("bye").unwrap();
    handle.close(Unsent::Send);
    within(get).await.is(200, "4bye");
    within(server.get(&sid)).await.is(200, "6\x1e1");
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn closing_answers_the_next_get_if_none_is_pending() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    server.engine.client(&sid).unwrap().close(Unsent::Send);
    within(server.get(&sid)).await.is(200, "6\x1e1");
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
}

#[tokio::test]
async fn the_end_of_the_application_closes_the_session() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    let get = server.waiting_get(&sid).await;
    connection.handle().close(Unsent::Discard);
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
