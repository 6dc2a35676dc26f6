//! Before it is buffered, and without harm to the session.

use crate::support;

use engineio_server::EngineConfig;
use support::{Server, text, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn refused(server: &mut Server, sid: &str, rest: &[u8]) {
    let mut post = TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("POST /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: x\r\n");
    post.write_all(head.as_bytes()).await.unwrap();
    post.write_all(rest).await.unwrap();
    let mut status = [0; 12];
    within(post.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");

    within(server.post(sid, "4alive")).await.is(200, "ok");
    assert_eq!(server.event().await, text("alive"));
    within(server.get(sid)).await.is(200, "4alive");
}

#[tokio::test]
async fn by_its_announced_length() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    refused(&mut server, &sid, b"content-length: 1000001\r\n\r\n").await;
}

#[tokio::test]
async fn by_its_bytes_where_no_length_is_announced() {
    let mut server = Server::echo(EngineConfig::default().max_payload(20)).await;
    let sid = server.open().await;
    let chunks = b"transfer-encoding: chunked\r\n\r\n10\r\n4aaaaaaaaaaaaaaa\r\n5\r\nbbbbb\r\n";
    refused(&mut server, &sid, chunks).await;
}

#[tokio::test]
async fn but_one_of_exactly_max_payload_is_taken() {
    let mut server = Server::echo(EngineConfig::default().max_payload(20)).await;
    let sid = server.open().await;
    within(server.post(&sid, "4234567890123456789x")).await.is(200, "ok");
    assert_eq!(server.event().await, text("234567890123456789x"));
}
