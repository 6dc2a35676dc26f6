//! Bodies of HTTP long-polling: several packets in one request or response.
//!
//! - Revision 4: text packets joined by the byte `0x1e`; binary is base64, always.
//! - Revision 3: each text packet behind its length, `5:4abcd`. Where a packet is binary and the client has not asked for
//!   base64 (`b64`), the whole body is binary: marker, length digits as bytes, `0xff`, packet.
//!
//! ```
//! use engineio_parser::{Frame, PacketType, Revision, payload};
//!
//! let frames = [Frame::text(PacketType::Message, "a"), Frame::binary(vec![1].into())];
//! assert_eq!(payload::encode(Revision::V4, false, &frames).body, "4a\x1ebAQ==");
//! assert_eq!(payload::encode(Revision::V3, true, &frames).body, "2:4a6:b4AQ==");
//!
//! let binary = payload::encode(Revision::V3, false, &frames);
//! assert!(binary.binary);
//! assert_eq!(binary.body, &b"\x00\x02\xff4a\x01\x02\xff\x04\x01"[..]);
//! ```

mod v3;
mod v4;

use std::iter::FusedIterator;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    error::PayloadError,
    frame::Frame,
    packet::{Data, Packet, Revision},
};

/// A body as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The bytes.
    pub body: Bytes,
    /// Whether the body is binary (`application/octet-stream`) or UTF-8 text (`text/plain; charset=UTF-8`).
    pub binary: bool,
}

/// Encodes a body. `b64` is whether the client asked for text only; revision 4 has nothing else.
pub fn encode(revision: Revision, b64: bool, frames: &[Frame]) -> Payload {
    match revision {
        Revision::V4 => Payload { body: v4::encode(frames), binary: false },
        Revision::V3 if !b64 && frames.iter().any(Frame::is_binary) => {
            Payload { body: v3::encode_binary(frames), binary: true }
        }
        Revision::V3 => Payload { body: v3::encode_text(frames), binary: false },
    }
}

/// How many bytes a frame adds to a body, at most: what a byte budget is charged before anything is encoded.
///
/// The sum over all frames is exact, but for the separator that the last packet of revision 4 does not need, and for
/// a body of revision 3 that could have been binary but holds only text (its framing is up to two bytes per packet
/// shorter). Costs no encoding; in the text form of revision 3 it counts the characters.
///
/// ```
/// use engineio_parser::{Frame, PacketType, Revision, payload};
///
/// let frame = Frame::text(PacketType::Message, "hello");
/// assert_eq!(payload::encoded_len(&frame, Revision::V4, false), "4hello\x1e".len());
/// assert_eq!(payload::encoded_len(&frame, Revision::V3, true), "6:4hello".len());
/// ```
pub fn encoded_len(frame: &Frame, revision: Revision, b64: bool) -> usize {
    match revision {
        Revision::V4 => v4::encoded_len(frame),
        Revision::V3 if b64 => v3::text_len(frame),
        Revision::V3 => v3::binary_len(frame),
    }
}

/// Decodes a body packet by packet. `binary` is whether it came as `application/octet-stream`.
///
/// The iterator ends after its first error; the packets before it are good.
///
/// What a packet carries is memory of its own, so that a small message does not keep a large body alive; only data that
/// makes up half of the body, or more, is a slice of it.
///
/// # Errors
///
/// Items are [`PayloadError`]s where the body is empty, is cut off, has a wrong length or holds a malformed packet.
///
/// ```
/// use bytes::Bytes;
/// use engineio_parser::{Packet, PacketError, PayloadError, Revision, payload};
///
/// let mut packets = payload::decode(Revision::V4, Bytes::from_static(b"4a\x1e9\x1e4b"), false);
/// assert_eq!(packets.next(), Some(Ok(Packet::message("a"))));
/// assert_eq!(packets.next(), Some(Err(PayloadError::Packet(PacketError::UnknownType(b'9')))));
/// assert_eq!(packets.next(), None);
/// ```
pub fn decode(revision: Revision, body: Bytes, binary: bool) -> Packets {
    let body_len = body.len();
    let state = match (revision, binary) {
        _ if body.is_empty() => State::Failed(PayloadError::Empty),
        (Revision::V4, true) => State::Failed(PayloadError::UnexpectedBinary),
        (Revision::V4, false) => State::V4(v4::Decoder::new(body)),
        (Revision::V3, true) => State::V3Binary(v3::BinaryDecoder::new(body)),
        (Revision::V3, false) => State::V3Text(v3::TextDecoder::new(body)),
    };
    Packets { state, body_len }
}

/// The packets of a body. See [`decode`].
#[derive(Debug)]
pub struct Packets {
    state: State,
    body_len: usize,
}

#[derive(Debug)]
enum State {
    V4(v4::Decoder),
    V3Text(v3::TextDecoder),
    V3Binary(v3::BinaryDecoder),
    Failed(PayloadError),
    Done,
}

impl Iterator for Packets {
    type Item = Result<Packet, PayloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut next = match &mut self.state {
            State::V4(decoder) => decoder.next(),
            State::V3Text(decoder) => decoder.next(),
            State::V3Binary(decoder) => decoder.next(),
            State::Failed(error) => Some(Err(*error)),
            State::Done => None,
        };
        match &mut next {
            Some(Ok(Packet { data: Data::Text(text), .. })) if text.len() < self.body_len / 2 => {
                *text = ByteString::from(&**text);
            }
            Some(Ok(_)) => {}
            // Also lets go of the body.
            _ => self.state = State::Done,
        }
        next
    }
}

impl FusedIterator for Packets {}
