//! A WebSocket that reads and writes packets.

mod head;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::{
    io,
    task::{Context, Poll, ready},
};

use engineio_parser::{
    Frame, PacketType, Revision, Transport, WebSocketError,
    session::{Input, Loss, Session},
    websocket::{BINARY, Incoming, PING, PONG, TEXT, close_code},
};
use http::{HeaderValue, Request, header};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{self, handshake::client::generate_key, protocol::WebSocketConfig},
};

use self::{head::Head, read::Reader, write::Writer};
use super::{
    config::Shared,
    dial::{BoxStream, Purpose},
    error::RequestError,
    http::{protocol, refusal},
    message_transport::{BATCH, MessageTransport},
};

pub(super) struct WebSocket {
    stream: BoxStream,
    reader: Reader,
    writer: Writer,
    revision: Revision,
    base64: bool,
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
        let request = request(shared, sid)?;
        let mut head = Head::new(shared.dial(Purpose::WebSocket).await?);
        // The library performs only the handshake.
        let config = WebSocketConfig::default().read_buffer_size(0);
        let response = match client_async_with_config(request, &mut head, Some(config)).await {
            Ok((_, response)) => response,
            Err(error) => return Err(failure(error, head.rest())),
        };
        shared.keep_cookies(response.headers());
        let (stream, early) = head.into_parts();
        Ok(Self {
            stream,
            reader: Reader::new(options.max_payload, &early),
            writer: Writer::default(),
            revision: options.revision,
            base64: options.force_base64,
            filled: false,
            pong: Pong::Idle,
            pings: 0,
            closing: Closing::NotStarted,
        })
    }

    /// Sends a close frame if the server's message was too large.
    fn refuse(&mut self, error: WebSocketError, cx: &mut Context<'_>) -> RequestError {
        let WebSocketError::TooLarge { max_payload } = error else {
            return RequestError::Protocol(Box::new(error));
        };
        if self.writer.push_close(Some(close_code::TOO_LARGE)).is_ok() {
            let _ = self.writer.poll_flush(&mut self.stream, cx);
        }
        RequestError::TooLarge { limit: max_payload }
    }

    fn push(&mut self, frame: &Frame) -> io::Result<()> {
        if !frame.is_binary() {
            return self.writer.push(TEXT, frame.as_bytes(), &[]);
        }
        if self.base64 {
            return self.writer.push(TEXT, &frame.polling_text(self.revision), &[]);
        }
        let typed = [PacketType::Message as u8];
        let head = if self.revision == Revision::V3 { &typed[..] } else { &[] };
        self.writer.push(BINARY, head, frame.as_bytes())
    }
}

impl MessageTransport for WebSocket {
    fn via(&self) -> Transport {
        Transport::WebSocket
    }

    fn is_writable(&self) -> bool {
        self.writer.is_empty()
    }

    fn buffered(&self) -> usize {
        self.reader.buffered()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Input, RequestError>> {
        let via = Transport::WebSocket;
        loop {
            let packet = match self.reader.next() {
                Ok(Some(Incoming::Message(message))) => message.to_packet(self.revision),
                Ok(Some(Incoming::Compressed { .. })) => {
                    return Poll::Ready(Err(self.refuse(WebSocketError::ReservedBits, cx)));
                }
                Ok(Some(Incoming::Ping(payload))) => {
                    // A server that sends pings and never reads must not fill the buffer.
                    if self.writer.waiting() < BATCH {
                        self.writer.push(PONG, &payload, &[])?;
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
                    let code = code.map(|code| match close_code::is_allowed(code) {
                        true => code,
                        false => close_code::PROTOCOL,
                    });
                    if self.writer.push_close(code).is_ok() {
                        let _ = self.writer.poll_flush(&mut self.stream, cx);
                    }
                    return Poll::Ready(Ok(Input::Lost(via, Loss::Closed)));
                }
                Ok(None) => match ready!(self.reader.poll_fill(&mut self.stream, cx))? {
                    0 => return Poll::Ready(Ok(Input::Lost(via, Loss::Closed))),
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

    fn take_filled(&mut self) -> bool {
        std::mem::take(&mut self.filled)
    }

    fn poll_write(
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
    /// the ping.
    fn poll_confirmed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.pong {
            Pong::Idle => {
                self.pings += 1;
                let payload = self.pings.to_be_bytes();
                if self.writer.push(PING, &payload, &[]).is_ok() {
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

    fn forget_confirmation(&mut self) {
        self.pong = Pong::Idle;
    }

    /// Sends a close frame and waits for the server's. Without waiting, unread bytes could reset
    /// the connection and lose the data written before.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing == Closing::NotStarted {
            if self.writer.push_close(Some(close_code::NORMAL)).is_err() {
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

    fn has_sent_close(&self) -> bool {
        self.closing == Closing::CloseSent
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

/// Returns the error of a failed handshake. `body` is the body of the response.
fn failure(error: tungstenite::Error, body: &[u8]) -> RequestError {
    match error {
        tungstenite::Error::Io(error) => RequestError::Io(error),
        tungstenite::Error::Http(response) => {
            RequestError::Status { status: response.status().as_u16(), body: refusal(body) }
        }
        error => RequestError::Protocol(Box::new(error)),
    }
}
