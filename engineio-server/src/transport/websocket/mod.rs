//! One WebSocket connection.

#[cfg(all(test, feature = "compression"))]
mod compressed;
#[cfg(feature = "compression")]
mod deflate;
#[cfg(not(feature = "compression"))]
mod no_deflate;
pub(crate) mod read;
mod undecoded;
pub(crate) mod write;

use std::{
    future::{Future, poll_fn},
    io, mem,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use engineio_parser::{
    Frame, Revision, Transport,
    frame::WireFrame,
    session::{Input, Loss},
    websocket::Incoming,
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::TcpStream,
    time::timeout,
};
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

pub(crate) use self::deflate::Parameters;
#[cfg(not(feature = "compression"))]
use self::no_deflate as deflate;
use self::{
    deflate::{Deflate, Inflate},
    read::Reader,
    undecoded::Undecoded,
    write::Writer,
};
use super::{MAX_UNDECODED, READ_BUFFER, READ_SIZE, poll_read_some};
use crate::{stall::StallGuard, stats::RefusedCounters, turn::Turn};

/// How many bytes are compressed before they are written.
const COMPRESSION_BATCH: usize = 64 * 1024;

/// An accepted WebSocket.
pub(crate) struct WebSocket {
    io: Io,
    /// Bytes that are not decoded yet. Initially those that the HTTP server had read after the
    /// request. Boxed, because most connections have none.
    undecoded: Option<Box<Undecoded>>,
    /// See [`MessageTransport::poll_watch`](super::MessageTransport::poll_watch).
    pub(super) ended: bool,
    reader: Reader,
    pub(super) writer: Writer,
    /// Set if compression was negotiated.
    compressor: Option<Box<Compressor>>,
    revision: Revision,
    /// The client can only read text.
    b64: bool,
}

struct Compressor {
    deflate: Deflate,
    /// Frames taken from the session under its lock. They are compressed after its release.
    waiting: Vec<Frame>,
    bytes: usize,
}

/// The underlying stream: the listener's own type if it is known, otherwise hyper's.
enum Io {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
    /// Boxed, because streams of the listener are smaller.
    Upgraded(Box<TokioIo<Upgraded>>),
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
        let (io, early, held) = match upgraded.downcast::<TokioIo<StallGuard<TcpStream>>>() {
            Ok(parts) => {
                let (tcp, held) = parts.io.into_inner().into_parts();
                (Io::Tcp(tcp), parts.read_buf, held)
            }
            Err(upgraded) => Io::of(upgraded),
        };
        // Copied, because a slice would keep the HTTP connection's read buffer alive.
        let undecoded = Undecoded::of(&early);
        let inflate = compression.map(|parameters| Inflate::new(parameters, max_payload));
        let reader = Reader::new(max_payload, max_fragments, inflate);
        let compressor = compression.map(|parameters| {
            let deflate = Deflate::new(parameters);
            Box::new(Compressor { deflate, waiting: Vec::new(), bytes: 0 })
        });
        let mut writer = Writer::default();
        if !held.is_empty() {
            writer.push(WireFrame::raw(held.into()));
        }
        Self { io, undecoded, ended: false, reader, writer, compressor, revision, b64 }
    }

    /// See [`MessageTransport::poll_read`](super::MessageTransport::poll_read).
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        inputs: &mut Vec<Input>,
        turn: &mut Turn,
        refused: &RefusedCounters,
    ) -> Poll<()> {
        if let Some(mut undecoded) = self.undecoded.take() {
            let decoded = self.feed(undecoded.rest(), inputs, turn, refused);
            undecoded.consume(decoded);
            self.undecoded = Some(undecoded).filter(|it| !it.is_empty());
            return Poll::Ready(());
        }
        READ_BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(READ_SIZE, 0);
            let mut read = ReadBuf::new(buffer);
            match ready!(self.io.stream().poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {
                    let decoded = self.feed(read.filled_mut(), inputs, turn, refused);
                    self.undecoded = read.filled().get(decoded..).and_then(Undecoded::of);
                }
                end => {
                    let loss = if end.is_ok() { Loss::Closed } else { Loss::Failed };
                    self.ended = true;
                    inputs.push(Input::Lost(Transport::WebSocket, loss));
                }
            }
            Poll::Ready(())
        })
    }

    /// Returns how many more bytes may be read while the messages are not.
    pub(super) fn room(&self) -> usize {
        self.undecoded.as_ref().map_or(MAX_UNDECODED, |it| it.room())
    }

    /// Reads at most `limit` bytes, which stay undecoded.
    pub(super) fn poll_store(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Option<Loss>> {
        let undecoded = &mut self.undecoded;
        let read = poll_read_some(self.io.stream(), cx, limit, |bytes| match bytes.is_empty() {
            true => Some(Loss::Closed),
            false => {
                undecoded.get_or_insert_default().push(bytes);
                None
            }
        });
        read.map(|read| read.unwrap_or(Some(Loss::Failed)))
    }

    /// Resolves if the peer has closed the connection, as far as [`Io::is_closed`] can tell.
    pub(super) fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<Loss> {
        match self.io.is_closed() {
            true => Poll::Ready(Loss::Closed),
            false => Poll::Pending,
        }
    }

    /// Decodes bytes until the turn is over. Returns how many bytes were decoded.
    fn feed(
        &mut self,
        bytes: &mut [u8],
        inputs: &mut Vec<Input>,
        turn: &mut Turn,
        refused: &RefusedCounters,
    ) -> usize {
        let (writer, revision) = (&mut self.writer, self.revision);
        let mut closed = false;
        let len = bytes.len();
        let result = self.reader.feed(bytes, turn, |incoming| {
            let packet = match incoming {
                _ if closed => return,
                Incoming::Message(message) => message.to_packet(revision),
                Incoming::Ping(payload) => {
                    // A peer that sends pings but does not read must not fill the queue.
                    if !writer.is_full() {
                        writer.push_pong(&payload);
                    }
                    return;
                }
                // The reader has decompressed all messages.
                Incoming::Pong(_) | Incoming::Compressed { .. } => return,
                Incoming::Close(code) => {
                    closed = true;
                    writer.push_close(code);
                    inputs.push(Input::Lost(Transport::WebSocket, Loss::Closed));
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
            tracing::debug!(target: "engineio::websocket", %error, "a WebSocket failed: closing it");
            if !closed {
                error.counter(refused).one();
                self.writer.push_close(Some(error.code()));
                inputs.push(Input::Lost(Transport::WebSocket, Loss::Failed));
            }
            len
        })
    }

    /// See [`MessageTransport::unread`](super::MessageTransport::unread).
    #[inline]
    pub(crate) fn unread(&self) -> usize {
        self.undecoded.as_ref().map_or(0, |it| it.len()) + self.reader.decoder.stored()
    }

    /// See [`MessageTransport::is_full`](super::MessageTransport::is_full).
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        match &self.compressor {
            Some(compressor) => {
                compressor.bytes >= COMPRESSION_BATCH
                    || Writer::is_batch(compressor.waiting.len(), compressor.bytes)
            }
            None => self.writer.is_full(),
        }
    }

    /// Returns whether frames are written as the session packs them.
    pub(crate) fn packs(&self) -> bool {
        self.compressor.is_none() && !self.b64
    }

    pub(crate) fn send(&mut self, frame: Frame) {
        match &mut self.compressor {
            // The session is locked now, and compression would hold its lock too long.
            Some(compressor) => {
                compressor.bytes += frame.len();
                compressor.waiting.push(frame);
            }
            None => self.writer.push(plain(frame, self.revision, self.b64)),
        }
    }

    /// Compresses the waiting frames. Returns their size in bytes before compression.
    fn compress(&mut self) -> usize {
        let Some(compressor) = &mut self.compressor else { return 0 };
        let bytes = mem::take(&mut compressor.bytes);
        for frame in mem::take(&mut compressor.waiting) {
            let compressed = compressor.deflate.compress(&frame, self.revision, self.b64);
            self.writer.push(compressed.unwrap_or_else(|| plain(frame, self.revision, self.b64)));
        }
        bytes
    }

    /// Writes all frames.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Poll<io::Result<()>> {
        if self.compressor.is_some() {
            turn.bytes(self.compress());
        }
        if self.writer.is_empty() {
            return Poll::Ready(Ok(()));
        }
        turn.wrote();
        self.writer.poll_flush(self.io.stream(), cx)
    }

    /// See [`MessageTransport::start_close`](super::MessageTransport::start_close).
    pub(crate) fn start_close(&mut self) {
        self.compress();
        self.writer.push_close(None);
    }

    /// Closes the WebSocket in a task of its own: writes the remaining frames and a close frame,
    /// unless one was sent, then waits until the peer closes, so that a reset does not destroy the
    /// last frames. Takes at most `time_limit`, and drops `guard` at the end.
    ///
    /// A peer that closed the connection without a close frame gets none, as in Node.
    pub(crate) fn end(mut self, time_limit: Duration, guard: impl Send + 'static) {
        if !self.ended {
            self.start_close();
        } else if matches!(self.io, Io::Tcp(_)) && self.writer.is_empty() {
            return;
        }
        self.compress();
        // A connection may be dropped outside a runtime.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let close = async {
                poll_fn(|cx| self.writer.poll_flush(self.io.stream(), cx)).await?;
                let mut stream = self.io.stream();
                stream.shutdown().await?;
                let mut ignored = [0; 512];
                while stream.read(&mut ignored).await? > 0 {}
                io::Result::Ok(())
            };
            let _ = timeout(time_limit, close).await;
            drop(guard);
        });
    }
}

