//! Packets that wait for the server to read the preceding ones, and the limits of that wait.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::*;
use crate::engine::Order;
use engineio_parser::websocket::{Header, Opcode, PONG, TEXT, apply_mask, encode};
use engineio_server::EngineConfig as ServerConfig;

const OPEN: &str = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;

const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(2);

/// The server's end of one WebSocket, frame by frame.
struct Peer(DuplexStream);

impl Peer {
    async fn accept(mut stream: DuplexStream) -> Self {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let mut lines = request.lines();
        let is_key = |line: &&str| line.to_ascii_lowercase().starts_with("sec-websocket-key");
        let (_, key) = lines.find(is_key).unwrap().split_once(": ").unwrap();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&encode(TEXT, None, OPEN.as_bytes())).await.unwrap();
        Self(stream)
    }

    async fn frame(&mut self) -> String {
        self.next().await.unwrap()
    }

    /// Returns the next frame of the client: a message, or the name of another frame.
    async fn next(&mut self) -> std::io::Result<String> {
        let mut head = [0; 6];
        self.0.read_exact(&mut head).await?;
        let (header, _) = Header::parse(&head).unwrap().unwrap();
        let mut payload = vec![0; header.payload_len as usize];
        self.0.read_exact(&mut payload).await?;
        apply_mask(&mut payload, header.mask.unwrap());
        Ok(match header.opcode {
            Opcode::Text => String::from_utf8(payload).unwrap(),
            Opcode::Close => "close".into(),
            Opcode::Ping => "ping".into(),
            opcode => panic!("{opcode:?}"),
        })
    }

    async fn pong(&mut self) {
        self.0.write_all(&encode(PONG, None, b"")).await.unwrap();
    }
}

/// An engine over a WebSocket to a server that the test plays.
async fn engine_and_peer() -> (Engine, Peer) {
    let (sender, mut streams) = mpsc::unbounded_channel();
    let options = only(Transport::WebSocket).connector(move |_: String, _: u16| {
        let (client, server) = tokio::io::duplex(16 * 1024);
        sender.send(server).unwrap();
        async move { Ok::<_, std::io::Error>(client) }
    });
    let config = engine_config("http://server", &options).unwrap();
    let accept = async { Peer::accept(streams.recv().await.unwrap()).await };
    let (engine, peer) = tokio::join!(Engine::open(&config), accept);
    (engine.unwrap(), peer)
}

#[tokio::test(start_paused = true)]
async fn on_a_websocket_a_separate_packet_waits_for_the_pong_after_those_before() {
    let (mut engine, mut peer) = engine_and_peer().await;
    engine.send(text("a")).unwrap();
    engine.send_unbounded(text("b"), Order::AfterConfirmation(CONFIRMATION_TIMEOUT));
    assert!(engine.send(text("c")).is_err() && !engine.is_writable());
    engine.close();
    let client = tokio::spawn(async move { closed(&mut engine).await });
    assert_eq!(peer.frame().await, "4a");
    assert_eq!(peer.frame().await, "ping");
    let early = tokio::time::timeout(CONFIRMATION_TIMEOUT / 2, peer.frame()).await;
    assert!(early.is_err(), "{early:?}");
    peer.pong().await;
    assert_eq!(peer.frame().await, "4b");
    assert_eq!(peer.frame().await, "close");
    drop(peer);
    assert_eq!(reason(&client.await.unwrap()), CloseReason::ForcedClose);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_pongs_delays_a_separate_packet_until_the_timeout() {
    let (mut engine, mut peer) = engine_and_peer().await;
    engine.send(text("a")).unwrap();
    engine.send_unbounded(text("b"), Order::AfterConfirmation(CONFIRMATION_TIMEOUT));
    engine.send_unbounded(text("c"), Order::InOrder);
    let client = tokio::spawn(async move { closed(&mut engine).await });
    assert_eq!(peer.frame().await, "4a");
    assert_eq!(peer.frame().await, "ping");
    let before = tokio::time::Instant::now();
    assert_eq!(peer.frame().await, "4b");
    assert_eq!(before.elapsed().as_secs(), CONFIRMATION_TIMEOUT.as_secs());
    assert_eq!(peer.frame().await, "4c");
    drop(peer);
    assert_eq!(reason(&client.await.unwrap()), CloseReason::TransportClose);
}

#[tokio::test(start_paused = true)]
async fn a_separate_packet_is_sent_at_once_if_nothing_was_sent_before() {
    let (mut engine, mut peer) = engine_and_peer().await;
    engine.send_unbounded(text("b"), Order::AfterConfirmation(CONFIRMATION_TIMEOUT));
    let client = tokio::spawn(async move { closed(&mut engine).await });
    assert_eq!(peer.frame().await, "4b");
    drop(peer);
    client.await.unwrap();
}

/// The data that a client writes at once, per connection.
type Written = Arc<Mutex<Vec<Vec<Vec<u8>>>>>;

/// Options whose connections record what the client writes, and delay the responses.
fn watched(network: &Network, options: EngineOptions) -> (EngineConfig, Written) {
    let written = Written::default();
    let (network, log) = (network.clone(), written.clone());
    let options = options.connector(move |_: String, _: u16| {
        let (client, middle) = tokio::io::duplex(16 * 1024);
        let (mut from_client, mut to_client) = tokio::io::split(middle);
        let (mut from_server, mut to_server) = tokio::io::split(network.accept());
        let log = log.clone();
        let index = log.lock().unwrap().len();
        log.lock().unwrap().push(Vec::new());
        // The GET is the first connection. Its responses arrive later than those of the WebSocket.
        let latency = Duration::from_millis(if index == 0 { 5 } else { 1 });
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
                tokio::time::sleep(latency).await;
                if to_client.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                log.lock().unwrap()[index].push(bytes[..read].to_vec());
                if to_server.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
        });
        async move { Ok::<_, std::io::Error>(client) }
    });
    (engine_config("http://server", &options).unwrap(), written)
}

