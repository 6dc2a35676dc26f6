//! A server that reads what up to three connections send, under a paused clock. After they have
//! ended and all deadlines have passed, neither a session nor a task may be left.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use engineio_parser::websocket::encode;
use engineio_server::{
    Connection, Cookie, Cors, Engine, EngineConfig, Event, Handshake, HttpCompression, IpNet,
    PacketData, PeerAddr, PerMessageDeflate, ProxyHeader,
};
use fuzz::{PollLimit, pieces};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socketio_parser::Parser;
use socketio_server::{
    Admin, Data, NamespaceRequest, NamespaceVerdict, Recovery, Server, ServerConfig, Socket, Values,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Runtime,
    time::Instant,
};

pub(crate) const MAX_PAYLOAD: usize = 1000;
const MAX_QUEUED: usize = 20_000;
/// The bytes that a connection holds in each direction.
const PIPE: usize = 1 << 16;
/// Far more polls than a task needs for one input.
pub(crate) const POLLS: u32 = 20_000;
/// Each deadline of the server.
pub(crate) const SHORT: Duration = Duration::from_secs(2);
/// Longer than all deadlines one after another.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// Masks nothing, so that mutations change the payload.
pub(crate) const MASK: Option<[u8; 4]> = Some([0; 4]);
pub(crate) const UPGRADE: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

/// The messages that the application has received, and all that the server sent to each
/// connection.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) messages: Vec<PacketData>,
    pub(crate) output: [Vec<u8>; 3],
}

pub(crate) struct World(Runtime);

