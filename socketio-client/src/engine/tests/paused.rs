//! A session whose owner reads no messages for a while.

use super::*;
use engineio_server::EngineConfig as ServerConfig;

/// Returns the events of the next minute, none of which may be a message.
async fn minute(engine: &mut Engine) -> Vec<EngineEvent> {
    let mut events = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            match poll_fn(|cx| engine.poll_event(cx)).await {
                EngineEvent::Message(data) => panic!("{data:?}"),
                event => events.push(event),
            }
        }
    })
    .await;
    events
}

#[tokio::test(start_paused = true)]
async fn pings_behind_messages_are_answered_while_reading_is_paused() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, only(via)).await;
        engine.set_reading(false);
        for n in 0..5 {
            engine.send(text(&n.to_string())).unwrap();
            let events = minute(&mut engine).await;
            assert!(events.iter().all(|event| matches!(event, EngineEvent::Ping)), "{events:?}");
            assert!(events.len() >= 2, "{via:?}: {events:?}");
        }
        engine.set_reading(true);
        for n in 0..5 {
            assert_eq!(message(&mut engine).await, PacketData::Text(n.to_string().into()));
        }
        engine.send(text("6")).unwrap();
        assert_eq!(message(&mut engine).await, PacketData::Text("6".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_noticed_while_reading_is_paused() {
    for via in [Transport::Polling, Transport::WebSocket] {
        // A WebSocket is not among the network's HTTP connections.
        let cuts = if via == Transport::Polling { &[false, true][..] } else { &[false] };
        for cut in cuts {
            let network = Network::echo(ServerConfig::default());
            let mut engine = open(&network, only(via)).await;
            let handle = network.engine().client(engine.sid()).unwrap();
            engine.set_reading(false);
            handle.send("last").unwrap();
            minute(&mut engine).await;
            let before = tokio::time::Instant::now();
            if *cut {
                network.cut()
            } else {
                handle.close(engineio_server::Unsent::Send)
            }
            // Messages that arrived earlier come first.
            assert!(matches!(event(&mut engine).await, EngineEvent::Message(_)), "{via:?}");
            let end = closed(&mut engine).await;
            assert_ne!(reason(&end), CloseReason::PingTimeout);
            assert!(before.elapsed() < Duration::from_secs(3), "{via:?} {:?}", before.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_unread_messages_does_not_prevent_a_ping_timeout() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, only(via)).await;
        let handle = network.engine().client(engine.sid()).unwrap();
        engine.set_reading(false);
        for _ in 0..300 {
            handle.send("x".repeat(10_000)).unwrap();
        }
        let before = tokio::time::Instant::now();
        let mut read = 0;
        let end = loop {
            match event(&mut engine).await {
                EngineEvent::Message(data) => read += data.len(),
                EngineEvent::Closed(end) => break end,
                _ => {}
            }
        };
        assert_eq!(
            reason(&end),
            CloseReason::PingTimeout,
            "{via:?} {:?} {end:?}",
            before.elapsed()
        );
        assert!(before.elapsed() <= Duration::from_secs(45), "{via:?} {:?}", before.elapsed());
        assert!((10_000..100_000).contains(&read), "{via:?}: {read} bytes are read ahead");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(handle.is_closed(), "{via:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_not_read_ahead() {
    let network = Network::echo(ServerConfig::default());
    let mut engine = open(&network, only(Transport::WebSocket)).await;
    let handle = network.engine().client(engine.sid()).unwrap();
    engine.set_reading(false);
    handle.send("x".repeat(1_000_000)).unwrap();
    minute(&mut engine).await;
    let bytes = handle.queued().bytes;
    let held = engine.buffered();
    assert!(bytes == 0 && held <= 128 * 1024, "{held} bytes are held");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_goes_on_while_reading_is_paused() {
    let network = Network::echo(ServerConfig::default());
    let mut engine = open(&network, options()).await;
    engine.set_reading(false);
    engine.send(text("1")).unwrap();
    let events = minute(&mut engine).await;
    assert!(events.iter().any(|event| matches!(event, EngineEvent::Upgraded(_))), "{events:?}");
    engine.set_reading(true);
    assert_eq!(message(&mut engine).await, PacketData::Text("1".into()));
}
