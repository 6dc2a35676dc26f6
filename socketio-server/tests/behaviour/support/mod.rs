//! A server on a free port, and clients that send and expect exact frames.

// Also compiled into tests that are programs of their own, each of which needs a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

pub mod nodes;

use std::{future::Future, net::SocketAddr, time::Duration};

use engineio_server::Revision;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use socketio_server::{Ack, HandlerError, Namespace, Server, ServerConfig, Socket};
use tokio::{net::TcpSocket, sync::mpsc};
use tokio_tungstenite::WebSocketStream;

pub use tokio_tungstenite::tungstenite::Message;

/// Long enough for a busy machine. Only a hanging test reaches it.
pub const HANG: Duration = Duration::from_secs(120);

/// A deadline that is expected to pass.
pub const SOON: Duration = Duration::from_millis(60);

/// Fails if `future` hangs.
#[track_caller]
pub fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(HANG, future).await {
            Ok(value) => value,
            Err(_) => panic!("hangs at {caller}"),
        }
    }
}

/// Lets other tasks run until `condition` holds. Fails after [`HANG`] of the real clock, because a
/// task that keeps yielding is never idle, so that a paused clock stands still.
#[track_caller]
pub fn until(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let start = std::time::Instant::now();
        while !condition() {
            assert!(start.elapsed() < HANG, "hangs at {caller}");
            tokio::task::yield_now().await;
        }
    }
}

/// A listening server.
pub struct Running {
    pub io: Server,
    pub address: SocketAddr,
}

/// A server with the default options. Its main namespace knows [`Client::fence`].
pub async fn server() -> Running {
    server_with(ServerConfig::default()).await
}

pub async fn server_with(config: ServerConfig) -> Running {
    let io = Server::with_config(config);
    fence(&io.of("/"));
    let address = io.bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    Running { io, address }
}

/// A heartbeat that a silent client soon fails.
pub fn short_heartbeat() -> ServerConfig {
    let short = Duration::from_millis(50);
    ServerConfig::default().engine(|engine| engine.ping_interval(short).ping_timeout(short))
}

/// Adds the handler of [`Client::fence`]: earlier events of the server arrive before its ack.
pub fn fence(namespace: &Namespace) {
    namespace.on("fence", |ack: Ack| async move {
        ack.send(&())?;
        Ok(())
    });
}

/// Returns the sockets that connect to a namespace.
pub fn sockets(namespace: &Namespace) -> mpsc::UnboundedReceiver<Socket> {
    let (sender, sockets) = mpsc::unbounded_channel();
    namespace.on_connection(move |socket: Socket| {
        let _ = sender.send(socket);
        async {}
    });
    sockets
}

/// A log that handlers write and a test reads.
pub fn log<T>() -> (mpsc::UnboundedSender<T>, Log<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Log(receiver))
}

pub struct Log<T>(mpsc::UnboundedReceiver<T>);

impl<T> Log<T> {
    pub async fn next(&mut self) -> T {
        within(self.0.recv()).await.unwrap()
    }

