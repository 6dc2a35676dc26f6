//! One HTTP connection to the server. It has no task; the request that uses it polls it. While it
//! waits, it holds neither a read buffer nor the request.

use std::{
    cell::Cell,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::response::{Framing, Head};
use crate::engine::{dial::BoxStream, error::RequestError};

/// How many bytes are read at once.
const BUFFER: usize = 16 * 1024;

thread_local! {
    /// The read buffer of the connections of a thread.
    static SPARE: Cell<Box<[u8]>> = Cell::default();
}

/// An HTTP connection.
pub(in crate::engine) struct Connection {
    stream: BoxStream,
    /// The encoded request, until it is written.
    request: Vec<u8>,
    /// How many bytes of the request are written.
    written: usize,
    /// Bytes that were read and not decoded.
    unread: BytesMut,
    /// The state of the response's body.
    framing: Framing,
    /// Whether the server keeps the connection open after this response.
    keep_alive: bool,
}

impl Connection {
    pub(super) fn new(stream: BoxStream) -> Self {
        Self {
            stream,
            request: Vec::new(),
            written: 0,
            unread: BytesMut::new(),
            framing: Framing::Length(0),
            keep_alive: true,
        }
    }

    /// Returns whether an idle connection can serve another request. The server may have closed it.
    pub(super) fn is_reusable(&mut self, cx: &mut Context<'_>) -> bool {
        let clean = self.keep_alive && self.framing.is_ended() && self.request.is_empty();
        clean && self.unread.is_empty() && self.poll_read(cx).is_pending()
    }

    /// Starts a request. The connection must be new or reusable.
    pub(super) fn send(&mut self, request: Vec<u8>) {
        (self.request, self.written) = (request, 0);
    }

    /// Returns the request if the server cannot have received any of it.
    pub(super) fn take_unsent(&mut self) -> Option<Vec<u8>> {
        let unsent = self.written == 0 && !self.request.is_empty() && self.unread.is_empty();
        unsent.then(|| mem::take(&mut self.request))
    }

    /// Sends the request and reads the head of the response. The server may respond before it has
    /// read the whole request.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, RequestError>> {
        let sent = self.poll_send(cx);
        let mut searched = 0;
        loop {
            if let Some(head) = Head::take(&mut self.unread, searched)? {
                (self.framing, self.keep_alive) = (head.framing, head.keep_alive);
                return Poll::Ready(Ok(head));
            }
            searched = self.unread.len();
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(end_of_stream())),
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    return match sent {
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                        _ => Poll::Pending,
                    };
                }
            };
        }
    }

    /// Returns the next piece of the response's body, or `None` at its end.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, RequestError>> {
        loop {
            if let Some(piece) = self.framing.take(&mut self.unread)? {
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.unread.is_empty() {
                // Decoded pieces are slices of this memory.
                self.unread = BytesMut::new();
            }
            if self.framing.is_ended() {
                return Poll::Ready(Ok(None));
            }
            if ready!(self.poll_read(cx))? == 0 {
                if self.framing != Framing::UntilClose {
                    return Poll::Ready(Err(end_of_stream()));
                }
                self.framing = Framing::Length(0);
            }
        }
    }

    /// Sends the rest of the request.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.request.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let Some(rest @ [_, ..]) = self.request.get(self.written..) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.request = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once and returns the number of bytes.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = SPARE.take();
        if buffer.is_empty() {
            buffer = vec![0; BUFFER].into();
        }
        let mut free = ReadBuf::new(&mut buffer);
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut free);
        self.unread.extend_from_slice(free.filled());
        let len = free.filled().len();
        SPARE.set(buffer);
        result.map_ok(|()| len)
    }
}

fn end_of_stream() -> RequestError {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection").into()
}
