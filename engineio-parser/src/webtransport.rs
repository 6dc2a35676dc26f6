//! Packets on a WebTransport stream. Each packet follows a header with its length, as in WebSocket.
//!
//! The highest bit of the first byte says whether the packet is binary. The other bits are the
//! length of the packet; the values `126` and `127` mean that the length follows in two or eight
//! bytes, big-endian. WebTransport exists in revision 4 only.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    error::FramingError,
    frame::{Frame, WireFrame},
    packet::{Packet, Revision},
    websocket::{read_length, write_length},
};

const BINARY: u8 = 0x80;

/// The bytes before a packet: its length and whether it is binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; 9],
    len: u8,
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Builds the header of a packet of `len` bytes. The digit of a text packet counts.
///
/// ```
/// use engineio_parser::webtransport;
///
/// assert_eq!(webtransport::header(6, false).as_ref(), [6]);
/// assert_eq!(webtransport::header(256, true).as_ref(), [0x80 | 126, 1, 0]);
/// ```
pub fn header(len: usize, binary: bool) -> Header {
    let mut bytes = [0; 9];
    let header_len = write_length(&mut bytes, len) as u8;
    if binary {
        bytes[0] |= BINARY;
    }
    Header { bytes, len: header_len }
}

/// Returns the header and the packet to write for a frame.
///
/// The framing has no empty packets. An empty binary message is therefore sent as text, in base64.
///
/// ```
/// use engineio_parser::{Frame, PacketType, webtransport};
///
/// let (header, packet) = webtransport::encode(&Frame::text(PacketType::Message, "hi"));
/// assert_eq!([header.as_ref(), &packet].concat(), b"\x034hi");
/// ```
pub fn encode(frame: &Frame) -> (Header, Bytes) {
    let binary = frame.is_binary() && !frame.is_empty();
    let packet = if binary { frame.payload() } else { frame.polling_text(Revision::V4) };
    (header(packet.len(), binary), packet)
}

/// Like [`encode`], as one value.
pub fn wire_frame(frame: &Frame) -> WireFrame {
    let (header, packet) = encode(frame);
    WireFrame::new(header.as_ref(), packet)
}

/// Decodes packets from a stream that arrives in chunks of any size.
///
/// Memory is bounded by `max_payload` and the largest chunk, provided that after each
/// [`push`](Self::push) the caller calls [`next`](Self::next) until it returns `None`. Bytes that
/// are only announced are not allocated.
///
/// ```
/// use engineio_parser::{FramingError, Packet, webtransport::Decoder};
///
/// let mut decoder = Decoder::new(1_000_000);
/// decoder.push(b"\x034h");
/// assert_eq!(decoder.next()?, None);
/// decoder.push(b"i");
/// assert_eq!(decoder.next()?, Some(Packet::message("hi")));
/// # Ok::<(), FramingError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_payload: u64,
    buffer: BytesMut,
    failed: bool,
}

impl Decoder {
    /// Creates a decoder that accepts packets of up to `max_payload` bytes.
    pub fn new(max_payload: u64) -> Self {
        Self { max_payload, buffer: BytesMut::new(), failed: false }
    }

    /// Sets the limit for packets whose header is decoded from now on. For a server that expects
    /// a small first packet.
    pub fn set_max_payload(&mut self, max_payload: u64) {
        self.max_payload = max_payload;
    }

    /// Returns the number of bytes that were pushed and not decoded yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Appends a chunk of the stream. After an error the chunk is dropped.
    pub fn push(&mut self, chunk: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// Returns the next packet. `None` if more bytes must arrive first.
    ///
    /// # Errors
    ///
    /// Returns [`FramingError`] if a packet is empty, too long (known as soon as its header has
    /// arrived) or malformed. After an error there are no more packets, and the caller must close
    /// the stream.
    #[expect(clippy::should_implement_trait, reason = "`None` does not end the stream")]
    pub fn next(&mut self) -> Result<Option<Packet>, FramingError> {
        let next = self.take_packet();
        if next.is_err() {
            self.failed = true;
        }
        if self.failed || self.buffer.is_empty() {
            // An idle stream keeps no memory.
            self.buffer = BytesMut::new();
        }
        next
    }

    fn take_packet(&mut self) -> Result<Option<Packet>, FramingError> {
        let Some((binary, header_len, len)) = read_length(&self.buffer) else {
            return Ok(None);
        };
        if len == 0 {
            return Err(FramingError::Empty);
        }
        let too_long = FramingError::TooLong { len, max_payload: self.max_payload };
        if len > self.max_payload {
            return Err(too_long);
        }
        let len = usize::try_from(len).map_err(|_| too_long)?;
        let Some(packet) = self.buffer.get(header_len..header_len.saturating_add(len)) else {
            return Ok(None);
        };
        // A copy of exactly the packet's size. A slice would keep the whole buffer in memory.
        let packet = Bytes::copy_from_slice(packet);
        self.buffer.advance(header_len + len);
        Ok(Some(if binary {
            Packet::decode_binary(packet, Revision::V4)?
        } else {
            let text = packet.try_into().map_err(|_| FramingError::InvalidUtf8)?;
            Packet::decode_text(text, Revision::V4)?
        }))
    }
}
