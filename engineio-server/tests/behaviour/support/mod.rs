//! An engine on a free port, and clients that do exactly what a test says.
//!
//! Polling requests go straight into [`Engine::handle`]: the test then decides when each is polled and dropped.
//! WebSockets and everything about HTTP itself go over TCP.

// Every test is a crate of its own: nothing here is public, and each needs a part of it.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{future::Future, net::SocketAddr, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use engineio_server::{
    CloseReason, Connection, Data, Engine, EngineConfig, Event, Listening, ResponseBody, Revision,
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

/// Long enough for a busy machine; only a hang takes it.
const HANG: Duration = Duration::from_secs(20);

/// Fails where `future` hangs.
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

/// Polls once: what is ready at once, if it is.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Begins a request that must wait. From here on only its own waker gets it on. Dropped, it is aborted.
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

/// An engine at work, and what happens on its sessions.
pub struct Server {
    pub engine: Engine,
    pub address: SocketAddr,
    pub listening: Listening,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Server {
    /// An echo server that tells its events.
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

    /// A server whose sessions are handed to the test.
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

    /// What happened next on a session.
    pub async fn event(&mut self) -> Event {
        within(self.events.recv()).await.unwrap()
    }

    /// The reason of the next end of a session.
    pub async fn closed(&mut self) -> CloseReason {
        loop {
            if let Event::Closed(reason) = self.event().await {
                return reason;
            }
        }
    }

    /// One request, not yet begun.
    pub fn request(&self, method: &str, query: &str, body: impl Into<Bytes>) -> PendingAnswer {
        let request = Request::builder().method(method).uri(format!("/engine.io/?{query}"));
        self.send(request.body(Full::new(body.into())).unwrap())
    }

    /// Any request, not yet begun.
    pub fn send<B>(&self, request: Request<B>) -> PendingAnswer
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Send,
    {
        let engine = self.engine.clone();
        Box::pin(async move { Answer::of(engine.handle(request).await).await })
    }

    /// A polling session: its id.
    pub async fn open(&self) -> String {
        let answer = within(self.request("GET", "EIO=4&transport=polling", "")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        sid_of(&answer.body)
    }

    /// A polling session of revision 3, with `more` in its query: its id.
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

    /// The revision that requests of a session have to name.
    fn eio(&self, sid: &str) -> u8 {
        match self.engine.client(sid).map(|handle| handle.revision()) {
            Some(Revision::V3) => 3,
            _ => 4,
        }
    }

    /// A GET that waits at the server.
    pub async fn waiting_get(&self, sid: &str) -> PendingAnswer {
        waiting(self.get(sid)).await
    }

    /// Whether requests of this session are refused.
    pub async fn is_gone(&self, sid: &str) -> bool {
        let answer = within(self.get(sid)).await;
        self.engine.client(sid).is_none() && answer.status == 400
    }

    /// A WebSocket that opens a session, with its handshake read: the stream and the session's id.
    pub async fn websocket(&self) -> (WebSocket, String) {
        self.websocket_with("EIO=4").await
    }

    pub async fn websocket_with(&self, query: &str) -> (WebSocket, String) {
        let mut websocket = self.connect(&format!("{query}&transport=websocket")).await.unwrap();
        let sid = sid_of(&websocket.text().await);
        (websocket, sid)
    }

    /// A WebSocket that wants to take a session over.
    pub async fn probe(&self, sid: &str) -> WebSocket {
        let query = format!("EIO={}&transport=websocket&sid={sid}", self.eio(sid));
        self.connect(&query).await.unwrap()
    }

    pub async fn connect(&self, query: &str) -> Result<WebSocket, tungstenite::Error> {
        Ok(self.handshake(query).await?.0)
    }

    /// The response that accepts a WebSocket.
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

    /// A bare connection on which a WebSocket session was opened, its handshake read.
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

    /// A bare connection on which a WebSocket session was opened; its handshake waits to be sent and read.
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

    /// Sends bytes on a connection of their own and returns what comes back until its end.
    pub async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }
}

/// Everything until the connection's end.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    // A reset after the last byte is an end as well.
    let _ = within(stream.read_to_end(&mut seen)).await;
    String::from_utf8_lossy(&seen).into_owned()
}

/// A masked frame as a client sends it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len @ ..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The id in an open packet.
pub fn sid_of(open: &str) -> String {
    let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

pub fn text(data: &str) -> Event {
    Event::Message(Data::Text(data.into()))
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

    /// The next frame, or `None` at the end.
    pub async fn next(&mut self) -> Option<Message> {
        within(self.0.next()).await.and_then(Result::ok)
    }

    pub async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("text expected, got {other:?}"),
        }
    }

    /// Reads on to the close frame: its code, if it came and had one.
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