impl World {
    #[allow(clippy::unwrap_used)]
    pub(crate) fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Self(builder.enable_time().start_paused(true).build().unwrap())
    }

    /// Sends `head` and the input to an engine that echoes. The byte before each piece selects the
    /// connection.
    pub(crate) fn engine(&self, head: &[u8], input: &[u8]) -> Conversation {
        let head = (!head.is_empty()).then(|| (0, head.to_vec()));
        let input = pieces(input).map(|(kind, piece)| (usize::from(kind % 3), piece.to_vec()));
        self.bytes(head.into_iter().chain(input))
    }

    /// Writes bytes to connections to an engine that echoes.
    fn bytes(&self, bytes: impl IntoIterator<Item = (usize, Vec<u8>)>) -> Conversation {
        self.conversations([bytes]).pop().unwrap_or_default()
    }

    /// Holds conversations one after another with one engine that echoes. Writes bytes to connections.
    pub(crate) fn conversations<T: IntoIterator<Item = (usize, Vec<u8>)>>(
        &self,
        conversations: impl IntoIterator<Item = T>,
    ) -> Vec<Conversation> {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let taken = || {
            messages.lock().map(|mut messages| std::mem::take(&mut *messages)).unwrap_or_default()
        };
        let found = self.0.block_on(async {
            let messages = messages.clone();
            let engine = Engine::new(config(EngineConfig::default()), move |connection| {
                PollLimit::new(POLLS, echo(connection, messages.clone()))
            });
            let mut found = Vec::new();
            for bytes in conversations {
                let output = exchange_all(&engine, bytes).await;
                found.push(Conversation { messages: taken(), output });
            }
            within_deadlines(|| engine.clients_count() == 0).await;
            assert_eq!(engine.clients_count(), 0, "a session is left");
            engine.close();
            found
        });
        self.is_empty();
        found
    }

    /// Sends the input as messages to a server with namespaces and the Admin UI.
    #[allow(clippy::unwrap_used)]
    pub(crate) fn socketio(&self, parser: Parser, input: &[u8]) -> Conversation {
        let config = ServerConfig::default().parser(parser);
        let output = self.application(config, async |io| {
            Admin::without_authentication().development(true).instrument(io).unwrap();
            let frames = pieces(input).map(|(kind, piece)| {
                let text = kind % 2 == 0 && parser == Parser::Json;
                (0, encode(if text { 0x81 } else { 0x82 }, MASK, piece))
            });
            converse(io.engine(), [(0, upgrade())].into_iter().chain(frames)).await
        });
        Conversation { messages: Vec::new(), output }
    }

    /// Sends the input as messages to a server with connection state recovery. The byte before each
    /// piece selects text or binary, and whether the client connects again first, at once or later. In a
    /// message, `PID` and `OFF` stand for the private id and the offset that the server sent last.
    pub(crate) fn recovery(&self, input: &[u8]) -> Vec<u8> {
        let recovery = Recovery::default().max_disconnection_duration(2 * SHORT);
        let config = ServerConfig::default().connection_state_recovery(recovery);
        self.application(config, async |io| {
            let mut output = Vec::new();
            let mut stream: Option<DuplexStream> = None;
            for (kind, piece) in pieces(input) {
                if kind % 8 >= 2 {
                    drop(stream.take());
                    tokio::time::sleep(SHORT * u32::from(kind % 8 / 4)).await;
                }
                if stream.is_none() {
                    let stream = stream.insert(connect(io.engine()));
                    exchange(stream, &upgrade(), &mut output).await;
                }
                let piece = replaced(piece, b"PID", last_string(&output, b"\"pid\":\"", b"\"}"));
                let piece = replaced(&piece, b"OFF", last_string(&output, b",\"", b"\"]"));
                let frame = encode(if kind % 2 == 0 { 0x81 } else { 0x82 }, MASK, &piece);
                if let Some(stream) = &mut stream {
                    exchange(stream, &frame, &mut output).await;
                }
                let _ = io.to("room").emit("news", &1);
            }
            drop(stream);
            within_deadlines(|| io.engine().clients_count() == 0).await;
            output
        })
    }

    /// Runs a server with namespaces and handlers. Afterwards, neither a socket nor a task may be left.
    #[allow(clippy::unwrap_used)]
    fn application<T>(&self, server: ServerConfig, clients: impl AsyncFnOnce(&Server) -> T) -> T {
        let output = self.0.block_on(async {
            let io = Server::with_config(server.connect_timeout(SHORT).engine(config));
            io.of_fn(|request: NamespaceRequest| async move {
                let known = request.name().starts_with("/dynamic-");
                Ok(if known { NamespaceVerdict::Accept } else { NamespaceVerdict::Pass })
            });
            io.on_connection(
                |socket: Socket| async move { socket.join("room").map_err(Into::into) },
            );
            io.on("echo", |socket: Socket, Data(value): Data<socketio_server::Value>| async move {
                socket.emit("echo", &value)?;
                Ok(value)
            });
            let output = clients(&io).await;
            assert_eq!(io.engine().clients_count(), 0, "a session is left");
            let left = io.of("/").sockets_count() + io.of("/admin").sockets_count();
            assert_eq!(left, 0, "a socket is left");
            io.close();
            drop(io);
            output
        });
        self.is_empty();
        output
    }

    /// Sends bytes to a Socket.IO server. Returns the arguments of the last event `echo`.
    pub(crate) fn values(
        &self,
        parser: Parser,
        bytes: impl IntoIterator<Item = (usize, Vec<u8>)>,
    ) -> Option<Vec<socketio_server::Value>> {
        let found = Arc::new(Mutex::new(None));
        self.0.block_on(async {
            let seen = found.clone();
            let io = Server::with_config(
                ServerConfig::default().parser(parser).connect_timeout(SHORT).engine(config),
            );
            io.on("echo", move |Data(values): Data<Values>| {
                if let Ok(mut seen) = seen.lock() {
                    *seen = Some(values.0);
                }
                async {}
            });
            converse(io.engine(), bytes).await;
            io.close();
        });
        self.is_empty();
        found.lock().ok()?.take()
    }

    /// Fails if a task is left after all deadlines.
    fn is_empty(&self) {
        let alive = || self.0.metrics().num_alive_tasks();
        self.0.block_on(within_deadlines(|| alive() == 0));
        assert_eq!(alive(), 0, "a task is left");
    }
}

pub(crate) async fn echo(mut connection: Connection, messages: Arc<Mutex<Vec<PacketData>>>) {
    loop {
        match connection.event().await {
            Event::Message(data) => {
                let bytes = match &data {
                    PacketData::Text(text) => text.len(),
                    PacketData::Binary(data) => data.len(),
                };
                assert!(bytes <= MAX_PAYLOAD, "a message of {bytes} bytes");
                if let Ok(mut messages) = messages.lock() {
                    messages.push(data.clone());
                }
                let _ = connection.send(data);
                assert!(connection.handle().queued().bytes <= MAX_QUEUED);
            }
            Event::Closed(_) => return,
            _ => {}
        }
    }
}

