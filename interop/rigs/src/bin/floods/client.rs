//! A blocking client with a minimal implementation of WebSocket, Engine.IO and Socket.IO.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use flate2::{Compress, Compression, FlushCompress};

pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    timeout: Duration,
}

impl Client {
    /// Opens a WebSocket and completes the Engine.IO and Socket.IO handshakes. `timeout` is the time
    /// limit for each packet of the handshakes and of the probes.
    pub(crate) fn connect(port: u16, deflate: bool, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout))?;
        let mut client = Self { stream, received: Vec::new(), timeout };
        let offer = if deflate {
            "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
        } else {
            ""
        };
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{offer}\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.send(request.as_bytes())?;
        client.wait_for("0{")?;
        if deflate && !client.has("permessage-deflate") {
            return Err(io::Error::other("the server does not compress; start it with DEFLATE=1"));
        }
        client.send(&frame(0x81, b"40"))?;
        client.wait_for("40{")?;
        Ok(client)
    }

    /// Returns two clients for one connection, so that two threads can use it. They wait for a slow
    /// server without a limit, so that the flood goes on.
    pub(crate) fn split(self) -> io::Result<(Self, Self)> {
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(None)?;
        let other = self.stream.try_clone()?;
        let other = Self { stream: other, received: Vec::new(), timeout: self.timeout };
        Ok((self, other))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends an event and waits for its echo.
    pub(crate) fn echo(&mut self, number: usize) -> io::Result<()> {
        self.received.clear();
        self.send(&frame(0x81, format!(r#"42["echo","probe-{number}"]"#).as_bytes()))?;
        self.wait_for(&format!("probe-{number}"))
    }

    /// Reads once and discards the bytes.
    pub(crate) fn discard(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn wait_for(&mut self, text: &str) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let since = Instant::now();
        while !self.has(text) {
            // Pings of the server do not extend the limit.
            let left = self.timeout.saturating_sub(since.elapsed());
            let late = || io::Error::other(format!("the server sent no {text:?} in time"));
            if left.is_zero() {
                return Err(late());
            }
            self.stream.set_read_timeout(Some(left))?;
            let read = self.stream.read(&mut buffer).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
                _ => error,
            });
            match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => self.received.extend_from_slice(buffer.get(..len).unwrap_or_default()),
            }
        }
        Ok(())
    }

    fn has(&self, text: &str) -> bool {
        self.received.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Encodes a frame with a mask of zeros. `first` is the first byte of its header.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    engineio_parser::websocket::encode(first, Some([0; 4]), payload)
}

/// Compresses a message and removes the last four bytes, which are not sent (RFC 7692, section
/// 7.2.1).
pub(crate) fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() / 100 + 1000);
    let mut context = Compress::new(Compression::best(), false);
    // The capacity suffices for repetitive messages, such as those of a flood.
    let _ = context.compress_vec(message, &mut out, FlushCompress::Sync);
    out.truncate(out.len().saturating_sub(4));
    out
}