    /// Returns the entries that have not been read.
    pub fn rest(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// Logs the reasons of a namespace's disconnections.
pub fn disconnections(namespace: &Namespace) -> Log<String> {
    let (sender, log) = log();
    namespace.on_disconnect(move |reason: socketio_server::DisconnectReason| {
        let _ = sender.send(reason.to_string());
        async {}
    });
    log
}

/// Logs the failures of a namespace: event, stage, message.
pub fn failures(namespace: &Namespace) -> Log<String> {
    let (sender, log) = log();
    namespace.on_error(move |_, failure| {
        let _ = sender.send(format!("{} {:?}: {}", failure.event, failure.stage, failure.error));
    });
    log
}

/// The return type of a handler whose errors do not matter.
pub type Done = Result<(), HandlerError>;

impl Running {
    /// Connects a client with an open Engine.IO session and no namespace.
    pub async fn open(&self) -> Client {
        self.open_on(TcpSocket::new_v4().unwrap()).await
    }

    /// Connects a client that has received an event. Returns its id, its private id and the offset
    /// of the event too.
    pub async fn client_with_offset(&self) -> (Client, String, String, String) {
        let mut client = self.open().await;
        client.send("40").await;
        let (sid, pid) = client.recoverable().await;
        self.io.to(sid.as_str()).emit("got", &1).unwrap();
        let offset = client.recorded().await.1;
        (client, sid, pid, offset)
    }

    /// Connects a client that has not read the handshake.
    pub async fn dial(&self) -> Client {
        self.dial_on(TcpSocket::new_v4().unwrap()).await
    }

    /// Connects a client with a small receive buffer.
    pub async fn open_slow(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        self.open_on(socket).await
    }

    /// Connects a client of Socket.IO v2. Returns its session id too.
    pub async fn open_v2(&self) -> (Client, String) {
        let mut client = self.dial_with(TcpSocket::new_v4().unwrap(), 3).await;
        let open = client.text().await;
        let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
        (client, open["sid"].as_str().unwrap().to_owned())
    }

    async fn open_on(&self, socket: TcpSocket) -> Client {
        let mut client = self.dial_on(socket).await;
        let open = client.text().await;
        assert!(open.starts_with("0{"), "{open}");
        client
    }

    async fn dial_on(&self, socket: TcpSocket) -> Client {
        self.dial_with(socket, 4).await
    }

    async fn dial_with(&self, socket: TcpSocket, eio: u8) -> Client {
        let stream = within(socket.connect(self.address)).await.unwrap();
        let url = format!("ws://{}/socket.io/?EIO={eio}&transport=websocket", self.address);
        let (stream, _) = within(tokio_tungstenite::client_async(url, stream)).await.unwrap();
        Client(stream)
    }

    /// Sends a request of a polling client. Returns the status and body of the response.
    pub async fn request(&self, method: &str, sid: &str, body: &str) -> (u16, String) {
        let revision = self.io.engine().client(sid).map(|handle| handle.revision());
        let eio = if revision == Some(Revision::V3) { 3 } else { 4 };
        let sid = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
        let uri = format!("/socket.io/?EIO={eio}&transport=polling{sid}");
        let request = http::Request::builder().method(method).uri(uri);
        let request = request.body(Full::<bytes::Bytes>::from(body.to_owned())).unwrap();
        let response = within(self.io.engine().handle(request)).await;
        let status = response.status().as_u16();
        let body = within(response.into_body().collect()).await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Connects a polling client to the main namespace. Returns its session id.
    pub async fn polling_client(&self) -> String {
        let (_, open) = self.request("GET", "", "").await;
        let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
        let sid = open["sid"].as_str().unwrap();
        assert_eq!(self.request("POST", sid, "40").await, (200, "ok".to_owned()));
        let (_, body) = self.request("GET", sid, "").await;
        assert!(body.starts_with(r#"40{"sid":""#), "{body}");
        sid.to_owned()
    }

    /// Connects a client to the main namespace.
    pub async fn client(&self) -> Client {
        self.client_in("/").await.0
    }

    /// Connects a client to a namespace. Returns its socket id too.
    pub async fn client_in(&self, nsp: &str) -> (Client, String) {
        let mut client = self.open().await;
        let sid = client.connect(nsp).await;
        (client, sid)
    }
}

/// A client that sends and receives single frames.
pub struct Client(pub WebSocketStream<tokio::net::TcpStream>);

impl Client {
    pub async fn send(&mut self, text: &str) {
        within(self.0.send(Message::text(text))).await.unwrap();
    }

    /// Sends several frames at once.
    pub async fn burst(&mut self, texts: &[&str]) {
        for text in texts {
            within(self.0.feed(Message::text(*text))).await.unwrap();
        }
        within(self.0.flush()).await.unwrap();
    }

    pub async fn send_binary(&mut self, data: &[u8]) {
        within(self.0.send(Message::binary(data.to_vec()))).await.unwrap();
    }

    /// Returns the next frame, or `None` at the end. Answers pings, which come if a busy machine
    /// needs longer than a ping interval for a test.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Option<Message>> {
        within(async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) if text == "2" => {
                        // The end of the connection is read next.
                        let _ = self.0.send(Message::text("3")).await;
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(message)) => return Some(message),
                }
            }
        })
    }

