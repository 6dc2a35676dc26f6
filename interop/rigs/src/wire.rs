//! A minimal implementation of HTTP, WebSocket and Engine.IO, for misbehaving clients.

use std::io;

use engineio_parser::websocket::{Header, Opcode, encode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    /// Opens a connection.
    pub async fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Opens a WebSocket and reads the response.
    pub async fn websocket(port: u16, target: &str) -> io::Result<Self> {
        let mut wire = Self::connect(port).await?;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        wire.send(request.as_bytes()).await?;
        let head = wire.head().await?;
        if head.starts_with("HTTP/1.1 101") { Ok(wire) } else { Err(io::Error::other(head)) }
    }

    /// Opens a polling session. Returns a connection, and the target of further requests.
    pub async fn polling(port: u16, base: &str, revision: u8) -> io::Result<(Self, String)> {
        let mut wire = Self::connect(port).await?;
        let target = wire.handshake(base, revision).await?;
        Ok((wire, target))
    }

    /// Opens a polling session on this connection. Returns the target of further requests.
    pub async fn handshake(&mut self, base: &str, revision: u8) -> io::Result<String> {
        let target = format!("{base}polling&EIO={revision}");
        let open = self.exchange(&target, None).await?;
        let sid = open.split(r#""sid":""#).nth(1).and_then(|rest| rest.split('"').next());
        let sid = sid.ok_or_else(|| io::Error::other(open.clone()))?;
        Ok(format!("{target}&sid={sid}"))
    }

    /// Opens a WebSocket for a polling session.
    pub async fn probe(port: u16, target: &str) -> io::Result<Self> {
        Self::websocket(port, &target.replace("transport=polling", "transport=websocket")).await
    }

    /// Returns the connection, without the bytes that were read already.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a text frame.
    pub async fn text(&mut self, text: &str) -> io::Result<()> {
        self.send(&frame(0x81, text.as_bytes())).await
    }

    /// Sends a request without reading the response; see [`answer`](Self::answer).
    pub async fn ask(&mut self, target: &str, body: Option<&str>) -> io::Result<()> {
        let request = match body {
            None => format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"),
            Some(body) => format!(
                "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain;charset=UTF-8\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        };
        self.send(request.as_bytes()).await
    }

    /// Reads a response. Returns its status and body.
    pub async fn answer(&mut self) -> io::Result<(u16, String)> {
        let head = self.head().await?.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        let body = self.take(length).await?;
        let body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, body))
    }

    /// Sends a request and returns the body of its response, whose status must be 200.
    pub async fn exchange(&mut self, target: &str, body: Option<&str>) -> io::Result<String> {
        self.ask(target, body).await?;
        match self.answer().await? {
            (200, body) => Ok(body),
            (status, body) => Err(io::Error::other(format!("{status} {body}"))),
        }
    }

    /// Returns the next text frame that begins with `prefix`. Answers pings, and skips other
    /// frames.
    pub async fn expect(&mut self, prefix: &str) -> io::Result<String> {
        loop {
            let (header, len) = loop {
                match Header::parse(&self.buffer).map_err(io::Error::other)? {
                    Some(header) => break header,
                    None => self.more().await?,
                }
            };
            self.take(len).await?;
            let payload = self.take(header.payload_len as usize).await?;
            match header.opcode {
                Opcode::Text if payload == b"2" => self.text("3").await?,
                Opcode::Text if payload.starts_with(prefix.as_bytes()) => {
                    return String::from_utf8(payload).map_err(io::Error::other);
                }
                Opcode::Close => return Err(io::Error::other(format!("closed before {prefix}"))),
                _ => {}
            }
        }
    }

    /// Reads until the server closes the connection, and answers nothing.
    pub async fn until_closed(mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            // A reset also counts as closed.
            if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
                return Ok(());
            }
        }
    }

    /// Closes the WebSocket properly.
    pub async fn close(mut self) -> io::Result<()> {
        self.send(&frame(0x88, &[])).await?;
        self.until_closed().await
    }

    async fn head(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.take(at + 4).await?;
                return String::from_utf8(head).map_err(io::Error::other);
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Returns a frame, masked with zeros.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    encode(first, Some([0; 4]), payload)
}
