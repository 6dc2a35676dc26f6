//! The floor: what the system calls and the WebSocket headers alone cost on tokio.
//!
//! It has the contract of the `bench` rig and knows just enough of Engine.IO and Socket.IO for the
//! load generator: no limits, no heartbeat, no checks, one thread. Messages that are not understood
//! are ignored. `JSON=1` parses the payload of `echo` and `ack` into a struct and serializes it
//! again; otherwise its bytes are copied.

use std::{cell::RefCell, collections::HashMap, env, io, rc::Rc};

use engineio_parser::websocket::{self, BINARY, Header, Opcode, TEXT, apply_mask};
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{LocalSet, spawn_local},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The WebSocket key of the load generator is always the same, and so is the response.
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const OPEN: &str = r#"0{"sid":"00000000","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &[u8] = br#"40{"sid":"00000000"}"#;

#[derive(Deserialize, Serialize)]
struct Message {
    id: u64,
    text: String,
}

/// State that the connections share.
#[derive(Default)]
struct Hub {
    json: bool,
    all: RefCell<Vec<Rc<Peer>>>,
    rooms: RefCell<HashMap<Vec<u8>, Vec<Rc<Peer>>>>,
    /// Peers with output that is not written yet.
    dirty: RefCell<Vec<Rc<Peer>>>,
    sessions: RefCell<HashMap<String, Rc<Polling>>>,
    /// All connections read into this buffer.
    buffer: RefCell<Vec<u8>>,
}

struct Peer {
    stream: TcpStream,
    out: RefCell<Vec<u8>>,
}

#[derive(Default)]
struct Polling {
    queue: RefCell<Vec<u8>>,
    news: Notify,
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(serve()))
}

async fn serve() -> Result<()> {
    let json = env::var("JSON").is_ok_and(|value| value == "1");
    let hub = Hub { json, buffer: RefCell::new(vec![0; 256 * 1024]), ..Hub::default() };
    let hub = Rc::new(hub);
    let port = env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("LISTENING on {port}");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hub = hub.clone();
        // Only the small future of a WebSocket stays in memory.
        spawn_local(async move {
            if let Ok(Some(stream)) = Box::pin(http(stream, &hub)).await {
                let peer = Rc::new(Peer { stream, out: RefCell::default() });
                hub.all.borrow_mut().push(peer.clone());
                let _ = websocket(&peer, &hub).await;
                hub.all.borrow_mut().retain(|other| !Rc::ptr_eq(other, &peer));
            }
        });
    }
}

/// Answers the requests of an HTTP connection. Returns the stream if it becomes a WebSocket.
async fn http(mut stream: TcpStream, hub: &Hub) -> Result<Option<TcpStream>> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
        else {
            stream.readable().await?;
            match stream.try_read_buf(&mut bytes) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
                _ => continue,
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        if head.contains("transport=websocket") {
            let first = [ACCEPTED.as_bytes(), &websocket::encode(TEXT, None, OPEN.as_bytes())];
            stream.write_all(&first.concat()).await?;
            return Ok(Some(stream));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let whole = end + length.map_or(Ok(0), str::parse)?;
        while bytes.len() < whole {
            stream.readable().await?;
            let _ = stream.try_read_buf(&mut bytes);
        }
        let line = head.lines().next().unwrap_or_default();
        let sid = line.split_once("&sid=").and_then(|(_, rest)| rest.split(' ').next());
        let body = polled(hub, sid, line.starts_with("POST").then(|| &bytes[end..whole])).await;
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        response.extend(body);
        stream.write_all(&response).await?;
        bytes.drain(..whole);
    }
}

/// Returns the body of the response to a polling request.
async fn polled(hub: &Hub, sid: Option<&str>, posted: Option<&[u8]>) -> Vec<u8> {
    let Some(sid) = sid else {
        let sid = format!("{:08}", hub.sessions.borrow().len());
        hub.sessions.borrow_mut().insert(sid.clone(), Rc::default());
        return OPEN.replace("00000000", &sid).into_bytes();
    };
    let session = hub.sessions.borrow().get(sid).cloned().unwrap_or_default();
    if let Some(packet) = posted {
        let mut queue = session.queue.borrow_mut();
        match packet {
            b"40" => queue.extend_from_slice(CONNECTED),
            packet => echo(packet, hub.json, |reply| queue.extend_from_slice(reply)),
        }
        session.news.notify_one();
        return b"ok".to_vec();
    }
    while session.queue.borrow().is_empty() {
        session.news.notified().await;
    }
    session.queue.take()
}

