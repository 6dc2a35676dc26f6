//! The transports: long-polling, and those that carry messages.

pub(crate) mod jsonp;
pub(crate) mod polling;
pub(crate) mod websocket;
#[cfg(feature = "webtransport")]
pub(crate) mod webtransport;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use engineio_parser::{
    Frame, Transport,
    internal::PackedFrames,
    session::{Input, Loss},
};
use tokio::io::{AsyncRead, ReadBuf};

use self::websocket::WebSocket;
#[cfg(feature = "webtransport")]
use self::webtransport::WebTransport;
use crate::{stats::RefusedCounters, turn::Turn};

/// Maximum number of undecoded bytes of a transport whose reading is paused.
const MAX_UNDECODED: usize = 64 * 1024;

/// How many bytes are read at once. Each thread has one buffer, which all connections share.
const READ_SIZE: usize = 64 * 1024;

thread_local! {
    static READ_BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Reads at most `limit` bytes once and passes them to `store`. There are none at the end.
fn poll_read_some<T>(
    stream: Pin<&mut (impl AsyncRead + ?Sized)>,
    cx: &mut Context<'_>,
    limit: usize,
    store: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(READ_SIZE, 0);
        let mut read = ReadBuf::new(buffer.get_mut(..limit).unwrap_or_default());
        ready!(stream.poll_read(cx, &mut read))?;
        Poll::Ready(Ok(store(read.filled())))
    })
}

/// A connection that carries the messages of one session.
pub(crate) enum MessageTransport {
    WebSocket(WebSocket),
    #[cfg(feature = "webtransport")]
    WebTransport(Box<WebTransport>),
}

/// Information about a peer whose messages are not read.
#[derive(Debug, Default)]
pub(crate) struct PeerStatus {
    /// Bytes arrived.
    pub(crate) heard: bool,
    /// The buffer is full, so pongs cannot be seen. On some streams, neither can the end.
    pub(crate) buffer_full: bool,
    /// Set if the peer is disconnected.
    pub(crate) lost: Option<Loss>,
}

/// Calls the same method of the transport in use.
macro_rules! dispatch {
    ($this:expr, $transport:ident => $call:expr) => {
        match $this {
            Self::WebSocket($transport) => $call,
            #[cfg(feature = "webtransport")]
            Self::WebTransport($transport) => $call,
        }
    };
}

impl MessageTransport {
    /// Returns the name of the transport.
    #[inline]
    pub(crate) fn kind(&self) -> Transport {
        match self {
            Self::WebSocket(_) => Transport::WebSocket,
            #[cfg(feature = "webtransport")]
            Self::WebTransport(_) => Transport::WebTransport,
        }
    }

    /// Reads once and appends the decoded packets to `inputs`, within the limits of the turn.
    /// Pending if nothing has arrived.
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        inputs: &mut Vec<Input>,
        turn: &mut Turn,
        refused: &RefusedCounters,
    ) -> Poll<()> {
        dispatch!(self, it => it.poll_read(cx, inputs, turn, refused))
    }

    /// Checks whether the peer is connected while its messages are not read. Received bytes are
    /// stored undecoded, up to a limit. When the limit is reached ([`PeerStatus::buffer_full`]),
    /// only the end of the connection can be noticed, and only by calling this again after a while.
    /// The end is reported once (`ended`).
    pub(crate) fn poll_watch(&mut self, cx: &mut Context<'_>) -> PeerStatus {
        let mut status = PeerStatus::default();
        if *self.ended() {
            return status;
        }
        while status.lost.is_none() {
            let room = dispatch!(self, it => it.room());
            if room == 0 {
                status.buffer_full = true;
                if let Poll::Ready(loss) = dispatch!(self, it => it.poll_closed(cx)) {
                    status.lost = Some(loss);
                }
                break;
            }
            match dispatch!(self, it => it.poll_store(cx, room)) {
                Poll::Ready(None) => status.heard = true,
                Poll::Ready(lost) => status.lost = lost,
                Poll::Pending => break,
            }
        }
        *self.ended() = status.lost.is_some();
        status
    }

    /// Returns whether something waits that arrived since the last call: bytes, more than may be
    /// stored, or the end of the connection. The next read reports the end again.
    pub(crate) fn poll_arrived(&mut self, cx: &mut Context<'_>) -> bool {
        let status = self.poll_watch(cx);
        *self.ended() = false;
        status.heard || status.buffer_full || status.lost.is_some()
    }

    fn ended(&mut self) -> &mut bool {
        dispatch!(self, it => &mut it.ended)
    }

    /// Returns how many bytes the stream has not accepted yet.
    #[inline]
    pub(crate) fn unwritten(&self) -> usize {
        dispatch!(self, it => it.writer.bytes())
    }

    /// Returns how many received bytes are not decoded, or belong to an incomplete message.
    #[inline]
    pub(crate) fn unread(&self) -> usize {
        dispatch!(self, it => it.unread())
    }

    /// Returns whether all frames are written.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        dispatch!(self, it => it.writer.is_empty())
    }

    /// Returns whether the writer has enough for one batch. Further frames stay in the session,
    /// where they count as queued.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        dispatch!(self, it => it.is_full())
    }

    /// Returns whether packed frames can be sent ([`send_packed`](Self::send_packed)).
    pub(crate) fn packs(&self) -> bool {
        matches!(self, Self::WebSocket(websocket) if websocket.packs())
    }

    /// Sends frames that were packed for a WebSocket.
    pub(crate) fn send_packed(&mut self, frames: PackedFrames) {
        match self {
            Self::WebSocket(websocket) => websocket.writer.push_packed(frames),
            // It packs none.
            #[cfg(feature = "webtransport")]
            Self::WebTransport(_) => {}
        }
    }

    pub(crate) fn send(&mut self, frame: Frame) {
        dispatch!(self, it => it.send(frame));
    }

    /// Writes all frames.
    #[inline]
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Poll<io::Result<()>> {
        dispatch!(self, it => it.poll_flush(cx, turn))
    }

    /// Announces the end of the connection after the frames sent so far. The peer answers with its
    /// own end, which the next reads report.
    pub(crate) fn start_close(&mut self) {
        match self {
            Self::WebSocket(websocket) => websocket.start_close(),
            // No transport replaces it.
            #[cfg(feature = "webtransport")]
            Self::WebTransport(_) => {}
        }
    }

    /// Closes the connection in a task of its own, after the remaining frames were written. Takes at
    /// most `time_limit`, and drops `guard` at the end.
    pub(crate) fn end(self, time_limit: Duration, guard: impl Send + 'static) {
        match self {
            Self::WebSocket(websocket) => websocket.end(time_limit, guard),
            #[cfg(feature = "webtransport")]
            Self::WebTransport(webtransport) => webtransport.end(time_limit, guard),
        }
    }
}
