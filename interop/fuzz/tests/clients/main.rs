//! A client of a server that sends any bytes, under a paused clock. It must not panic, and must
//! give up or go on; after it is closed, no task is left.

#[path = "../../../../engineio-server/tests/behaviour/support/certificate.rs"]
mod certificate;
mod webtransport;

use std::{
    cell::Cell,
    collections::VecDeque,
    io::ErrorKind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use engineio_parser::websocket::{TEXT, encode};
use fuzz::{PollLimit, pieces, run};
use socketio_client::{ClientConfig, Data, Manager, Proxy, Socket, Transport, Value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Runtime,
    time::Instant,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

pub(crate) const OPEN: &str = r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":2000,"pingTimeout":2000,"maxPayload":500}"#;
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
/// `KEY` stands for the accept key of the request.
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n";
/// The number of connections of a client. The clock stands still as long as a server responds to
/// each request at once.
const CONNECTIONS: u32 = 6;
pub(crate) const POLLS: u32 = 50_000;

/// Responses to long-polling requests: heads, cookies, bodies in pieces, refusals.
#[test]
fn client_polling() {
    let (runtime, accepted) = (runtime(), Cell::new(0));
    let open =
        |headers: &str| format!("{HEAD}{headers}Content-Length: {}\r\n\r\n{OPEN}", OPEN.len());
    let chunked = |body: &str| {
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    let body = |body: &str| format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
    let cookies = "Set-Cookie: io=a; Path=/; HttpOnly; Max-Age=10\r\nSet-Cookie: b=\"c\"; Expires=Wed, 21 Oct 2099 07:28:00 GMT\r\n";
    let connect = body("40{\"sid\":\"b\"}\u{1e}42[\"echo\",1]\u{1e}2");
    let seeds = [
        vec![open(""), connect.clone(), body("bAQID\u{1e}421[\"echo\",1]\u{1e}6")],
        vec![open(cookies), chunked("40{\"sid\":\"b\"}"), chunked("6\u{1e}41")],
        vec![open("Connection: close\r\n"), connect, body("1")],
        vec![open(""), "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\n{\"c".into()],
        vec![body("0{}"), open(""), body("44{\"message\":\"no\",\"data\":1}")],
        vec![
            open(""),
            chunked(
                "40{\"sid\":\"b\"}\u{1e}451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQ==",
            ),
        ],
        // The response to a POST, and an upgrade.
        vec![
            open(""),
            body("40{\"sid\":\"b\"}"),
            "\u{1}HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n".into(),
            format!("\u{2}{SWITCH}"),
        ],
    ];
    let seeds: Vec<_> = seeds.iter().map(|responses| join(responses)).collect();
    run("client_polling", 1500, &seeds, |input| {
        drive(&runtime, &accepted, &[Transport::Polling, Transport::WebSocket], false, input)
    });
    assert!(accepted.get() > 0, "no input reached the open session");
}

/// The handshake and frames of WebSockets.
#[test]
fn client_websocket() {
    let (runtime, accepted) = (runtime(), Cell::new(0));
    let frame = |text: &str| encode(TEXT, None, text.as_bytes());
    let seeds = [
        [
            SWITCH.as_bytes(),
            &frame(OPEN),
            &frame("40{\"sid\":\"b\"}"),
            &frame("42[\"echo\",{\"a\":[1]}]"),
            &frame("2"),
        ]
        .concat(),
        [
            SWITCH.as_bytes(),
            &frame(OPEN),
            b"\xfe0",
            &frame("40{\"sid\":\"b\"}"),
            &encode(0x89, None, b"x"),
            &frame("421[\"echo\"]"),
            &encode(0x88, None, &[3, 232]),
        ]
        .concat(),
        [
            SWITCH.as_bytes(),
            &frame(OPEN),
            &frame("40{\"sid\":\"b\"}"),
            &encode(0x01, None, b"451-[\"echo\","),
            &encode(0x80, None, b"{\"_placeholder\":true,\"num\":0}]"),
            &encode(0x82, None, b"x"),
        ]
        .concat(),
        [SWITCH.as_bytes(), &frame(OPEN), &frame("44{\"message\":\"no\"}"), &frame("1")].concat(),
        b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno".to_vec(),
    ];
    run("client_websocket", 1500, &seeds, |input| {
        drive(&runtime, &accepted, &[Transport::WebSocket], false, input)
    });
    assert!(accepted.get() > 0, "no input reached the open session");
}

/// The responses of an HTTP proxy, and of the server behind it.
#[test]
fn client_proxy() {
    let (runtime, accepted) = (runtime(), Cell::new(0));
    let frame = |text: &str| encode(TEXT, None, text.as_bytes());
    let tunnel = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n\xfe0";
    let seeds = [
        [&tunnel[..], SWITCH.as_bytes(), &frame(OPEN), &frame("40{\"sid\":\"b\"}")].concat(),
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 1\r\n\r\nx".to_vec(),
    ];
    run("client_proxy", 1000, &seeds, |input| {
        drive(&runtime, &accepted, &[Transport::WebSocket], true, input)
    });
    assert!(accepted.get() > 0, "no input reached the open session");
}

/// Operations of an application in any order, one byte each up to 0xfe, while the server sends the
/// responses that follow.
#[test]
fn client_ops() {
    let runtime = runtime();
    let frame = |text: &str| encode(TEXT, None, text.as_bytes());
    let connected =
        [&b"\xfe\x02"[..], SWITCH.as_bytes(), &frame(OPEN), &frame("40{\"sid\":\"b\"}")].concat();
    let acked = [&connected[..], &frame("40/a,{\"sid\":\"c\"}")].concat();
    // Responses to the CONNECT packets and to an event.
    let acked =
        [&acked[..], b"\xfe\x01\xfe\x01", &frame("430[1]"), b"\xfe\x01", &frame("431[1]")].concat();
    let left = [&connected[..], &frame("41"), &connected, &frame("1"), &acked].concat();
    let refused =
        [&b"\xfe\x02"[..], b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", &left].concat();
    let mut seeds = Vec::new();
    for (index, operations) in fuzz::sequences(100, 30).into_iter().enumerate() {
        let operations: Vec<_> = operations.into_iter().filter(|byte| *byte != 0xfe).collect();
        let responses = [&connected, &acked, &left, &refused][index % 4];
        seeds.push([&operations, &responses[..]].concat());
    }
    let acks = Cell::new(0);
    run("client_ops", 1500, &seeds, |input| {
        let end = input.iter().position(|byte| *byte == 0xfe).unwrap_or(input.len());
        let (operations, responses) = input.split_at(end);
        converse(&runtime, &[Transport::WebSocket], false, responses, async |manager, socket| {
            acks.set(acks.get() + operate(&manager, &socket, operations).await);
        });
    });
    assert!(acks.get() > 0, "no ack arrived");
}

/// Runs operations. Returns how many acks arrived. Each ack must arrive or fail in time.
async fn operate(manager: &Manager, socket: &Socket, operations: &[u8]) -> u32 {
    let sockets = [socket.clone(), manager.socket("/a")];
    let (second, mut acks) = (Duration::from_secs(1), 0);
    for operation in operations.iter().take(40) {
        let socket = &sockets[usize::from(operation / 16 % 2)];
        match operation % 10 {
            0 => socket.open(),
            1 => socket.disconnect(),
            2 => drop(socket.emit("echo", &1)),
            3 => drop(tokio::time::timeout(second, socket.connect()).await),
            4 => {
                let ack = socket.timeout(second).emit_with_ack::<Value>("echo", &1);
                match tokio::time::timeout(60 * second, ack).await {
                    Ok(Ok(_)) => acks += 1,
                    ended => assert!(ended.is_ok(), "an ack neither arrives nor fails"),
                }
            }
            5 => drop(socket.volatile().emit("echo", &1)),
            6 => tokio::time::sleep(second).await,
            7 => manager.close(),
            8 => manager.open(),
            _ => manager.network_changed(),
        }
    }
    acks
}

/// Joins responses, each of which may begin with the byte that selects its request.
fn join(responses: &[String]) -> Vec<u8> {
    let probe = encode(TEXT, None, b"3probe");
    let mut input = Vec::new();
    for response in responses {
        if !input.is_empty() {
            input.push(0xfe);
            input.extend((response.as_bytes()[0] > 2).then_some(0));
        }
        input.extend(response.bytes());
        if response.contains("KEY") {
            input.extend(&probe);
        }
    }
    input
}

#[allow(clippy::unwrap_used)]
fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// Connects a client to a server whose responses are the pieces of the input. Counts the clients
/// that the server has accepted.
fn drive(
    runtime: &Runtime,
    accepted: &Cell<u32>,
    transports: &[Transport],
    proxy: bool,
    input: &[u8],
) {
    converse(runtime, transports, proxy, input, async |_, socket| {
        let wait = Duration::from_secs(10);
        if matches!(tokio::time::timeout(wait, socket.connect()).await, Ok(Ok(_))) {
            accepted.set(accepted.get() + 1);
            let _ = socket.emit("echo", &1);
            tokio::time::sleep(wait).await;
        }
    });
}

/// Runs an application of a server whose responses are the pieces of the input. Closes the client
/// afterwards, which must leave no task.
#[allow(clippy::unwrap_used)]
fn converse(
    runtime: &Runtime,
    transports: &[Transport],
    proxy: bool,
    input: &[u8],
    application: impl AsyncFnOnce(Manager, Socket),
) {
    let responses = Arc::new(Responses::new(input));
    runtime.block_on(PollLimit::new(POLLS, async {
        let dialed = AtomicU32::new(0);
        let connector = move |_: String, _: u16| {
            let (client, server) = tokio::io::duplex(1 << 16);
            let spent = dialed.fetch_add(1, Relaxed) >= CONNECTIONS;
            if !spent {
                tokio::spawn(PollLimit::new(POLLS, serve(server, responses.clone())));
            }
            async move { if spent { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(client) } }
        };
        let config = ClientConfig::default().auto_connect(false).engine(|engine| {
            let engine =
                engine.transports(transports.iter().copied()).max_payload(500).connector(connector);
            if proxy {
                engine.proxy(Proxy::new("http://user:password@proxy:8080").unwrap())
            } else {
                engine
            }
        });
        let manager = Manager::with_config("http://server.test", config).unwrap();
        let socket = manager.socket("/");
        socket.on("echo", |Data(value): Data<Value>| async move { Ok(value) });
        application(manager.clone(), socket.clone()).await;
        manager.close();
        drop((socket, manager));
        let end = Instant::now() + Duration::from_secs(60);
        while runtime.metrics().num_alive_tasks() > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }));
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "a task is left");
}

/// The responses that are left: to GET requests and to those of a proxy, to POST requests, and to
/// upgrades.
struct Responses([Mutex<VecDeque<Vec<u8>>>; 3]);

impl Responses {
    fn new(input: &[u8]) -> Self {
        let responses = Self(Default::default());
        for (kind, piece) in pieces(input) {
            if let Ok(mut queue) = responses.0[usize::from(kind % 3)].lock() {
                queue.push_back(piece.to_vec());
            }
        }
        responses
    }

    fn next(&self, kind: usize) -> Option<Vec<u8>> {
        self.0[kind].lock().ok()?.pop_front()
    }
}

/// Sends a response after each head of a request, as long as there are some. In a WebSocket, sends
/// those to POST requests after the client's frames.
async fn serve(mut stream: DuplexStream, responses: Arc<Responses>) {
    let (mut request, mut buffer) = (Vec::new(), [0; 2048]);
    loop {
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(read @ 1..) => request.extend(&buffer[..read]),
                _ => return,
            }
        }
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let key = text.find("sec-websocket-key: ").and_then(|at| request.get(at + 19..at + 43));
        let response = match key {
            Some(_) => responses.next(2).or_else(|| responses.next(0)),
            None if text.starts_with("post") => responses.next(1).or_else(|| Some(OK.into())),
            None => responses.next(0),
        };
        let Some(mut bytes) = response else { break };
        if let Some(at) = bytes.windows(3).position(|window| window == b"KEY") {
            bytes.splice(at..at + 3, key.map(derive_accept_key).unwrap_or_default().bytes());
        }
        let upgrade = key.is_some();
        request.clear();
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        if upgrade {
            break;
        }
    }
    // It accepts what the client sends.
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        let Some(bytes) = responses.next(1) else { continue };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
