//! An aborted request ends the session ("transport error"), as in Node, because neither side knows
//! what arrived.

use crate::support;

use std::time::Duration;

use engineio_server::{CloseReason, EngineConfig};
use support::{Server, within};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[tokio::test]
async fn an_aborted_poll_closes_the_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    drop(server.waiting_get(&sid).await);
    assert_eq!(server.closed().await, CloseReason::TransportError);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn a_poll_aborted_over_tcp_closes_the_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut get = TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("GET /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: x\r\n\r\n");
    get.write_all(head.as_bytes()).await.unwrap();
    drop(get);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

async fn push_that_breaks(stall: bool, config: EngineConfig) {
    let mut server = Server::echo(config).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let mut post = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: x\r\n\
         content-length: 100\r\n\r\n4never complete"
    );
    post.write_all(head.as_bytes()).await.unwrap();
    if stall {
        assert!(support::rest(&mut post).await.starts_with("HTTP/1.1 408"));
    } else {
        drop(post);
    }
    assert_eq!(server.closed().await, CloseReason::TransportError);
    // The GET is still answered.
    within(get).await.is(200, "1");
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn an_aborted_push_closes_the_session() {
    push_that_breaks(false, EngineConfig::default()).await;
}

#[tokio::test]
async fn a_push_that_stalls_closes_the_session() {
    let soon = Duration::from_millis(50);
    let config = EngineConfig::default().body_timeout(soon).linger(soon);
    push_that_breaks(true, config).await;
}
