//! Sessions over WebTransport: opened directly, and upgraded from polling.

use std::time::Duration;

use bytes::Bytes;
use engineio_parser::{Frame, Packet, PacketType};
use engineio_server::{CloseReason, EngineConfig, Event, PacketData, Transport};

use crate::{
    support::{Server, sid_of, text, until, within},
    webtransport::WebTransport,
};

const TRANSPORTS: [Transport; 3] =
    [Transport::Polling, Transport::WebSocket, Transport::WebTransport];

fn config() -> EngineConfig {
    EngineConfig::default().transports(&TRANSPORTS)
}

async fn start(config: EngineConfig) -> (Server, WebTransport) {
    let server = Server::echo(config).await;
    let webtransport = WebTransport::listen(&server.engine).await;
    (server, webtransport)
}

fn message(text: &str) -> Option<Packet> {
    Some(Packet::message(text))
}

#[tokio::test]
async fn a_session_opens_with_the_first_packet() {
    let (mut server, webtransport) = start(config()).await;
    let (session, mut stream) = webtransport.open(b"\x010").await;
    let open = stream.packet().await.unwrap();
    assert_eq!(open.kind, PacketType::Open);
    let PacketData::Text(json) = open.data else { panic!("binary") };
    assert!(json.contains(r#""upgrades":[]"#), "{json}");
    let stats = server.engine.stats();
    assert_eq!((stats.sessions.webtransport, stats.sessions.total()), (1, 1));

    stream.text("4hello").await;
    assert_eq!(server.event().await, text("hello"));
    assert_eq!(stream.packet().await, message("hello"));
    for data in [vec![], vec![1, 2, 3], vec![7; 100_000]] {
        let data = Bytes::from(data);
        stream.frame(&Frame::binary(data.clone())).await;
        assert_eq!(server.event().await, Event::Message(PacketData::Binary(data.clone())));
        assert_eq!(stream.packet().await.unwrap().data, PacketData::Binary(data));
    }
    let mut both = vec![6];
    both.extend_from_slice(b"4split\x044one");
    for byte in both {
        stream.write(&[byte]).await;
    }
    assert_eq!(stream.packet().await, message("split"));
    assert_eq!(stream.packet().await, message("one"));

    drop(stream);
    drop(session);
    loop {
        if let Event::Closed(_) = server.event().await {
            break;
        }
    }
    within(async {
        server.engine.close();
        server.engine.ended().await;
    })
    .await;
}

#[tokio::test]
async fn a_polling_session_is_upgraded() {
    let (mut server, webtransport) = start(config()).await;
    let sid = server.open().await;
    let first = format!("0{{\"sid\":\"{sid}\"}}");
    let (_session, mut stream) =
        webtransport.open([&[first.len() as u8], first.as_bytes()].concat()).await;
    stream.text("2probe").await;
    assert_eq!(stream.packet().await, Some(Packet::text(PacketType::Pong, "probe")));
    stream.text("5").await;
    assert_eq!(server.event().await, Event::Upgraded(Transport::WebTransport));
    stream.text("4hello").await;
    assert_eq!(stream.packet().await, message("hello"));
    let stats = server.engine.stats();
    assert_eq!((stats.upgraded, stats.sessions.webtransport), (1, 1));
    assert!(server.engine.client(&sid).unwrap().is_upgraded());
}

#[tokio::test]
async fn the_handshake_offers_the_transports_that_are_enabled() {
    for (transports, expected) in [
        (&TRANSPORTS[..], r#""upgrades":["websocket","webtransport"]"#),
        (&TRANSPORTS[..2], r#""upgrades":["websocket"]"#),
        (&[Transport::Polling, Transport::WebTransport], r#""upgrades":["webtransport"]"#),
    ] {
        let server = Server::echo(EngineConfig::default().transports(transports)).await;
        let answer = within(server.request("GET", "EIO=4&transport=polling", "")).await;
        assert!(answer.body.contains(expected), "{}", answer.body);
    }
}

#[tokio::test]
async fn either_side_closes_a_session() {
    let (mut server, webtransport) = start(config()).await;
    // The client ends the stream of its request.
    let (mut session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    session.request.0.finish().unwrap();
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    // It closes the connection.
    let (session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    session.connection.close(0x100_u32.into(), b"");
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    // It resets its stream.
    let (session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    stream.send.reset(1_u32.into()).unwrap();
    assert_eq!(server.closed().await, CloseReason::TransportError);
    drop(session);
    // The server sends its queue before it closes.
    let (session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    for _ in 0..100 {
        stream.text("4hello").await;
    }
    for _ in 0..100 {
        server.event().await;
    }
    server.engine.close();
    for _ in 0..100 {
        assert_eq!(stream.packet().await, message("hello"));
    }
    assert_eq!(stream.packet().await, None);
    assert_eq!(session.closed().await, Some((0, String::new())));
    within(server.engine.ended()).await;
    assert_eq!(server.engine.stats().sessions.total(), 0);
}

/// The client has not received everything, and acknowledges nothing afterwards.
#[tokio::test]
async fn a_session_that_its_client_closes_does_not_linger() {
    const HOUR: Duration = Duration::from_secs(3600);
    for step in 0..3 {
        let (mut server, webtransport) = start(config().linger(HOUR)).await;
        let (mut session, mut stream) = webtransport.open(b"\x010").await;
        let PacketData::Text(json) = stream.packet().await.unwrap().data else { panic!("binary") };
        let handle = server.engine.client(&sid_of(&format!("0{json}"))).unwrap();
        // More than the windows of the client.
        handle.send(vec![7; 8 << 20]).unwrap();
        until(|| handle.queued().packets == 0).await;
        match step {
            0 => session.request.0.finish().unwrap(),
            1 => session.request.0.reset(0x100_u32.into()).unwrap(),
            _ => session.connection.close(0x100_u32.into(), b""),
        }
        server.closed().await;
        server.engine.close();
        within(server.engine.ended()).await;
    }
}

#[tokio::test]
async fn a_session_survives_a_new_address_of_its_client() {
    let (mut server, webtransport) = start(config()).await;
    let (_session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    for _ in 0..2 {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        webtransport.endpoint.rebind(socket).unwrap();
        stream.text("4hello").await;
        assert_eq!(server.event().await, text("hello"));
        assert_eq!(stream.packet().await, message("hello"));
    }
}

#[tokio::test]
async fn a_paused_session_reads_no_more_than_its_windows() {
    let (server, mut connections) = Server::manual(config()).await;
    let webtransport = WebTransport::listen(&server.engine).await;
    let (mut session, mut stream) = webtransport.open(b"\x010").await;
    let mut connection = within(connections.recv()).await.unwrap();
    connection.pause_reading();
    let frames = Frame::binary(vec![7; 100_000].into());
    let mut sent = 0;
    let send = async {
        stream.packet().await.unwrap();
        for _ in 0..100 {
            stream.frame(&frames).await;
            sent += 1;
        }
    };
    tokio::select! {
        event = connection.event() => panic!("{event:?}"),
        () = send => panic!("everything was read"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    assert!(sent > 0);
    connection.resume_reading();
    for _ in 0..sent {
        let event = within(connection.event()).await;
        assert_eq!(event, Event::Message(PacketData::Binary(vec![7; 100_000].into())));
    }
    connection.pause_reading();
    session.request.0.finish().unwrap();
    assert_eq!(within(connection.event()).await, Event::Closed(CloseReason::TransportClose));
}

#[tokio::test]
async fn a_drained_session_is_told_and_a_new_one_is_refused() {
    let (server, webtransport) = start(config()).await;
    let (session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    let drained = within(server.engine.drain(Duration::from_millis(50))).await;
    assert_eq!((drained.sessions, drained.closed), (1, 1));
    assert_eq!(session.closed().await, Some((0, String::new())));
    let (session, _stream) = webtransport.open(b"\x010").await;
    assert_eq!(session.closed().await, Some((6, "Server shutting down".to_owned())));
}
