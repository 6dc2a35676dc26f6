//! The part of HTTP/3 that WebTransport needs: one request per connection, and one stream.

use std::{
    fmt::Debug,
    io,
    task::{Context, Poll, ready},
};

use engineio_parser::{Transport, session::Loss, webtransport::is_field_section};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt};
use wtransport_proto::{
    bytes::BufferReader,
    frame::{Frame, FrameKind},
    headers::Headers,
    ids::{SessionId, StreamId},
    session::SessionRequest,
    settings::{SettingId, Settings},
    stream_header::{StreamHeader, StreamKind},
    varint::VarInt as ProtoVarInt,
};

use crate::engine::{config::Shared, error::RequestError};

/// Maximum size of the settings and of the response, each with the frames before it, in bytes. The
/// library limits a frame to 4096.
const MAX_HEAD: usize = 8 * 1024;

/// `H3_NO_ERROR` (RFC 9114 section 8.1).
const NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// A WebTransport session that the server has accepted. Dropping it closes the connection.
pub(super) struct Http3Session {
    connection: Connection,
    /// The stream of the request. The session ends with it.
    request: (SendStream, RecvStream),
    /// Never closed before the connection, which the server would have to treat as an error.
    _control: (SendStream, Vec<RecvStream>),
}

impl Http3Session {
    /// Requests the session `sid`, which may be empty, over a new connection.
    pub(super) async fn connect(
        connection: Connection,
        shared: &Shared,
        sid: &str,
    ) -> Result<Self, RequestError> {
        let request = request(shared, sid)?;
        let mut control = connection.open_uni().await.map_err(lost)?;
        let mut bytes = Vec::new();
        StreamHeader::new_control().write(&mut bytes).map_err(malformed)?;
        let settings = Settings::builder()
            .qpack_max_table_capacity(ProtoVarInt::from_u32(0))
            .qpack_blocked_streams(ProtoVarInt::from_u32(0))
            .enable_webtransport()
            .enable_h3_datagrams()
            .build();
        settings.generate_frame().write(&mut bytes).map_err(malformed)?;
        control.write_all(&bytes).await.map_err(io::Error::from)?;
        let streams = receive_settings(&connection).await?;
        let (mut send, mut recv) = connection.open_bi().await.map_err(lost)?;
        send.write_all(&request).await.map_err(io::Error::from)?;
        let mut head = Vec::new();
        let headers = read_frame(&mut recv, &mut head, |frame| match frame.kind() {
            // The decoder gets only integers that QPACK needs.
            FrameKind::Headers if !is_field_section(frame.payload()) => {
                Err(malformed("field section"))
            }
            FrameKind::Headers => Headers::with_frame(frame).map_err(malformed),
            kind => Err(malformed(kind)),
        });
        let headers = headers.await?;
        let mut fields = HeaderMap::new();
        for (name, value) in headers.as_ref() {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_str(value))
            {
                fields.append(name, value);
            }
        }
        shared.keep_cookies(&fields);
        match headers.get(":status").and_then(|status| status.parse().ok()) {
            Some(200..=299) => {}
            Some(status) => return Err(RequestError::Status { status, body: String::new() }),
            None => return Err(malformed("no status")),
        }
        Ok(Self { connection, request: (send, recv), _control: (control, streams) })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Opens a stream. The returned bytes must precede all others.
    pub(super) async fn open_stream(
        &self,
    ) -> Result<(Vec<u8>, SendStream, RecvStream), RequestError> {
        let (send, recv) = self.connection.open_bi().await.map_err(lost)?;
        let (request, _) = &self.request;
        let id = ProtoVarInt::try_from_u64(VarInt::from(request.id()).into_inner());
        let id = SessionId::try_from_session_stream(StreamId::new(id.map_err(malformed)?));
        let mut head = Vec::new();
        let frame = Frame::new_webtransport(id.map_err(malformed)?);
        frame.write(&mut head).map_err(malformed)?;
        Ok((head, send, recv))
    }

