//! A paused connection does not read, and its client does not time out meanwhile.

use crate::support;

use std::time::Duration;

use engineio_server::{CloseReason, EngineConfig, Event, PacketData, Unsent};
use support::{Message, Server, poll_once, waiting, within};

fn strict() -> EngineConfig {
    EngineConfig::default()
        .ping_interval(Duration::from_millis(40))
        .ping_timeout(Duration::from_millis(40))
}

#[tokio::test]
async fn a_paused_connection_reads_nothing() {
    let (server, mut connections) = Server::manual(strict()).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let mut connection = within(connections.recv()).await.unwrap();
    connection.pause_reading();
    websocket.send("4waits").await;

    // Pings are sent and answered for several times the allowed silence, although the pongs are not
    // read.
    let client = async {
        for _ in 0..5 {
            while websocket.text().await != "2" {}
            websocket.send("3").await;
        }
    };
    tokio::select! {
        () = client => {}
        event = connection.event() => panic!("{event:?}"),
    }
    assert!(!connection.handle().is_closed());

    // Messages sent in the meantime arrive.
    connection.send("down").unwrap();
    assert!(poll_once(&mut Box::pin(connection.event())).await.is_none());
    let mut text = websocket.text().await;
    while text == "2" {
        text = websocket.text().await;
    }
    assert_eq!(text, "4down");

    connection.resume_reading();
    assert_eq!(within(connection.recv()).await, Ok(PacketData::Text("waits".into())));
}

#[tokio::test]
async fn a_session_that_ends_while_paused_reports_it() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let (mut websocket, _) = server.websocket().await;
    let mut connection = within(connections.recv()).await.unwrap();
    connection.pause_reading();
    connection.handle().close(Unsent::Discard);
    assert_eq!(within(connection.event()).await, Event::Closed(CloseReason::ForcedClose));
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
}

#[tokio::test]
async fn a_push_to_a_paused_session_waits() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    connection.pause_reading();
    within(server.post(&sid, "4a")).await.is(200, "ok");
    let second = waiting(server.post(&sid, "4b")).await;
    assert!(poll_once(&mut Box::pin(connection.event())).await.is_none());

    connection.resume_reading();
    assert_eq!(within(connection.recv()).await, Ok(PacketData::Text("a".into())));
    assert!(poll_once(&mut Box::pin(connection.event())).await.is_none());
    within(second).await.is(200, "ok");
    assert_eq!(within(connection.recv()).await, Ok(PacketData::Text("b".into())));
}
