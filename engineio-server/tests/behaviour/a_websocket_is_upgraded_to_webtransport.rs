//! A session on a WebSocket is upgraded to WebTransport, as Node's server does it: the client names
//! the session in the first packet of its WebTransport stream.

use std::time::Duration;

use bytes::Bytes;
use engineio_parser::{Frame, Frames, Packet, PacketType};
use engineio_server::{CloseReason, EngineConfig, Event, PacketData, Transport};
use tokio::io::AsyncWriteExt;

use crate::{
    support::{Message, Server, WebSocket, poll_once, text, until, within},
    webtransport::{Session, Stream, WebTransport},
};

const TRANSPORTS: [Transport; 3] =
    [Transport::Polling, Transport::WebSocket, Transport::WebTransport];

const SHORT: Duration = Duration::from_millis(300);

fn config() -> EngineConfig {
    // The clients of these tests do not answer the end of a WebTransport session.
    EngineConfig::default().transports(&TRANSPORTS).linger(SHORT)
}

/// A server, a session on a WebSocket, and the endpoint for its upgrade.
struct Fixture {
    server: Server,
    webtransport: WebTransport,
    websocket: WebSocket,
    sid: String,
}

impl Fixture {
    async fn new(config: EngineConfig) -> Self {
        Self::of(Server::echo(config).await).await
    }

    async fn of(server: Server) -> Self {
        let webtransport = WebTransport::listen(&server.engine).await;
        let (websocket, sid) = server.websocket().await;
        Self { server, webtransport, websocket, sid }
    }

    /// Opens a stream that names the session.
    async fn stream(&self) -> (Session, Stream) {
        let first = format!("0{{\"sid\":\"{}\"}}", self.sid);
        self.webtransport.open([&[first.len() as u8], first.as_bytes()].concat()).await
    }

    /// Opens a stream whose probe is answered.
    async fn probe(&self) -> (Session, Stream) {
        let (session, mut stream) = self.stream().await;
        stream.text("2probe").await;
        assert_eq!(stream.packet().await, Some(Packet::text(PacketType::Pong, "probe")));
        (session, stream)
    }

    /// The session still echoes on its WebSocket.
    async fn websocket_echoes(&mut self) {
        self.websocket.send("4still here").await;
        assert_eq!(self.server.event().await, text("still here"));
        assert_eq!(self.websocket.text().await, "4still here");
    }

    /// Checks that neither a session nor a task nor a connection is left.
    async fn nothing_is_left(self) {
        let Self { server, webtransport, .. } = self;
        server.engine.close();
        within(server.engine.ended()).await;
        webtransport.listening.stop();
        within(webtransport.listening.join()).await;
        assert_eq!(server.engine.stats().sessions.total(), 0);
    }
}

/// Reads the texts of a WebSocket until its end, which the client answers.
async fn rest_of(websocket: &mut WebSocket, into: &mut Vec<String>) {
    loop {
        match websocket.next().await {
            Some(Message::Text(text)) => into.push(text.as_str().to_owned()),
            Some(Message::Binary(data)) => into.push(format!("{} bytes", data.len())),
            Some(Message::Close(_)) => {}
            None => return,
            other => panic!("{other:?}"),
        }
    }
}

fn text_of(packet: &Packet) -> String {
    match &packet.data {
        PacketData::Text(text) => format!("{}{text}", packet.kind.digit() as char),
        PacketData::Binary(data) => format!("{} bytes", data.len()),
    }
}

#[tokio::test]
async fn both_directions_move_to_the_new_transport() {
    let mut fixture = Fixture::new(config()).await;
    let (_session, mut stream) = fixture.probe().await;
    fixture.websocket_echoes().await;
    stream.text("5").await;
    assert_eq!(fixture.server.event().await, Event::Upgraded(Transport::WebTransport));
    assert_eq!(fixture.websocket.close_code().await, None);
    assert!(fixture.websocket.next().await.is_none());
    stream.text("4hello").await;
    assert_eq!(stream.packet().await, Some(Packet::message("hello")));
    let stats = fixture.server.engine.stats();
    assert_eq!((stats.upgraded, stats.sessions.webtransport, stats.sessions.websocket), (1, 1, 0));
    assert!(fixture.server.engine.client(&fixture.sid).unwrap().is_upgraded());
    fixture.nothing_is_left().await;
}