/// Returns the bodies of the POSTs of a connection.
fn bodies(written: &[Vec<u8>]) -> Vec<String> {
    let written = String::from_utf8(written.concat()).unwrap();
    let heads = written.split("\r\n\r\n").skip(1);
    let bodies = heads.map(|it| it.split("GET ").next().unwrap().split("POST ").next().unwrap());
    bodies.filter(|body| !body.is_empty()).map(str::to_owned).collect()
}

/// Returns the frames of a WebSocket, with `|` between frames of different writes, or `None` if the
/// connection is not a WebSocket.
async fn frames(written: &[Vec<u8>]) -> Option<Vec<String>> {
    let (head, rest) = written.split_first()?;
    if !String::from_utf8_lossy(head).contains("transport=websocket") {
        return None;
    }
    let mut frames = Vec::new();
    for mut bytes in rest.iter().map(Vec::as_slice) {
        let (mut writer, reader) = tokio::io::duplex(bytes.len() + 1);
        writer.write_all_buf(&mut bytes).await.unwrap();
        drop(writer);
        let mut peer = Peer(reader);
        while let Ok(frame) = peer.next().await {
            frames.push(frame);
        }
        frames.push("|".to_owned());
    }
    Some(frames)
}

#[tokio::test(start_paused = true)]
async fn over_polling_a_separate_packet_and_the_close_have_their_own_requests() {
    let network = Network::echo(ServerConfig::default());
    let (config, written) = watched(&network, only(Transport::Polling));
    let mut engine = Engine::open(&config).await.unwrap();
    for message in ["a", "b"] {
        engine.send(text(message)).unwrap();
    }
    engine.send_unbounded(text("last"), Order::AfterConfirmation(CONFIRMATION_TIMEOUT));
    engine.close();
    assert_eq!(reason(&closed(&mut engine).await), CloseReason::ForcedClose);
    let bodies: Vec<_> = written.lock().unwrap().iter().flat_map(|it| bodies(it)).collect();
    assert_eq!(bodies, ["4a\x1e4b", "4last", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_separate_packet_stays_separate_at_every_point_of_an_upgrade() {
    let mut over_websocket = 0;
    for polls in 0..60 {
        let network = Network::echo(ServerConfig::default());
        let (config, written) = watched(&network, options());
        let mut engine = Engine::open(&config).await.unwrap();
        for _ in 0..polls {
            poll_fn(|cx| std::task::Poll::Ready(engine.poll_event(cx).is_ready())).await;
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        engine.send(text("a")).unwrap();
        engine.send_unbounded(text("last"), Order::AfterConfirmation(CONFIRMATION_TIMEOUT));
        engine.close();
        assert_eq!(reason(&closed(&mut engine).await), CloseReason::ForcedClose);
        let written = written.lock().unwrap().clone();
        let (mut posts, mut sent) = (Vec::new(), Vec::new());
        for connection in &written {
            match frames(connection).await {
                Some(frames) => sent.extend(frames),
                None => posts.extend(bodies(connection)),
            }
        }
        let at = |wanted: &str| sent.iter().position(|it| it == wanted);
        let posted = |wanted: &str| posts.iter().any(|it| it == wanted);
        match (at("4a"), at("4last")) {
            (Some(a), Some(last)) => {
                assert_eq!(sent[a + 1..last], ["ping", "|"], "{polls}: {sent:?}");
                over_websocket += 1;
            }
            (None, Some(_)) => assert!(posted("4a"), "{polls}: {posts:?}"),
            (None, None) => assert!(posted("4a") && posted("4last"), "{polls}: {posts:?}"),
            (Some(_), None) => panic!("{polls}: {sent:?} {posts:?}"),
        }
    }
    assert!(over_websocket > 0, "the upgrade takes longer than this test");
}

#[tokio::test(start_paused = true)]
async fn the_backlog_is_sent_although_the_sessions_queue_is_full() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, only(via).max_queued_packets(2)).await;
        engine.send(text("0")).unwrap();
        engine.send(text("1")).unwrap();
        for n in 2..100 {
            engine.send_unbounded(text(&n.to_string()), Order::InOrder);
        }
        for n in 0..100 {
            assert_eq!(message(&mut engine).await, PacketData::Text(n.to_string().into()));
        }
        engine.send(text("again")).unwrap();
        assert_eq!(message(&mut engine).await, PacketData::Text("again".into()));
    }
}
