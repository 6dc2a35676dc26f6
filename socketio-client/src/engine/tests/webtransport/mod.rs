//! WebTransport against a scripted server. Real sockets have no paused clock, except where nothing
//! answers.

mod hostile;
mod peer;

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use engineio_parser::{Packet, session::Loss};
use engineio_server::EngineConfig as ServerConfig;

use self::peer::{NO_ERROR, Peer, response};
use super::*;
use crate::{RequestError, Tls};

#[tokio::test]
async fn messages_of_every_kind_and_size_arrive() {
    let peer = Peer::new();
    let (mut engine, session) = peer.open(&peer.config()).await;
    assert_eq!((engine.transport(), engine.sid()), (Transport::WebTransport, "a"));
    tokio::spawn(session.echo());
    for len in [0, 1, 124, 125, 126, 65_534, 65_535, 65_536, 1_000_000] {
        engine.send(text(&"x".repeat(len))).unwrap();
        engine.send(Frame::binary(vec![7; len].into()).into()).unwrap();
        assert_eq!(message(&mut engine).await, PacketData::Text("x".repeat(len).into()));
        assert_eq!(message(&mut engine).await, PacketData::Binary(vec![7; len].into()));
    }
}

#[tokio::test]
async fn pings_are_answered() {
    let peer = Peer::new();
    let (mut engine, mut session) = peer.open(&peer.config()).await;
    session.send(&Frame::text(PacketType::Ping, "")).await;
    assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
    tokio::select! {
        event = event(&mut engine) => panic!("{event:?}"),
        packet = session.next() => assert_eq!(packet.unwrap(), Packet::text(PacketType::Pong, "")),
    }
}

#[tokio::test]
async fn a_client_that_closes_sends_its_last_messages_first() {
    let peer = Peer::new();
    let (mut engine, mut session) = peer.open(&peer.config()).await;
    let last = "x".repeat(500_000);
    engine.send(text(&last)).unwrap();
    engine.close();
    let server = async {
        let message = session.next().await.unwrap();
        assert_eq!(message, Packet::message(last.as_str()));
        assert_eq!(session.next().await, None);
        let (_, recv) = &mut session.request;
        recv.read_to_end(4096).await.unwrap();
        session.connection.closed().await
    };
    let (end, closed) = tokio::join!(closed(&mut engine), server);
    assert_eq!(reason(&end), CloseReason::ForcedClose);
    assert!(
        matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == NO_ERROR),
        "{closed:?}"
    );
}

#[tokio::test]
async fn a_dropped_client_closes_its_connection() {
    let peer = Peer::new();
    let (engine, session) = peer.open(&peer.config()).await;
    drop(engine);
    session.connection.closed().await;
}

