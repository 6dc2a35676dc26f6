//! The part of HTTP/3 that WebTransport needs: one request per connection, and no other stream than
//! the one that carries packets. Other requests are answered with 421 (Misdirected Request), after
//! which browsers repeat them over TCP (RFC 9110, section 15.5.20).
//!
//! The client's control and QPACK streams are not read. Their bytes count towards the window of the
//! connection.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use engineio_parser::{session::Loss, webtransport::is_field_section};
use http::{Method, Request, StatusCode, Uri, Version, request::Parts};
use quinn::{
    Connection, ConnectionError, ReadError, ReadExactError, RecvStream, SendStream, VarInt,
};
use tokio::time::timeout;
use wtransport_proto::{
    bytes::{BufferReader, BytesReader, BytesWriter},
    error::ErrorCode,
    frame::{Frame, FrameKind},
    headers::Headers,
    ids::StatusCode as ProtoStatus,
    session::{HeadersParseError, SessionRequest, SessionResponse},
    settings::Settings,
    stream_header::StreamHeader,
    varint::VarInt as ProtoVarInt,
};

/// Maximum size of the request and of the frames before it, in bytes. The request itself may have
/// 4096.
const MAX_HEAD: usize = 8 * 1024;

/// The type of a WebTransport stream (draft-ietf-webtrans-http3, section 4.2).
const WEBTRANSPORT_STREAM: u64 = 0x41;

/// The type of the capsule that closes a session (section 5).
const CLOSE_WEBTRANSPORT_SESSION: u32 = 0x2843;

/// Maximum length of the message of a close capsule, in bytes.
const MAX_CLOSE_MESSAGE: usize = 1024;

/// How long a client may take to close the connection after a session was closed. Chromium reports
/// a connection that the server closes at once as an error.
const CONNECTION_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A request for a WebTransport session.
pub(crate) struct Http3Request {
    session: Http3Session,
    pub(crate) parts: Parts,
}

/// A session whose request was accepted.
pub(crate) struct Http3Session {
    connection: Connection,
    /// Never closed before the connection, which the peer would have to treat as an error.
    _control: SendStream,
    /// The stream of the request. The session ends with it.
    request: (SendStream, RecvStream),
}

/// The reason why a stream cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("malformed HTTP/3: {0}")]
    Malformed(String),
    #[error("the request is too large")]
    TooLarge,
    #[error("the stream has ended")]
    Ended,
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl From<ReadError> for StreamError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => error.into(),
            _ => Self::Ended,
        }
    }
}

impl From<ReadExactError> for StreamError {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::FinishedEarly(_) => Self::Ended,
            ReadExactError::ReadError(error) => error.into(),
        }
    }
}

fn malformed(error: impl std::fmt::Debug) -> StreamError {
    StreamError::Malformed(format!("{error:?}"))
}

impl Http3Request {
    /// Sends the settings and reads the first request for a session. `misdirected` is called for each
    /// other request, and returns whether the connection may stay open after the response.
    pub(crate) async fn receive(
        connection: Connection,
        mut misdirected: impl FnMut() -> bool,
    ) -> Result<Self, StreamError> {
        let mut control = connection.open_uni().await?;
        let mut bytes = Vec::new();
        StreamHeader::new_control().write(&mut bytes).map_err(malformed)?;
        let settings = Settings::builder()
            .qpack_max_table_capacity(ProtoVarInt::from_u32(0))
            .qpack_blocked_streams(ProtoVarInt::from_u32(0))
            .enable_connect_protocol()
            .enable_webtransport()
            .enable_h3_datagrams()
            .webtransport_max_sessions(ProtoVarInt::from_u32(1))
            .build();
        settings.generate_frame().write(&mut bytes).map_err(malformed)?;
        control.write_all(&bytes).await.map_err(|_| StreamError::Ended)?;
        loop {
            let (mut send, mut recv) = connection.accept_bi().await?;
            if let Head::Session(parts) = read_head(&mut recv).await? {
                let session = Http3Session { connection, _control: control, request: (send, recv) };
                return Ok(Self { session, parts: *parts });
            }
            // Fails if the client has canceled the request, which ends only its stream.
            let _ = send_status(&mut send, StatusCode::MISDIRECTED_REQUEST).await;
            let _ = send.finish();
            let _ = recv.stop(no_error());
            if !misdirected() {
                // Dropping the connection would drop the response.
                let _ = send.stopped().await;
                connection.close(no_error(), b"");
                return Err(StreamError::Ended);
            }
        }
    }

    /// Accepts the request.
    pub(crate) async fn accept(mut self) -> Result<(Http3Session, Parts), StreamError> {
        send_status(&mut self.session.request.0, StatusCode::OK).await?;
        Ok((self.session, self.parts))
    }

