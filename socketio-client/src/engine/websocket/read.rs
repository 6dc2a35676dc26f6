//! Reads the messages of a WebSocket. A message that arrived at once is lent from the read buffer,
//! and a large one is read directly into its own allocation.

use std::{
    cell::Cell,
    future::Future,
    io, mem,
    ops::Range,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use engineio_parser::{
    WebSocketError,
    websocket::{Decoded, Decoder, Incoming},
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// How many bytes are read at once.
const BUFFER: usize = 8 * 1024;

thread_local! {
    /// An unused buffer. A connection owns a buffer only until it waits for more data.
    static SPARE: Cell<Box<[u8]>> = Cell::default();
}

/// Reads the frames of a server.
#[derive(Debug)]
pub(super) struct Reader {
    decoder: Decoder,
    buffer: Box<[u8]>,
    /// The part of the buffer that was read from the stream and not decoded yet.
    unread: Range<usize>,
}

impl Reader {
    /// Creates a reader. `early` holds bytes that were already read.
    pub(super) fn new(max_payload: usize, early: &[u8]) -> Self {
        let unread = 0..early.len();
        Self { decoder: Decoder::of_server(max_payload), buffer: early.into(), unread }
    }

    /// Returns the bytes of the incomplete message, without those in the buffer.
    pub(super) fn buffered(&self) -> usize {
        self.decoder.stored()
    }

    /// Returns the next message, or `None` if [`poll_fill`](Self::poll_fill) must read more.
    pub(super) fn next(&mut self) -> Result<Option<Incoming<'_>>, WebSocketError> {
        let end = self.unread.end;
        let mut input = self.buffer.get_mut(self.unread.clone()).unwrap_or_default();
        loop {
            let decoded = self.decoder.decode(&mut input)?;
            self.unread.start = end - input.len();
            match decoded {
                Decoded::Incomplete => return Ok(None),
                Decoded::Fragment => {}
                Decoded::Incoming(incoming) => return Ok(Some(incoming)),
            }
        }
    }

    /// Reads once and returns the number of bytes. Call it only after [`next`](Self::next) returned
    /// `None`.
    pub(super) fn poll_fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Some(mut payload) = self.decoder.payload_mut(BUFFER) {
            return pin!(stream.read_buf(&mut payload)).poll(cx);
        }
        if self.buffer.len() < BUFFER {
            self.buffer = SPARE.take();
            if self.buffer.is_empty() {
                self.buffer = vec![0; BUFFER].into();
            }
        }
        let mut free = ReadBuf::new(&mut self.buffer);
        let result = Pin::new(stream).poll_read(cx, &mut free);
        self.unread = 0..free.filled().len();
        if result.is_pending() {
            SPARE.set(mem::take(&mut self.buffer));
        }
        ready!(result)?;
        Poll::Ready(Ok(self.unread.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, task::Waker};

    use engineio_parser::websocket::{BINARY, Message, encode};
    use proptest::prelude::*;

    use super::*;

    /// A stream that yields at most this number of bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            out: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let (piece, rest) = self.0.split_at(self.0.len().min(self.1).min(out.remaining()));
            out.put_slice(piece);
            self.0 = rest;
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn messages_do_not_depend_on_the_size_of_reads(
            lens in proptest::collection::vec(prop_oneof![0..200_usize, 8000..20_000_usize], 0..6),
            early in 0..300_usize,
            chunk in 1..20_000_usize,
        ) {
            let messages: Vec<_> = lens.iter().map(|len| vec![*len as u8; *len]).collect();
            let bytes: Vec<u8> =
                messages.iter().flat_map(|message| encode(BINARY, None, message)).collect();
            let (early, late) = bytes.split_at(early.min(bytes.len()));
            let mut reader = Reader::new(20_000, early);
            let mut stream = Pieces(late, chunk);
            let mut received = Vec::new();
            loop {
                match reader.next().unwrap() {
                    Some(Incoming::Message(Message::Binary(data))) => {
                        if let Cow::Owned(data) = &data {
                            prop_assert_eq!(data.capacity(), data.len());
                        }
                        received.push(data.into_owned());
                    }
                    Some(other) => panic!("{other:?}"),
                    None => {
                        let mut cx = Context::from_waker(Waker::noop());
                        match reader.poll_fill(&mut stream, &mut cx) {
                            Poll::Ready(Ok(0)) => break,
                            Poll::Ready(Ok(_)) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                }
            }
            prop_assert_eq!(received, messages);
        }
    }
}
