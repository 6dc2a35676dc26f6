//! The number of allocations that a message costs. A change that allocates once more or less per
//! message changes the table. The test is a program of its own, because the allocator is that of the
//! whole process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic fails the test"
)]

use std::{
    alloc::System,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
};

use engineio_parser::websocket::{TEXT, encode};
use serde::{Deserialize, Serialize};
use socketio_server::{Args, Data, HandlerError, Json, Server, Socket, Values};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations per message, per delivery of a broadcast, or per connection. A reallocation counts
/// as an allocation.
const TABLE: [(&str, f64); 9] = [
    ("echo", 3.0),
    ("echo, 16 in flight", 3.0),
    ("echo of a dynamic value", 7.0),
    ("echo of undecoded arguments", 3.0),
    ("ack", 3.0),
    ("ack, 16 in flight", 3.0),
    ("broadcast to 1", 6.0),
    ("each further recipient of a broadcast", 0.0),
    ("connect", 63.0),
];

/// How often each case is repeated. Rare allocations, such as those of the runtime's timers, vanish
/// in the average.
const TIMES: usize = 256;

/// The argument of `echo` and `ack`.
#[derive(Deserialize, Serialize)]
struct Message {
    id: u64,
    text: String,
}

/// Starts a server in a thread of its own. It ends with the process.
fn start() -> SocketAddr {
    let (sender, address) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let io = Server::new();
            declare(&io);
            let listening = io.bind("127.0.0.1:0").await.unwrap();
            sender.send(listening.local_addr().unwrap()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    address.recv().unwrap()
}

fn declare(io: &Server) {
    io.on("echo", |socket: Socket, Data(message): Data<Message>| async move {
        socket.emit("echo", &message)?;
        Ok(())
    });
    io.on("values", |socket: Socket, Data(values): Data<Values>| async move {
        socket.emit("values", &values)?;
        Ok(())
    });
    io.on("args", |socket: Socket, args: Args| async move {
        socket.emit("args", &args)?;
        Ok(())
    });
    io.on("ack", |Data(message): Data<Message>| async move { Json(message) });
    let server = io.clone();
    io.on("cast", move |Data(text): Data<String>| {
        let result = server.emit("cast", &text);
        async move { Ok::<_, HandlerError>(result?) }
    });
}

/// A client that allocates nothing after it has connected.
struct Client {
    stream: TcpStream,
    buffer: [u8; 4096],
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        const REQUEST: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
            Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut client = Self { stream: TcpStream::connect(address).unwrap(), buffer: [0; 4096] };
        client.stream.set_nodelay(true).unwrap();
        client.stream.write_all(REQUEST).unwrap();
        client.read_until(b"}");
        client.stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']).unwrap();
        client.read_until(b"}");
        client
    }

    fn read_until(&mut self, end: &[u8]) {
        let mut filled = 0;
        while !self.buffer[..filled].ends_with(end) {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "closed");
            filled += read;
        }
    }

    /// Sends a message `in_flight` times at once, and waits for as many replies of `len` bytes.
    fn exchange(&mut self, message: &[u8], in_flight: usize, len: usize) {
        self.stream.write_all(message).unwrap();
        self.stream.read_exact(&mut self.buffer[..in_flight * len]).unwrap();
    }
}

/// Returns the number of allocations per repetition of `work`.
fn count(mut work: impl FnMut()) -> f64 {
    (0..20).for_each(|_| work());
    let total = || {
        let stats = ALLOCATOR.stats();
        stats.allocations + stats.reallocations
    };
    let before = total();
    (0..TIMES).for_each(|_| work());
    (total() - before) as f64 / TIMES as f64
}

/// Counts the allocations of a message whose reply has the same payload, or `reply`.
fn echo(client: &mut Client, payload: &str, reply: &str, in_flight: usize) -> f64 {
    let message = encode(TEXT, Some([0; 4]), payload.as_bytes()).repeat(in_flight);
    let len = encode(TEXT, None, reply.as_bytes()).len();
    count(|| client.exchange(&message, in_flight, len)) / in_flight as f64
}

#[test]
fn allocations_per_message_equal_the_table() {
    let address = start();
    let mut client = Client::connect(address);
    let argument = format!(r#"{{"id":10000000,"text":"{}"}}"#, "x".repeat(52));
    let event = |name: &str| format!(r#"42["{name}",{argument}]"#);
    let (request, ack) = (format!(r#"421["ack",{argument}]"#), format!("431[{argument}]"));
    let cast = r#"42["cast","hello"]"#;
    let mut counts = vec![
        echo(&mut client, &event("echo"), &event("echo"), 1),
        echo(&mut client, &event("echo"), &event("echo"), 16),
        echo(&mut client, &event("values"), &event("values"), 1),
        echo(&mut client, &event("args"), &event("args"), 1),
        echo(&mut client, &request, &ack, 1),
        echo(&mut client, &request, &ack, 16),
    ];
    let one = echo(&mut client, cast, cast, 1);
    let mut others: Vec<_> = (0..20).map(|_| Client::connect(address)).collect();
    let (message, len) = (encode(TEXT, Some([0; 4]), cast.as_bytes()), cast.len() + 2);
    let all = count(|| {
        client.exchange(&message, 1, len);
        others.iter_mut().for_each(|other| other.exchange(b"", 1, len));
    });
    counts.extend([one, (all - one) / others.len() as f64]);
    // The sockets are kept, so that no connection ends meanwhile.
    let mut kept = Vec::with_capacity(TIMES + 20);
    counts.push(count(|| kept.push(Client::connect(address))));

    let table: Vec<_> = TABLE.iter().map(|(name, _)| *name).zip(counts.iter().copied()).collect();
    for ((name, expected), (_, counted)) in TABLE.iter().zip(&table) {
        let tolerance = (expected / 20.0).max(0.06);
        assert!((expected - counted).abs() < tolerance, "{name}: the new table is {table:#.2?}");
    }
}
