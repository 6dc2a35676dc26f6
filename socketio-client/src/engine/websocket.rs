//! A WebSocket that reads and writes packets.

mod head;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use bytestring::ByteString;
use engineio_parser::{
    Frame, Packet, PacketError, PacketType, Revision, Transport,
    session::{Input, Session},
};
use http::{HeaderValue, Request, header};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        self,
        error::CapacityError,
        handshake::client::generate_key,
        protocol::{
            WebSocketConfig,
            frame::coding::{CloseCode, Control, Data, OpCode},
        },
    },
};

use self::{
    head::Head,
    read::{Incoming, Reader},
    write::Writer,
};
use super::{
    config::Shared,
    connector::BoxStream,
    dial::Purpose,
    error::RequestError,
    http::{protocol, refusal},
};

/// How many bytes are written at once. More frames are taken from the session only after these were
/// written.
const BATCH: usize = 64 * 1024;

pub(super) struct WebSocket {
    stream: BoxStream,
    reader: Reader,
    writer: Writer,
    revision: Revision,
    base64: bool,
    limit: usize,
    filled: bool,
    pong: Pong,
    /// How many pings were sent. Each has its number as its payload.
    pings: u64,
    closing: Closing,
}

/// The state of a ping that checks whether the server has read everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pong {
    Idle,
    Awaited,
    Arrived,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    NotStarted,
    SendingClose,
    /// The close frame was sent, and the server's is awaited.
    CloseSent,
}

impl WebSocket {
    /// Opens a WebSocket: for a new session if `sid` is empty, otherwise to upgrade a session.
    pub(super) async fn open(shared: &Shared, sid: &str) -> Result<Self, RequestError> {
        let options = &shared.options;
        let limit = options.max_payload;
        let request = request(shared, sid)?;
        let mut head = Head::new(shared.dial(Purpose::WebSocket).await?);
        // The library performs only the handshake.
        let config = WebSocketConfig::default().read_buffer_size(0);
        let response = match client_async_with_config(request, &mut head, Some(config)).await {
            Ok((_, response)) => response,
            Err(error) => return Err(failure(error, limit, head.rest())),
        };
        shared.keep_cookies(response.headers());
        let (stream, early) = head.into_parts();
        Ok(Self {
            stream,
            reader: Reader::new(limit, &early),
            writer: Writer::default(),
            revision: options.revision,
            base64: options.force_base64,
            limit,
            filled: false,
            pong: Pong::Idle,
            pings: 0,
            closing: Closing::NotStarted,
        })
    }

    /// Returns whether a frame sent now is written at once.
    pub(super) fn is_writable(&self) -> bool {
        self.writer.is_empty()
    }

    /// Returns the bytes of the incomplete message.
    pub(super) fn buffered(&self) -> usize {
        self.reader.buffered()
    }

