//! Limits on HTTP/2 connections.

#![cfg(feature = "http2")]

use crate::http2;
use crate::support;

use std::time::Duration;

use engineio_server::EngineConfig;
use http::Method;
use http2::{Client, answer, to};
use support::{Server, sid_of, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
/// `GET http://x/` in static and literal fields.
const GET: &[u8] = b"\x82\x86\x84\x41\x01x";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends bytes and returns what arrives until the connection ends.
async fn exchange(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut seen = Vec::new();
    // The connection may also end with a reset.
    let _ = within(stream.read_to_end(&mut seen)).await;
    seen
}

#[tokio::test]
async fn an_unfinished_head_times_out() {
    let config = EngineConfig::default().head_timeout(Duration::from_millis(100));
    let server = Server::echo(config).await;
    let started = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    let half = frame(HEADERS, 5, 1, GET);
    let unended = frame(HEADERS, 1, 1, GET);
    let cut = &half[..half.len() - 2];
    for more in
        [&PREFACE[..8], PREFACE, &[&started[..], cut].concat(), &[started, unended].concat()]
    {
        exchange(&server, more).await;
    }
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let server = Server::echo(EngineConfig::default().max_head_size(0)).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    let mut request = to(Method::GET, "EIO=4&transport=polling");
    request.headers_mut().insert("x", "x".repeat(9 * 1024).parse().unwrap());
    assert_eq!(answer(client.begin(request, "").await).await.0, 431);
    client.open().await;
}

#[tokio::test]
async fn concurrent_streams_are_limited() {
    let server = Server::echo(EngineConfig::default().max_concurrent_streams(2)).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    client.open().await;
    assert_eq!(client.send.current_max_send_streams(), 2);
    // A client that ignores the limit.
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    let sid = sid_of(&client.open().await);
    let path = format!("/engine.io/?EIO=4&transport=polling&sid={sid}");
    let waiting = [b"\x82\x86\x41\x01x\x04", &[path.len() as u8][..], path.as_bytes()].concat();
    bytes.extend(frame(HEADERS, 5, 1, &waiting));
    for stream in [3, 5, 7] {
        bytes.extend(frame(HEADERS, 4, stream, &waiting));
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let refused = frame(RESET, 0, 7, &7_u32.to_be_bytes());
    let mut seen = Vec::new();
    while !seen.windows(refused.len()).any(|window| window == refused) {
        seen.push(within(stream.read_u8()).await.unwrap());
    }
}

#[tokio::test]
async fn a_flood_of_resets_closes_the_connection() {
    let server = Server::echo(EngineConfig::default()).await;
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    for stream in (1..400).step_by(2) {
        bytes.extend(frame(HEADERS, 5, stream, GET));
        bytes.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
    }
    let seen = exchange(&server, &bytes).await;
    let calm = 11_u32.to_be_bytes();
    assert!(seen.windows(4).any(|window| window == calm), "ENHANCE_YOUR_CALM in {seen:?}");
}

/// Returns when the server closes the connection of a client that opens a window of `window` bytes
/// for each body.
async fn unread(window: u32) {
    let config = EngineConfig::default().write_timeout(Duration::from_secs(1));
    let server = Server::echo(config).await;
    let sid = server.open().await;
    server.engine.client(&sid).unwrap().send("x".repeat(100_000)).unwrap();
    // The client reads the connection, but does not widen the window of the body.
    let mut closed = h2::client::Builder::new();
    closed.initial_window_size(window);
    let stream = TcpStream::connect(server.address).await.unwrap();
    let client = Client::with(&closed, stream).await;
    let query = format!("EIO=4&transport=polling&sid={sid}");
    let response = within(client.begin(to(Method::GET, &query), "").await).await.unwrap();
    let Client { connection, send } = client;
    let _ = within(connection).await.unwrap();
    drop((response, send));
}

#[tokio::test]
async fn a_response_that_the_client_stops_reading_closes_the_connection() {
    unread(200).await;
}

#[tokio::test]
async fn a_response_that_the_client_never_reads_closes_the_connection() {
    unread(0).await;
}
