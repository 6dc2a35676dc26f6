//! One WebSocket: its bytes in and out.

mod ahead;
#[cfg(all(test, feature = "compression"))]
mod compressed;
#[cfg(feature = "compression")]
mod deflate;
#[cfg(test)]
mod differential;
mod error;
#[cfg(not(feature = "compression"))]
mod no_deflate;
pub(crate) mod read;
pub(crate) mod write;

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io, mem,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use engineio_parser::{Frame, Packet, Revision, Transport, frame::WebSocketFrame, session::Input};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::TcpStream,
    time::timeout,
};
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

pub(crate) use self::deflate::Parameters;
#[cfg(not(feature = "compression"))]
use self::no_deflate as deflate;
use self::{
    ahead::Ahead,
    deflate::{Deflate, Inflate},
    read::{Incoming, Reader},
    write::Writer,
};
use crate::{stall::Stalling, stats::RefusedCounters, turn::Turn};

/// Bytes read at once. One buffer per thread, lent to whichever connection is being read.
const SCRATCH: usize = 64 * 1024;

/// Bytes compressed in one go.
const COMPRESSED_AT_ONCE: usize = 64 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An accepted WebSocket.
pub(crate) struct WebSocket {
    io: Io,
    /// Read and not decoded; at first what the HTTP server had read beyond the request.
    ahead: Ahead,
    /// The peer's end was seen: there is nothing more to read.
    ended: bool,
    reader: Reader,
    writer: Writer,
    /// Set where compression was negotiated.
    compressor: Option<Box<Compressor>>,
    revision: Revision,
    /// The client asked for text only.
    b64: bool,
}

/// What was seen of a peer whose messages are not read.
#[derive(Debug, Default)]
pub(crate) struct Sighting {
    /// Something arrived.
    pub(crate) heard: bool,
    /// No more can be looked at: neither its pongs nor, over some streams, its end.
    pub(crate) full: bool,
    /// It is gone: in order (`false`), or the stream failed (`true`).
    pub(crate) lost: Option<bool>,
}

struct Compressor {
    deflate: Deflate,
    /// Taken from the session, under its lock; compressed when it is released.
    waiting: Vec<Frame>,
    bytes: usize,
}

/// The stream below: the listener's own where it is known, else whatever the HTTP server gives.
enum Io {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
    Upgraded(TokioIo<Upgraded>),
}

impl WebSocket {
    pub(crate) fn new(
        upgraded: Upgraded,
        revision: Revision,
        b64: bool,
        max_payload: usize,
        max_fragments: u32,
        compression: Option<Parameters>,
    ) -> Self {
        let (io, early) = match upgraded.downcast::<TokioIo<Stalling<TcpStream>>>() {
            Ok(parts) => (Io::Tcp(parts.io.into_inner().into_inner()), parts.read_buf),
            Err(upgraded) => Io::of(upgraded),
        };
        // Copied, as a slice would keep the HTTP connection's read buffer alive.
        let ahead = Ahead::of(&early);
        let mut reader = Reader::new(max_payload, max_fragments);
        reader.inflate = compression.map(|parameters| Box::new(Inflate::new(parameters)));
        let compressor = compression.map(|parameters| {
            let deflate = Deflate::new(parameters);
            Box::new(Compressor { deflate, waiting: Vec::new(), bytes: 0 })
        });
        let writer = Writer::default();
        Self { io, ahead, ended: false, reader, writer, compressor, revision, b64 }
    }

