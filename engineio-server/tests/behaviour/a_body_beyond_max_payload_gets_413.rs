//! A body beyond `max_payload` is refused before it is buffered. As in Node (since engine.io
//! 6.6.13), this also ends the session.

use crate::support;

use engineio_server::{CloseReason, EngineConfig};
use support::{Server, rest, text, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Starts a POST.
async fn post(server: &Server, sid: &str, rest: &[u8]) -> TcpStream {
    let mut post = TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("POST /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: x\r\n");
    post.write_all(head.as_bytes()).await.unwrap();
    post.write_all(rest).await.unwrap();
    post
}

async fn refused(server: &mut Server, body: &[u8]) {
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let mut post = post(server, &sid, body).await;
    let mut status = [0; 12];
    within(post.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");

    within(get).await.is(200, "1");
    assert_eq!(server.closed().await, CloseReason::TransportError);
    assert!(server.is_gone(&sid).await);
    assert_eq!(server.engine.stats().refused.too_large, 1);
}

#[tokio::test]
async fn a_body_is_refused_by_its_announced_length() {
    let mut server = Server::echo(EngineConfig::default()).await;
    refused(&mut server, b"content-length: 1000001\r\n\r\n").await;
}

#[tokio::test]
async fn a_body_without_an_announced_length_is_refused_by_its_bytes() {
    let mut server = Server::echo(EngineConfig::default().max_payload(20)).await;
    let chunks = b"transfer-encoding: chunked\r\n\r\n10\r\n4aaaaaaaaaaaaaaa\r\n5\r\nbbbbb\r\n";
    refused(&mut server, chunks).await;
}

#[tokio::test]
async fn a_client_that_writes_the_whole_body_first_still_reads_the_response() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    // Far more than the buffers of both ends. A server that stopped reading would have to reset the
    // connection.
    let length = 64 << 20;
    let head = format!("content-length: {length}\r\n\r\n");
    let mut post = post(&server, &sid, head.as_bytes()).await;
    let piece = vec![b'4'; 1 << 20];
    for _ in 0..length / piece.len() {
        within(post.write_all(&piece)).await.unwrap();
    }
    let response = rest(&mut post).await;
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");
    assert!(response.contains("connection: close"), "{response}");
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn a_refused_body_is_read_for_linger_at_most() {
    let config = EngineConfig::default().linger(std::time::Duration::from_millis(20));
    let server = Server::echo(config).await;
    let sid = server.open().await;
    let mut post = post(&server, &sid, b"content-length: 1000000000\r\n\r\n").await;
    // The server ends the connection `linger` later, although no byte of the body was sent.
    let response = rest(&mut post).await;
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");
}

#[tokio::test]
async fn a_body_of_exactly_max_payload_is_accepted() {
    let mut server = Server::echo(EngineConfig::default().max_payload(20)).await;
    let sid = server.open().await;
    within(server.post(&sid, "4234567890123456789x")).await.is(200, "ok");
    assert_eq!(server.event().await, text("234567890123456789x"));
}
