//! If the application polls late, the session must read what has arrived before it judges the
//! client's silence.

use crate::support;

use std::time::Duration;

use engineio_server::{CloseReason, Connection, EngineConfig, Event, PacketData, TurnLimits};
use support::{Server, frame, poll_once, text, waiting, within};
use tokio::{io::AsyncWriteExt, time::sleep};

#[tokio::test]
async fn a_late_application_keeps_its_client() {
    let config = EngineConfig::default()
        .ping_interval(Duration::from_millis(20))
        .ping_timeout(Duration::from_millis(1500));
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
    sleep(Duration::from_millis(1600)).await;
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
        .ping_timeout(Duration::from_millis(1500))
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
                sleep(Duration::from_millis(40)).await;
            }
            3 => {
                assert_eq!(websocket.text().await, "2");
                websocket.send("3").await;
                // The application is busy for longer than the client may be silent.
                sleep(Duration::from_millis(1600)).await;
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
    sleep(Duration::from_millis(40)).await;
    for n in 1..10 {
        assert_eq!(within(connection.event()).await, text("m"), "message {n}");
    }
    assert!(matches!(within(connection.event()).await, Event::Closed(_)));
}

/// Opens a polling session. The client has received a ping, and sends messages before its pong. The
/// application has received the first message.
async fn polling_client_with_ping(messages: usize) -> (Server, Connection, String) {
    let config = EngineConfig::default()
        .ping_interval(Duration::from_secs(3))
        .ping_timeout(Duration::from_secs(2));
    let (server, mut connections) = Server::manual(config).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    tokio::select! {
        ping = server.get(&sid) => ping.is(200, "2"),
        event = connection.event() => panic!("{event:?}"),
    }
    server.post(&sid, vec!["4m"; messages].join("\x1e")).await.is(200, "ok");
    assert_eq!(connection.event().await, text("m"));
    (server, connection, sid)
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_whose_pong_waits_behind_undelivered_messages_lives() {
    for messages in [1, 2] {
        let (server, mut connection, sid) = polling_client_with_ping(messages).await;
        let pong = waiting(server.post(&sid, "3")).await;
        // The application is busy for longer than the client may be silent.
        sleep(Duration::from_secs(3)).await;
        for _ in 1..messages {
            assert_eq!(connection.event().await, text("m"));
        }
        assert_eq!(poll_once(&mut Box::pin(connection.event())).await, None);
        pong.await.is(200, "ok");
        tokio::select! {
            ping = server.get(&sid) => ping.is(200, "2"),
            event = connection.event() => panic!("{event:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_that_sends_no_pong_times_out() {
    let (_server, mut connection, _) = polling_client_with_ping(1).await;
    sleep(Duration::from_secs(3)).await;
    let end = poll_once(&mut Box::pin(connection.event())).await;
    assert_eq!(end, Some(Event::Closed(CloseReason::PingTimeout)));
}
