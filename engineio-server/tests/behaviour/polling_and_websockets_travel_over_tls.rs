//! [`Engine::listen_tls`](engineio_server::Engine::listen_tls).

#![cfg(feature = "tls")]

use crate::support;
use crate::tls;

use std::time::Duration;

use engineio_server::{EngineConfig, Unsent};
use futures_util::{SinkExt, StreamExt};
use support::{Message, Server, rest, sid_of, until, within};
use tls::Secure;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const OPEN: &str =
    "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Opens a polling session. Returns its id.
async fn poll(secure: &Secure) -> String {
    let mut stream = secure.connect(&["http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream.write_all(OPEN.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // Without a close_notify, the response may have been truncated.
    within(stream.read_to_string(&mut answer)).await.unwrap();
    sid_of(answer.split_once("\r\n\r\n").unwrap().1)
}

#[tokio::test]
async fn both_transports_and_the_upgrade_work_over_tls() {
    let server = Server::echo(EngineConfig::default()).await;
    let secure = Secure::listen(&server.engine).await;
    let sid = poll(&secure).await;
    assert!(server.engine.client(&sid).unwrap().handshake().secure());

    let url = format!("wss://localhost/engine.io/?EIO=4&transport=websocket&sid={sid}");
    // A client without ALPN is served as well.
    let stream = secure.connect(&[]).await;
    let (mut websocket, _) = within(tokio_tungstenite::client_async(url, stream)).await.unwrap();
    websocket.send(Message::text("2probe")).await.unwrap();
    assert_eq!(within(websocket.next()).await.unwrap().unwrap(), Message::text("3probe"));
    websocket.send(Message::text("5")).await.unwrap();
    // More than rustls accepts at once.
    let long = format!("4{}", "x".repeat(500_000));
    websocket.send(Message::text(&long)).await.unwrap();
    assert_eq!(within(websocket.next()).await.unwrap().unwrap(), Message::text(&long));
    server.engine.client(&sid).unwrap().close(Unsent::Send);
    assert_eq!(within(websocket.next()).await.unwrap().unwrap(), Message::Close(None));
}

#[tokio::test]
async fn a_client_without_tls_is_not_secure() {
    let server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    assert!(!server.engine.client(&sid).unwrap().handshake().secure());
}

#[tokio::test]
async fn an_unfinished_handshake_times_out() {
    // Longer than a handshake takes on a busy machine.
    let config = EngineConfig::default().head_timeout(Duration::from_secs(3));
    let server = Server::echo(config).await;
    let secure = Secure::listen(&server.engine).await;
    // A handshake without a request, a connection without data, and one with the beginning of a
    // record.
    let mut complete = secure.connect(&["http/1.1"]).await;
    let mut unfinished = Vec::new();
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(secure.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        unfinished.push(stream);
    }
    assert_eq!(within(complete.read(&mut [0; 1])).await.unwrap_or(0), 0);
    for mut stream in unfinished {
        assert_eq!(rest(&mut stream).await, "");
    }
    until(|| secure.listening.stats().head_timeout == 3).await;
}

#[tokio::test]
async fn a_malformed_handshake_ends_only_its_connection() {
    let server = Server::echo(EngineConfig::default()).await;
    let secure = Secure::listen(&server.engine).await;
    for bytes in [OPEN.as_bytes(), &[0xff; 1000]] {
        let mut stream = TcpStream::connect(secure.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert!(!rest(&mut stream).await.contains("200"));
    }
    until(|| secure.listening.stats().tls_handshake == 2).await;
    poll(&secure).await;
}

#[tokio::test]
async fn a_stopped_listener_does_not_wait_for_handshakes() {
    let server = Server::echo(EngineConfig::default()).await;
    let Secure { address, listening, .. } = Secure::listen(&server.engine).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    listening.stop();
    within(listening.join()).await;
    assert_eq!(rest(&mut stream).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}
