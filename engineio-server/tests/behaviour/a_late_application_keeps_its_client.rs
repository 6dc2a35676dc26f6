//! If the application polls late, the session must read what has arrived before it judges the
//! client's silence.

use crate::support;

use std::time::Duration;

use engineio_server::{EngineConfig, Event, PacketData, TurnLimits};
use support::{Server, frame, poll_once, text, within};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_late_application_keeps_its_client() {
    let config = EngineConfig::default()
        .ping_interval(Duration::from_millis(20))
        .ping_timeout(Duration::from_millis(500));
    let (server, mut connections) = Server::manual(config).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let mut connection = within(connections.recv()).await.unwrap();
    tokio::select! {
        () = async { while websocket.text().await != "2" {} } => {}
        event = connection.event() => panic!("{event:?}"),
    }
    websocket.send("3").await;
    websocket.send("4here").await;

    // The application is busy for longer than the client may be silent.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(within(connection.recv()).await, Ok(PacketData::Text("here".into())));
    assert!(poll_once(&mut Box::pin(connection.event())).await.is_none(), "the session lives");
}

#[tokio::test]
async fn a_client_whose_pong_waits_behind_undelivered_messages_lives() {
    const MESSAGES: usize = 40;
    let mut limits = TurnLimits::default();
    limits.messages = 1;
    let config = EngineConfig::default()
        .ping_interval(Duration::from_millis(20))
        .ping_timeout(Duration::from_millis(300))
        .turn(limits);
    let (server, mut connections) = Server::manual(config).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let mut connection = within(connections.recv()).await.unwrap();
    let burst = frame(0x81, b"4m").repeat(MESSAGES);
    within(websocket.0.get_mut().write_all(&burst)).await.unwrap();

    for n in 0..MESSAGES {
        assert_eq!(within(connection.event()).await, text("m"), "message {n}");
        match n {
            // A ping falls due while messages wait for the application, and is written.
            0 => {
                assert!(websocket.text().await.starts_with('0'));
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            3 => {
                assert_eq!(websocket.text().await, "2");
                websocket.send("3").await;
                // The application is busy for longer than the client may be silent.
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            _ => {}
        }
    }
    websocket.send("4end").await;
    assert_eq!(within(connection.event()).await, text("end"));
}

#[tokio::test]
async fn messages_before_the_end_of_the_connection_reach_a_late_application() {
    let mut limits = TurnLimits::default();
    (limits.messages, limits.packets) = (1, 2);
    let config = EngineConfig::default().ping_interval(Duration::from_millis(20)).turn(limits);
    let (server, mut connections) = Server::manual(config).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let mut connection = within(connections.recv()).await.unwrap();
    let burst = frame(0x81, b"4m").repeat(10);
    within(websocket.0.get_mut().write_all(&burst)).await.unwrap();
    assert_eq!(within(connection.event()).await, text("m"));
    within(websocket.0.get_mut().shutdown()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;
    for n in 1..10 {
        assert_eq!(within(connection.event()).await, text("m"), "message {n}");
    }
    assert!(matches!(within(connection.event()).await, Event::Closed(_)));
}
