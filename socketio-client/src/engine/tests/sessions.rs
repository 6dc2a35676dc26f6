//! Messages over each transport, and the heartbeat.

use super::*;
use bytes::Bytes;
use engineio_parser::Revision;
use engineio_server::EngineConfig as ServerConfig;

#[tokio::test(start_paused = true)]
async fn messages_come_back_over_each_transport_and_revision() {
    for via in [Transport::Polling, Transport::WebSocket] {
        for revision in [Revision::V3, Revision::V4] {
            for base64 in [false, true] {
                let network = Network::echo(ServerConfig::default().allow_eio3(true));
                let options = only(via).revision(revision).force_base64(base64);
                let mut engine = open(&network, options).await;
                assert_eq!((engine.transport(), engine.sid().len()), (via, 20));
                let run = Frames::new(
                    Frame::text(PacketType::Message, "h\u{e9}"),
                    [Bytes::from("\x01\x02")],
                );
                engine.send(run).unwrap();
                engine.send(text("")).unwrap();
                assert_eq!(message(&mut engine).await, PacketData::Text("h\u{e9}".into()));
                let binary = PacketData::Binary(Bytes::from_static(b"\x01\x02"));
                assert_eq!(message(&mut engine).await, binary, "{via:?} {revision:?} {base64}");
                assert_eq!(message(&mut engine).await, PacketData::Text("".into()));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_keeps_a_quiet_session_open() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, only(via)).await;
        for _ in 0..10 {
            assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
        }
        engine.send(text("x")).unwrap();
        assert_eq!(message(&mut engine).await, PacketData::Text("x".into()));
        assert_eq!(network.engine().clients_count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revision_3_client_pings() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default().allow_eio3(true));
        let mut engine = open(&network, only(via).revision(Revision::V3)).await;
        let quiet = tokio::time::timeout(Duration::from_secs(300), event(&mut engine)).await;
        assert!(quiet.is_err(), "{quiet:?}");
        assert_eq!(network.engine().clients_count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn many_messages_keep_their_order() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default().max_payload(10_000));
        let mut engine = open(&network, only(via)).await;
        for number in 0..3000 {
            engine.send(text(&format!("{number} {}", "x".repeat(50)))).unwrap();
        }
        for number in 0..3000 {
            let PacketData::Text(got) = message(&mut engine).await else { panic!("binary") };
            assert!(got.starts_with(&format!("{number} ")), "{got}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_writable_until_its_frames_are_sent() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, only(via)).await;
        assert!(engine.is_writable());
        engine.send(text("x")).unwrap();
        assert!(!engine.is_writable());
        message(&mut engine).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), event(&mut engine)).await;
        assert!(engine.is_writable());
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_without_reading_outlives_ten_seconds() {
    let network = Network::echo(ServerConfig::default());
    let mut engine = open(&network, only(Transport::WebSocket)).await;
    engine.send(text("x")).unwrap();
    engine.set_reading(false);
    let quiet = tokio::time::timeout(Duration::from_secs(10), event(&mut engine)).await;
    assert!(quiet.is_err());
    engine.set_reading(true);
    assert_eq!(message(&mut engine).await, PacketData::Text("x".into()));
}

#[tokio::test(start_paused = true)]
async fn a_long_message_takes_many_reads_and_writes() {
    for options in [only(Transport::Polling), only(Transport::WebSocket), options()] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, options).await;
        let long = "x".repeat(500_000);
        engine.send(text(&long)).unwrap();
        assert_eq!(message(&mut engine).await, PacketData::Text(long.into()));
    }
}