    #[track_caller]
    pub fn text(&mut self) -> impl Future<Output = String> {
        let next = self.next();
        async move {
            match next.await {
                Some(Message::Text(text)) => text.as_str().to_owned(),
                other => panic!("text expected, got {other:?}"),
            }
        }
    }

    #[track_caller]
    pub fn expect(&mut self, expected: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let next = self.text();
        async move {
            let text = next.await;
            assert_eq!(text, expected, "at {caller}");
        }
    }

    pub async fn expect_binary(&mut self, expected: &[u8]) {
        match self.next().await {
            Some(Message::Binary(data)) => assert_eq!(&data[..], expected),
            other => panic!("binary expected, got {other:?}"),
        }
    }

    /// Joins a namespace. Returns the socket id.
    pub async fn connect(&mut self, nsp: &str) -> String {
        self.send(&packet("40", nsp, "")).await;
        self.connected(nsp).await
    }

    /// Expects the CONNECT response of a namespace. Returns the socket id.
    pub async fn connected(&mut self, nsp: &str) -> String {
        let text = self.text().await;
        let start = packet("40", nsp, "{\"sid\":\"");
        let sid = text.strip_prefix(&start).and_then(|rest| rest.strip_suffix("\"}"));
        sid.unwrap_or_else(|| panic!("no grant: {text}")).to_owned()
    }

    /// Expects the CONNECT response of the main namespace with recovery. Returns the socket id and
    /// the private id.
    pub async fn recoverable(&mut self) -> (String, String) {
        let text = self.text().await;
        let grant: serde_json::Value =
            serde_json::from_str(text.strip_prefix("40").unwrap()).unwrap();
        assert_eq!(grant.as_object().unwrap().len(), 2, "{text}");
        (grant["sid"].as_str().unwrap().to_owned(), grant["pid"].as_str().unwrap().to_owned())
    }

    /// Claims the session with this private id.
    pub async fn claim(&mut self, pid: &str, offset: &str) {
        self.send(&format!(r#"40{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
    }

    /// Returns the next event without its offset, and the offset.
    pub async fn recorded(&mut self) -> (serde_json::Value, String) {
        let text = self.text().await;
        let event = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
        let mut event: Vec<serde_json::Value> = serde_json::from_str(event).unwrap();
        let offset = event.pop().unwrap().as_str().unwrap().to_owned();
        (event.into(), offset)
    }

    /// Expects that no packet of the main namespace is pending.
    #[track_caller]
    pub fn fence(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            self.send(r#"42999["fence"]"#).await;
            let text = self.text().await;
            assert_eq!(text, "43999[]", "at {caller}");
        }
    }

    /// Expects the end. Returns the frames before it.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(message) = self.next().await {
            seen.push(message.into_text().unwrap().as_str().to_owned());
        }
        seen
    }

    /// Expects the end without further frames.
    pub async fn closed(&mut self) {
        assert_eq!(self.rest().await, [""; 0]);
    }

    /// Closes the WebSocket properly.
    pub async fn close(mut self) {
        let _ = within(self.0.close(None)).await;
        while let Some(Ok(_)) = within(self.0.next()).await {}
    }

    /// Resets the connection.
    pub fn reset(self) {
        let stream = self.0.into_inner();
        let _ = stream.set_zero_linger();
    }
}

/// Returns the text of a packet: type, namespace, payload.
pub fn packet(kind: &str, nsp: &str, payload: &str) -> String {
    match nsp {
        "/" => format!("{kind}{payload}"),
        _ => format!("{kind}{nsp},{payload}"),
    }
}