#[tokio::test]
async fn a_client_reads_the_last_messages_before_each_kind_of_end() {
    let peer = Peer::new();
    for (kind, expected) in [
        ("stream", Loss::Closed),
        ("session", Loss::Closed),
        ("connection", Loss::Closed),
        ("error", Loss::Failed),
        ("reset", Loss::Failed),
    ] {
        let (mut engine, mut session) = peer.open(&peer.config()).await;
        session.send(&Frame::text(PacketType::Message, "last")).await;
        assert_eq!(message(&mut engine).await, PacketData::Text("last".into()));
        match kind {
            "stream" => session.send.finish().unwrap(),
            "session" => session.request.0.finish().unwrap(),
            "connection" => session.connection.close(NO_ERROR, b""),
            "error" => session.connection.close(0x101_u32.into(), b"no"),
            _ => session.send.reset(1_u32.into()).unwrap(),
        }
        let end = closed(&mut engine).await;
        match expected {
            Loss::Closed => assert_eq!(reason(&end), CloseReason::TransportClose, "{kind}"),
            Loss::Failed => {
                assert_eq!(reason(&end), CloseReason::TransportError, "{kind}");
                assert_eq!(end.error.unwrap().to_string(), "webtransport error", "{kind}");
            }
        }
    }
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_session() {
    let peer = Peer::new();
    let options = peer.options().max_payload(1000);
    let (mut engine, mut session) = peer.open(&engine_config(&peer.url(), &options).unwrap()).await;
    session.send(&Frame::text(PacketType::Message, &"x".repeat(999))).await;
    assert_eq!(message(&mut engine).await.len(), 999);
    // Only the header, so that the client cannot have waited for the message.
    session.send.write_all(&[126, 3, 233]).await.unwrap();
    let end = closed(&mut engine).await;
    assert!(matches!(
        end.error,
        Some(EngineError::WebTransport(RequestError::TooLarge { limit: 1000 }))
    ));
}

#[tokio::test]
async fn a_server_that_stops_reading_ends_the_session() {
    let peer = Peer::new();
    let (mut engine, mut session) = peer.open(&peer.config()).await;
    session.recv.stop(1_u32.into()).unwrap();
    // The message behind which the client knows about it.
    session.send(&Frame::text(PacketType::Message, "a")).await;
    message(&mut engine).await;
    engine.send(text("lost")).unwrap();
    assert_eq!(reason(&closed(&mut engine).await), CloseReason::TransportError);
}

#[tokio::test]
async fn a_malformed_packet_ends_the_session() {
    let peer = Peer::new();
    for bytes in [&b"\x00"[..], b"\x01x", b"\x02\xff\xff"] {
        let (mut engine, mut session) = peer.open(&peer.config()).await;
        session.send.write_all(bytes).await.unwrap();
        assert_eq!(closed(&mut engine).await.reason.to_string(), "parse error");
    }
}

#[tokio::test]
async fn a_paused_client_reads_ahead_within_its_limit() {
    let peer = Peer::new();
    let (mut engine, mut session) = peer.open(&peer.config()).await;
    engine.set_reading(false);
    let large = "x".repeat(400_000);
    let frame = Frame::text(PacketType::Message, &large);
    tokio::spawn(async move {
        for _ in 0..3 {
            session.send(&frame).await;
        }
        session.connection.closed().await;
    });
    let quiet = tokio::time::timeout(Duration::from_millis(100), event(&mut engine)).await;
    assert!(quiet.is_err());
    assert!(engine.buffered() < 256 * 1024, "{}", engine.buffered());
    engine.set_reading(true);
    for _ in 0..3 {
        assert_eq!(message(&mut engine).await.len(), large.len());
    }
}

/// Writes the response to a client's request, and waits until the client has closed its connection.
async fn respond(peer: &Peer, response: &[u8]) {
    let (connection, _control, _request) = peer.respond(response).await;
    connection.closed().await;
}

#[tokio::test]
async fn a_refusal_is_reported_with_its_status() {
    let peer = Peer::new();
    let config = peer.config();
    let refusal = response(403);
    let (result, ()) = tokio::join!(Engine::open(&config), respond(&peer, &refusal));
    assert_eq!(result.err().unwrap().status(), Some(403));
}

#[tokio::test]
async fn a_long_integer_in_a_response_is_malformed() {
    let peer = Peer::new();
    let config = peer.config();
    let section = [&[0xff][..], &[0x80; 12], &[1, 0]].concat();
    let response = [&[1, section.len() as u8][..], &section].concat();
    let (result, ()) = tokio::join!(Engine::open(&config), respond(&peer, &response));
    let error = format!("{:?}", result.err().unwrap());
    assert!(error.contains("malformed HTTP/3"), "{error}");
}

#[tokio::test]
async fn the_request_has_the_headers_and_the_cookies() {
    let peer = Peer::new();
    let options = peer.options().header(http::header::USER_AGENT, "me".parse().unwrap());
    let config = engine_config(&peer.url(), &options).unwrap();
    for cookie in [false, true] {
        let (_engine, mut session) = peer.open(&config).await;
        let chunk = session.request.1.read_chunk(4096, true).await.unwrap().unwrap();
        let mut reader = wtransport_proto::bytes::BufferReader::new(&chunk.bytes);
        let frame = wtransport_proto::frame::Frame::read_from_buffer(&mut reader);
        let headers = wtransport_proto::headers::Headers::with_frame(&frame.unwrap().unwrap());
        let headers = headers.unwrap();
        assert_eq!(headers.get(":path"), Some("/engine.io/?EIO=4&transport=webtransport"));
        assert_eq!(headers.get("user-agent"), Some("me"));
        assert_eq!(headers.get("cookie"), cookie.then_some("node=7"));
        assert_eq!(headers.get("host"), None);
    }
}

#[tokio::test]
async fn certificates_are_checked() {
    let peer = Peer::new();
    let config = |roots| {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    };
    let only = || only(Transport::WebTransport);
    let trusted = only().tls(Tls::rustls(config(peer.roots.clone())));
    peer.open(&engine_config(&peer.url(), &trusted).unwrap()).await;
    let others = Peer::new().roots;
    for options in [
        only().tls(Tls::rustls(config(others))),
        only().tls(Tls::rustls(config(peer.roots.clone()))).certificate_hashes([[0; 32]]),
    ] {
        let config = engine_config(&peer.url(), &options).unwrap();
        let server = async { peer.endpoint().accept().await.unwrap().await.err().unwrap() };
        let (result, _) = tokio::join!(Engine::open(&config), server);
        assert_eq!(result.err().unwrap().to_string(), "webtransport error");
    }
}

#[test]
fn tls_that_cannot_serve_quic_is_an_error() {
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring, version};

    let old = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    for tls in [Tls::rustls(old), Tls::by_connector()] {
        let options = only(Transport::WebTransport).tls(tls);
        let error = engine_config("https://a", &options).err();
        assert!(matches!(error, Some(EngineError::Tls(_))), "{error:?}");
    }
}

