//! The memory of an idle client, measured by counting allocations. The clients are plain sockets
//! without heap memory of their own. The test is a program of its own, because the allocator is
//! that of the whole process.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use peak_alloc::PeakAlloc;
use socketio_server::{Data, HandlerError, Server, ServerConfig, Socket};

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

const CLIENTS: usize = 200;

/// The length of the large event of each client.
const LARGE: usize = 200_000;

/// The bytes of a client in one namespace, including its share of the server's tables.
const MAX_CLIENT: usize = 2_240;

/// Reads short frames of a server until one begins with `expected`. Answers pings before it.
fn receive(stream: &mut TcpStream, expected: &[u8]) {
    loop {
        let (mut header, mut payload) = ([0; 2], [0; 256]);
        stream.read_exact(&mut header).unwrap();
        stream.read_exact(&mut payload[..header[1].into()]).unwrap();
        if payload.starts_with(expected) {
            return;
        }
        if payload[0] == b'2' {
            send(stream, "3");
        }
    }
}

fn send(stream: &mut TcpStream, text: &str) {
    let mut frame = [0; 64];
    frame[0] = 0x81;
    frame[1] = 0x80 | u8::try_from(text.len()).unwrap();
    frame[6..6 + text.len()].copy_from_slice(text.as_bytes());
    stream.write_all(&frame[..6 + text.len()]).unwrap();
}

/// Connects a client, which sends a small and a large event and gets replies.
fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\
                   Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut end = [0; 4];
    while end != *b"\r\n\r\n" {
        end.rotate_left(1);
        stream.read_exact(&mut end[3..]).unwrap();
    }
    receive(&mut stream, b"0{");
    send(&mut stream, "40");
    receive(&mut stream, b"40{");
    send(&mut stream, r#"42["echo","hello"]"#);
    receive(&mut stream, b"42[");
    exchange_large_message(&mut stream);
    stream
}

/// Sends a large event and reads its echo.
fn exchange_large_message(stream: &mut TcpStream) {
    let event = format!(r#"42["echo","{}"]"#, "x".repeat(LARGE));
    let mut frame = vec![0x81, 0xff];
    frame.extend((event.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(event.as_bytes());
    stream.write_all(&frame).unwrap();
    let mut header = [0; 10];
    stream.read_exact(&mut header[..2]).unwrap();
    while header[1] < 126 {
        // A ping came first.
        assert_eq!(header, [0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        stream.read_exact(&mut [0]).unwrap();
        send(stream, "3");
        stream.read_exact(&mut header[..2]).unwrap();
    }
    stream.read_exact(&mut header[2..]).unwrap();
    stream.read_exact(&mut vec![0; event.len()]).unwrap();
}

/// Connects clients and waits until each has answered a ping and got the next one.
fn connect_idle(address: SocketAddr, streams: &mut Vec<TcpStream>) {
    streams.extend((0..streams.capacity()).map(|_| connect(address)));
    for stream in &mut *streams {
        receive(stream, b"2");
        send(stream, "3");
    }
    for stream in streams {
        receive(stream, b"2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_idle_websocket_client_is_small() {
    let config = ServerConfig::default().engine(|engine| {
        engine.ping_interval(Duration::from_millis(200)).ping_timeout(Duration::from_secs(300))
    });
    let server = Server::with_config(config);
    server.on("echo", |socket: Socket, Data(text): Data<String>| {
        socket.emit("echo", &text)?;
        Ok::<_, HandlerError>(())
    });
    let listening = server.engine().listen("127.0.0.1:0").await.unwrap();
    let address = listening.local_addr().unwrap();
    let warm = connected(address, 8).await;
    let before = ALLOCATIONS.current_usage();
    let clients = connected(address, CLIENTS).await;
    let each = (ALLOCATIONS.current_usage() - before) / CLIENTS;
    println!("{each} bytes for each idle client");
    assert!(each <= MAX_CLIENT, "{each} bytes for each idle client");
    drop((clients, warm));
}

async fn connected(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    tokio::task::spawn_blocking(move || {
        connect_idle(address, &mut streams);
        streams
    })
    .await
    .unwrap()
}
