//! An engine on a free port, and clients that follow each test step by step.
//!
//! Polling requests are passed directly to [`Engine::handle`], so that a test decides when each is
//! polled and dropped. WebSockets and tests of HTTP itself use TCP.

// Not every test uses every item of this module.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{future::Future, net::SocketAddr, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use engineio_server::{
    CloseReason, Connection, Engine, EngineConfig, Event, Listening, PacketData, ResponseBody,
    Revision,
};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, tungstenite};

pub use tokio_tungstenite::tungstenite::Message;

/// A deadline that is long enough for a busy machine. Only a hanging test reaches it.
const HANG: Duration = Duration::from_secs(120);

/// Fails if `future` does not resolve in time.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("hangs")
}

/// Lets the other tasks run until `condition` holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Polls a future once. Returns its output if it is ready.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Starts a request that must wait. It continues in a task of its own. Dropping the future aborts
/// the request.
pub async fn waiting(mut request: PendingAnswer) -> PendingAnswer {
    let answer = poll_once(&mut request).await;
    assert!(answer.is_none(), "answered at once: {answer:?}");
    let mut task = AbortOnDrop(tokio::spawn(request));
    tokio::task::yield_now().await;
    Box::pin(async move { (&mut task.0).await.unwrap() })
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A running engine and the events of its sessions.
pub struct Server {
    pub engine: Engine,
    pub address: SocketAddr,
    pub listening: Listening,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Server {
    /// Starts an echo server that records its events.
    pub async fn echo(config: EngineConfig) -> Self {
        let (log, events) = mpsc::unbounded_channel();
        let application = move |mut connection: Connection| {
            let log = log.clone();
            async move {
                loop {
                    let event = connection.event().await;
                    let _ = log.send(event.clone());
                    match event {
                        Event::Message(data) => drop(connection.send(data)),
                        Event::Closed(_) => return,
                        _ => {}
                    }
                }
            }
        };
        Self { events, ..Self::start(Engine::new(config, application)).await }
    }

    /// Starts a server that passes its sessions to the test.
    pub async fn manual(config: EngineConfig) -> (Self, mpsc::UnboundedReceiver<Connection>) {
        let (opened, connections) = mpsc::unbounded_channel();
        let application = move |connection: Connection| {
            let _ = opened.send(connection);
            std::future::ready(())
        };
        (Self::start(Engine::new(config, application)).await, connections)
    }

    pub async fn start(engine: Engine) -> Self {
        let listening = engine.listen("127.0.0.1:0").await.unwrap();
        let address = listening.local_addr().unwrap();
        Self { engine, address, listening, events: mpsc::unbounded_channel().1 }
    }

    /// Returns the next event of any session.
    pub async fn event(&mut self) -> Event {
        within(self.events.recv()).await.unwrap()
    }

    /// Returns the close reason of the next session that ends.
    pub async fn closed(&mut self) -> CloseReason {
        loop {
            if let Event::Closed(reason) = self.event().await {
                return reason;
            }
        }
    }

    /// Creates a request that has not started yet.
    pub fn request(&self, method: &str, query: &str, body: impl Into<Bytes>) -> PendingAnswer {
        let request = Request::builder().method(method).uri(format!("/engine.io/?{query}"));
        self.send(request.body(Full::new(body.into())).unwrap())
    }

    /// Creates any request that has not started yet.
    pub fn send<B>(&self, request: Request<B>) -> PendingAnswer
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Send,
    {
        let engine = self.engine.clone();
        Box::pin(async move { Answer::of(engine.handle(request).await).await })
    }

    /// Opens a polling session. Returns its id.
    pub async fn open(&self) -> String {
        let answer = within(self.request("GET", "EIO=4&transport=polling", "")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        sid_of(&answer.body)
    }

    /// Opens a polling session of revision 3 with `more` in its query. Returns its id.
    pub async fn open_v3(&self, more: &str) -> String {
        let query = format!("EIO=3&transport=polling{more}");
        let answer = within(self.request("GET", &query, "")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let (length, open) = answer.body.split_once(':').unwrap();
        assert_eq!(length, open.len().to_string());
        sid_of(open)
    }

    pub fn get(&self, sid: &str) -> PendingAnswer {
        self.request("GET", &format!("EIO={}&transport=polling&sid={sid}", self.eio(sid)), "")
    }

    pub fn post(&self, sid: &str, body: impl Into<Bytes>) -> PendingAnswer {
        self.request("POST", &format!("EIO={}&transport=polling&sid={sid}", self.eio(sid)), body)
    }

    pub fn post_as(&self, content_type: &str, sid: &str, body: &[u8]) -> PendingAnswer {
        let uri = format!("/engine.io/?EIO={}&transport=polling&sid={sid}", self.eio(sid));
        let request = Request::post(uri).header("content-type", content_type);
        self.send(request.body(Full::new(Bytes::copy_from_slice(body))).unwrap())
    }

    /// Returns the revision that requests of a session have to name.
    fn eio(&self, sid: &str) -> u8 {
        match self.engine.client(sid).map(|handle| handle.revision()) {
            Some(Revision::V3) => 3,
            _ => 4,
        }
    }

    /// Starts a GET that waits at the server.
    pub async fn waiting_get(&self, sid: &str) -> PendingAnswer {
        waiting(self.get(sid)).await
    }

    /// Returns whether requests of this session are refused.
    pub async fn is_gone(&self, sid: &str) -> bool {
        let answer = within(self.get(sid)).await;
        self.engine.client(sid).is_none() && answer.status == 400
    }

    /// Opens a session with a WebSocket and reads its handshake. Returns the stream and the session
    /// id.
    pub async fn websocket(&self) -> (WebSocket, String) {
        self.websocket_with("EIO=4").await
    }

    pub async fn websocket_with(&self, query: &str) -> (WebSocket, String) {
        let mut websocket = self.connect(&format!("{query}&transport=websocket")).await.unwrap();
        let sid = sid_of(&websocket.text().await);
        (websocket, sid)
    }

    /// Connects a WebSocket that wants to take over a session.
    pub async fn probe(&self, sid: &str) -> WebSocket {
        let query = format!("EIO={}&transport=websocket&sid={sid}", self.eio(sid));
        self.connect(&query).await.unwrap()
    }

    pub async fn connect(&self, query: &str) -> Result<WebSocket, tungstenite::Error> {
        Ok(self.handshake(query).await?.0)
    }

    /// Returns the response that accepts a WebSocket.
    pub async fn websocket_response(&self, query: &str) -> Response<Option<Vec<u8>>> {
        self.handshake(query).await.unwrap().1
    }

    async fn handshake(
        &self,
        query: &str,
    ) -> Result<(WebSocket, Response<Option<Vec<u8>>>), tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}/engine.io/?{query}", self.address);
        let (stream, response) = within(tokio_tungstenite::client_async(url, stream)).await?;
        Ok((WebSocket(stream), response))
    }

    /// Opens a WebSocket session on a bare connection and reads its handshake.
    pub async fn raw_websocket(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n\
            connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"}") {
            seen.push(within(stream.read_u8()).await.unwrap());
        }
        stream
    }

    /// Opens a WebSocket session on a bare connection. The server has not sent its handshake yet.
    pub async fn bare_websocket(&self, more: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n\
             connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n{more}\
             sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(within(stream.read_u8()).await.unwrap());
        }
        stream
    }

    /// Sends bytes on a new connection. Returns what arrives until its end.
    pub async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }
}

