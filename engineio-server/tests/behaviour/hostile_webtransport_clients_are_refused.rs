//! Clients that do not follow the protocol get no session, and leave nothing behind.

use std::time::Duration;

use engineio_server::{CloseReason, Cors, EngineConfig, Event, Handshake, Refusal, Transport};
use quinn::{ConnectionError, VarInt};

use crate::{
    support::{Server, text, within},
    webtransport::{WebTransport, head, open_control, read_status, request},
};

const SHORT: Duration = Duration::from_millis(300);

fn config() -> EngineConfig {
    EngineConfig::default().transports(&[Transport::Polling, Transport::WebTransport])
}

async fn start(config: EngineConfig) -> (Server, WebTransport) {
    let server = Server::echo(config).await;
    let webtransport = WebTransport::listen(&server.engine).await;
    (server, webtransport)
}

/// Checks that no session is open, and that neither a task nor a connection of a client is left.
async fn nothing_is_left(server: Server, webtransport: WebTransport) {
    assert_eq!(server.engine.stats().opened, 0);
    within(server.engine.ended()).await;
    // The listener waits for its connections.
    webtransport.listening.stop();
    within(webtransport.listening.join()).await;
}

#[tokio::test]
async fn a_client_without_a_request_is_dropped() {
    let (server, webtransport) = start(config().head_timeout(SHORT)).await;
    let silent = webtransport.connect().await;
    let slow = webtransport.connect().await;
    let _control = open_control(&slow).await;
    let (mut send, _recv) = slow.open_bi().await.unwrap();
    send.write_all(&request("/engine.io/", &[])[..10]).await.unwrap();
    within(silent.closed()).await;
    within(slow.closed()).await;
    assert_eq!(webtransport.listening.stats().head_timeout, 2);
    nothing_is_left(server, webtransport).await;
}