#[tokio::test]
async fn the_next_transport_is_probed_if_a_probe_fails() {
    for answer in ["3wrong", "4message", ""] {
        let peer = Peer::new();
        let probed = Arc::new(AtomicBool::new(false));
        let allowed = probed.clone();
        // WebSocket would win the race on a slow machine.
        let transports = [Transport::Polling, Transport::WebSocket, Transport::WebTransport];
        let network =
            Network::intercepted(ServerConfig::default().transports(&transports), move |request| {
                let websocket = request.uri().query().is_some_and(|it| it.contains("=websocket"));
                (websocket && !allowed.load(Relaxed)).then(Default::default)
            });
        let options = peer.options().transports(transports).connector(network.connector());
        let config = engine_config(&peer.url(), &options).unwrap();
        let mut engine = Engine::open(&config).await.unwrap();
        let sid = engine.sid().to_owned();
        let server = async {
            let (mut session, first) = peer.accept().await;
            let expected = format!(r#"{{"sid":"{sid}"}}"#);
            assert_eq!(first, Packet::text(PacketType::Open, expected.as_str()));
            assert_eq!(session.next().await, Some(Packet::text(PacketType::Ping, "probe")));
            probed.store(true, Relaxed);
            match answer.split_at_checked(1) {
                Some(("3", data)) => session.send(&Frame::text(PacketType::Pong, data)).await,
                Some((_, data)) => session.send(&Frame::text(PacketType::Message, data)).await,
                None => session.send.finish().unwrap(),
            }
            // The client closes what it has given up.
            session.connection.closed().await;
        };
        tokio::join!(upgraded(&mut engine), server);
        engine.send(text("x")).unwrap();
        assert_eq!(message(&mut engine).await, PacketData::Text("x".into()));
    }
}

/// A UDP port that nobody reads, and one that does not exist.
fn blocked() -> [(engines::Port, Option<UdpSocket>); 2] {
    [true, false].map(|silent| {
        let port = engines::Port::free().unwrap();
        let bind = || UdpSocket::bind(("127.0.0.1", port.number())).unwrap();
        let socket = silent.then(bind);
        (port, socket)
    })
}

#[tokio::test(start_paused = true)]
async fn a_blocked_port_fails_within_the_upgrade_timeout() {
    for (port, _socket) in blocked() {
        let url = format!("http://127.0.0.1:{}", port.number());
        let options = only(Transport::WebTransport)
            .certificate_hashes([[0; 32]])
            .upgrade_timeout(Duration::from_secs(3));
        let config = engine_config(&url, &options).unwrap();
        let start = tokio::time::Instant::now();
        let error = Engine::open(&config).await.err().unwrap();
        let RequestError::Timeout(after) = error_of(error) else { panic!() };
        assert_eq!((after.as_secs(), start.elapsed().as_secs()), (3, 3));
    }
}

fn error_of(error: EngineError) -> RequestError {
    match error {
        EngineError::WebTransport(error) => error,
        error => panic!("{error:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_transport_opens_the_session_if_udp_is_blocked() {
    for (port, _socket) in blocked() {
        let url = format!("http://127.0.0.1:{}", port.number());
        for via in [Transport::Polling, Transport::WebSocket] {
            let network = Network::echo(ServerConfig::default());
            let options = options()
                .transports([Transport::WebTransport, via])
                .try_all_transports(true)
                .certificate_hashes([[0; 32]])
                .connector(network.connector());
            let mut config = engine_config(&url, &options).unwrap();
            config.timeout = Some(Duration::from_secs(8));
            let opening = tokio::time::timeout(Duration::from_secs(8), Engine::open(&config));
            assert_eq!(opening.await.unwrap().unwrap().transport(), via);
        }
    }
}