    /// Reads the next packet, or another input of the session.
    ///
    /// # Errors
    ///
    /// The connection has failed. The socket must not be used afterwards.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Input, RequestError>> {
        let via = Transport::WebSocket;
        loop {
            let packet = match self.reader.next() {
                Ok(Some(Incoming::Text(text))) => decode_text(text, self.revision),
                Ok(Some(Incoming::Binary(data))) => {
                    Packet::decode_binary(bytes(data), self.revision)
                }
                Ok(Some(Incoming::Ping(payload))) => {
                    // A server that sends pings and never reads must not fill the buffer.
                    if self.writer.waiting() < BATCH {
                        self.writer.push(OpCode::Control(Control::Pong), &payload, &[])?;
                    }
                    let _ = self.writer.poll_flush(&mut self.stream, cx)?;
                    continue;
                }
                Ok(Some(Incoming::Pong(payload))) => {
                    if self.pong == Pong::Awaited && *payload == self.pings.to_be_bytes() {
                        self.pong = Pong::Arrived;
                    }
                    continue;
                }
                Ok(Some(Incoming::Close(code))) => {
                    if self.writer.push_close(code).is_ok() {
                        let _ = self.writer.poll_flush(&mut self.stream, cx);
                    }
                    return Poll::Ready(Ok(Input::Lost(via, false)));
                }
                Ok(None) => match ready!(self.reader.poll_fill(&mut self.stream, cx))? {
                    0 => return Poll::Ready(Ok(Input::Lost(via, false))),
                    _ => {
                        self.filled = true;
                        continue;
                    }
                },
                Err(error) => return Poll::Ready(Err(self.refuse(error, cx))),
            };
            return Poll::Ready(Ok(match packet {
                Ok(packet) => Input::Packet(via, packet),
                Err(_) => Input::Malformed(via),
            }));
        }
    }

    /// Returns whether data has arrived since the last call.
    pub(super) fn take_filled(&mut self) -> bool {
        std::mem::take(&mut self.filled)
    }

    /// Sends a close frame if the server's message was too large.
    fn refuse(&mut self, error: tungstenite::Error, cx: &mut Context<'_>) -> RequestError {
        let error = failure(error, self.limit, &[]);
        if let RequestError::TooLarge { .. } = error
            && self.writer.push_close(Some(CloseCode::Size)).is_ok()
        {
            let _ = self.writer.poll_flush(&mut self.stream, cx);
        }
        error
    }

    /// Writes the session's frames. Returns whether any was taken.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
    ) -> Result<bool, RequestError> {
        let mut taken = false;
        loop {
            while self.writer.waiting() < BATCH
                && let Some(frame) = session.poll_transmit(Transport::WebSocket, usize::MAX)
            {
                taken = true;
                self.push(&frame)?;
            }
            if self.writer.is_empty() {
                return Ok(taken);
            }
            if self.writer.poll_flush(&mut self.stream, cx)?.is_pending() {
                return Ok(taken);
            }
        }
    }

    /// Sends a ping and resolves when its pong was read: the server has then read everything before
    /// the ping. It ignores failures, which other calls report.
    pub(super) fn poll_pong(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.pong {
            Pong::Idle => {
                self.pings += 1;
                let payload = self.pings.to_be_bytes();
                if self.writer.push(OpCode::Control(Control::Ping), &payload, &[]).is_ok() {
                    self.pong = Pong::Awaited;
                }
            }
            Pong::Awaited => {}
            Pong::Arrived => {
                self.pong = Pong::Idle;
                return Poll::Ready(());
            }
        }
        let _ = self.writer.poll_flush(&mut self.stream, cx);
        Poll::Pending
    }

    /// Stops waiting for a pong. If it arrives later, it confirms nothing.
    pub(super) fn forget_pong(&mut self) {
        self.pong = Pong::Idle;
    }

    /// Sends a close frame and waits for the server's. Without waiting, unread bytes could reset
    /// the connection and lose the data written before. The server's last messages are discarded.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing == Closing::NotStarted {
            if self.writer.push_close(Some(CloseCode::Normal)).is_err() {
                return Poll::Ready(());
            }
            self.closing = Closing::SendingClose;
        }
        if self.closing == Closing::SendingClose {
            match self.writer.poll_flush(&mut self.stream, cx) {
                Poll::Ready(Ok(())) => self.closing = Closing::CloseSent,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        loop {
            match self.reader.next() {
                Ok(None) => match ready!(self.reader.poll_fill(&mut self.stream, cx)) {
                    Ok(0) | Err(_) => return Poll::Ready(()),
                    Ok(_) => {}
                },
                Ok(Some(Incoming::Close(_))) | Err(_) => return Poll::Ready(()),
                Ok(Some(_)) => {}
            }
        }
    }

    /// Returns whether the close frame was sent.
    pub(super) fn has_sent_close(&self) -> bool {
        self.closing == Closing::CloseSent
    }

    fn push(&mut self, frame: &Frame) -> io::Result<()> {
        let (text, binary) = (OpCode::Data(Data::Text), OpCode::Data(Data::Binary));
        if !frame.is_binary() {
            return self.writer.push(text, frame.as_bytes(), &[]);
        }
        if self.base64 {
            return self.writer.push(text, &frame.polling_text(self.revision), &[]);
        }
        let typed = [PacketType::Message as u8];
        let first = if self.revision == Revision::V3 { &typed[..] } else { &[] };
        self.writer.push(binary, first, frame.as_bytes())
    }
}

/// Data borrowed from the read buffer is copied to a buffer of exactly its size.
fn decode_text(text: Cow<'_, str>, revision: Revision) -> Result<Packet, PacketError> {
    match text {
        Cow::Borrowed(text) => Packet::decode_str(text, revision),
        Cow::Owned(text) => Packet::decode_text(ByteString::from(text), revision),
    }
}

fn bytes(data: Cow<'_, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::copy_from_slice(data),
        Cow::Owned(data) => data.into(),
    }
}

fn request(shared: &Shared, sid: &str) -> Result<Request<()>, RequestError> {
    let uri =
        format!("ws://{}{}", shared.address.authority(), shared.target(Transport::WebSocket, sid));
    let mut request = Request::builder().uri(uri).body(()).map_err(protocol)?;
    let headers = request.headers_mut();
    *headers = shared.headers(Transport::WebSocket);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let key = HeaderValue::from_str(&generate_key()).map_err(|error| protocol(error.into()))?;
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    if let Some(protocols) = &shared.protocols {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.clone());
    }
    Ok(request)
}

fn failure(error: tungstenite::Error, limit: usize, body: &[u8]) -> RequestError {
    match error {
        tungstenite::Error::Io(error) => RequestError::Io(error),
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            RequestError::TooLarge { limit }
        }
        tungstenite::Error::Http(response) => {
            RequestError::Status { status: response.status().as_u16(), body: refusal(body) }
        }
        error => RequestError::Protocol(Box::new(error)),
    }
}
