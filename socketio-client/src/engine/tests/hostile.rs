//! Servers that send arbitrary data.

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicUsize, Ordering},
};

use engineio_parser::websocket::{TEXT, encode};
use proptest::{collection::vec, prelude::*, sample::select};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::*;

const OPEN: &str =
    r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":2000,"pingTimeout":2000}"#;

/// The response of a connection to each request: a head and the data after it.
#[derive(Clone, Debug)]
struct Answer {
    /// Whether the head is valid.
    head: bool,
    open: bool,
    rest: Vec<u8>,
    closes: bool,
}

fn answer() -> impl Strategy<Value = Answer> {
    let piece = prop_oneof![
        4 => select(vec![
            "4a", "\x1e", "2", "3", "6", "1", "b/w==", "3probe", "5", "HTTP/1.1 200 OK\r\n", "\r\n\r\n", "content-length: 3\r\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        // Frames: text, ping, close, an announced length that never arrives, reserved bits.
        3 => select(vec![
            &b"\x81\x024a"[..], b"\x89\x00", b"\x88\x00", b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", b"\xf1\x00", b"\x01\x014",
            b"\x80\x01a", b"\x81\x012",
        ])
        .prop_map(<[u8]>::to_vec),
        2 => vec(any::<u8>(), 0..40),
    ];
    let rest = vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    (prop::bool::weighted(0.9), prop::bool::weighted(0.8), rest, any::<bool>())
        .prop_map(|(head, open, rest, closes)| Answer { head, open, rest, closes })
}

async fn serve(mut stream: DuplexStream, answers: Vec<Answer>) {
    for answer in answers {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            request.push(byte);
        }
        let request = String::from_utf8_lossy(&request).to_string();
        let key = request
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key"))
            .and_then(|line| line.split_once(": "));
        let open = answer.open && !request.contains("sid=");
        let mut bytes = Vec::new();
        match key {
            Some((_, key)) => {
                if answer.head {
                    let accept = derive_accept_key(key.as_bytes());
                    bytes.extend(format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n").bytes());
                }
                if open {
                    bytes.extend(encode(TEXT, None, OPEN.as_bytes()));
                }
                bytes.extend(&answer.rest);
            }
            None => {
                let mut body = Vec::new();
                if open {
                    body.extend(OPEN.bytes());
                    body.push(0x1e);
                }
                body.extend(&answer.rest);
                if answer.head {
                    bytes.extend(
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len())
                            .bytes(),
                    );
                }
                bytes.extend(body);
            }
        }
        if stream.write_all(&bytes).await.is_err() || answer.closes {
            return;
        }
    }
    // It accepts connections and sends no more.
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}

async fn survive(via: Transport, answers: Vec<Answer>) {
    let transports = [via, Transport::WebSocket];
    // The clock stands still while a server responds to each GET at once, so the number of
    // responses is limited.
    let connections = AtomicUsize::new(0);
    let options =
        options().transports(transports).max_payload(500).connector(move |_: String, _: u16| {
            let (client, server) = tokio::io::duplex(1024);
            tokio::spawn(serve(server, answers.clone()));
            let spent = connections.fetch_add(1, Ordering::Relaxed) > 20;
            async move { if spent { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(client) } }
        });
    let config = engine_config("http://server", &options).unwrap();
    // The timeout of the caller, because the engine itself sets no limit on opening.
    let opening = tokio::time::timeout(Duration::from_secs(60), Engine::open(&config)).await;
    let Ok(Ok(mut engine)) = opening else { return };
    let _ = engine.send(text("x"));
    for _ in 0..10_000 {
        if let EngineEvent::Closed(_) = event(&mut engine).await {
            return;
        }
    }
    panic!("a server that has a few bytes to say keeps its client busy");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_session_ends_whatever_the_server_sends(
        polling in any::<bool>(),
        answers in vec(answer(), 1..5),
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        let via = if polling { Transport::Polling } else { Transport::WebSocket };
        runtime.block_on(survive(via, answers));
    }
}
