//! One WebSocket: packets in and out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use engineio_parser::{
    Frame, Packet, PacketType, Revision, Transport,
    session::{Input, Session},
};
use futures_core::Stream;
use futures_util::Sink;
use http::{HeaderValue, Request, header};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message, Utf8Bytes,
        error::CapacityError,
        handshake::client::generate_key,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    config::Shared,
    connector::BoxStream,
    dial::Purpose,
    error::RequestError,
    http::{protocol, refusal},
};

/// Bytes read at once. The buffer stays with the connection.
const READ_BUFFER: usize = 8 * 1024;

/// Bytes that are written in one go. More is taken from the queue only when they have left.
const BATCH: usize = 64 * 1024;

pub(super) struct WebSocket {
    stream: WebSocketStream<BoxStream>,
    revision: Revision,
    base64: bool,
    limit: usize,
    /// Bytes that were handed over and may not have left.
    unflushed: usize,
    closing: Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    Saying,
    /// The close frame has left, the server's is awaited.
    Said,
}

impl WebSocket {
    /// Connects; without a session's id for a new session, else to upgrade one.
    pub(super) async fn open(shared: &Shared, sid: &str) -> Result<Self, RequestError> {
        let options = &shared.options;
        let request = request(shared, sid)?;
        let stream = shared.dial(Purpose::WebSocket).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(BATCH)
            .max_message_size(Some(options.max_payload))
            .max_frame_size(Some(options.max_payload));
        let (stream, response) = client_async_with_config(request, stream, Some(config))
            .await
            .map_err(|error| failure(error, options.max_payload))?;
        shared.keep_cookies(response.headers());
        Ok(Self {
            stream,
            revision: options.revision,
            base64: options.force_base64,
            limit: options.max_payload,
            unflushed: 0,
            closing: Closing::No,
        })
    }

    /// Whether what is sent now leaves at once.
    pub(super) fn is_writable(&self) -> bool {
        self.unflushed == 0
    }

    /// The next packet, or what comes instead of one.
    ///
    /// # Errors
    ///
    /// What broke the connection. The socket is of no use then.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Input, RequestError>> {
        let via = Transport::WebSocket;
        loop {
            let packet = match std::task::ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => Packet::decode_text(unpinned(text), self.revision),
                Some(Ok(Message::Binary(data))) => {
                    // A slice would keep the read buffer alive.
                    let small = data.len() < READ_BUFFER / 2;
                    let data = if small { Bytes::copy_from_slice(&data) } else { data };
                    Packet::decode_binary(data, self.revision)
                }
                Some(Ok(Message::Close(_))) => {
                    // tungstenite has queued the answer.
                    let _ = Pin::new(&mut self.stream).poll_flush(cx);
                    return Poll::Ready(Ok(Input::Lost(via, false)));
                }
                // Pongs are tungstenite's affair.
                Some(Ok(_)) => continue,
                Some(Err(tungstenite::Error::Protocol(
                    tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
                )))
                | None => return Poll::Ready(Ok(Input::Lost(via, false))),
                Some(Err(error)) => {
                    let error = failure(error, self.limit);
                    if let RequestError::TooLarge { .. } = error {
                        let frame = CloseFrame { code: CloseCode::Size, reason: "".into() };
                        let close = Message::Close(Some(frame));
                        if Pin::new(&mut self.stream).start_send(close).is_ok() {
                            let _ = Pin::new(&mut self.stream).poll_flush(cx);
                        }
                    }
                    return Poll::Ready(Err(error));
                }
            };
            return Poll::Ready(Ok(match packet {
                Ok(packet) => Input::Packet(via, packet),
                Err(_) => Input::Malformed(via),
            }));
        }
    }

    /// Writes what the session has for it. Says whether anything was taken.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
    ) -> Result<bool, RequestError> {
        let mut taken = false;
        loop {
            while self.unflushed < BATCH
                && let Some(frame) = session.poll_transmit(Transport::WebSocket, usize::MAX)
            {
                taken = true;
                // The header counts as well, so that empty messages do.
                self.unflushed += frame.len() + 1;
                let message = self.message(&frame);
                Pin::new(&mut self.stream)
                    .start_send(message)
                    .map_err(|error| failure(error, self.limit))?;
            }
            if self.unflushed == 0 {
                return Ok(taken);
            }
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = 0,
                Poll::Ready(Err(error)) => return Err(failure(error, self.limit)),
                Poll::Pending => return Ok(taken),
            }
        }
    }

    /// Says goodbye and waits for the server's: what was written before would be lost where unread bytes reset the
    /// connection. The server's last messages are discarded.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing == Closing::No {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            if Pin::new(&mut self.stream).start_send(Message::Close(Some(frame))).is_err() {
                return Poll::Ready(());
            }
            self.closing = Closing::Saying;
        }
        if self.closing == Closing::Saying {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.closing = Closing::Said,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        loop {
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) if !message.is_close() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether the goodbye has left.
    pub(super) fn has_said_goodbye(&self) -> bool {
        self.closing == Closing::Said
    }

    fn message(&self, frame: &Frame) -> Message {
        if !frame.is_binary() {
            return text(frame.payload());
        }
        if self.base64 {
            return text(frame.polling_text(self.revision));
        }
        let data = frame.payload();
        Message::Binary(match self.revision {
            Revision::V4 => data,
            Revision::V3 => {
                let mut typed = BytesMut::with_capacity(1 + data.len());
                typed.put_u8(PacketType::Message as u8);
                typed.put(data);
                typed.freeze()
            }
        })
    }
}

fn request(shared: &Shared, sid: &str) -> Result<Request<()>, RequestError> {
    let uri =
        format!("ws://{}{}", shared.address.authority(), shared.target(Transport::WebSocket, sid));
    let mut request = Request::builder().uri(uri).body(()).map_err(protocol)?;
    let headers = request.headers_mut();
    *headers = shared.headers();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let key = HeaderValue::from_str(&generate_key()).map_err(|error| protocol(error.into()))?;
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    Ok(request)
}

/// A small message does not keep the read buffer alive.
fn unpinned(text: Utf8Bytes) -> ByteString {
    if text.len() < READ_BUFFER / 2 {
        return ByteString::from(text.as_str());
    }
    Bytes::from(text).try_into().unwrap_or_default()
}

/// Frames of text are UTF-8, whoever made them.
fn text(payload: Bytes) -> Message {
    match Utf8Bytes::try_from(payload) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Text(Utf8Bytes::default()),
    }
}

fn failure(error: tungstenite::Error, limit: usize) -> RequestError {
    match error {
        tungstenite::Error::Io(error) => RequestError::Io(error),
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            RequestError::TooLarge { limit }
        }
        tungstenite::Error::Http(response) => RequestError::Status {
            status: response.status().as_u16(),
            body: refusal(response.body().as_deref().unwrap_or_default()),
        },
        error => RequestError::Protocol(Box::new(error)),
    }
}
