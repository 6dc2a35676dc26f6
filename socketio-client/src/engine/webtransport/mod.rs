//! A WebTransport session with one bidirectional stream that carries packets.

mod connect;
mod http3;
mod tls;

use std::{
    future::Future,
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use engineio_parser::{
    Frame, FramingError, PacketType, Transport,
    session::{Input, Loss, Session},
    webtransport::{Decoder, encode},
};
use quinn::{RecvStream, SendStream, WriteError};
use tokio::time::{Sleep, sleep};

pub(super) use self::tls::{Quic, quic};
use self::{connect::connect, http3::Http3Session};
use super::{
    config::Shared,
    error::RequestError,
    message_transport::{BATCH, MessageTransport},
    unwritten::Unwritten,
};

/// How many bytes one read of the stream returns at most.
const CHUNK: usize = 64 * 1024;

/// How long packets that must not arrive together are kept apart, in addition to two round trips.
const MARGIN: Duration = Duration::from_millis(20);

/// A WebTransport session and its stream. Dropping it closes the connection.
pub(super) struct WebTransport {
    session: Http3Session,
    send: SendStream,
    recv: RecvStream,
    decoder: Decoder,
    max_payload: usize,
    unwritten: Unwritten,
    filled: bool,
    /// The timer that stands for a confirmation.
    confirmation: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

/// Resolves when the server has acknowledged everything that was written, or stops reading.
type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

fn stopped(stream: &SendStream) -> Stopped {
    let stopped = stream.stopped();
    Box::pin(async move { drop(stopped.await) })
}

fn push(unwritten: &mut Unwritten, frame: &Frame) {
    let (header, packet) = encode(frame);
    let bytes = unwritten.buffer();
    bytes.extend_from_slice(header.as_ref());
    bytes.extend_from_slice(&packet);
}

enum Closing {
    NotStarted,
    /// The end of the stream was sent.
    Stream(Stopped),
    /// The end of the session was sent.
    Session(Stopped),
    Closed,
}

impl WebTransport {
    /// Opens a WebTransport session and its stream, and sends the open packet: for a new session if
    /// `sid` is empty, otherwise to upgrade a session.
    pub(super) async fn open(shared: &Shared, sid: &str) -> Result<Self, RequestError> {
        let session = connect(shared, sid).await?;
        let (head, send, recv) = session.open_stream().await?;
        let mut unwritten = Unwritten::default();
        unwritten.buffer().extend_from_slice(&head);
        let max_payload = shared.options.max_payload;
        let data = match sid {
            "" => String::new(),
            sid => serde_json::json!({ "sid": sid }).to_string(),
        };
        push(&mut unwritten, &Frame::text(PacketType::Open, &data));
        Ok(Self {
            session,
            send,
            recv,
            decoder: Decoder::new(max_payload as u64),
            max_payload,
            unwritten,
            filled: false,
            confirmation: None,
            closing: Closing::NotStarted,
        })
    }

    /// Reads into the decoder. Returns the loss if the session has ended.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        // Quinn keeps the waker with the stream and not in the future.
        let read = pin!(self.recv.read_chunk(CHUNK, true)).poll(cx);
        match read {
            Poll::Ready(Ok(Some(chunk))) => {
                self.filled = true;
                self.decoder.push(&chunk.bytes);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(None)) => Poll::Ready(Err(Loss::Closed)),
            // The end of the session resets its streams.
            Poll::Ready(Err(_)) => match self.session.poll_closed(cx) {
                Poll::Ready(loss) => Poll::Ready(Err(loss)),
                Poll::Pending => Poll::Ready(Err(Loss::Failed)),
            },
            Poll::Pending => self.session.poll_closed(cx).map(Err),
        }
    }

    /// Writes everything that waits.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.unwritten.poll_write(|bytes| Pin::new(&mut self.send).poll_write(cx, bytes))
    }

    /// Returns why the connection failed.
    fn failure(&self) -> RequestError {
        match self.session.connection().close_reason() {
            Some(error) => RequestError::Io(error.into()),
            None => RequestError::Io(std::io::ErrorKind::ConnectionReset.into()),
        }
    }
}

impl MessageTransport for WebTransport {
    fn via(&self) -> Transport {
        Transport::WebTransport
    }

    fn is_writable(&self) -> bool {
        self.unwritten.is_empty()
    }

    fn buffered(&self) -> usize {
        self.decoder.buffered()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Input, RequestError>> {
        let via = Transport::WebTransport;
        loop {
            match self.decoder.next() {
                Ok(Some(packet)) => return Poll::Ready(Ok(Input::Packet(via, packet))),
                Ok(None) => {}
                Err(FramingError::TooLong { .. }) => {
                    let limit = self.max_payload;
                    return Poll::Ready(Err(RequestError::TooLarge { limit }));
                }
                Err(_) => return Poll::Ready(Ok(Input::Malformed(via))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(()) => {}
                Err(Loss::Closed) => return Poll::Ready(Ok(Input::Lost(via, Loss::Closed))),
                Err(Loss::Failed) => return Poll::Ready(Err(self.failure())),
            }
        }
    }

    fn take_filled(&mut self) -> bool {
        mem::take(&mut self.filled)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
    ) -> Result<bool, RequestError> {
        let mut taken = false;
        loop {
            while self.unwritten.waiting() < BATCH
                && let Some(frame) = session.poll_transmit(Transport::WebTransport, usize::MAX)
            {
                taken = true;
                push(&mut self.unwritten, &frame);
            }
            if self.unwritten.is_empty() {
                return Ok(taken);
            }
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Pending => return Ok(taken),
                // The server reads no more, although the session goes on.
                Poll::Ready(Err(WriteError::Stopped(_)))
                    if self.session.poll_closed(cx).is_pending() =>
                {
                    return Err(self.failure());
                }
                Poll::Ready(Err(_)) => {
                    // The next read reports the end, after the last messages of the server.
                    self.unwritten = Unwritten::default();
                    cx.waker().wake_by_ref();
                    return Ok(taken);
                }
            }
        }
    }

    /// Waits for two round trips after the last write, because QUIC does not tell which bytes of a
    /// stream have arrived.
    fn poll_confirmed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.unwritten.is_empty() {
            let _ = self.poll_flush(cx);
            return Poll::Pending;
        }
        let wait = self.session.connection().rtt() * 2 + MARGIN;
        let timer = self.confirmation.get_or_insert_with(|| Box::pin(sleep(wait)));
        ready!(timer.as_mut().poll(cx));
        self.confirmation = None;
        Poll::Ready(())
    }

    fn forget_confirmation(&mut self) {
        self.confirmation = None;
    }

    /// Sends the end of the stream, then that of the session, and waits each time until the server
    /// has acknowledged it. Closing the connection earlier would lose them.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.closing {
                Closing::NotStarted => {
                    let flushed = ready!(self.poll_flush(cx)).is_ok();
                    self.closing = match flushed && self.send.finish().is_ok() {
                        true => Closing::Stream(stopped(&self.send)),
                        false => Closing::Closed,
                    };
                }
                Closing::Stream(received) => {
                    ready!(received.as_mut().poll(cx));
                    self.closing = match self.session.close() {
                        Some(request) => Closing::Session(stopped(request)),
                        None => Closing::Closed,
                    };
                }
                Closing::Session(received) => {
                    ready!(received.as_mut().poll(cx));
                    self.closing = Closing::Closed;
                }
                Closing::Closed => return Poll::Ready(()),
            }
        }
    }

    fn has_sent_close(&self) -> bool {
        !matches!(self.closing, Closing::NotStarted)
    }
}
