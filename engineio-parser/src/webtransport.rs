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

/// Returns whether the bytes are a QPACK field section (RFC 9204, section 4.5) of complete field
/// lines, none of which refers to the dynamic table, with integers of at most five bytes.
///
/// Check the HEADERS frames of a peer with this function before you pass them to a decoder. No field
/// section needs longer integers.
///
/// ```
/// use engineio_parser::webtransport::is_field_section;
///
/// assert!(is_field_section(&[0, 0, 0xc0 | 15])); // :method CONNECT
/// assert!(!is_field_section(&[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0]));
/// ```
pub fn is_field_section(bytes: &[u8]) -> bool {
    field_lines(bytes).is_some()
}

fn field_lines(mut bytes: &[u8]) -> Option<()> {
    let bytes = &mut bytes;
    prefixed_integer(bytes, 8)?;
    prefixed_integer(bytes, 7)?;
    while let Some(first) = bytes.first() {
        match first.leading_zeros() {
            // A line of the static table.
            0 => _ = prefixed_integer(bytes, 6)?,
            // The name of a line of the static table, and a value.
            1 => {
                prefixed_integer(bytes, 4)?;
                skip_string(bytes, 7)?;
            }
            2 => {
                skip_string(bytes, 3)?;
                skip_string(bytes, 7)?;
            }
            _ => return None,
        }
    }
    Some(())
}

/// Reads an integer of which the first byte has `bits` bits (RFC 7541, section 5.1).
fn prefixed_integer(bytes: &mut &[u8], bits: u32) -> Option<usize> {
    let (first, mut rest) = bytes.split_first()?;
    let mask = (1 << bits) - 1;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        let mut shifts = [0, 7, 14, 21].into_iter();
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            value += usize::from(byte & 0x7f) << shifts.next()?;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *bytes = rest;
    Some(value)
}

fn skip_string(bytes: &mut &[u8], bits: u32) -> Option<()> {
    let len = prefixed_integer(bytes, bits)?;
    *bytes = bytes.get(len..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_section_has_complete_lines() {
        let section = [0, 0, 0xcf, 0x51, 2, b'/', b'?', 0x21, b'n', 1, b'v'];
        let ends = [2, 3, 7, 11];
        for len in 0..=section.len() {
            assert_eq!(is_field_section(&section[..len]), ends.contains(&len), "{len} bytes");
        }
        assert!(!is_field_section(&[0, 0, 0x10]), "a line of the dynamic table");
    }

    #[test]
    fn a_field_section_with_a_long_integer_is_refused() {
        let section = |more| [&[0xff][..], &vec![0x80; more], &[1, 0]].concat();
        assert!(is_field_section(&section(3)));
        assert!(!is_field_section(&section(4)));
        let line = |more| [&[0, 0, 0xff][..], &vec![0x80; more], &[1]].concat();
        assert!(is_field_section(&line(3)));
        assert!(!is_field_section(&line(4)));
    }
}
