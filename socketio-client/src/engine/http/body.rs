//! The body of a GET response, read on demand.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use engineio_parser::{
    OpenPacket, Packet, PacketData, PacketType, PayloadError, Revision,
    payload::{self, Packets, Reader},
};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::response::Connection;
use crate::engine::{
    dial::BoxStream,
    error::{EngineError, RequestError},
};

/// A body and its connection.
pub(in crate::engine) struct Body {
    connection: Connection,
    incoming: Incoming,
    /// Whether the content type is binary.
    binary: bool,
    content: Content,
    /// Whether a chunk has arrived since the last check.
    filled: bool,
    ended: bool,
    /// The time limit of the next chunk.
    timeout: Option<Duration>,
    waiting: Option<Pin<Box<Sleep>>>,
}

enum Content {
    /// Each packet is available as soon as it is complete.
    Pieces(Reader),
    /// The complete body is needed: for a handshake, or in revision 3.
    Collected {
        bytes: Vec<u8>,
        limit: usize,
        revision: Revision,
    },
    Whole(Packets),
}

/// Why a body yields no more packets.
#[derive(Debug)]
pub(in crate::engine) enum BodyError {
    /// The body contains an invalid packet.
    Malformed,
    Failed(EngineError),
}

impl Body {
    pub(in crate::engine) fn new(connection: Connection, incoming: Incoming, binary: bool) -> Self {
        let content = Content::Pieces(Reader::new(0));
        Self {
            connection,
            incoming,
            binary,
            content,
            filled: false,
            ended: false,
            timeout: None,
            waiting: None,
        }
    }

    /// Limits the time without new data.
    pub(in crate::engine) fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Limits each packet to `limit` bytes, for an open session.
    pub(in crate::engine) fn of_session(mut self, revision: Revision, limit: usize) -> Self {
        if revision == Revision::V3 {
            return self.of_handshake(revision, limit);
        }
        self.content = match self.binary {
            // Revision 4 has no binary bodies, so any content is an error.
            true => Content::Whole(payload::decode(revision, Bytes::new(), true)),
            false => Content::Pieces(Reader::new(limit)),
        };
        self
    }

    /// Limits the whole body to `limit` bytes.
    pub(in crate::engine) fn of_handshake(mut self, revision: Revision, limit: usize) -> Self {
        self.content = Content::Collected { bytes: Vec::new(), limit, revision };
        self
    }

    /// Returns the next packet, or `None` after the last. After an error the body must not be used.
    pub(in crate::engine) fn poll_packet(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Packet>, BodyError>> {
        loop {
            let next = match &mut self.content {
                Content::Pieces(reader) => reader.next_packet(),
                Content::Whole(packets) => packets.next(),
                Content::Collected { .. } => None,
            };
            match next {
                Some(Ok(packet)) => return Poll::Ready(Ok(Some(packet))),
                Some(Err(PayloadError::TooLong { max_payload: limit })) => {
                    return Poll::Ready(Err(failed(RequestError::TooLarge { limit })));
                }
                Some(Err(_)) => return Poll::Ready(Err(BodyError::Malformed)),
                None if self.ended => return Poll::Ready(Ok(None)),
                None => {}
            }
            let piece = ready!(self.poll_piece(cx)).map_err(failed)?;
            self.ended = piece.is_none();
            self.take_in(piece)?;
        }
    }

    /// Returns whether data has arrived since the last call.
    pub(in crate::engine) fn take_filled(&mut self) -> bool {
        std::mem::take(&mut self.filled)
    }

    /// Returns the stream for another request, after the body was read to its end. Returns `None` if
    /// the server closes the connection.
    pub(in crate::engine) fn into_stream(self, cx: &mut Context<'_>) -> Option<BoxStream> {
        self.connection.into_stream(cx)
    }

    fn take_in(&mut self, piece: Option<Bytes>) -> Result<(), BodyError> {
        match (&mut self.content, piece) {
            (Content::Pieces(reader), Some(piece)) => reader.push(piece),
            (Content::Pieces(reader), None) => reader.finish(),
            (Content::Collected { bytes, limit, .. }, Some(piece)) => {
                let limit = *limit;
                // Chunks are copied. Each is a slice of a read buffer, so many tiny ones would
                // retain more memory than they use.
                if piece.len() > limit - bytes.len() {
                    return Err(failed(RequestError::TooLarge { limit }));
                }
                bytes.extend_from_slice(&piece);
            }
            (Content::Collected { bytes, revision, .. }, None) => {
                let (bytes, revision) = (Bytes::from(std::mem::take(bytes)), *revision);
                if revision == Revision::V4 && opens_revision_3(&bytes, self.binary) {
                    return Err(BodyError::Failed(EngineError::Unsupported));
                }
                self.content = Content::Whole(payload::decode(revision, bytes, self.binary));
            }
            (Content::Whole(_), _) => {}
        }
        Ok(())
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RequestError>> {
        let incoming = &mut self.incoming;
        let frame = self.connection.poll_with(cx, |cx| Pin::new(&mut *incoming).poll_frame(cx));
        let Poll::Ready(frame) = frame else {
            let Some(timeout) = self.timeout else { return Poll::Pending };
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(timeout)));
            ready!(waiting.as_mut().poll(cx));
            return Poll::Ready(Err(RequestError::Timeout(timeout)));
        };
        self.waiting = None;
        self.filled = true;
        Poll::Ready(match frame {
            None => Ok(None),
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => Err(RequestError::broken(error)),
        })
    }
}

fn failed(error: RequestError) -> BodyError {
    BodyError::Failed(EngineError::Polling(error))
}

fn opens_revision_3(bytes: &Bytes, binary: bool) -> bool {
    let first = payload::decode(Revision::V3, bytes.clone(), binary).next();
    match first {
        Some(Ok(Packet { kind: PacketType::Open, data: PacketData::Text(text) })) => {
            OpenPacket::decode(&text).is_ok()
        }
        _ => false,
    }
}