#[tokio::test]
async fn connections_of_one_address_without_a_session_are_limited() {
    let (server, webtransport) = start(config()).await;
    let mut pending = Vec::new();
    for _ in 0..64 {
        pending.push(webtransport.connect().await);
    }
    let connect = || webtransport.endpoint.connect(webtransport.address, "localhost").unwrap();
    let refused = within(connect()).await.unwrap_err();
    assert!(matches!(refused, ConnectionError::ConnectionClosed(_)), "{refused}");
    // A connection that ends makes room.
    pending.pop().unwrap().close(VarInt::from_u32(0), b"");
    let next = within(async {
        loop {
            match connect().await {
                Ok(connection) => return connection,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    drop((next.await, pending));
    nothing_is_left(server, webtransport).await;
}

#[tokio::test]
async fn a_client_without_a_first_packet_is_dropped() {
    // Long enough for a client on a busy machine to open its stream.
    let (server, webtransport) = start(config().upgrade_timeout(Duration::from_secs(1))).await;
    webtransport.request("/engine.io/", &[]).await.unwrap().lost().await;
    for part in [&b""[..], &[20], b"\x140{\"sid\":\"aaaaaaaaa"] {
        let (session, _stream) = webtransport.open(part).await;
        session.lost().await;
    }
    assert_eq!(webtransport.listening.stats().first_packet, 4);
    nothing_is_left(server, webtransport).await;
}

#[tokio::test]
async fn an_invalid_first_packet_is_refused() {
    let (server, webtransport) = start(config()).await;
    // Not decoded.
    for first in
        [&b"\x00"[..], b"\x80", b"\x01x", b"\x7e\x03\xe8", b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        let (session, _stream) = webtransport.open(first).await;
        session.lost().await;
    }
    assert_eq!(webtransport.listening.stats().first_packet, 5);
    // Not a handshake, or one with an unknown session.
    for (first, code, message) in [
        (&b"\x014"[..], 3, "Bad request"),
        (b"\x012", 3, "Bad request"),
        (b"\x810", 3, "Bad request"),
        (b"\x030{}", 3, "Bad request"),
        (b"\x0a0{\"sid\":1}", 3, "Bad request"),
        (b"\x0b0{\"sid\":\"\"}", 3, "Bad request"),
        (b"\x0c0{\"sid\":\"x\"}", 1, "Session ID unknown"),
    ] {
        let (session, _stream) = webtransport.open(first).await;
        assert_eq!(session.closed().await, Some((code, message.to_owned())), "{first:?}");
    }
    let refused = server.engine.stats().refused;
    assert_eq!((refused.bad_request, refused.unknown_sid), (6, 1));
    nothing_is_left(server, webtransport).await;
}

#[tokio::test]
async fn a_request_is_checked_like_one_over_tcp() {
    let cors = Cors::origins(["https://page.example"]);
    let (server, webtransport) = start(config().cors(cors)).await;
    let ask = |path, headers| webtransport.request(path, headers);
    assert_eq!(ask("/", &[]).await.err().unwrap(), "404");
    assert_eq!(ask("/engine.io", &[]).await.err().unwrap(), "404");
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(ask("/engine.io/", &foreign).await.err().unwrap(), "403");
    assert!(ask("/engine.io/", &[("origin", "https://page.example")]).await.is_ok());
    assert!(ask("/engine.io/", &[("origin", "https://localhost")]).await.is_ok());
    assert_eq!(server.engine.stats().refused.forbidden, 1);
    nothing_is_left(server, webtransport).await;

    let without = EngineConfig::default();
    let (server, webtransport) = start(without).await;
    assert_eq!(webtransport.request("/engine.io/", &[]).await.err().unwrap(), "400");
    assert_eq!(server.engine.stats().refused.unknown_transport, 1);
    nothing_is_left(server, webtransport).await;
}

#[tokio::test]
async fn the_application_and_the_limits_refuse_sessions() {
    let allow = |handshake: Handshake| async move {
        assert!(handshake.secure() && handshake.client_ip().is_some());
        match handshake.url().contains("let=in") {
            true => Ok(handshake),
            false => Err(Refusal::new("not you").code(9)),
        }
    };
    let config = config().allow_request(allow).max_unauthenticated_per_address(1);
    let (server, webtransport) = start(config).await;
    let (session, _stream) = webtransport.open(b"\x010").await;
    assert_eq!(session.closed().await, Some((9, "not you".to_owned())));

    let open = || async {
        let session = webtransport.request("/engine.io/?let=in", &[]).await.unwrap();
        let mut stream = session.stream().await;
        stream.write(b"\x010").await;
        (session, stream)
    };
    let (_first, mut stream) = open().await;
    stream.packet().await.unwrap();
    let (second, _stream) = open().await;
    let refused = (4, "Too many unauthenticated sessions".to_owned());
    assert_eq!(second.closed().await, Some(refused));
    server.engine.close();
    let (third, _stream) = open().await;
    assert_eq!(third.closed().await, Some((6, "Server shutting down".to_owned())));
}

#[tokio::test]
async fn a_panicking_hook_ends_the_connection() {
    let allow = |_: Handshake| async { panic!("on purpose") };
    let (server, webtransport) = start(config().allow_request(allow)).await;
    let (session, _stream) = webtransport.open(b"\x010").await;
    session.lost().await;
    assert_eq!(server.engine.stats().refused.hook_panicked, 1);
    nothing_is_left(server, webtransport).await;
}

#[tokio::test]
async fn a_packet_beyond_the_limit_closes_the_session() {
    let (mut server, webtransport) = start(config().max_payload(1000)).await;
    let (session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    // Refused by its header, before the packet arrives.
    stream.write(b"\x7e\x03\xe9").await;
    assert_eq!(server.closed().await, CloseReason::ParseError);
    assert_eq!(session.closed().await, Some((0, String::new())));
    assert_eq!(server.engine.stats().refused.too_large, 1);
    let (_session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    stream.write(b"\x01x").await;
    assert_eq!(server.closed().await, CloseReason::ParseError);
    assert_eq!(server.engine.stats().refused.malformed_packet, 1);
}

#[tokio::test]
async fn further_streams_and_datagrams_cost_nothing() {
    let (mut server, webtransport) = start(config()).await;
    let (session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    let third = tokio::time::timeout(SHORT, session.connection.open_bi()).await;
    assert!(third.is_err(), "a third stream was opened");
    // The control stream is one of them.
    let mut streams = Vec::new();
    for _ in 0..7 {
        let mut stream = within(session.connection.open_uni()).await.unwrap();
        stream.write_all(&[0x21; 1000]).await.unwrap();
        streams.push(stream);
    }
    let ninth = tokio::time::timeout(SHORT, session.connection.open_uni()).await;
    assert!(ninth.is_err(), "a ninth stream was opened");
    for _ in 0..100 {
        let _ = session.connection.send_datagram(vec![0; 1000].into());
    }
    stream.text("4hello").await;
    assert_eq!(server.event().await, text("hello"));
    assert!(stream.packet().await.is_some());
}

#[tokio::test]
async fn a_client_that_resets_or_leaves_at_any_step_leaves_nothing_behind() {
    let (server, webtransport) = start(config()).await;
    let code = VarInt::from_u32(7);
    // After the QUIC handshake.
    webtransport.connect().await.close(code, b"");
    // Within the request.
    let connection = webtransport.connect().await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&request("/engine.io/", &[])[..10]).await.unwrap();
    send.reset(code).unwrap();
    within(connection.closed()).await;
    // After the response.
    let session = webtransport.request("/engine.io/", &[]).await.unwrap();
    session.connection.close(code, b"");
    // Within the header of the stream.
    let session = webtransport.request("/engine.io/", &[]).await.unwrap();
    let (mut send, _recv) = session.connection.open_bi().await.unwrap();
    send.write_all(&[0x40]).await.unwrap();
    send.reset(code).unwrap();
    session.lost().await;
    // With the header of another session.
    let session = webtransport.request("/engine.io/", &[]).await.unwrap();
    let (mut send, _recv) = session.connection.open_bi().await.unwrap();
    send.write_all(&[0x40, 0x41, 4]).await.unwrap();
    session.lost().await;
    // Within the first packet.
    let (session, mut stream) = webtransport.open(b"\x05").await;
    stream.send.reset(code).unwrap();
    session.lost().await;
    nothing_is_left(server, webtransport).await;
}

#[tokio::test]
async fn a_request_that_opens_no_session_is_refused() {
    let (server, webtransport) = start(config()).await;
    let long = format!("/engine.io/?{}", "a".repeat(8000));
    for bytes in
        [request(&long, &[]), b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0, 0], vec![1, 1, 0xff]]
    {
        let connection = webtransport.connect().await;
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        let _ = send.write_all(&bytes).await;
        within(connection.closed()).await;
    }
    assert_eq!(webtransport.listening.stats().malformed, 4);
    nothing_is_left(server, webtransport).await;
}

/// Browsers repeat such a request over TCP.
#[tokio::test]
async fn requests_for_pages_are_misdirected() {
    let config = config().alt_svc(8443, Duration::from_secs(60));
    let (mut server, webtransport) = start(config).await;
    let answer = within(server.request("GET", "EIO=4&transport=polling", "")).await;
    assert_eq!((answer.status, answer.header("alt-svc")), (200, "h3=\":8443\"; ma=60"));
    let answer = within(server.request("GET", "EIO=4&transport=unknown", "")).await;
    assert_eq!((answer.status, answer.header("alt-svc")), (400, "h3=\":8443\"; ma=60"));

    let connection = webtransport.connect().await;
    let _control = open_control(&connection).await;
    // More than the streams that the server allows at the same time, some with a body.
    for number in 0..10 {
        let fields = [
            (":method", if number % 2 == 0 { "GET" } else { "POST" }),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/engine.io/?EIO=4&transport=polling"),
        ];
        let (mut send, mut recv) = within(connection.open_bi()).await.unwrap();
        send.write_all(&head(&fields)).await.unwrap();
        if number % 2 == 1 {
            // The server does not read the body.
            let _ = send.write_all(&[0, 3, 1, 2, 3]).await;
        }
        let _ = send.finish();
        assert_eq!(within(read_status(&mut recv)).await, "421");
    }
    // A WebSocket of RFC 9220.
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/engine.io/?EIO=4&transport=websocket"),
    ];
    let (mut send, mut recv) = within(connection.open_bi()).await.unwrap();
    send.write_all(&head(&fields)).await.unwrap();
    assert_eq!(within(read_status(&mut recv)).await, "421");
    drop(send);
    // The client cancels a request.
    let fields =
        [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
    let (mut send, mut recv) = within(connection.open_bi()).await.unwrap();
    recv.stop(VarInt::from_u32(0x10c)).unwrap();
    send.write_all(&head(&fields)).await.unwrap();
    let _ = send.finish();
    // The connection still serves a session.
    let session = webtransport.request_on(connection, "/engine.io/", &[]).await.unwrap();
    let mut stream = session.stream().await;
    stream.write(b"\x010").await;
    stream.packet().await.unwrap();
    stream.text("4hello").await;
    assert_eq!(server.event().await, text("hello"));
}

/// There are more of them than one address may have connections without a session, and the last one
/// is beyond the limit of those that may stay.
#[tokio::test]
async fn misdirected_connections_do_not_keep_others_from_opening_sessions() {
    let patient = config().head_timeout(Duration::from_secs(600));
    let (mut server, webtransport) = start(patient).await;
    let fields =
        [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
    let mut idle = Vec::new();
    for number in 1..=129 {
        let connection = webtransport.connect().await;
        let control = open_control(&connection).await;
        let (mut send, mut recv) = within(connection.open_bi()).await.unwrap();
        send.write_all(&head(&fields)).await.unwrap();
        assert_eq!(within(read_status(&mut recv)).await, "421", "{number}");
        idle.push((connection, control));
    }
    let (last, _) = idle.last().unwrap();
    within(last.closed()).await;
    assert!(idle[..128].iter().all(|(connection, _)| connection.close_reason().is_none()));
    let stats = server.engine.stats();
    assert_eq!((stats.refused.misdirected, stats.refused.total()), (129, 129));
    let session = webtransport.request("/engine.io/", &[]).await.unwrap();
    let mut stream = session.stream().await;
    stream.write(b"\x010").await;
    stream.packet().await.unwrap();
    stream.text("4hello").await;
    assert_eq!(server.event().await, text("hello"));
}

#[tokio::test]
async fn early_data_is_not_accepted() {
    let (server, webtransport) = start(config()).await;
    // The first connection gets a ticket.
    let (session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    drop((session, stream));
    let connecting = webtransport.endpoint.connect(webtransport.address, "localhost").unwrap();
    let early = connecting.into_0rtt();
    assert!(early.is_err(), "the ticket allows early data");
    within(server.engine.ended()).await;
}

#[tokio::test]
async fn a_failed_upgrade_leaves_its_session_on_polling() {
    let (mut server, webtransport) = start(config()).await;
    let sid = server.open().await;
    let first = format!("0{{\"sid\":\"{sid}\"}}");
    let first = [&[first.len() as u8], first.as_bytes()].concat();
    for wrong in ["4hello", "2"] {
        let (session, mut stream) = webtransport.open(&first).await;
        stream.text(wrong).await;
        assert_eq!(session.closed().await, Some((0, String::new())));
    }
    // Only one upgrade at a time.
    let (_session, mut stream) = webtransport.open(&first).await;
    stream.text("2probe").await;
    stream.packet().await.unwrap();
    let (second, _stream) = webtransport.open(&first).await;
    assert_eq!(second.closed().await, Some((0, String::new())));
    stream.text("5").await;
    assert_eq!(server.event().await, Event::Upgraded(Transport::WebTransport));
    stream.text("4hello").await;
    assert_eq!(server.event().await, text("hello"));
    assert_eq!(server.engine.stats().probes_failed, 3);
}

#[tokio::test]
async fn a_silent_client_is_dropped_by_the_heartbeat() {
    let config = config().ping_interval(SHORT).ping_timeout(SHORT);
    let (mut server, webtransport) = start(config).await;
    let (session, mut stream) = webtransport.open(b"\x010").await;
    stream.packet().await.unwrap();
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert_eq!(session.closed().await, Some((0, String::new())));
}
