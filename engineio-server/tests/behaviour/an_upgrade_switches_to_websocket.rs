//! Protocol: "Upgrade".

use crate::support;

use engineio_server::{EngineConfig, Event, Transport};
use support::{Message, Server, frame, poll_once, text, within};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn an_upgrade_switches_to_websocket() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let mut websocket = server.probe(&sid).await;

    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    within(get).await.is(200, "6");
    // Every later GET is answered as well, because the client switches only when none is pending.
    for _ in 0..3 {
        within(server.get(&sid)).await.is(200, "6");
    }
    assert_eq!(server.engine.client(&sid).unwrap().transport(), Transport::Polling);

    websocket.send("5").await;
    websocket.send("4hello").await;
    assert_eq!(server.event().await, Event::Upgraded(Transport::WebSocket));
    assert_eq!(server.event().await, text("hello"));
    assert_eq!(websocket.text().await, "4hello");
    assert_eq!(server.engine.client(&sid).unwrap().transport(), Transport::WebSocket);

    within(server.get(&sid)).await.is(400, r#"{"code":3,"message":"Bad request"}"#);
    websocket.send("4still here").await;
    assert_eq!(websocket.text().await, "4still here");
}

#[tokio::test]
async fn a_poll_that_is_pending_during_the_switch_is_answered() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let mut websocket = server.probe(&sid).await;
    // An upgrade without a probe, which Node also accepts.
    websocket.send("5").await;
    within(get).await.is(200, "6");
    assert_eq!(server.event().await, Event::Upgraded(Transport::WebSocket));
}

#[tokio::test]
async fn queued_messages_leave_on_the_transport_in_use() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let handle = server.engine.client(&sid).unwrap();
    let mut websocket = server.probe(&sid).await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    handle.send("by polling").unwrap();
    within(server.get(&sid)).await.is(200, "4by polling");
    handle.send("by websocket").unwrap();
    websocket.send("5").await;
    assert_eq!(websocket.text().await, "4by websocket");
    assert_eq!(server.event().await, Event::Upgraded(Transport::WebSocket));
}

#[tokio::test]
async fn a_second_websocket_is_closed_during_and_after_an_upgrade() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    let mut websocket = server.probe(&sid).await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    let mut second = server.connect(&query).await.unwrap();
    assert_eq!(second.next().await, Some(Message::Close(None)));

    websocket.send("5").await;
    assert_eq!(server.event().await, Event::Upgraded(Transport::WebSocket));
    let mut third = server.connect(&query).await.unwrap();
    assert_eq!(third.next().await, Some(Message::Close(None)));
    websocket.send("4hello").await;
    assert_eq!(websocket.text().await, "4hello");
}

#[tokio::test]
async fn only_one_of_two_concurrent_upgrades_succeeds() {
    let server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    let (one, two) = tokio::join!(server.connect(&query), server.connect(&query));
    let mut taken = 0;
    for mut websocket in [one, two].into_iter().flatten() {
        // The refused WebSocket may be closed before it has sent anything.
        let _ = futures_util::SinkExt::send(&mut websocket.0, Message::text("2probe")).await;
        match websocket.next().await {
            Some(Message::Text(answer)) => {
                assert_eq!(answer.as_str(), "3probe");
                taken += 1;
            }
            Some(Message::Close(None)) | None => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn closing_during_an_upgrade_closes_both_transports() {
    let server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut websocket = server.probe(&sid).await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    within(server.post(&sid, "1")).await.is(200, "ok");
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn an_upgrade_completes_while_the_queue_is_full_or_reading_is_paused() {
    for paused in [false, true] {
        let config = EngineConfig::default().max_queued_packets(4);
        let (server, mut connections) = Server::manual(config).await;
        let sid = server.open().await;
        let mut connection = within(connections.recv()).await.unwrap();
        if paused {
            connection.pause_reading();
        }
        for message in ["a", "b", "c", "d"] {
            connection.send(message).unwrap();
        }

        let mut websocket = server.probe(&sid).await;
        websocket.send("2probe").await;
        tokio::select! {
            answer = websocket.text() => assert_eq!(answer, "3probe"),
            event = connection.event() => panic!("{event:?}"),
        }
        // The client sends no more GETs, and its first message follows at once.
        let switch = [frame(0x81, b"5"), frame(0x81, b"4up")].concat();
        within(websocket.0.get_mut().write_all(&switch)).await.unwrap();
        assert_eq!(within(connection.event()).await, Event::Upgraded(Transport::WebSocket));
        assert!(poll_once(&mut Box::pin(connection.event())).await.is_none_or(|_| !paused));
        for message in ["4a", "4b", "4c", "4d"] {
            assert_eq!(websocket.text().await, message);
        }
    }
}