pub(crate) fn config(config: EngineConfig) -> EngineConfig {
    let ids = Arc::new(AtomicU32::new(0));
    let proxies: Option<IpNet> = "10.0.0.0/8".parse().ok();
    config
        .ping_interval(SHORT)
        .ping_timeout(SHORT)
        .upgrade_timeout(SHORT)
        .body_timeout(SHORT)
        .linger(SHORT)
        .max_payload(MAX_PAYLOAD)
        .max_queued_bytes(MAX_QUEUED)
        .max_unauthenticated_per_address(4)
        .max_fragments(16)
        .allow_eio3(true)
        .jsonp(true)
        .cors(Cors::origins(["http://b"]).credentials(true))
        .cookie(Cookie::default())
        .trusted_proxies(proxies, ProxyHeader::Forwarded)
        .http_compression(HttpCompression::default())
        .per_message_deflate(PerMessageDeflate::default())
        .generate_id(move |_: &Handshake| {
            let id = format!("s{}", ids.fetch_add(1, Relaxed));
            async move { Ok::<_, std::io::Error>(id) }
        })
}

/// The handshake of a WebSocket of a Socket.IO client.
fn upgrade() -> Vec<u8> {
    format!("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{UPGRADE}\r\n").into()
}

/// Returns the bytes before the last `after`, from the last `before` on.
fn last_string<'a>(bytes: &'a [u8], before: &[u8], after: &[u8]) -> &'a [u8] {
    let last = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).rposition(|it| it == part);
    let bytes = last(bytes, after).and_then(|at| bytes.get(..at)).unwrap_or_default();
    last(bytes, before).and_then(|at| bytes.get(at + before.len()..)).unwrap_or_default()
}

fn replaced(bytes: &[u8], mark: &[u8], by: &[u8]) -> Vec<u8> {
    match bytes.windows(mark.len()).position(|window| window == mark) {
        Some(at) => [&bytes[..at], by, &bytes[at + mark.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

/// Waits until the condition holds, at most until all deadlines have passed.
async fn within_deadlines(condition: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !condition() && Instant::now() < end {
        tokio::time::sleep(SHORT).await;
    }
}

/// Writes bytes to connections, then closes them and lets deadlines pass until no session is left.
/// Returns what the server sent.
async fn converse(
    engine: &Engine,
    bytes: impl IntoIterator<Item = (usize, Vec<u8>)>,
) -> [Vec<u8>; 3] {
    let output = exchange_all(engine, bytes).await;
    within_deadlines(|| engine.clients_count() == 0).await;
    output
}

/// Writes bytes to connections, then closes them. Returns what the server sent.
async fn exchange_all(
    engine: &Engine,
    bytes: impl IntoIterator<Item = (usize, Vec<u8>)>,
) -> [Vec<u8>; 3] {
    let mut connections: [Option<DuplexStream>; 3] = [None, None, None];
    let mut output: [Vec<u8>; 3] = Default::default();
    for (connection, bytes) in bytes {
        let stream = connections[connection].get_or_insert_with(|| connect(engine));
        exchange(stream, &bytes, &mut output[connection]).await;
    }
    output
}

/// Opens a connection from a trusted proxy.
fn connect(engine: &Engine) -> DuplexStream {
    let (client, server) = tokio::io::duplex(PIPE);
    let engine = engine.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(SocketAddr::from(([10, 0, 0, 1], 9))));
        let engine = engine.clone();
        async move { Ok::<_, std::convert::Infallible>(engine.handle(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10)).max_buf_size(8192);
    let connection = http.serve_connection(TokioIo::new(server), service).with_upgrades();
    tokio::spawn(PollLimit::new(POLLS, connection));
    client
}

/// Writes a piece, then reads what the server answers at once.
async fn exchange(stream: &mut DuplexStream, piece: &[u8], output: &mut Vec<u8>) {
    // An error means that the server has closed the connection.
    let _ = stream.write_all(piece).await;
    loop {
        // The paused clock advances when no task can go on.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let before = output.len();
        loop {
            output.reserve(1024);
            let mut read = pin!(stream.read_buf(output));
            let read = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
            if !matches!(read, Poll::Ready(Ok(1..))) {
                break;
            }
        }
        // The server may wait for room.
        if output.len() - before < PIPE {
            return;
        }
    }
}