    /// Answers with the status of an error.
    pub(crate) async fn refuse(mut self, status: StatusCode) {
        let (send, _) = &mut self.session.request;
        if send_status(send, status).await.is_ok() {
            let _ = send.finish();
            // Dropping the connection would drop the response.
            let _ = send.stopped().await;
        }
    }
}

/// The request of a stream.
enum Head {
    Session(Box<Parts>),
    /// A request for a page or for a WebSocket, for example.
    Other,
}

impl Http3Session {
    /// Accepts the next bidirectional stream.
    pub(crate) async fn accept_stream(&self) -> Result<(SendStream, RecvStream), StreamError> {
        let (send, mut recv) = self.connection.accept_bi().await?;
        let kind = read_varint(&mut recv).await?;
        let session = read_varint(&mut recv).await?;
        let (request, _) = &self.request;
        if kind != WEBTRANSPORT_STREAM || session != VarInt::from(request.id()).into_inner() {
            return Err(malformed("not a stream of this session"));
        }
        Ok((send, recv))
    }

    /// Resolves when the peer has closed the session or the connection has failed.
    ///
    /// A peer that closes the session must end the stream of its request after the close capsule,
    /// so the content of capsules does not matter.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Loss> {
        let (_, recv) = &mut self.request;
        let mut ignored = [0; 256];
        loop {
            return Poll::Ready(match ready!(recv.poll_read(cx, &mut ignored)) {
                Ok(0) => Loss::Closed,
                Ok(_) => continue,
                Err(ReadError::ConnectionLost(ConnectionError::ApplicationClosed(close)))
                    if close.error_code == no_error() =>
                {
                    Loss::Closed
                }
                Err(_) => Loss::Failed,
            });
        }
    }

    /// Closes the session, and waits until the peer knows it. Afterwards the connection can be
    /// dropped.
    pub(crate) async fn close(&mut self, code: u32, message: &str) {
        let mut end = message.len().min(MAX_CLOSE_MESSAGE);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let message = message.get(..end).unwrap_or_default().as_bytes();
        let mut capsule = Vec::new();
        let mut frame = Vec::new();
        let (send, _) = &mut self.request;
        let written = capsule.put_varint(ProtoVarInt::from_u32(CLOSE_WEBTRANSPORT_SESSION)).is_ok()
            && capsule.put_varint(ProtoVarInt::from_u32(4 + message.len() as u32)).is_ok();
        capsule.extend_from_slice(&code.to_be_bytes());
        capsule.extend_from_slice(message);
        if written && Frame::new_data(capsule.into()).write(&mut frame).is_ok() {
            let _ = send.write_all(&frame).await;
        }
        let _ = send.finish();
        // The peer must end its side of the stream in response.
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Waits until the client closes the connection after a session was closed, for a limited time.
    pub(crate) async fn connection_closed(&self) {
        let _ = timeout(CONNECTION_CLOSE_TIMEOUT, self.connection.closed()).await;
    }
}

impl Drop for Http3Session {
    fn drop(&mut self) {
        self.connection.close(no_error(), b"");
    }
}

fn no_error() -> VarInt {
    let code = ErrorCode::NoError.to_code().into_inner();
    VarInt::from_u64(code).unwrap_or_default()
}

async fn send_status(send: &mut SendStream, status: StatusCode) -> Result<(), StreamError> {
    let status = ProtoStatus::try_from(status.as_u16()).map_err(malformed)?;
    let mut response = SessionResponse::with_status_code(status);
    response.add("sec-webtransport-http3-draft", "draft02");
    let mut bytes = Vec::new();
    response.headers().generate_frame().write(&mut bytes).map_err(malformed)?;
    send.write_all(&bytes).await.map_err(|_| StreamError::Ended)
}

async fn read_head(recv: &mut RecvStream) -> Result<Head, StreamError> {
    let mut head = Vec::new();
    loop {
        if let Some(request) = parse_head(&head)? {
            return Ok(request);
        }
        if head.len() > MAX_HEAD {
            return Err(StreamError::TooLarge);
        }
        let mut chunk = [0; 1024];
        let len = recv.read(&mut chunk).await?.ok_or(StreamError::Ended)?;
        head.extend_from_slice(chunk.get(..len).unwrap_or_default());
    }
}

