//! Payloads of revision 3: each packet follows its length, in a text body or a binary body.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{
    error::PayloadError,
    frame::Frame,
    packet::{Packet, PacketType, Revision},
};

/// The most digits that a length may have. Node's parser has the same limit.
const MAX_DIGITS: usize = 310;

const MARKER_TEXT: u8 = 0;
const MARKER_BINARY: u8 = 1;
const END_OF_LENGTH: u8 = 0xff;

pub(super) fn encode_text(frames: &[Frame]) -> Bytes {
    if frames.is_empty() {
        return Bytes::from_static(b"0:");
    }
    let mut body = BytesMut::with_capacity(frames.iter().map(text_len).sum());
    for frame in frames {
        let packet = frame.polling_text(Revision::V3);
        put_digits(&mut body, utf16_len(&packet), b'0');
        body.put_u8(b':');
        body.put(packet);
    }
    body.freeze()
}

pub(super) fn encode_binary(frames: &[Frame]) -> Bytes {
    let mut body = BytesMut::with_capacity(frames.iter().map(binary_len).sum());
    for frame in frames {
        body.put_u8(if frame.is_binary() { MARKER_BINARY } else { MARKER_TEXT });
        // Both lengths count bytes. Node's encoder (utf8.js) makes one character of each UTF-8
        // byte, then counts the characters.
        put_digits(&mut body, binary_packet_len(frame), 0);
        body.put_u8(END_OF_LENGTH);
        if frame.is_binary() {
            body.put_u8(PacketType::Message as u8);
        }
        body.put(frame.payload());
    }
    body.freeze()
}

pub(super) fn text_len(frame: &Frame) -> usize {
    let len = frame.polling_len(Revision::V3);
    let units = if frame.is_binary() { len } else { utf16_len(&frame.payload()) };
    digits(units) + 1 + len
}

pub(super) fn binary_len(frame: &Frame) -> usize {
    let len = binary_packet_len(frame);
    1 + digits(len) + 1 + len
}

#[derive(Debug)]
pub(super) struct TextDecoder {
    rest: Bytes,
}

impl TextDecoder {
    pub(super) fn new(rest: Bytes) -> Self {
        Self { rest }
    }

    pub(super) fn next(&mut self) -> Option<Result<Packet, PayloadError>> {
        // Empty packets carry no data and are skipped.
        while !self.rest.is_empty() {
            match self.take_packet() {
                Ok(text) if text.is_empty() => {}
                Ok(text) => {
                    return Some(Packet::decode_text(text, Revision::V3).map_err(Into::into));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }

    fn take_packet(&mut self) -> Result<ByteString, PayloadError> {
        let units = take_length(&mut self.rest, b':', b'0')?;
        let len = bytes_of_units(&self.rest, units).ok_or(PayloadError::LengthMismatch)?;
        self.rest.split_to(len).try_into().map_err(|_| PayloadError::InvalidUtf8)
    }
}

#[derive(Debug)]
pub(super) struct BinaryDecoder {
    rest: Bytes,
    body_len: usize,
}

impl BinaryDecoder {
    pub(super) fn new(rest: Bytes) -> Self {
        let body_len = rest.len();
        Self { rest, body_len }
    }

    pub(super) fn next(&mut self) -> Option<Result<Packet, PayloadError>> {
        (!self.rest.is_empty()).then(|| self.take_packet())
    }

    fn take_packet(&mut self) -> Result<Packet, PayloadError> {
        let marker = self.rest.get_u8();
        let len = take_length(&mut self.rest, END_OF_LENGTH, 0)?;
        if len > self.rest.len() {
            return Err(PayloadError::LengthMismatch);
        }
        let packet = self.rest.split_to(len);
        Ok(match marker {
            MARKER_TEXT => Packet::decode_text(utf8_js(packet)?, Revision::V3)?,
            MARKER_BINARY => {
                let small = len < self.body_len / 2;
                let packet = if small { Bytes::copy_from_slice(&packet) } else { packet };
                Packet::decode_binary(packet, Revision::V3)?
            }
            _ => return Err(PayloadError::UnknownMarker(marker)),
        })
    }
}

/// Takes a decimal length and the byte `end` after it. `zero` is the byte for the digit 0.
fn take_length(rest: &mut Bytes, end: u8, zero: u8) -> Result<usize, PayloadError> {
    let digits = rest
        .iter()
        .take(MAX_DIGITS + 1)
        .position(|&byte| byte == end)
        .filter(|&digits| digits > 0)
        .ok_or(PayloadError::InvalidLength)?;
    let mut length = 0_usize;
    for byte in rest.split_to(digits) {
        let digit = byte.wrapping_sub(zero);
        if digit > 9 {
            return Err(PayloadError::InvalidLength);
        }
        // No body is `usize::MAX` bytes long, so a saturated length fails the length check.
        length = length.saturating_mul(10).saturating_add(digit.into());
    }
    rest.advance(1);
    Ok(length)
}

/// Returns the number of bytes at the start of `text` that make `units` UTF-16 code units. `None`
/// if the text is too short, or if the last unit would end within a character. Reads only these
/// bytes; the caller checks that they are UTF-8.
fn bytes_of_units(text: &[u8], units: usize) -> Option<usize> {
    let (mut bytes, mut left) = (0_usize, units);
    while left > 0 {
        let (len, units) = match text.get(bytes)? {
            0x00..=0x7f => (1, 1),
            0x80..=0xdf => (2, 1),
            0xe0..=0xef => (3, 1),
            0xf0..=0xff => (4, 2),
        };
        bytes += len;
        left = left.checked_sub(units)?;
    }
    (bytes <= text.len()).then_some(bytes)
}

/// Returns the number of UTF-16 code units of a UTF-8 text: two per character of four bytes, one
/// per other character.
fn utf16_len(text: &[u8]) -> usize {
    text.iter().map(|&byte| usize::from(byte & 0xc0 != 0x80) + usize::from(byte >= 0xf0)).sum()
}

/// Decodes text as utf8.js does in its lenient mode: an encoded surrogate, which is not valid
/// UTF-8, becomes U+FFFD.
fn utf8_js(bytes: Bytes) -> Result<ByteString, PayloadError> {
    if let Ok(text) = ByteString::try_from(bytes.clone()) {
        return Ok(text);
    }
    let (mut text, mut rest) = (String::with_capacity(bytes.len()), &bytes[..]);
    loop {
        let valid = rest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        text.push_str(valid);
        rest = rest.get(valid.len()..).unwrap_or_default();
        match rest {
            [] => return Ok(text.into()),
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => {
                text.push(char::REPLACEMENT_CHARACTER);
                rest = after;
            }
            _ => return Err(PayloadError::InvalidUtf8),
        }
    }
}

fn binary_packet_len(frame: &Frame) -> usize {
    frame.len() + usize::from(frame.is_binary())
}

fn digits(length: usize) -> usize {
    length.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn put_digits(body: &mut BytesMut, length: usize, zero: u8) {
    for digit in length.to_string().bytes() {
        body.put_u8(digit - b'0' + zero);
    }
}
