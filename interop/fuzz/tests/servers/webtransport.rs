//! A WebTransport server that reads arbitrary bytes, over QUIC on the loopback interface and under a
//! paused clock.

#![allow(clippy::unwrap_used, reason = "only the inputs are arbitrary")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use engineio_parser::{Frame, PacketType, webtransport::encode};
use engineio_server::{Engine, EngineConfig, Handshake, PacketData, Transport};
use fuzz::{PollLimit, pieces, run};
use http_body_util::Full;
use hyper::Request;
use quinn::{Connection, Endpoint, SendStream, crypto::rustls::QuicClientConfig};
use tokio::{runtime::Runtime, time::timeout};
use wtransport_proto::headers::Headers;

use crate::{
    certificate::certificate,
    world::{LONG, POLLS, SHORT, config, echo},
};

/// How long a peer may take that is not waiting for a deadline.
const SETTLED: Duration = Duration::from_millis(1);

/// The streams of a connection: that of the request, that of the packets, and one of the client's
/// control streams.
#[test]
fn server_webtransport() {
    let world = World::new();
    run("server_webtransport", 100, &seeds(), |input| {
        world.messages_of(input);
    });
}

struct World {
    runtime: Runtime,
    engine: Engine,
    endpoint: Endpoint,
    address: SocketAddr,
    messages: Arc<Mutex<Vec<PacketData>>>,
    /// The tasks of the listener and of the endpoint.
    tasks: usize,
}

impl World {
    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let application = {
            let messages = messages.clone();
            move |connection| PollLimit::new(POLLS, echo(connection, messages.clone()))
        };
        let (engine, endpoint, address) = runtime.block_on(async {
            let engine = Engine::new(options(), application);
            let (server, mut client) = certificate();
            let listening = engine.listen_webtransport("127.0.0.1:0", server.into()).await.unwrap();
            client.alpn_protocols = vec![b"h3".to_vec()];
            let crypto = QuicClientConfig::try_from(client).unwrap();
            let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
            endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
            tokio::time::sleep(LONG).await;
            (engine, endpoint, listening.local_addr().unwrap())
        });
        let tasks = runtime.metrics().num_alive_tasks();
        Self { runtime, engine, endpoint, address, messages, tasks }
    }

    /// Opens the polling session `s0`, and sends the input on a new connection. The byte before each
    /// piece selects the stream. Returns the messages that the application has received.
    fn messages_of(&self, input: &[u8]) -> Vec<PacketData> {
        self.runtime.block_on(async {
            let request = Request::get("/engine.io/?EIO=4&transport=polling");
            let request = request.body(Full::new(Bytes::new())).unwrap();
            drop(self.engine.handle(request).await);
            let connecting = self.endpoint.connect(self.address, "localhost").unwrap();
            // On a busy machine the clock may advance before a datagram has arrived.
            if let Ok(Ok(connection)) = timeout(SHORT, connecting).await {
                let _ = timeout(LONG, converse(&connection, input)).await;
                connection.close(0_u32.into(), b"");
            }
            tokio::time::sleep(LONG).await;
            assert_eq!(self.engine.clients_count(), 0, "a session is left");
        });
        assert_eq!(self.runtime.metrics().num_alive_tasks(), self.tasks, "a task is left");
        std::mem::take(&mut *self.messages.lock().unwrap())
    }
}

/// Writes each piece to its stream. An error means that the server has closed the connection.
async fn converse(connection: &Connection, input: &[u8]) -> Option<()> {
    let (mut request, _response) = connection.open_bi().await.ok()?;
    let mut packets: Option<(SendStream, _)> = None;
    let mut control: Option<SendStream> = None;
    for (kind, piece) in pieces(input) {
        match kind % 5 {
            0 => request.write_all(piece).await.ok()?,
            1 => {
                if packets.is_none() {
                    packets = Some(connection.open_bi().await.ok()?);
                }
                packets.as_mut()?.0.write_all(piece).await.ok()?;
            }
            2 => {
                if control.is_none() {
                    control = Some(connection.open_uni().await.ok()?);
                }
                control.as_mut()?.write_all(piece).await.ok()?;
            }
            3 => _ = request.finish(),
            _ => _ = packets.as_mut()?.0.reset(7_u32.into()),
        }
        tokio::time::sleep(SETTLED).await;
    }
    tokio::time::sleep(10 * SETTLED).await;
    Some(())
}

fn options() -> EngineConfig {
    let ids = AtomicU32::new(0);
    config(EngineConfig::default())
        .transports(&[Transport::Polling, Transport::WebTransport])
        .head_timeout(SHORT)
        .generate_id(move |handshake: &Handshake| {
            let id = match handshake.url().contains("polling") {
                true => "s0".to_owned(),
                false => format!("w{}", ids.fetch_add(1, Relaxed)),
            };
            async move { Ok::<_, std::io::Error>(id) }
        })
}

fn seeds() -> Vec<Vec<u8>> {
    let fields = [
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":protocol", "webtransport"),
        (":authority", "localhost"),
        (":path", "/engine.io/"),
    ];
    let mut head = Vec::new();
    fields.into_iter().collect::<Headers>().generate_frame().write(&mut head).unwrap();
    // The type of the stream, and the id of its session.
    let open = |first: &str| {
        let first = [&[first.len() as u8], first.as_bytes()].concat();
        [&head[..], b"\xfe3\x40\x41\x00", &first].concat()
    };
    let packets: Vec<u8> = [
        Frame::text(PacketType::Message, "hello"),
        Frame::binary(vec![7; 100].into()),
        Frame::text(PacketType::Pong, ""),
        Frame::text(PacketType::Message, &"x".repeat(200)),
    ]
    .iter()
    .flat_map(|frame| {
        let (header, packet) = encode(frame);
        [header.as_ref(), &packet].concat()
    })
    .collect();
    let upgrade = open(r#"0{"sid":"s0"}"#);
    // The digits from 2 to 6 select a stream or an end of one.
    vec![
        [&open("0")[..], &packets].concat(),
        [&open("0")[..], b"\xfe3", &packets[..9], b"\xfe3", &packets[9..], b"\xfe6"].concat(),
        [&upgrade[..], b"\x062probe\xfe3\x015", &packets].concat(),
        [&upgrade[..], b"\x015", &packets, b"\xfe5"].concat(),
        // Settings, a reserved frame before the request, a capsule behind it.
        [
            b"\xfe4\x00\x04\x00\xfe2\x21\x02\0\0",
            &open("0")[..],
            b"\xfe2\x00\x07\x68\x43\x04\0\0\0\0",
        ]
        .concat(),
        // A length that never arrives, and one beyond the limit.
        [&open("0")[..], b"\x7e\x03\xe84abc"].concat(),
        [&open("0")[..], b"\x7f\0\0\0\x7f\0\0\0\0"].concat(),
        open(r#"0{"sid":"unknown"}"#),
    ]
}

/// Otherwise the target would only reach refusals.
#[test]
fn seeds_reach_the_application() {
    let world = World::new();
    for (index, seed) in seeds().iter().take(4).enumerate() {
        // The clock may advance before a datagram has arrived.
        let complete = (0..10).any(|_| world.messages_of(seed).len() == 3);
        assert!(complete, "the messages of seed {index}");
    }
}