/// Reads until the connection ends.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    // The connection may also end with a reset after the last byte.
    let _ = within(stream.read_to_end(&mut seen)).await;
    String::from_utf8_lossy(&seen).into_owned()
}

/// Returns a masked frame as a client sends it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    engineio_parser::websocket::encode(first, Some([0x11, 0x22, 0x33, 0x44]), payload)
}

/// Returns the id in an open packet.
pub fn sid_of(open: &str) -> String {
    let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

pub fn text(data: &str) -> Event {
    Event::Message(PacketData::Text(data.into()))
}

pub type PendingAnswer = Pin<Box<dyn Future<Output = Answer> + Send>>;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    /// The bytes as text.
    pub body: String,
}

impl Answer {
    async fn of(response: Response<ResponseBody>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: parts.status.as_u16(), headers: parts.headers, bytes, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, &*self.body), (status, body));
    }
}

pub struct WebSocket(pub WebSocketStream<TcpStream>);

impl WebSocket {
    pub async fn send(&mut self, message: impl Into<Message>) {
        within(self.0.send(message.into())).await.unwrap();
    }

    /// Returns the next frame, or `None` at the end.
    pub async fn next(&mut self) -> Option<Message> {
        within(self.0.next()).await.and_then(Result::ok)
    }

    pub async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("text expected, got {other:?}"),
        }
    }

    /// Reads until the close frame. Returns its code, if there is one.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Some(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Some(_) => {}
                None => panic!("ended without a close frame"),
            }
        }
    }
}
