//! WebSockets as streams of an HTTP/2 connection (RFC 8441), which browsers prefer if it is
//! offered.

#![cfg(feature = "http2")]

use crate::http2;
use crate::support;

use axum::Router;
use bytes::Bytes;
use engineio_server::{CloseReason, EngineConfig};
use h2::{RecvStream, SendStream};
use http2::{Client, read};
use support::{Server, frame, sid_of};
use tokio::net::{TcpListener, TcpStream};

/// Reads the server's next frames, which are not masked.
async fn expect(stream: &mut RecvStream, frames: &[u8]) {
    assert_eq!(read(stream, frames.len()).await, frames);
}

fn send(stream: &mut SendStream<Bytes>, first: u8, payload: &str) {
    stream.send_data(frame(first, payload.as_bytes()).into(), false).unwrap();
}

/// The two directions of a WebSocket.
type Streams = (SendStream<Bytes>, RecvStream);

/// A session that was opened by a WebSocket.
async fn opens(client: &Client) -> Streams {
    let (response, mut up) = client.connect("EIO=4&transport=websocket").await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let mut down = response.into_body();
    while !read(&mut down, 1).await.ends_with(b"}") {}
    send(&mut up, 0x81, "4hello");
    expect(&mut down, b"\x81\x064hello").await;
    send(&mut up, 0x82, "bytes");
    expect(&mut down, b"\x82\x05bytes").await;
    (up, down)
}

/// A polling session on the same connection, upgraded to a WebSocket.
async fn upgrades(client: &Client) -> Streams {
    let sid = sid_of(&client.open().await);
    let (response, mut up) = client.connect(&format!("EIO=4&transport=websocket&sid={sid}")).await;
    let mut down = response.into_body();
    send(&mut up, 0x81, "2probe");
    expect(&mut down, b"\x81\x063probe").await;
    send(&mut up, 0x81, "5");
    send(&mut up, 0x81, "4again");
    expect(&mut down, b"\x81\x064again").await;
    (up, down)
}

#[tokio::test]
async fn a_websocket_inside_http2_works_at_the_listener() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    let (mut up, mut down) = opens(&client).await;
    let (_upgraded, mut other) = upgrades(&client).await;

    send(&mut up, 0x88, "");
    expect(&mut down, b"\x88\x00").await;
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    server.engine.close();
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    expect(&mut other, b"\x88\x00").await;
}

#[tokio::test]
async fn a_websocket_inside_http2_works_in_axum() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let app = Router::new().layer(server.engine.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    server.address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    let _streams = (opens(&client).await, upgrades(&client).await);
}

#[tokio::test]
async fn a_reset_stream_ends_only_its_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    let (mut up, _down) = opens(&client).await;
    let (mut other, mut down) = upgrades(&client).await;
    up.send_reset(h2::Reason::CANCEL);
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    send(&mut other, 0x81, "4alive");
    expect(&mut down, b"\x81\x064alive").await;
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_refused() {
    let server = Server::echo(EngineConfig::default()).await;
    let client = Client::over(TcpStream::connect(server.address).await.unwrap()).await;
    for query in ["EIO=4&transport=polling", "EIO=4&transport=websocket&sid=x", "EIO=4"] {
        let (response, _) = client.connect(query).await;
        assert_eq!(response.status(), 400, "{query}");
    }
}
