//! Bodies of HTTP long-polling: several packets in one request or response.
//!
//! - Revision 4: text packets joined by the byte `0x1e`. Binary data is always base64.
//! - Revision 3: each text packet follows its length, as in `5:4abcd`. If a packet is binary and
//!   the client has not asked for base64 (`b64`), the whole body is binary: for each packet a
//!   marker, the length as decimal digit values (bytes 0 to 9), `0xff`, and the packet.
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

mod reader;
mod v3;
mod v4;

use std::iter::FusedIterator;

use bytes::Bytes;
use bytestring::ByteString;

pub use self::reader::Reader;
use crate::{
    error::PayloadError,
    frame::Frame,
    packet::{Packet, PacketData, Revision},
};

/// An encoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The bytes.
    pub body: Bytes,
    /// `true` for `application/octet-stream`, `false` for `text/plain; charset=UTF-8`.
    pub binary: bool,
}

/// Encodes a body. `b64` is true if the client accepts only text. Revision 4 ignores it, because
/// its bodies are always text.
pub fn encode(revision: Revision, b64: bool, frames: &[Frame]) -> Payload {
    match revision {
        Revision::V4 => Payload { body: v4::encode(frames), binary: false },
        Revision::V3 if !b64 && frames.iter().any(Frame::is_binary) => {
            Payload { body: v3::encode_binary(frames), binary: true }
        }
        Revision::V3 => Payload { body: v3::encode_text(frames), binary: false },
    }
}

/// Returns the most bytes that a frame adds to a body. Use it to charge a byte budget before
/// encoding.
///
/// The sum over all frames equals the length of the body, with two exceptions: it counts a
/// separator after the last packet of revision 4, and up to two bytes too many per packet if a body
/// of revision 3 that could have been binary holds only text. Nothing is encoded; for the text form
/// of revision 3 the cost is one pass over the characters.
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

/// Decodes a body packet by packet. `binary` is true if the body came as
/// `application/octet-stream`.
///
/// The iterator ends after its first error. The packets before the error are valid.
///
/// Decoded data is copied, so that a small message does not keep a large body alive. Data of at
/// least half the body's length is a slice of the body instead.
///
/// # Errors
///
/// An item is a [`PayloadError`] if the body is empty, is cut off, has a wrong length or holds a
/// malformed packet.
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
            Some(Ok(Packet { data: PacketData::Text(text), .. }))
                if text.len() < self.body_len / 2 =>
            {
                *text = ByteString::from(&**text);
            }
            Some(Ok(_)) => {}
            // The end, or an error. `Done` also releases the body.
            _ => self.state = State::Done,
        }
        next
    }
}

impl FusedIterator for Packets {}
