//! Headers of frames, and the mask.

use crate::error::WebSocketError;

/// Length of the longest header in bytes: two bytes, an eight-byte length, and the mask.
pub const MAX_HEADER: usize = 14;

/// The first byte of an unfragmented text message.
pub const TEXT: u8 = FIN | Opcode::Text as u8;
/// The first byte of an unfragmented binary message.
pub const BINARY: u8 = FIN | Opcode::Binary as u8;
/// The first byte of a close frame.
pub const CLOSE: u8 = FIN | Opcode::Close as u8;
/// The first byte of a ping.
pub const PING: u8 = FIN | Opcode::Ping as u8;
/// The first byte of a pong.
pub const PONG: u8 = FIN | Opcode::Pong as u8;
/// The bit in the first byte of a compressed message (RFC 7692 section 6).
pub const COMPRESSED: u8 = 0x40;

/// The bit in the first byte of the last frame of a message.
const FIN: u8 = 0x80;
/// The bits in the first byte that no extension uses.
const RESERVED: u8 = 0x30;
/// The bit in the second byte of a masked frame.
const MASKED: u8 = 0x80;
/// Values in place of a length that follows in two or eight bytes, big-endian.
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// The first frame of a text message.
    Text = 1,
    /// The first frame of a binary message.
    Binary = 2,
    /// The sender closes the connection.
    Close = 8,
    /// A request for a pong.
    Ping = 9,
    /// The response to a ping.
    Pong = 10,
}

impl Opcode {
    /// Returns whether the frame is not part of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of the frame.
    pub opcode: Opcode,
    /// Whether the message ends with this frame.
    pub last: bool,
    /// Whether the frame begins a compressed message.
    pub compressed: bool,
    /// The mask of the payload, which clients use and servers do not.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload in bytes.
    pub payload_len: u64,
}

impl Header {
    /// Parses the header at the start of `bytes`. Returns it with its own length in bytes, or
    /// `None` if it is incomplete.
    ///
    /// # Errors
    ///
    /// Returns [`WebSocketError`] if a reserved bit is set or the opcode is unknown.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, WebSocketError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(WebSocketError::ReservedBits);
        }
        let opcode = match first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            unknown => return Err(WebSocketError::UnknownOpcode(unknown)),
        };
        let Some((masked, len, payload_len)) = read_length(rest) else { return Ok(None) };
        let mut len = 1 + len;
        let mut mask = None;
        if masked {
            mask = bytes.get(len..).and_then(|rest| rest.first_chunk().copied());
            if mask.is_none() {
                return Ok(None);
            }
            len += 4;
        }
        let (last, compressed) = (first & FIN != 0, first & COMPRESSED != 0);
        Ok(Some((Self { opcode, last, compressed, mask, payload_len }, len)))
    }
}

/// An encoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderBytes {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl AsRef<[u8]> for HeaderBytes {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Encodes the header of a frame with `payload_len` bytes. `first` is its first byte, for example
/// [`TEXT`] or `TEXT | COMPRESSED`.
///
/// ```
/// use engineio_parser::websocket::{TEXT, header};
///
/// assert_eq!(header(TEXT, 6, None).as_ref(), [0x81, 6]);
/// assert_eq!(header(TEXT, 256, Some([1, 2, 3, 4])).as_ref(), [0x81, 0xfe, 1, 0, 1, 2, 3, 4]);
/// ```
pub fn header(first: u8, payload_len: usize, mask: Option<[u8; 4]>) -> HeaderBytes {
    let mut bytes = [0; MAX_HEADER];
    let mut len = write_header(&mut bytes, first, payload_len);
    if let Some(mask) = mask
        && let Some(room) = bytes.get_mut(len..len + 4)
    {
        room.copy_from_slice(&mask);
        bytes[1] |= MASKED;
        len += 4;
    }
    HeaderBytes { bytes, len: len as u8 }
}

