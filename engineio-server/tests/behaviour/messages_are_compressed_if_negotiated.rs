//! Parity: `perMessageDeflate` (RFC 7692). Checks frame by frame what is negotiated, sent and
//! refused.

#![cfg(feature = "compression")]

use crate::support;

use engineio_parser::websocket::Header;
use engineio_server::{EngineConfig, PerMessageDeflate};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use support::{Server, frame, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A client that sends given bytes and reads frames.
struct Client {
    stream: TcpStream,
    extensions: Option<String>,
}

impl Client {
    async fn connect(server: &Server, offer: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n\
             connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-extensions: {offer}\r\n\
             sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let extensions = head
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-extensions: "))
            .map(str::to_owned);
        let mut this = Self { stream, extensions };
        assert_eq!(this.next().await.0, 0x81, "the handshake is short");
        this
    }

    /// Returns the first byte and the payload of the next frame.
    async fn next(&mut self) -> (u8, Vec<u8>) {
        within(async {
            let mut head = Vec::new();
            let (header, _) = loop {
                head.push(self.stream.read_u8().await.unwrap());
                if let Some(header) = Header::parse(&head).unwrap() {
                    break header;
                }
            };
            let mut payload = vec![0; header.payload_len as usize];
            self.stream.read_exact(&mut payload).await.unwrap();
            (head[0], payload)
        })
        .await
    }

    async fn send(&mut self, first: u8, payload: &[u8]) {
        self.stream.write_all(&frame(first, payload)).await.unwrap();
    }
}

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 100);
    let mut context = Compress::new(Compression::best(), false);
    context.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

fn inflated(context: &mut Decompress, payload: &[u8]) -> String {
    let mut out = Vec::with_capacity(200_000);
    for part in [payload, &[0, 0, 0xff, 0xff]] {
        context.decompress_vec(part, &mut out, FlushDecompress::Sync).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn config() -> EngineConfig {
    EngineConfig::default().per_message_deflate(PerMessageDeflate::default())
}

const OFFER: &str = "permessage-deflate; client_max_window_bits";

#[tokio::test]
async fn messages_from_the_threshold_on_are_compressed() {
    let server = Server::echo(config()).await;
    let mut client = Client::connect(&server, OFFER).await;
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(client.extensions.as_deref(), Some(agreed));

    let long = format!("4{}", "long ".repeat(1000));
    client.send(0xc1, &deflated(long.as_bytes())).await;
    let (first, payload) = client.next().await;
    assert!(first == 0xc1 && payload.len() < 100);
    assert_eq!(inflated(&mut Decompress::new(false), &payload), long);

    // The server does not compress short messages. The client may compress any message or none.
    client.send(0xc1, &deflated(b"4short")).await;
    assert_eq!(client.next().await, (0x81, b"4short".to_vec()));
    client.send(0x81, long.as_bytes()).await;
    assert_eq!(client.next().await.0, 0xc1);
}

#[tokio::test]
async fn a_context_is_kept_if_both_sides_want_it() {
    let deflate = PerMessageDeflate::default().server_no_context_takeover(false).threshold(300);
    let server = Server::echo(config().per_message_deflate(deflate)).await;
    let mut client = Client::connect(&server, OFFER).await;
    let agreed = "permessage-deflate; client_no_context_takeover";
    assert_eq!(client.extensions.as_deref(), Some(agreed));

    let noise = (0..500_u32).map(|n| b'a' + (n.wrapping_mul(2_654_435_761) >> 13) as u8 % 26);
    let noise: String = noise.map(char::from).collect();
    let mut context = Decompress::new(false);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        client.send(0x81, format!("4{noise}").as_bytes()).await;
        let (first, payload) = client.next().await;
        assert_eq!((first, inflated(&mut context, &payload)), (0xc1, format!("4{noise}")));
        sizes.push(payload.len());
    }
    assert!(sizes[1] < sizes[0] / 2 && sizes[2] < 20, "{sizes:?}");
}

#[tokio::test]
async fn compression_needs_the_consent_of_both_sides() {
    let server = Server::echo(config()).await;
    for offer in ["x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits=99"] {
        assert_eq!(Client::connect(&server, offer).await.extensions, None);
    }
    let server = Server::echo(EngineConfig::default()).await;
    let mut client = Client::connect(&server, OFFER).await;
    assert_eq!(client.extensions, None);
    client.send(0xc1, &deflated(b"4hello")).await;
    assert_eq!(client.next().await, (0x88, 1002_u16.to_be_bytes().to_vec()));
}

#[tokio::test]
async fn data_that_cannot_be_inflated_gets_a_close_code() {
    let server = Server::echo(config().max_payload(10_000)).await;
    let bomb = deflated(&vec![b'4'; 1_000_000]);
    assert!(bomb.len() < 2000);
    for (first, payload, code) in [
        (0xc1, &bomb[..], 1009_u16),
        (0xc1, &[0, 5, 0, 5, 0][..], 1007),
        (0xc1, &deflated(&[b'4', 0xff])[..], 1007),
        (0xc9, b"ping", 1002),
        (0xa1, b"rsv2", 1002),
    ] {
        let mut client = Client::connect(&server, OFFER).await;
        client.send(first, payload).await;
        assert_eq!(client.next().await, (0x88, code.to_be_bytes().to_vec()));
    }
}

#[tokio::test]
async fn a_fragmented_message_of_exactly_the_limit_is_accepted() {
    let server = Server::echo(config().max_payload(10_000)).await;
    let mut client = Client::connect(&server, OFFER).await;
    let message = format!("4{}", "x".repeat(9_999));
    let payload = deflated(message.as_bytes());
    let (one, other) = payload.split_at(payload.len() / 2);
    client.send(0x41, one).await;
    client.send(0x89, b"between").await;
    client.send(0x80, other).await;
    assert_eq!(client.next().await, (0x8a, b"between".to_vec()));
    let (first, payload) = client.next().await;
    assert_eq!((first, inflated(&mut Decompress::new(false), &payload)), (0xc1, message));
}
