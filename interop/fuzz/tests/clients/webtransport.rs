//! A client of a WebTransport server that sends any bytes, over QUIC on the loopback interface and under
//! a paused clock.

#![allow(clippy::unwrap_used, reason = "only the inputs are arbitrary")]

use std::{cell::Cell, net::SocketAddr, sync::Arc, time::Duration};

use engineio_parser::{Frame, PacketType, webtransport::encode};
use fuzz::{PollLimit, pieces, run};
use quinn::{Connection, Endpoint, SendStream, crypto::rustls::QuicServerConfig};
use socketio_client::{ClientConfig, Data, Manager, Reconnection, Tls, Transport, Value};
use tokio::{
    runtime::Runtime,
    time::{Instant, timeout},
};
use wtransport_proto::{
    ids::StatusCode, session::SessionResponse, settings::Settings, stream_header::StreamHeader,
};

use crate::{OPEN, POLLS, certificate::certificate};

/// How long a peer may take that is not waiting for a deadline.
const SETTLED: Duration = Duration::from_millis(1);
const WAIT: Duration = Duration::from_secs(10);

/// The streams of a connection: the server's control stream, the response to the request, and the packets.
#[test]
fn client_webtransport() {
    let world = World::new();
    let accepted = Cell::new(0);
    run("client_webtransport", 100, &seeds(), |input| {
        accepted.set(accepted.get() + u32::from(world.converse(input)));
    });
    assert!(accepted.get() > 0, "no input reached the open session");
}

struct World {
    runtime: Runtime,
    endpoint: Endpoint,
    address: SocketAddr,
    tls: Tls,
    /// The tasks of the endpoint.
    tasks: usize,
}

impl World {
    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        let (mut server, client) = certificate();
        server.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = QuicServerConfig::try_from(server).unwrap();
        let endpoint = runtime.block_on(async {
            let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
            let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
            tokio::time::sleep(WAIT).await;
            endpoint
        });
        let address = endpoint.local_addr().unwrap();
        let (tasks, tls) = (runtime.metrics().num_alive_tasks(), Tls::rustls(client));
        Self { runtime, endpoint, address, tls, tasks }
    }

    /// Connects a client to a server that sends the input. The byte before each piece selects the stream.
    /// Returns whether the client was accepted.
    fn converse(&self, input: &[u8]) -> bool {
        let alive = || self.runtime.metrics().num_alive_tasks() - self.tasks;
        let accepted = self.runtime.block_on(PollLimit::new(POLLS, async {
            let config =
                ClientConfig::default().auto_connect(false).reconnection(Reconnection::off());
            let config = config.engine(|engine| {
                let engine = engine.transports([Transport::WebTransport]).max_payload(500);
                engine.tls(self.tls.clone())
            });
            let url = format!("https://localhost:{}", self.address.port());
            let manager = Manager::with_config(&url, config).unwrap();
            let socket = manager.socket("/");
            socket.on("echo", |Data(value): Data<Value>| async move { Ok(value) });
            let client = async {
                let accepted = matches!(timeout(WAIT, socket.connect()).await, Ok(Ok(_)));
                if accepted {
                    let _ = socket.emit("echo", &1);
                    tokio::time::sleep(WAIT).await;
                }
                manager.close();
                accepted
            };
            let server = async {
                // On a busy machine the clock may advance before a datagram has arrived.
                let connecting = timeout(WAIT, self.endpoint.accept()).await.ok()??;
                let connection = timeout(WAIT, connecting).await.ok()?.ok()?;
                let _ = timeout(3 * WAIT, serve(&connection, input)).await;
                connection.close(0_u32.into(), b"");
                Some(())
            };
            let (accepted, _) = tokio::join!(client, server);
            drop((socket, manager));
            let end = Instant::now() + 6 * WAIT;
            while alive() > 0 && Instant::now() < end {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            accepted
        }));
        assert_eq!(alive(), 0, "a task is left");
        accepted
    }
}

