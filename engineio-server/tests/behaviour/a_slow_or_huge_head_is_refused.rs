//! Limits on a connection before its first request.

use crate::support;

use std::time::Duration;

use engineio_server::EngineConfig;
use support::{Server, until};

#[tokio::test]
async fn an_unfinished_head_times_out() {
    let server =
        Server::echo(EngineConfig::default().head_timeout(Duration::from_millis(50))).await;
    for bytes in ["", "GET /engine.io/ HTTP/1.1\r\nhost: x\r\n"] {
        let answer = server.exchange(bytes.as_bytes()).await;
        assert!(!answer.contains("200"), "{answer}");
    }
    until(|| server.listening.stats().head_timeout == 2).await;
    assert_eq!(server.listening.stats().total(), 2);
}

#[tokio::test]
async fn data_that_is_not_http_is_refused() {
    let server = Server::echo(EngineConfig::default()).await;
    server.exchange(b"\x16\x03 no\r\n\r\n").await;
    until(|| server.listening.stats().malformed == 1).await;
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let server = Server::echo(EngineConfig::default().max_head_size(0)).await;
    let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(8 * 1024));
    let answer = server.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    until(|| server.listening.stats().head_too_large == 1).await;
}

#[tokio::test]
async fn a_head_of_almost_16_kib_is_accepted_by_default() {
    let server = Server::echo(EngineConfig::default()).await;
    let head = |filler: usize| {
        format!(
            "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\n\
             connection: close\r\nx: {}\r\n\r\n",
            "x".repeat(filler)
        )
    };
    let accepted = server.exchange(head(16 * 1024 - 200).as_bytes()).await;
    assert!(accepted.starts_with("HTTP/1.1 200"), "{accepted}");
    let refused = server.exchange(head(16 * 1024).as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let server = Server::echo(EngineConfig::default()).await;
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1000));
    let answer = server.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    until(|| server.listening.stats().head_too_large == 1).await;
}
