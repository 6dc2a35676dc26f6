//! The memory of an idle client, measured by counting allocations. The server is a thread that
//! serves one client after the other without heap memory of its own. The test is a program of its
//! own, because the allocator applies to the whole process.

#![allow(clippy::unwrap_used, reason = "to fail here is to fail the test")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Mutex, PoisonError},
    thread,
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
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}

fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(&[0x81, text.len().try_into().unwrap()]).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
}

fn receive(stream: &mut TcpStream) {
    let mut frame = [0; 6];
    stream.read_exact(&mut frame).unwrap();
    stream.read_exact(&mut [0; 125][..usize::from(frame[1] & 0x7f)]).unwrap();
}

/// Serves one client on a WebSocket. The client answers a ping at the end.
fn websocket(listener: &TcpListener) -> [Option<TcpStream>; 2] {
    let (mut stream, _) = listener.accept().unwrap();
    let accept = request(&mut stream, |head| {
        let (_, key) = head.split_once("Sec-WebSocket-Key: ").unwrap();
        derive_accept_key(key.split_once("\r\n").unwrap().0.as_bytes())
    });
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .unwrap();
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
    respond(&mut gets, CONNECTED);
    request(&mut gets, |_| ());
    respond(&mut gets, "2");
    request(&mut posts, |_| ());
    respond(&mut posts, "ok");
    request(&mut gets, |_| ());
    [Some(gets), Some(posts)]
}

/// Connects clients and returns the memory of one.
fn measure(
    transport: Transport,
    mut serve: impl FnMut(&TcpListener) -> [Option<TcpStream>; 2] + Send + 'static,
) -> usize {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut streams = Vec::with_capacity(CLIENTS + 1);
    let (served, clients_served) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || {
        for _ in 0..=CLIENTS {
            streams.push(serve(&listener));
            served.send(()).unwrap();
        }
        served.send(()).unwrap();
    });
    let mut sockets: Vec<Socket> = Vec::with_capacity(CLIENTS + 1);
    let mut before = 0;
    for _ in 0..=CLIENTS {
        runtime.block_on(async {
            let config = ClientConfig::default()
                .auto_connect(false)
                .engine(|engine| engine.transports([transport]));
            let socket = Manager::with_config(&url, config).unwrap().socket("/");
            socket.on("event", async || {});
            socket.connect().await.unwrap();
            while clients_served.try_recv().is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            sockets.push(socket);
        });
        // The first client also causes allocations that happen once.
        if before == 0 {
            before = ALLOCATIONS.current_usage();
        }
    }
    let each = (ALLOCATIONS.current_usage() - before) / CLIENTS;
    println!("{each} bytes for each idle client ({transport:?})");
    each
}

#[test]
fn an_idle_websocket_client_is_small() {
    let each = measure(Transport::WebSocket, websocket);
    assert!(each <= 6400, "{each} bytes");
}

#[test]
fn an_idle_polling_client_is_small() {
    // Each of its two HTTP connections takes 26 KB in hyper.
    let each = measure(Transport::Polling, polling);
    assert!(each <= 75 * 1024, "{each} bytes");
}
