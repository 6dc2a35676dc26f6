//! Parity: `httpCompression`. Responses from the threshold on are compressed with a coding that the
//! client accepts, unless none of their packets allows it.

#![cfg(feature = "compression")]

use crate::support;

use std::io::Read;

use engineio_parser::{Frame, Frames, PacketType};
use engineio_server::{CloseReason, Connection, EngineConfig, HttpCompression};
use http::Request;
use http_body_util::Empty;
use support::{Answer, PendingAnswer, Server, poll_once, within};

fn get(server: &Server, sid: &str, accept: &str) -> PendingAnswer {
    let uri = format!("/engine.io/?EIO=4&transport=polling&sid={sid}");
    let request = Request::get(uri).header("accept-encoding", accept);
    server.send(request.body(Empty::<&[u8]>::new()).unwrap())
}

async fn start(config: EngineConfig) -> (Server, Connection, String) {
    let (server, mut connections) = Server::manual(config).await;
    let sid = server.open().await;
    let connection = connections.recv().await.unwrap();
    (server, connection, sid)
}

fn decoded(answer: &Answer) -> String {
    let mut text = String::new();
    let mut bytes: &[u8] = &answer.bytes;
    match answer.header("content-encoding") {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        "deflate" => flate2::read::ZlibDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        "br" => brotli::Decompressor::new(&mut bytes, 4096).read_to_string(&mut text).unwrap(),
        _ => return answer.body.clone(),
    };
    assert!(answer.bytes.len() < text.len() / 2);
    text
}

#[tokio::test]
async fn the_client_selects_the_coding() {
    let (server, connection, sid) = start(EngineConfig::default()).await;
    for (accept, encoding) in [
        ("gzip, deflate, br, zstd", "gzip"),
        ("gzip;q=0.1, br", "br"),
        ("deflate", "deflate"),
        ("identity", ""),
        ("", ""),
    ] {
        // The longer body is compressed on another thread.
        for length in [1023, 100_000] {
            connection.send("x".repeat(length)).unwrap();
            let answer = within(get(&server, &sid, accept)).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-encoding"), encoding);
            assert_eq!(answer.header("vary"), "accept-encoding");
            assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
            assert_eq!(decoded(&answer), format!("4{}", "x".repeat(length)));
        }
    }
}

#[tokio::test]
async fn small_responses_are_not_compressed() {
    let (server, connection, sid) = start(EngineConfig::default()).await;
    connection.send("x".repeat(1022)).unwrap();
    let answer = within(get(&server, &sid, "gzip")).await;
    assert_eq!((answer.body.len(), answer.header("content-encoding")), (1023, ""));
    assert_eq!(answer.header("vary"), "");

    let config = HttpCompression::default().threshold(10);
    let (server, connection, sid) = start(EngineConfig::default().http_compression(config)).await;
    connection.send("x".repeat(100)).unwrap();
    let answer = within(get(&server, &sid, "gzip")).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn compression_can_be_turned_off() {
    let (server, connection, sid) = start(EngineConfig::default().http_compression(None)).await;
    connection.send("x".repeat(5000)).unwrap();
    let answer = within(get(&server, &sid, "gzip")).await;
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("", ""));
}

#[tokio::test]
async fn a_response_whose_packets_all_refuse_is_not_compressed() {
    let (server, connection, sid) = start(EngineConfig::default()).await;
    let plain = || {
        let frames = Frames::from(Frame::text(PacketType::Message, &"x".repeat(2000)));
        connection.handle().send_frames(frames.compress(false)).unwrap();
    };
    plain();
    plain();
    let answer = within(get(&server, &sid, "gzip")).await;
    assert_eq!((answer.body.len(), answer.header("content-encoding")), (4003, ""));

    plain();
    connection.send("y").unwrap();
    let answer = within(get(&server, &sid, "gzip")).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn a_client_that_disconnects_during_compression_is_noticed() {
    let (server, mut connection, sid) = start(EngineConfig::default()).await;
    connection.send("x".repeat(500_000)).unwrap();
    let mut answer = get(&server, &sid, "gzip");
    assert!(poll_once(&mut answer).await.is_none(), "it is compressed elsewhere");
    drop(answer);
    assert_eq!(within(connection.recv()).await, Err(CloseReason::TransportError));
}

#[tokio::test]
async fn the_content_length_is_that_of_the_compressed_body() {
    let (server, connection, sid) = start(EngineConfig::default()).await;
    connection.send("x".repeat(5000)).unwrap();
    let request = format!(
        "GET /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: x\r\n\
         accept-encoding: gzip\r\nconnection: close\r\n\r\n"
    );
    let answer = server.exchange(request.as_bytes()).await;
    let length = answer.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    assert!(length.parse::<usize>().unwrap() < 100, "{answer:?}");
    assert!(answer.contains("content-encoding: gzip"));
}
