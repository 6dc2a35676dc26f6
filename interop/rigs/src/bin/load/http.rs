//! A long-polling client with two kept-alive connections.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) struct Polling {
    poll: TcpStream,
    push: TcpStream,
    path: String,
}

impl Polling {
    pub(crate) async fn connect(port: u16) -> io::Result<Self> {
        let open = async || {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        let (mut poll, push) = (open().await?, open().await?);
        let path = "/socket.io/?EIO=4&transport=polling".to_owned();
        let opened = exchange(&mut poll, &path, None).await?;
        let json = serde_json::from_str::<serde_json::Value>(opened.get(1..).unwrap_or_default());
        let sid = json.map_err(io::Error::other)?["sid"].as_str().unwrap_or_default().to_owned();
        let mut polling = Self { poll, push, path: format!("{path}&sid={sid}") };
        polling.push("40").await?;
        polling.poll().await?;
        Ok(polling)
    }

    pub(crate) async fn poll(&mut self) -> io::Result<String> {
        loop {
            let body = exchange(&mut self.poll, &self.path, None).await?;
            if body != "2" {
                return Ok(body);
            }
            self.push("3").await?;
        }
    }

    pub(crate) async fn push(&mut self, body: &str) -> io::Result<()> {
        exchange(&mut self.push, &self.path, Some(body)).await.map(drop)
    }
}

async fn exchange(stream: &mut TcpStream, path: &str, body: Option<&str>) -> io::Result<String> {
    let request = match body {
        None => format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
        Some(body) => format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        if let Some((head, length)) = head(&buffer)
            && buffer.len() >= head + length
        {
            if !buffer.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(String::from_utf8_lossy(&buffer).into_owned()));
            }
            return Ok(String::from_utf8_lossy(&buffer[head..]).into_owned());
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Returns the lengths of the head and the body of a response.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    Some((end + 4, length.trim().parse().ok()?))
}