/// Writes each piece to its stream. An error means that the client has closed the connection.
async fn serve(connection: &Connection, input: &[u8]) -> Option<()> {
    let mut control = connection.open_uni().await.ok()?;
    let mut request: Option<SendStream> = None;
    let mut packets: Option<SendStream> = None;
    for (kind, piece) in pieces(input) {
        match kind % 6 {
            0 => control.write_all(piece).await.ok()?,
            1 | 3 => {
                if request.is_none() {
                    request = Some(timeout(WAIT, connection.accept_bi()).await.ok()?.ok()?.0);
                }
                request.as_mut()?.write_all(piece).await.ok()?;
                if kind % 6 == 3 {
                    let _ = request.as_mut()?.finish();
                }
            }
            2 | 4 => {
                if packets.is_none() {
                    packets = Some(timeout(WAIT, connection.accept_bi()).await.ok()?.ok()?.0);
                }
                packets.as_mut()?.write_all(piece).await.ok()?;
                if kind % 6 == 4 {
                    let _ = packets.as_mut()?.finish();
                }
            }
            _ => _ = control.reset(7_u32.into()),
        }
        tokio::time::sleep(SETTLED).await;
    }
    // The client waits for what else may come.
    connection.closed().await;
    Some(())
}

fn seeds() -> Vec<Vec<u8>> {
    let mut settings = Vec::new();
    StreamHeader::new_control().write(&mut settings).unwrap();
    let offer = Settings::builder().enable_connect_protocol().enable_webtransport().build();
    offer.generate_frame().write(&mut settings).unwrap();
    let response = |status| {
        let mut bytes = Vec::new();
        let mut response =
            SessionResponse::with_status_code(StatusCode::try_from_u32(status).unwrap());
        response.add("set-cookie", "io=a; Path=/; Max-Age=10");
        response.headers().generate_frame().write(&mut bytes).unwrap();
        bytes
    };
    let packets = |frames: &[Frame]| {
        let bytes = frames.iter().flat_map(|frame| {
            let (header, packet) = encode(frame);
            [header.as_ref(), &packet].concat()
        });
        bytes.collect::<Vec<u8>>()
    };
    let message = |text: &str| Frame::text(PacketType::Message, text);
    let open = packets(&[Frame::text(PacketType::Open, &OPEN[1..])]);
    let connected = [&open[..], &packets(&[message("0{\"sid\":\"b\"}")])].concat();
    let events = packets(&[
        message("21[\"echo\",{\"a\":[1]}]"),
        Frame::text(PacketType::Ping, ""),
        message("51-[\"echo\",{\"_placeholder\":true,\"num\":0}]"),
        Frame::binary(vec![7; 100].into()),
    ]);
    let accepted = [&settings[..], b"\xfe1", &response(200), b"\xfe2", &connected].concat();
    // The digits from 1 to 5 select a stream, and whether it ends.
    vec![
        [&accepted[..], b"\xfe2", &events].concat(),
        [&accepted[..], b"\xfe2", &events[..9], b"\xfe2", &events[9..], b"\xfe4"].concat(),
        [&accepted[..], b"\xfe3\x68\x43\x04\0\0\0\0"].concat(),
        [&accepted[..], b"\xfe5"].concat(),
        [&accepted[..], b"\xfe2", &packets(&[Frame::text(PacketType::Close, "")])].concat(),
        [&settings[..], b"\xfe3", &response(404)].concat(),
        // A reserved frame before each of the two, and a length that never arrives.
        [b"\x00\x21\x02\0\0", &settings[1..], b"\xfe1\x21\x00", &response(200)].concat(),
        [&settings[..], b"\xfe1", &response(200), b"\xfe2", &open, b"\x7e\x03\xe84abc"].concat(),
        b"\x02\xfe0\x00".to_vec(),
    ]
}