/// Encodes a whole frame. See [`header`] for `first`.
///
/// ```
/// use engineio_parser::websocket::{PONG, encode};
///
/// assert_eq!(encode(PONG, None, b"hi"), [0x8a, 2, b'h', b'i']);
/// ```
pub fn encode(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let header = header(first, payload.len(), mask);
    let mut frame = Vec::with_capacity(header.as_ref().len() + payload.len());
    frame.extend_from_slice(header.as_ref());
    frame.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(frame.get_mut(header.as_ref().len()..).unwrap_or_default(), mask);
    }
    frame
}

/// Applies a mask, which also removes it (section 5.3). Handles eight bytes at a time.
#[inline]
pub fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The length of the header of an unmasked frame.
pub(crate) fn header_len(payload_len: usize) -> usize {
    match payload_len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Writes the header of an unmasked frame to the start of `out`. Returns its length.
#[allow(clippy::indexing_slicing, reason = "every caller's buffer has room for its header")]
#[inline]
pub(crate) fn write_header(out: &mut [u8], first: u8, payload_len: usize) -> usize {
    out[0] = first;
    1 + write_length(&mut out[1..], payload_len)
}

/// Writes a length in one, three or nine bytes to the start of `out`. Returns their number. The
/// highest bit of the first byte stays clear.
#[allow(clippy::indexing_slicing, reason = "every caller's buffer has room for its header")]
#[inline]
pub(crate) fn write_length(out: &mut [u8], len: usize) -> usize {
    match len {
        0..=125 => {
            out[0] = len as u8;
            1
        }
        126..=0xffff => {
            out[0] = LEN_16;
            out[1..3].copy_from_slice(&(len as u16).to_be_bytes());
            3
        }
        _ => {
            out[0] = LEN_64;
            out[1..9].copy_from_slice(&(len as u64).to_be_bytes());
            9
        }
    }
}

/// Reads a length: whether the highest bit of its first byte is set, the number of its bytes, and
/// the length. `None` if it is incomplete.
pub(crate) fn read_length(bytes: &[u8]) -> Option<(bool, usize, u64)> {
    let (&first, rest) = bytes.split_first()?;
    let (size, len) = match first & 0x7f {
        LEN_16 => (3, u16::from_be_bytes(*rest.first_chunk()?).into()),
        LEN_64 => (9, u64::from_be_bytes(*rest.first_chunk()?)),
        len => (1, len.into()),
    };
    Some((first & 0x80 != 0, size, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_header_is_parsed() {
        for payload_len in [0, 125, 126, 0xffff, 0x1_0000, 1 << 40] {
            for mask in [None, Some([1, 2, 3, 4])] {
                for (first, opcode, last) in [
                    (TEXT, Opcode::Text, true),
                    (Opcode::Continuation as u8, Opcode::Continuation, false),
                    (BINARY | COMPRESSED, Opcode::Binary, true),
                    (CLOSE, Opcode::Close, true),
                    (PING, Opcode::Ping, true),
                    (PONG, Opcode::Pong, true),
                ] {
                    let bytes = header(first, payload_len, mask);
                    let bytes = bytes.as_ref();
                    let compressed = first & COMPRESSED != 0;
                    let payload_len = payload_len as u64;
                    let header = Header { opcode, last, compressed, mask, payload_len };
                    assert_eq!(Header::parse(bytes), Ok(Some((header, bytes.len()))));
                    for incomplete in 0..bytes.len() {
                        assert_eq!(Header::parse(&bytes[..incomplete]), Ok(None));
                    }
                }
            }
        }
    }

    #[test]
    fn reserved_bits_and_opcodes_are_refused() {
        assert_eq!(Header::parse(&[0xa1]), Err(WebSocketError::ReservedBits));
        assert_eq!(Header::parse(&[0x91]), Err(WebSocketError::ReservedBits));
        for opcode in [3, 7, 11, 15] {
            assert_eq!(Header::parse(&[opcode]), Err(WebSocketError::UnknownOpcode(opcode)));
        }
    }
}
