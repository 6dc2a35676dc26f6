//! A stream that ends a read at the end of the response head, because the bytes after it belong to
//! the WebSocket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are read at once.
const CHUNK: usize = 2048;

pub(super) struct Head<S> {
    stream: S,
    /// Bytes read from the inner stream and not yet returned.
    rest: Vec<u8>,
    /// Whether a non-empty line was read.
    begun: bool,
    /// Whether the current line is not empty.
    filled: bool,
    ended: bool,
}

impl<S> Head<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, rest: Vec::new(), begun: false, filled: false, ended: false }
    }

    /// Returns the bytes of the body that were read with the head.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Returns the stream and the bytes read beyond the head.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.rest)
    }

    /// Returns how many of the next bytes belong to the head. An empty line ends the head.
    fn advance(&mut self, limit: usize) -> usize {
        for (index, byte) in self.rest.iter().take(limit).enumerate() {
            if self.ended {
                return index;
            }
            match byte {
                b'\r' => {}
                b'\n' => {
                    self.ended = self.begun && !self.filled;
                    self.filled = false;
                }
                _ => (self.begun, self.filled) = (true, true),
            }
        }
        self.rest.len().min(limit)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Head<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
            self.rest.extend_from_slice(chunk.filled());
        }
        let len = self.advance(out.remaining());
        out.put_slice(self.rest.get(..len).unwrap_or_default());
        self.rest.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Head<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_read_ends_at_the_end_of_the_head() {
        for head in ["\r\nHTTP/1.1 101 X\r\na: b\r\n\r\n", "HTTP/1.1 101 X\n\n"] {
            for buffer in [1, 3, 100] {
                let bytes = [head.as_bytes(), b"rest\r\n\r\n"].concat();
                let (mut near, mut far) = tokio::io::duplex(bytes.len());
                tokio::io::AsyncWriteExt::write_all(&mut far, &bytes).await.unwrap();
                drop(far);
                let mut stream = Head::new(&mut near);
                let mut read = Vec::new();
                let mut buffer = vec![0; buffer];
                while read.len() < head.len() {
                    let len = stream.read(&mut buffer).await.unwrap();
                    read.extend_from_slice(&buffer[..len]);
                }
                assert_eq!(read, head.as_bytes());
                assert_eq!(stream.into_parts().1, b"rest\r\n\r\n");
            }
        }
    }
}
