//! A client with a minimal implementation of WebSocket, Engine.IO and Socket.IO.

use std::{
    io,
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

use engineio_parser::websocket::{BINARY, Header, TEXT, encode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

pub(crate) struct Socket {
    stream: TcpStream,
    /// Received bytes. Those from `start` on are not processed yet.
    buffer: Vec<u8>,
    start: usize,
}

/// Opens a TCP connection from an address and a port that no other connection of this run has had.
/// Otherwise the kernel would look for a free port among those of closed connections (TIME_WAIT),
/// which takes milliseconds.
async fn connect(port: u16) -> io::Result<TcpStream> {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 50_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high.max(1), low, (1 + number / PORTS) as u8);
    let socket = TcpSocket::new_v4()?;
    socket.bind((address, (FIRST + number % PORTS) as u16).into())?;
    socket.connect((Ipv4Addr::LOCALHOST, port).into()).await
}

impl Socket {
    /// Opens a WebSocket and completes both handshakes.
    pub(crate) async fn connect(port: u16) -> io::Result<Self> {
        let mut stream = connect(port).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::new();
        let head = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        if !buffer.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(String::from_utf8_lossy(&buffer).into_owned()));
        }
        let mut socket = Self { stream, buffer, start: head };
        socket.wait_for(b"0{").await?;
        socket.send(&frame(b"40")).await?;
        socket.wait_for(b"40{").await?;
        Ok(socket)
    }

    /// Opens this many WebSockets, 50 at a time.
    pub(crate) async fn connect_all(port: u16, sockets: usize) -> io::Result<Vec<Self>> {
        let (mut all, mut opening) = (Vec::with_capacity(sockets), JoinSet::new());
        while all.len() < sockets {
            while opening.len() < 50 && all.len() + opening.len() < sockets {
                opening.spawn_local(Self::connect(port));
            }
            if let Some(opened) = opening.join_next().await {
                all.push(opened??);
            }
        }
        Ok(all)
    }

    /// Waits for a message that begins with `prefix`.
    pub(crate) async fn wait_for(&mut self, prefix: &[u8]) -> io::Result<()> {
        let mut found = false;
        while !found {
            self.receive(|payload| found |= payload.starts_with(prefix)).await?;
        }
        Ok(())
    }

    pub(crate) async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames).await
    }

    /// Waits for data. Passes the payload of every complete frame to `see`, and answers pings.
    pub(crate) async fn receive(&mut self, mut see: impl FnMut(&[u8])) -> io::Result<()> {
        let mut pings = 0;
        loop {
            let mut seen = false;
            while let Some((from, to)) = whole_frame(&self.buffer[self.start..]) {
                let payload = &self.buffer[self.start + from..self.start + to];
                if payload == b"2" {
                    pings += 1;
                } else {
                    see(payload);
                }
                seen = true;
                self.start += to;
            }
            if self.start == self.buffer.len() {
                self.buffer.clear();
            } else {
                self.buffer.drain(..self.start);
            }
            self.start = 0;
            for _ in 0..std::mem::take(&mut pings) {
                self.stream.write_all(&frame(b"3")).await?;
            }
            if seen {
                return Ok(());
            }
            if self.buffer.capacity() < self.buffer.len() + 4096 {
                self.buffer.reserve(16 * 1024);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Returns where the payload of a complete frame begins and ends.
fn whole_frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (header, from) = Header::parse(bytes).ok()??;
    let to = from + header.payload_len as usize;
    (bytes.len() >= to).then_some((from, to))
}

/// Returns a text frame, masked with zeros.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    encode(TEXT, Some([0; 4]), payload)
}

pub(crate) fn binary(payload: &[u8]) -> Vec<u8> {
    encode(BINARY, Some([0; 4]), payload)
}