    /// Resolves when the server has closed the session or the connection has failed.
    ///
    /// A server that closes the session must end the stream of the request after the close capsule,
    /// so the content of capsules does not matter.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Loss> {
        let (_, recv) = &mut self.request;
        let mut ignored = [0; 256];
        loop {
            return Poll::Ready(match ready!(recv.poll_read(cx, &mut ignored)) {
                Ok(0) => Loss::Closed,
                Ok(_) => continue,
                Err(ReadError::ConnectionLost(ConnectionError::ApplicationClosed(close)))
                    if close.error_code == NO_ERROR =>
                {
                    Loss::Closed
                }
                Err(_) => Loss::Failed,
            });
        }
    }

    /// Ends the stream of the request, which closes the session without an error.
    pub(super) fn close(&mut self) -> Option<&SendStream> {
        let (send, _) = &mut self.request;
        send.finish().ok()?;
        Some(send)
    }
}

impl Drop for Http3Session {
    fn drop(&mut self) {
        self.connection.close(NO_ERROR, b"");
    }
}

fn malformed(error: impl Debug) -> RequestError {
    RequestError::Protocol(format!("malformed HTTP/3: {error:?}").into())
}

pub(super) fn lost(error: ConnectionError) -> RequestError {
    match error {
        ConnectionError::TimedOut => RequestError::Io(io::ErrorKind::TimedOut.into()),
        error => RequestError::Protocol(Box::new(error)),
    }
}

/// Builds the request in wire form.
fn request(shared: &Shared, sid: &str) -> Result<Vec<u8>, RequestError> {
    let target = shared.target(Transport::WebTransport, sid);
    let url = format!("https://{}{target}", shared.address.host_and_port());
    let mut request = SessionRequest::new(url).map_err(malformed)?;
    let headers = shared.headers(Transport::WebTransport);
    // HTTP/3 has the host in a field of its own.
    for name in headers.keys().filter(|name| **name != header::HOST) {
        let values: Result<Vec<_>, _> =
            headers.get_all(name).iter().map(HeaderValue::to_str).collect();
        let values = values.map_err(|error| RequestError::Protocol(Box::new(error)))?;
        request.insert(name, values.join(", ")).map_err(malformed)?;
    }
    request.insert("sec-webtransport-http3-draft02", "1").map_err(malformed)?;
    let mut bytes = Vec::new();
    request.headers().generate_frame().write(&mut bytes).map_err(malformed)?;
    Ok(bytes)
}

/// Waits for the server's settings, without which a client must not send the request. Returns the
/// streams that the server has opened until then.
async fn receive_settings(connection: &Connection) -> Result<Vec<RecvStream>, RequestError> {
    let mut streams = Vec::new();
    loop {
        let mut recv = connection.accept_uni().await.map_err(lost)?;
        let mut head = Vec::new();
        let kind = loop {
            let mut reader = BufferReader::new(&head);
            match StreamHeader::read_from_buffer(&mut reader).map_err(malformed)? {
                Some(header) => {
                    let read = reader.offset();
                    head.drain(..read);
                    break header.kind();
                }
                None => read_more(&mut recv, &mut head).await?,
            }
        };
        let is_control = matches!(kind, StreamKind::Control);
        if is_control {
            let settings = read_frame(&mut recv, &mut head, |frame| match frame.kind() {
                FrameKind::Settings => Settings::with_frame(frame).map_err(malformed),
                kind => Err(malformed(kind)),
            });
            let enabled = settings.await?.get(SettingId::EnableConnectProtocol);
            if enabled != Some(ProtoVarInt::from_u32(1)) {
                return Err(malformed("the server does not offer WebTransport"));
            }
        }
        streams.push(recv);
        if is_control {
            return Ok(streams);
        }
    }
}

/// Reads a frame. Ignores reserved types before it, which test that unknown frames are ignored.
async fn read_frame<T>(
    recv: &mut RecvStream,
    head: &mut Vec<u8>,
    parse: impl Fn(&Frame<'_>) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    loop {
        let mut reader = BufferReader::new(head);
        while let Some(frame) = Frame::read_from_buffer(&mut reader).map_err(malformed)? {
            if !matches!(frame.kind(), FrameKind::Exercise(_)) {
                return parse(&frame);
            }
        }
        read_more(recv, head).await?;
    }
}

async fn read_more(recv: &mut RecvStream, head: &mut Vec<u8>) -> Result<(), RequestError> {
    if head.len() > MAX_HEAD {
        return Err(malformed("too large"));
    }
    let mut chunk = [0; 1024];
    let len = recv.read(&mut chunk).await.map_err(io::Error::from)?;
    let len = len.ok_or_else(|| malformed("the stream has ended"))?;
    head.extend_from_slice(chunk.get(..len).unwrap_or_default());
    Ok(())
}