async fn websocket(peer: &Rc<Peer>, hub: &Rc<Hub>) -> Result<()> {
    // The beginning of an incomplete message.
    let mut tail = Vec::new();
    loop {
        peer.stream.readable().await?;
        {
            let mut buffer = hub.buffer.borrow_mut();
            buffer[..tail.len()].copy_from_slice(&tail);
            let length = match peer.stream.try_read(&mut buffer[tail.len()..]) {
                Ok(0) => return Ok(()),
                Ok(length) => tail.len() + length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            let mut rest = &mut buffer[..length];
            while let Some((header, from)) = Header::parse(rest).map_err(|_| "bad frame")? {
                let to = from + header.payload_len as usize;
                if rest.len() < to {
                    break;
                }
                let (frame, after) = rest.split_at_mut(to);
                let payload = &mut frame[from..];
                apply_mask(payload, header.mask.unwrap_or_default());
                receive(header.opcode, payload, peer, hub);
                rest = after;
            }
            tail = if rest.is_empty() { Vec::new() } else { rest.to_vec() };
        }
        flush(hub);
    }
}

fn receive(opcode: Opcode, payload: &[u8], peer: &Rc<Peer>, hub: &Hub) {
    if opcode == Opcode::Binary {
        let header = br#"451-["bin",{"_placeholder":true,"num":0}]"#;
        send(peer, hub, TEXT, header);
        send(peer, hub, BINARY, payload);
    } else if payload == b"40" {
        send(peer, hub, TEXT, CONNECTED);
    } else if let Some(rest) = payload.strip_prefix(br#"42["cast","#) {
        let frame = frame(TEXT, &[br#"42["cast","#, rest].concat());
        hub.all.borrow().iter().for_each(|peer| append(peer, hub, &frame));
    } else if let Some(rest) = payload.strip_prefix(br#"42["roomcast",""#) {
        let Some(end) = rest.iter().position(|byte| *byte == b'"') else { return };
        let frame = frame(TEXT, &[br#"42["roomcast""#, &rest[end + 1..]].concat());
        let rooms = hub.rooms.borrow();
        rooms.get(&rest[..end]).into_iter().flatten().for_each(|peer| append(peer, hub, &frame));
    } else if let Some(rest) = payload.strip_prefix(br#"421["join",""#) {
        let room = rest.strip_suffix(b"\"]").unwrap_or_default();
        hub.rooms.borrow_mut().entry(room.to_vec()).or_default().push(peer.clone());
        send(peer, hub, TEXT, b"431[]");
    } else {
        echo(payload, hub.json, |reply| send(peer, hub, TEXT, reply));
    }
}

/// Passes the reply to `echo` or `ack` on. Other packets have none.
fn echo(packet: &[u8], json: bool, reply: impl FnOnce(&[u8])) {
    let Some(event) = packet.strip_prefix(b"42") else { return };
    let digits = event.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (id, array) = event.split_at(digits);
    if array.starts_with(br#"["ack","#) {
        if json {
            let Ok((_, message)) = serde_json::from_slice::<(&str, Message)>(array) else { return };
            let mut out = [b"43", id].concat();
            if serde_json::to_writer(&mut out, &(message,)).is_ok() {
                reply(&out);
            }
        } else {
            reply(&[b"43", id, b"[", &array[7..]].concat());
        }
    } else if array.starts_with(br#"["echo""#) {
        if json {
            let Ok(event) = serde_json::from_slice::<(&str, Message)>(array) else { return };
            let mut out = b"42".to_vec();
            if serde_json::to_writer(&mut out, &event).is_ok() {
                reply(&out);
            }
        } else {
            reply(packet);
        }
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    websocket::encode(first, None, payload)
}

fn send(peer: &Rc<Peer>, hub: &Hub, first: u8, payload: &[u8]) {
    let mut out = peer.out.borrow_mut();
    if out.is_empty() {
        hub.dirty.borrow_mut().push(peer.clone());
    }
    out.extend_from_slice(websocket::header(first, payload.len(), None).as_ref());
    out.extend_from_slice(payload);
}

fn append(peer: &Rc<Peer>, hub: &Hub, frame: &[u8]) {
    let mut out = peer.out.borrow_mut();
    if out.is_empty() {
        hub.dirty.borrow_mut().push(peer.clone());
    }
    out.extend_from_slice(frame);
}

/// Writes the output of all peers. A task takes over if the kernel takes only a part.
fn flush(hub: &Rc<Hub>) {
    for peer in hub.dirty.take() {
        if !write(&peer) {
            let peer = peer.clone();
            spawn_local(
                async move { while peer.stream.writable().await.is_ok() && !write(&peer) {} },
            );
        }
    }
}

/// Returns whether everything is written, or never will be.
fn write(peer: &Peer) -> bool {
    let mut out = peer.out.borrow_mut();
    match peer.stream.try_write(&out) {
        Ok(length) if length == out.len() => {
            // The buffer is freed, so that an idle connection has none.
            *out = Vec::new();
            true
        }
        Ok(length) => {
            out.drain(..length);
            false
        }
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
