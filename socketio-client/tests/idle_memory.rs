//! The memory of an idle client, and of a client that waits for a response, measured by counting
//! allocations. The server is a thread that serves one client after the other and keeps no heap
//! memory for it. The test is a program of its own, because the allocator counts for the whole
//! process.

#![allow(clippy::unwrap_used, reason = "to fail here is to fail the test")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use peak_alloc::PeakAlloc;
use socketio_client::{ClientConfig, Manager, Socket, Transport};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

const CLIENTS: usize = 100;

const OPEN: &str = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &str = r#"40{"sid":"wZX3oN0bSVIhsaknAAAI"}"#;

/// Reads a request and its body of at most 9 bytes. Passes the head to `inspect`.
fn request<R>(stream: &mut TcpStream, inspect: impl FnOnce(&str) -> R) -> R {
    let (mut head, mut len) = ([0; 2048], 0);
    while !head[..len].ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut head[len..=len]).unwrap();
        len += 1;
    }
    let head = std::str::from_utf8(&head[..len]).unwrap();
    if let Some((_, rest)) = head.split_once("content-length: ") {
        let len = usize::from(rest.as_bytes()[0] - b'0');
        stream.read_exact(&mut [0; 9][..len]).unwrap();
    }
    inspect(head)
}

fn respond(stream: &mut TcpStream, body: &str) {
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).unwrap();
}

fn send(stream: &mut TcpStream, text: &str) {
    let header = [0x81, text.len().try_into().unwrap()];
    stream.write_all(&[&header, text.as_bytes()].concat()).unwrap();
}

fn receive(stream: &mut TcpStream) {
    let mut frame = [0; 6];
    stream.read_exact(&mut frame).unwrap();
    stream.read_exact(&mut [0; 125][..usize::from(frame[1] & 0x7f)]).unwrap();
}

/// Serves one client on a WebSocket. The client answers a ping at the end.
fn websocket(listener: &TcpListener) -> [Option<TcpStream>; 2] {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let accept = request(&mut stream, |head| {
        let (_, key) = head.split_once("Sec-WebSocket-Key: ").unwrap();
        derive_accept_key(key.split_once("\r\n").unwrap().0.as_bytes())
    });
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes()).unwrap();
    send(&mut stream, OPEN);
    receive(&mut stream);
    send(&mut stream, CONNECTED);
    send(&mut stream, "2");
    receive(&mut stream);
    [Some(stream), None]
}

/// Serves one client by polling. Its last GET waits.
fn polling(listener: &TcpListener) -> [Option<TcpStream>; 2] {
    let (mut gets, _) = listener.accept().unwrap();
    request(&mut gets, |_| ());
    respond(&mut gets, OPEN);
    let (mut posts, _) = listener.accept().unwrap();
    request(&mut posts, |_| ());
    respond(&mut posts, "ok");
    request(&mut gets, |_| ());
    respond(&mut gets, &format!("{CONNECTED}\x1e2"));
    request(&mut posts, |_| ());
    respond(&mut posts, "ok");
    request(&mut gets, |_| ());
    [Some(gets), Some(posts)]
}

/// Reads the handshake of one client and does not respond.
fn silent(listener: &TcpListener) -> [Option<TcpStream>; 2] {
    let (mut stream, _) = listener.accept().unwrap();
    request(&mut stream, |_| ());
    [Some(stream), None]
}

/// Time in which clients read the last response.
const SETTLE: Duration = Duration::from_millis(200);

/// Connects clients and returns the memory of one. They are connected unless the server is silent.
fn measure(
    transport: Transport,
    connects: bool,
    mut serve: impl FnMut(&TcpListener) -> [Option<TcpStream>; 2] + Send + 'static,
) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut streams = Vec::with_capacity(CLIENTS + 1);
    let (served, clients_served) = std::sync::mpsc::sync_channel(1);
    let server = thread::spawn(move || {
        for _ in 0..=CLIENTS {
            streams.push(serve(&listener));
            served.send(()).unwrap();
        }
        streams
    });
    let mut sockets: Vec<Socket> = Vec::with_capacity(CLIENTS + 1);
    let mut before = 0;
    for _ in 0..=CLIENTS {
        runtime.block_on(async {
            let config = ClientConfig::default().engine(|engine| engine.transports([transport]));
            let socket = Manager::with_config(&url, config).unwrap().socket("/");
            socket.on("event", async || {});
            if connects {
                socket.connected().await.unwrap();
            }
            while clients_served.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sockets.push(socket);
        });
        // The first client also causes allocations that happen once.
        if before == 0 {
            runtime.block_on(async { tokio::time::sleep(SETTLE).await });
            before = ALLOCATIONS.current_usage();
        }
    }
    runtime.block_on(async { tokio::time::sleep(SETTLE).await });
    let each = (ALLOCATIONS.current_usage() - before) / CLIENTS;
    server.join().unwrap();
    each
}

/// All are measured in one test, because tests of one program may run at the same time, and the end
/// of a test's thread frees memory.
#[test]
fn an_idle_client_is_small() {
    for (name, each, limit) in [
        ("polling", measure(Transport::Polling, true, polling), 6200),
        ("polling without a response", measure(Transport::Polling, false, silent), 6000),
        ("WebSocket", measure(Transport::WebSocket, true, websocket), 5200),
    ] {
        println!("{each} bytes for each client ({name})");
        assert!(each <= limit, "{each} bytes ({name})");
    }
}