/// Encodes a frame without compression.
fn plain(frame: Frame, revision: Revision, b64: bool) -> WireFrame {
    if b64 { frame.websocket_text(revision) } else { frame.into_websocket(revision) }
}

impl Io {
    #[cfg(feature = "tls")]
    fn of(upgraded: Upgraded) -> (Self, Bytes, Vec<u8>) {
        match upgraded.downcast::<TokioIo<StallGuard<TlsStream<TcpStream>>>>() {
            Ok(parts) => {
                let (tls, held) = parts.io.into_inner().into_parts();
                (Self::Tls(Box::new(tls)), parts.read_buf, held)
            }
            Err(upgraded) => Self::unknown(upgraded),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn of(upgraded: Upgraded) -> (Self, Bytes, Vec<u8>) {
        Self::unknown(upgraded)
    }

    fn unknown(upgraded: Upgraded) -> (Self, Bytes, Vec<u8>) {
        (Self::Upgraded(Box::new(TokioIo::new(upgraded))), Bytes::new(), Vec::new())
    }

    /// Returns whether the peer has closed the connection, even if there is more to read. Always
    /// `false` for a stream of unknown type, whose end shows only after everything was read.
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
            Self::Upgraded(upgraded) => Pin::new(upgraded.as_mut()),
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
