//! The flag `compress` on polling and on WebSocket.

#![cfg(feature = "compression")]

use crate::support;

use bytes::Bytes;
use engineio_server::PerMessageDeflate;
use http_body_util::Empty;
use socketio_server::{Binary, Broadcast, Emitter, Server, ServerConfig, Socket};
use support::{HANG, Running, server, server_with, sockets, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

type ToAll = fn(&Server) -> Broadcast;
type ToOne = fn(&Socket) -> Emitter<'_>;

/// Returns whether the event of each emitter is compressed.
const BROADCASTS: [(ToAll, bool); 4] = [
    (|io| io.to("room"), true),
    (|io| io.to("room").compress(true), true),
    (|io| io.compress(false), false),
    (|io| io.of("/").compress(false).to("room"), false),
];
const EVENTS: [(ToOne, bool); 3] = [
    (|socket| socket.compress(true), true),
    (|socket| socket.compress(false), false),
    (|socket| socket.timeout(HANG).compress(false), false),
];

fn long() -> String {
    "long ".repeat(1000)
}

#[tokio::test]
async fn the_flag_applies_to_polling() {
    let server = server().await;
    let mut sockets = sockets(&server.io.of("/"));
    let sid = server.polling_client().await;
    let socket = within(sockets.recv()).await.unwrap();
    socket.join("room").unwrap();
    let compressed = async || {
        let uri = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        let request = http::Request::get(uri).header("accept-encoding", "gzip");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = within(server.io.engine().handle(request)).await;
        assert_eq!(response.status(), 200);
        response.headers().contains_key("content-encoding")
    };
    for (broadcast, expected) in BROADCASTS {
        broadcast(&server.io).emit("event", &long()).unwrap();
        assert_eq!(compressed().await, expected);
    }
    for (event, expected) in EVENTS {
        event(&socket).emit("event", &long()).unwrap();
        assert_eq!(compressed().await, expected);
    }
    socket.emit("event", &long()).unwrap();
    assert!(compressed().await);
    let picture = Binary::from(vec![0; 5000]);
    socket.compress(false).emit("event", &picture).unwrap();
    assert!(!compressed().await, "attachments are not either");
}

#[tokio::test]
async fn the_flag_applies_to_websocket() {
    let config = ServerConfig::default()
        .engine(|engine| engine.per_message_deflate(PerMessageDeflate::default()));
    let server = server_with(config).await;
    let mut sockets = sockets(&server.io.of("/"));
    let mut client = Client::connect(&server).await;
    let socket = within(sockets.recv()).await.unwrap();
    socket.join("room").unwrap();
    for (broadcast, expected) in BROADCASTS {
        broadcast(&server.io).emit("event", &long()).unwrap();
        assert_eq!(client.compressed().await, expected);
    }
    for (event, expected) in EVENTS {
        event(&socket).emit("event", &long()).unwrap();
        assert_eq!(client.compressed().await, expected);
    }
    let asked = socket.clone();
    let pending =
        tokio::spawn(
            async move { asked.compress(false).emit_with_ack::<()>("event", &long()).await },
        );
    assert!(!client.compressed().await);
    pending.abort();
}

/// A client that offers compression and reads raw frames.
struct Client(TcpStream);

impl Client {
    async fn connect(server: &Running) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n\
            connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-extensions: permessage-deflate\r\n\
            sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        let mut this = Self(stream);
        assert!(!this.compressed().await, "the handshake is short");
        // "40" with a mask of zeros.
        this.0.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']).await.unwrap();
        assert!(!this.compressed().await, "so is what the namespace answers");
        this
    }

    /// Returns whether the next frame is compressed.
    async fn compressed(&mut self) -> bool {
        within(async {
            let first = self.0.read_u8().await.unwrap();
            assert_eq!(first & 0x8f, 0x81, "a text in one frame");
            let len = match self.0.read_u8().await.unwrap() {
                126 => self.0.read_u16().await.unwrap().into(),
                len => usize::from(len),
            };
            let mut payload = vec![0; len];
            self.0.read_exact(&mut payload).await.unwrap();
            first & 0x40 != 0
        })
        .await
    }
}
