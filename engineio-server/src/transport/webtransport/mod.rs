//! One WebTransport session: a bidirectional stream that carries packets.

pub(crate) mod http3;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use engineio_parser::{
    Frame, FramingError, Packet, Transport,
    session::{Input, Loss},
    webtransport::{Decoder, wire_frame},
};
use quinn::{RecvStream, SendStream};
use tokio::time::timeout;

use self::http3::{Http3Session, StreamError};
use super::{MAX_UNDECODED, READ_SIZE, poll_read_some, websocket::write::Writer};
use crate::{stats::RefusedCounters, turn::Turn};

/// Maximum size of the first packet in bytes: `0`, or `0{"sid":"…"}`.
const MAX_FIRST_PACKET: u64 = 512;

/// An open WebTransport session.
pub(crate) struct WebTransport {
    session: Http3Session,
    send: SendStream,
    recv: RecvStream,
    decoder: Decoder,
    /// The turn ended before all received bytes were decoded.
    undecoded: bool,
    /// See [`MessageTransport::poll_watch`](super::MessageTransport::poll_watch).
    pub(super) ended: bool,
    pub(super) writer: Writer,
}

impl WebTransport {
    /// Accepts the stream of the client and reads its first packet. The peer decides how long that
    /// takes.
    pub(crate) async fn accept(
        session: Http3Session,
        max_payload: usize,
    ) -> Result<(Self, Packet), AcceptError> {
        let (send, recv) = session.accept_stream().await?;
        let mut this = Self {
            session,
            send,
            recv,
            decoder: Decoder::new(MAX_FIRST_PACKET),
            undecoded: false,
            ended: false,
            writer: Writer::default(),
        };
        let first = loop {
            if let Some(packet) = this.decoder.next()? {
                break packet;
            }
            let mut chunk = [0; 1024];
            let len = this.recv.read(&mut chunk).await.map_err(StreamError::from)?;
            let len = len.ok_or(StreamError::Ended)?;
            this.decoder.push(chunk.get(..len).unwrap_or_default());
        };
        this.decoder.set_max_payload(max_payload as u64);
        this.undecoded = this.decoder.buffered() > 0;
        Ok((this, first))
    }

    /// See [`MessageTransport::poll_read`](super::MessageTransport::poll_read).
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        inputs: &mut Vec<Input>,
        turn: &mut Turn,
        refused: &RefusedCounters,
    ) -> Poll<()> {
        if !self.undecoded {
            match ready!(self.poll_fill(cx, READ_SIZE)) {
                Ok(len) => turn.bytes(len),
                Err(loss) => {
                    inputs.push(Input::Lost(Transport::WebTransport, loss));
                    return Poll::Ready(());
                }
            }
        }
        self.undecoded = false;
        loop {
            let input = match self.decoder.next() {
                Ok(Some(packet)) => Input::Packet(Transport::WebTransport, packet),
                Ok(None) => return Poll::Ready(()),
                Err(error) => {
                    tracing::debug!(target: "engineio::webtransport", %error, "a WebTransport session failed: closing it");
                    match error {
                        FramingError::TooLong { .. } => refused.too_large.one(),
                        _ => refused.malformed_packet.one(),
                    }
                    inputs.push(Input::Malformed(Transport::WebTransport));
                    return Poll::Ready(());
                }
            };
            turn.packet();
            inputs.push(input);
            if turn.is_over() {
                self.undecoded = self.decoder.buffered() > 0;
                return Poll::Ready(());
            }
        }
    }

    /// Returns how many more bytes may be read while the messages are not.
    pub(super) fn room(&self) -> usize {
        MAX_UNDECODED.saturating_sub(self.decoder.buffered())
    }

    /// Reads at most `limit` bytes, which stay undecoded.
    pub(super) fn poll_store(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Option<Loss>> {
        let loss = ready!(self.poll_fill(cx, limit)).err();
        self.undecoded |= loss.is_none();
        Poll::Ready(loss)
    }

    /// See [`Http3Session::poll_closed`].
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Loss> {
        self.session.poll_closed(cx)
    }

    /// Reads at most `limit` bytes into the decoder. Returns how many, or how the session ended.
    fn poll_fill(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Result<usize, Loss>> {
        let read = poll_read_some(Pin::new(&mut self.recv), cx, limit, |bytes| {
            self.decoder.push(bytes);
            bytes.len()
        });
        match read {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(Loss::Closed)),
            Poll::Ready(Ok(len)) => Poll::Ready(Ok(len)),
            // The end of the session resets its streams.
            Poll::Ready(Err(_)) => match self.session.poll_closed(cx) {
                Poll::Ready(loss) => Poll::Ready(Err(loss)),
                Poll::Pending => Poll::Ready(Err(Loss::Failed)),
            },
            Poll::Pending => self.session.poll_closed(cx).map(Err),
        }
    }

    /// See [`MessageTransport::unread`](super::MessageTransport::unread).
    pub(crate) fn unread(&self) -> usize {
        self.decoder.buffered()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    pub(crate) fn send(&mut self, frame: Frame) {
        self.writer.push(wire_frame(&frame));
    }

    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Poll<io::Result<()>> {
        if self.writer.is_empty() {
            return Poll::Ready(Ok(()));
        }
        turn.wrote();
        self.writer.poll_flush(Pin::new(&mut self.send), cx)
    }

    /// Closes the session in a task of its own: writes the remaining frames, waits until the peer
    /// has received them, and closes the session. Ends as soon as the peer has closed it. Takes at
    /// most `time_limit`, and drops `guard` at the end.
    pub(crate) fn end(self, time_limit: Duration, guard: impl Send + 'static) {
        // A connection may be dropped outside a runtime.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let Self { mut session, mut send, recv, mut writer, .. } = self;
        runtime.spawn(async move {
            let write = async {
                poll_fn(|cx| writer.poll_flush(Pin::new(&mut send), cx)).await?;
                let _ = send.finish();
                // A closed session drops what its peer has not received.
                let _ = send.stopped().await;
                io::Result::Ok(())
            };
            let close = async {
                tokio::select! {
                    // Such a peer acknowledges nothing.
                    _ = poll_fn(|cx| session.poll_closed(cx)) => {}
                    _ = write => session.close(0, "").await,
                }
            };
            let _ = timeout(time_limit, close).await;
            drop(guard);
            session.connection_closed().await;
            // Dropping the stream earlier would stop the peer from sending.
            drop((session, recv));
        });
    }

    /// Closes the session of a client that is refused after the response to its request. The code
    /// and the message are those that other transports send as a response.
    pub(crate) async fn refuse(mut self, code: u16, message: &str) {
        self.session.close(code.into(), message).await;
    }
}

/// The reason why a session request did not lead to a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Framing(#[from] FramingError),
}
