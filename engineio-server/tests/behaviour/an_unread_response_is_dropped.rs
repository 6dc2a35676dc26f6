//! A response that a polling client does not read stays in memory for at most `write_timeout`, even
//! if the session has ended.

use crate::support;

use std::time::Duration;

use engineio_server::{Connection, Engine, EngineConfig};
use support::until;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Handle,
};

/// More than the kernel accepts for a client that does not read.
const LARGE: usize = 32 << 20;

fn get(query: &str) -> String {
    format!(
        "GET /engine.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn an_unread_response_is_dropped() {
    let config = EngineConfig::default()
        .max_queued_bytes(2 * LARGE)
        .write_timeout(Duration::from_millis(50));
    let engine = Engine::new(config, |connection: Connection| async move {
        connection.send("x".repeat(LARGE)).unwrap();
        // Wait until a request has taken the queue.
        connection.handle().ready().await;
    });
    let listening = engine.listen("127.0.0.1:0").await.unwrap();
    let address = listening.local_addr().unwrap();
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();

    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(get("").as_bytes()).await.unwrap();
    let mut handshake = String::new();
    first.read_to_string(&mut handshake).await.unwrap();
    let sid = handshake.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap();

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(address).await.unwrap();
    client.write_all(get(&format!("&sid={sid}")).as_bytes()).await.unwrap();
    client.readable().await.unwrap();

    until(|| tasks() == before).await;
    assert_eq!(engine.clients_count(), 0);
    assert_eq!(listening.stats().write_timeout, 1);
}