    /// Reads once and appends what arrived to `inputs`, as far as the turn goes; pending where there is nothing.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        inputs: &mut Vec<Input>,
        turn: &mut Turn,
        refused: &RefusedCounters,
    ) -> Poll<()> {
        if !self.ahead.is_empty() {
            let mut ahead = mem::take(&mut self.ahead);
            let decoded = self.feed(ahead.rest(), inputs, turn, refused);
            ahead.consume(decoded);
            self.ahead = ahead;
            return Poll::Ready(());
        }
        READ_BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(SCRATCH, 0);
            let mut read = ReadBuf::new(buffer);
            match ready!(self.io.stream().poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {
                    let decoded = self.feed(read.filled_mut(), inputs, turn, refused);
                    if let Some(rest) = read.filled().get(decoded..)
                        && !rest.is_empty()
                    {
                        self.ahead = Ahead::of(rest);
                    }
                }
                Ok(()) => inputs.push(Input::Lost(Transport::WebSocket, false)),
                Err(_) => inputs.push(Input::Lost(Transport::WebSocket, true)),
            }
            Poll::Ready(())
        })
    }

    /// Looks whether the peer is there while its messages are not read. What arrives is kept as it is, up to a limit;
    /// then only the end of the connection can still be seen, at [`Sighting::full`] by looking again after a while.
    pub(crate) fn poll_watch(&mut self, cx: &mut Context<'_>) -> Sighting {
        let mut seen = Sighting::default();
        if self.ended {
            return seen;
        }
        while seen.lost.is_none() {
            let room = self.ahead.room();
            if room == 0 {
                seen.full = true;
                seen.lost = self.io.is_closed().then_some(false);
                break;
            }
            let ahead = &mut self.ahead;
            let read = READ_BUFFER.with_borrow_mut(|buffer| {
                buffer.resize(SCRATCH, 0);
                let mut read = ReadBuf::new(buffer.get_mut(..room).unwrap_or_default());
                let result = ready!(self.io.stream().poll_read(cx, &mut read));
                if !read.filled().is_empty() {
                    ahead.push(read.filled());
                }
                Poll::Ready(result.map(|()| read.filled().len()))
            });
            match read {
                Poll::Ready(Ok(0)) => seen.lost = Some(false),
                Poll::Ready(Ok(_)) => seen.heard = true,
                Poll::Ready(Err(_)) => seen.lost = Some(true),
                Poll::Pending => break,
            }
        }
        self.ended = seen.lost.is_some();
        seen
    }

    /// Decodes bytes until the turn is over. Returns how many it took.
    fn feed(
        &mut self,
        bytes: &mut [u8],
        inputs: &mut Vec<Input>,
        turn: &mut Turn,
        refused: &RefusedCounters,
    ) -> usize {
        let (writer, revision) = (&mut self.writer, self.revision);
        let mut closed = false;
        let whole = bytes.len();
        let result = self.reader.feed(bytes, turn, |incoming| {
            let packet = match incoming {
                _ if closed => return,
                Incoming::Text(text) => Packet::decode_text(text, revision),
                Incoming::Binary(data) => Packet::decode_binary(data, revision),
                Incoming::Ping(payload) => {
                    // A peer that only pings and never reads must not fill the queue.
                    if !writer.is_full() {
                        writer.push_pong(&payload);
                    }
                    return;
                }
                Incoming::Pong => return,
                Incoming::Close(code) => {
                    closed = true;
                    writer.push_close(code.map(CloseCode::from));
                    inputs.push(Input::Lost(Transport::WebSocket, false));
                    return;
                }
            };
            inputs.push(match packet {
                Ok(packet) => Input::Packet(Transport::WebSocket, packet),
                Err(_) => {
                    refused.malformed_packet.one();
                    Input::Malformed(Transport::WebSocket)
                }
            });
        });
        result.unwrap_or_else(|error| {
            tracing::debug!(target: "engineio::websocket", %error, "closing");
            if !closed {
                error.counter(refused).one();
                self.writer.push_close(Some(error.code()));
                inputs.push(Input::Lost(Transport::WebSocket, true));
            }
            whole
        })
    }

    /// Bytes that the kernel has not taken.
    pub(crate) fn unwritten(&self) -> usize {
        self.writer.bytes()
    }

    /// Whether everything it was given is written.
    pub(crate) fn is_idle(&self) -> bool {
        self.writer.is_empty()
    }

    /// Whether it is time to write before more is taken from the session, where it counts as queued.
    pub(crate) fn is_full(&self) -> bool {
        match &self.compressor {
            Some(compressor) => {
                compressor.bytes >= COMPRESSED_AT_ONCE
                    || Writer::is_enough(compressor.waiting.len(), compressor.bytes)
            }
            None => self.writer.is_full(),
        }
    }

    pub(crate) fn send(&mut self, frame: Frame) {
        match &mut self.compressor {
            // The session is locked: compressing takes longer than others may wait for it.
            Some(compressor) => {
                compressor.bytes += frame.len();
                compressor.waiting.push(frame);
            }
            None => self.writer.push(plain(&frame, self.revision, self.b64)),
        }
    }

    /// Compresses what it was given; says how many bytes that was.
    fn compress(&mut self) -> usize {
        let Some(compressor) = &mut self.compressor else { return 0 };
        let bytes = mem::take(&mut compressor.bytes);
        for frame in mem::take(&mut compressor.waiting) {
            let compressed = compressor.deflate.compress(&frame, self.revision, self.b64);
            self.writer.push(compressed.unwrap_or_else(|| plain(&frame, self.revision, self.b64)));
        }
        bytes
    }

    /// Writes what it was given.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Poll<io::Result<()>> {
        turn.bytes(self.compress());
        if self.writer.is_empty() {
            return Poll::Ready(Ok(()));
        }
        turn.wrote();
        self.writer.poll_flush(self.io.stream(), cx)
    }

    /// Ends the WebSocket apart from its session: writes what is left and a close frame, unless there was one, then
    /// waits for the peer to close, so that the last frames are not lost to a reset. Takes `patience` at most; `guard` lives as long.
    pub(crate) fn end(mut self, patience: Duration, guard: impl Send + 'static) {
        self.compress();
        self.writer.push_close(None);
        // A connection may be dropped anywhere, also where no runtime is left.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let goodbye = async {
                poll_fn(|cx| self.writer.poll_flush(self.io.stream(), cx)).await?;
                let mut stream = self.io.stream();
                stream.shutdown().await?;
                let mut ignored = [0; 512];
                while stream.read(&mut ignored).await? > 0 {}
                io::Result::Ok(())
            };
            let _ = timeout(patience, goodbye).await;
            drop(guard);
        });
    }
}

/// A frame as it is sent without compression.
fn plain(frame: &Frame, revision: Revision, b64: bool) -> WebSocketFrame {
    if b64 { frame.websocket_text(revision) } else { frame.websocket(revision) }
}

impl Io {
    #[cfg(feature = "tls")]
    fn of(upgraded: Upgraded) -> (Self, Bytes) {
        match upgraded.downcast::<TokioIo<Stalling<TlsStream<TcpStream>>>>() {
            Ok(parts) => (Self::Tls(Box::new(parts.io.into_inner().into_inner())), parts.read_buf),
            Err(upgraded) => (Self::Upgraded(TokioIo::new(upgraded)), Bytes::new()),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn of(upgraded: Upgraded) -> (Self, Bytes) {
        (Self::Upgraded(TokioIo::new(upgraded)), Bytes::new())
    }

    /// Whether the peer has closed the connection, though there may be more to read. Where the stream is not known that
    /// shows only when all was read.
    fn is_closed(&self) -> bool {
        let tcp = match self {
            Self::Tcp(tcp) => tcp,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.get_ref().0,
            Self::Upgraded(_) => return false,
        };
        let ready = pin!(tcp.ready(Interest::READABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    fn stream(&mut self) -> Pin<&mut dyn Duplex> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Pin::new(tls.as_mut()),
            Self::Upgraded(upgraded) => Pin::new(upgraded),
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