/// Decodes a request. Returns `None` if more bytes must arrive first.
fn parse_head(head: &[u8]) -> Result<Option<Head>, StreamError> {
    let mut reader = BufferReader::new(head);
    while let Some(frame) = Frame::read_from_buffer(&mut reader).map_err(malformed)? {
        match frame.kind() {
            FrameKind::Headers => return request(&frame).map(Some),
            // Reserved types, which test that unknown frames are ignored.
            FrameKind::Exercise(_) => {}
            kind => return Err(malformed(kind)),
        }
    }
    Ok(None)
}

fn request(frame: &Frame<'_>) -> Result<Head, StreamError> {
    // The decoder gets only integers that QPACK needs.
    if !is_field_section(frame.payload()) {
        return Err(malformed("field section"));
    }
    let headers = Headers::with_frame(frame).map_err(malformed)?;
    let request = match SessionRequest::try_from(headers) {
        Err(HeadersParseError::MethodNotConnect | HeadersParseError::ProtocolNotWebTransport) => {
            return Ok(Head::Other);
        }
        request => request.map_err(malformed)?,
    };
    let uri = Uri::builder()
        .scheme("https")
        .authority(request.authority())
        .path_and_query(request.path())
        .build()
        .map_err(malformed)?;
    let mut builder = Request::builder().method(Method::CONNECT).version(Version::HTTP_3).uri(uri);
    for (name, value) in request.headers().as_ref() {
        if !name.starts_with(':') {
            builder = builder.header(name, value);
        }
    }
    let (parts, ()) = builder.body(()).map_err(malformed)?.into_parts();
    Ok(Head::Session(parts.into()))
}

async fn read_varint(recv: &mut RecvStream) -> Result<u64, StreamError> {
    let mut bytes = [0; 8];
    let (first, rest) = bytes.split_at_mut(1);
    recv.read_exact(first).await?;
    let len = ProtoVarInt::parse_size(first.first().copied().unwrap_or_default());
    recv.read_exact(rest.get_mut(..len - 1).unwrap_or_default()).await?;
    let mut reader = BufferReader::new(&bytes);
    Ok(reader.get_varint().ok_or(StreamError::Ended)?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;

    fn session_request(path: &str) -> Vec<u8> {
        request(path, &[("origin", "https://example.com")])
    }

    fn request(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let fields = [
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":protocol", "webtransport"),
            (":authority", "example.com:3000"),
            (":path", path),
        ];
        let fields = fields.iter().chain(headers).copied().collect::<Headers>();
        let mut bytes = Vec::new();
        fields.generate_frame().write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_request_has_host_path_and_headers() {
        let mut head = vec![0x21, 2, 0, 0]; // a reserved frame
        head.extend(session_request("/engine.io/?a=b"));
        for len in 0..head.len() {
            assert!(parse_head(&head[..len]).unwrap().is_none(), "{len} bytes");
        }
        let Some(Head::Session(parts)) = parse_head(&head).unwrap() else { panic!("no request") };
        assert_eq!(parts.uri, "https://example.com:3000/engine.io/?a=b");
        assert_eq!(parts.headers["origin"], "https://example.com");
        assert_eq!(parts.headers.len(), 1);
    }

    #[test]
    fn a_long_integer_in_a_request_is_malformed() {
        let section = [&[0xff][..], &[0x80; 12], &[1, 0]].concat();
        let head = [&[1, section.len() as u8][..], &section].concat();
        assert!(matches!(parse_head(&head), Err(StreamError::Malformed(_))));
    }

    #[test]
    fn http3_head() {
        let reserved = [&[0x21, 2, 0, 0][..], &session_request("/engine.io/")].concat();
        let plain = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")];
        let mut page = Vec::new();
        plain.into_iter().collect::<Headers>().generate_frame().write(&mut page).unwrap();
        let two_faults = [&request("/", &[("a b", "c"), ("d", "e\0f")])[..], &[0; 200]].concat();
        let open = session_request("/engine.io/?a=b");
        let seeds = [open, reserved, page, two_faults, vec![0x01, 0x80, 0, 0x20, 0]];
        fuzz::run("http3_head", 5000, &seeds, |head| {
            // Further bytes do not change what the first ones say.
            let whole = parse_head(head);
            for len in [head.len() / 2, head.len().saturating_sub(1)] {
                match (parse_head(&head[..len]), &whole) {
                    (Ok(None), _) | (Ok(Some(Head::Other)), Ok(Some(Head::Other))) => {}
                    (Ok(Some(Head::Session(short))), Ok(Some(Head::Session(whole)))) => {
                        assert_eq!(short.uri, whole.uri);
                    }
                    // Headers have no order, so the error may be about another one.
                    (Err(short), Err(whole)) => {
                        assert_eq!(discriminant(&short), discriminant(whole), "{short} {whole}");
                    }
                    _ => panic!("different"),
                }
            }
        });
    }
}