#[tokio::test]
async fn messages_on_the_websocket_precede_those_of_the_new_transport() {
    let mut fixture = Fixture::new(config()).await;
    let (_session, mut stream) = fixture.stream().await;
    // In one packet of QUIC.
    stream.write(b"\x015\x024c\x024d").await;
    assert_eq!(fixture.server.event().await, Event::Upgraded(Transport::WebTransport));
    fixture.websocket.send("4a").await;
    assert_eq!(fixture.server.event().await, text("a"));
    // On the new transport, although the server reads the former one.
    assert_eq!(stream.packet().await, Some(Packet::message("a")));
    fixture.websocket.send("4b").await;
    let mut rest = Vec::new();
    rest_of(&mut fixture.websocket, &mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
    for expected in ["b", "c", "d"] {
        assert_eq!(fixture.server.event().await, text(expected));
        assert_eq!(stream.packet().await, Some(Packet::message(expected)));
    }
    fixture.nothing_is_left().await;
}

/// The client writes faster than the server reads, and reads only when it has written everything.
#[tokio::test]
async fn a_backlog_on_the_websocket_survives_the_upgrade() {
    const EACH: usize = 400;
    // An echo pauses reading when half of its queue is full.
    for queued in [8, 8192] {
        let mut fixture = Fixture::new(config().max_queued_packets(queued)).await;
        let (_session, mut stream) = fixture.probe().await;
        for number in 0..EACH {
            fixture.websocket.send(format!("4{number}")).await;
        }
        stream.text("5").await;
        for number in EACH..2 * EACH {
            stream.text(&format!("4{number}")).await;
        }
        let mut received = Vec::new();
        rest_of(&mut fixture.websocket, &mut received).await;
        while received.len() < 2 * EACH {
            received.push(text_of(&stream.packet().await.unwrap()));
        }
        let expected: Vec<_> = (0..2 * EACH).map(|number| format!("4{number}")).collect();
        assert_eq!(received, expected);
        fixture.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_run_is_not_split_between_transports() {
    // Together more than the kernel accepts from a server whose client does not read.
    const ATTACHMENTS: usize = 12;
    const SIZE: usize = 2 << 20;
    let mut fixture = Fixture::new(config()).await;
    let handle = fixture.server.engine.client(&fixture.sid).unwrap();
    let (_session, mut stream) = fixture.probe().await;
    let run = Frame::text(PacketType::Message, "run");
    let attachment = Bytes::from(vec![7; SIZE]);
    handle.send_frames(Frames::new(run, vec![attachment; ATTACHMENTS])).unwrap();
    until(|| handle.queued().packets < ATTACHMENTS).await;
    stream.text("5").await;
    until(|| handle.transport() == Transport::WebTransport).await;
    handle.send("next").unwrap();
    assert_eq!(stream.packet().await, Some(Packet::message("next")));
    let mut received = Vec::new();
    rest_of(&mut fixture.websocket, &mut received).await;
    let mut expected = vec![format!("{SIZE} bytes"); ATTACHMENTS + 1];
    "4run".clone_into(&mut expected[0]);
    assert_eq!(received, expected);
    fixture.nothing_is_left().await;
}

#[tokio::test]
async fn a_failed_probe_leaves_the_websocket() {
    let mut fixture = Fixture::new(config().upgrade_timeout(SHORT)).await;
    let first = fixture.sid.clone();
    // A probe that never ends, in each of its states.
    for probed in [false, true] {
        let (session, _stream) =
            if probed { fixture.probe().await } else { fixture.stream().await };
        assert_eq!(session.closed().await, Some((0, String::new())));
        fixture.websocket_echoes().await;
    }
    // Another packet.
    for wrong in ["4hello", "2", "1", "6"] {
        let (session, mut stream) = fixture.stream().await;
        stream.text(wrong).await;
        assert_eq!(session.closed().await, Some((0, String::new())), "{wrong}");
        fixture.websocket_echoes().await;
    }
    // A reset of the stream, the end of the request, the end of the connection.
    for step in 0..3 {
        let (mut session, mut stream) = fixture.probe().await;
        match step {
            0 => stream.send.reset(1_u32.into()).unwrap(),
            1 => session.request.0.finish().unwrap(),
            _ => session.connection.close(0x100_u32.into(), b""),
        }
        let failed = 7 + step;
        until(|| fixture.server.engine.stats().probes_failed == failed).await;
        fixture.websocket_echoes().await;
    }
    assert_eq!(fixture.sid, first);
    fixture.nothing_is_left().await;
}

#[tokio::test]
async fn one_upgrade_runs_at_a_time_and_one_succeeds() {
    let mut fixture = Fixture::new(config()).await;
    let (_session, mut stream) = fixture.probe().await;
    let (second, _second) = fixture.stream().await;
    assert_eq!(second.closed().await, Some((0, String::new())));
    stream.text("5").await;
    assert_eq!(fixture.server.event().await, Event::Upgraded(Transport::WebTransport));
    let mut rest = Vec::new();
    for ended in [false, true] {
        let (third, _third) = fixture.stream().await;
        assert_eq!(third.closed().await, Some((0, String::new())));
        if !ended {
            rest_of(&mut fixture.websocket, &mut rest).await;
        }
    }
    stream.text("4hello").await;
    assert_eq!(stream.packet().await, Some(Packet::message("hello")));
    assert_eq!(fixture.server.engine.stats().probes_failed, 3);
    fixture.nothing_is_left().await;
}

/// As in Node.
#[tokio::test]
async fn a_session_that_was_upgraded_to_a_websocket_is_not_upgraded_again() {
    let mut fixture = Fixture::new(config()).await;
    fixture.sid = fixture.server.open().await;
    fixture.websocket = fixture.server.probe(&fixture.sid).await;
    fixture.websocket.send("5").await;
    while fixture.server.event().await != Event::Upgraded(Transport::WebSocket) {}
    let (session, _stream) = fixture.stream().await;
    assert_eq!(session.closed().await, Some((0, String::new())));
    fixture.websocket_echoes().await;
}

#[tokio::test]
async fn the_end_of_the_websocket_during_the_probe_ends_the_session() {
    for probed in [false, true] {
        let mut fixture = Fixture::new(config()).await;
        let (session, _stream) =
            if probed { fixture.probe().await } else { fixture.stream().await };
        until(|| fixture.server.engine.stats().sessions.websocket == 1).await;
        fixture.websocket.0.get_mut().shutdown().await.unwrap();
        assert_eq!(fixture.server.closed().await, CloseReason::TransportClose);
        assert_eq!(session.closed().await, Some((0, String::new())));
        fixture.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_session_ends_if_the_websocket_or_its_successor_does_not_end_in_order() {
    // The client never ends the WebSocket.
    let mut fixture = Fixture::new(config().upgrade_timeout(SHORT)).await;
    let (session, mut stream) = fixture.probe().await;
    stream.text("5").await;
    assert_eq!(fixture.server.closed().await, CloseReason::TransportError);
    assert_eq!(session.closed().await, Some((0, String::new())));
    fixture.nothing_is_left().await;
    // It resets the WebSocket.
    let mut fixture = Fixture::new(config()).await;
    let (session, mut stream) = fixture.probe().await;
    stream.text("5").await;
    assert_eq!(fixture.server.event().await, Event::Upgraded(Transport::WebTransport));
    fixture.websocket.0.get_ref().set_zero_linger().unwrap();
    let websocket = std::mem::replace(&mut fixture.websocket, fixture.server.websocket().await.0);
    drop(websocket);
    assert_eq!(fixture.server.closed().await, CloseReason::TransportError);
    assert_eq!(session.closed().await, Some((0, String::new())));
    fixture.nothing_is_left().await;
    // It ends the new transport first.
    let mut fixture = Fixture::new(config()).await;
    let (session, mut stream) = fixture.probe().await;
    stream.text("5").await;
    assert_eq!(fixture.server.event().await, Event::Upgraded(Transport::WebTransport));
    session.connection.close(0x100_u32.into(), b"");
    rest_of(&mut fixture.websocket, &mut Vec::new()).await;
    assert_eq!(fixture.server.closed().await, CloseReason::TransportClose);
    fixture.nothing_is_left().await;
}

#[tokio::test]
async fn a_paused_application_gets_the_messages_in_order_later() {
    let (server, mut connections) = Server::manual(config().upgrade_timeout(SHORT)).await;
    let opened = async {
        let mut connection = connections.recv().await.unwrap();
        // Sends the handshake.
        assert!(poll_once(&mut Box::pin(connection.event())).await.is_none());
        connection
    };
    let (mut fixture, mut connection) =
        within(async { tokio::join!(Fixture::of(server), opened) }).await;
    let (_session, mut stream) = fixture.stream().await;
    stream.write(b"\x015\x024b").await;
    assert_eq!(within(connection.event()).await, Event::Upgraded(Transport::WebTransport));
    connection.pause_reading();
    fixture.websocket.send("4a").await;
    // Longer than the limit on the upgrade.
    let paused = tokio::time::timeout(3 * SHORT, connection.event()).await;
    assert!(paused.is_err(), "{paused:?}");
    connection.resume_reading();
    let mut rest = Vec::new();
    let events = async {
        assert_eq!(within(connection.event()).await, text("a"));
        assert_eq!(within(connection.event()).await, text("b"));
    };
    tokio::join!(events, rest_of(&mut fixture.websocket, &mut rest));
    drop(connection);
    fixture.nothing_is_left().await;
}

/// Polls a future without ever being idle, so that a paused clock stands still.
async fn busy<T>(future: impl Future<Output = T>) -> T {
    let spin = async {
        loop {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        value = future => value,
        () = spin => unreachable!(),
    }
}

/// Pongs arrive on the new transport, which is not read before the end of the WebSocket.
#[tokio::test]
async fn a_client_that_sends_anything_while_the_websocket_drains_is_not_silent() {
    const SECOND: Duration = Duration::from_secs(1);
    let config = config().upgrade_timeout(60 * SECOND).ping_interval(SECOND).ping_timeout(SECOND);
    tokio::time::pause();
    let mut fixture = busy(Fixture::new(config)).await;
    let (_session, mut stream) = busy(fixture.probe()).await;
    busy(stream.text("5")).await;
    assert_eq!(busy(fixture.server.event()).await, Event::Upgraded(Transport::WebTransport));
    // Timers fire up to a millisecond late.
    let more_than_a_second = SECOND + Duration::from_millis(2);
    // The pong, on the new transport.
    for _ in 0..3 {
        tokio::time::advance(more_than_a_second).await;
        assert_eq!(busy(stream.packet()).await, Some(Packet::text(PacketType::Ping, "")));
        busy(stream.text("3")).await;
        settle().await;
        tokio::time::advance(more_than_a_second).await;
        settle().await;
    }
    // Messages, on the WebSocket.
    for number in 0..5 {
        tokio::time::advance(3 * SECOND / 4).await;
        busy(fixture.websocket.send(format!("4{number}"))).await;
        assert_eq!(busy(fixture.server.event()).await, text(&number.to_string()));
    }
    // Nothing.
    for _ in 0..3 {
        tokio::time::advance(more_than_a_second).await;
        settle().await;
    }
    assert_eq!(busy(fixture.server.closed()).await, CloseReason::PingTimeout);
}

/// Lets the server read what was sent.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}
