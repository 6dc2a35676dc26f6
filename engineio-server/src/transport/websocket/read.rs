//! Decoding of WebSocket messages (RFC 6455 sections 5.2 to 5.6), with tungstenite's frame headers.
//!
//! tungstenite's own message reader reserves what a header announces and never frees its largest
//! buffer. This reader gets its bytes in a buffer that all connections share, and copies each
//! complete message once, to a buffer of exactly its size. An idle connection owns no buffer. Every
//! limit is checked on the header, before the payload arrives.

use std::{io::Cursor, mem};

use bytes::Bytes;
use engineio_parser::ByteString;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

use super::{deflate::Inflate, error::ReadError};
use crate::turn::Turn;

/// Length of the longest header: two bytes, an eight-byte length, and the mask.
const LONGEST_HEADER: usize = 14;

/// A message or control frame from a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(ByteString),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    Close(Option<u16>),
}

/// Decodes the masked frames of a client.
#[derive(Debug)]
pub(crate) struct Reader {
    max_payload: usize,
    max_fragments: u32,
    /// The bytes of an incomplete header.
    head: Vec<u8>,
    /// The frame whose payload is arriving.
    frame: Option<OpenFrame>,
    /// The message whose fragments are arriving.
    message: Option<Fragments>,
    /// Set if compression was negotiated.
    pub(crate) inflate: Option<Box<Inflate>>,
}

#[derive(Debug)]
struct OpenFrame {
    opcode: OpCode,
    last: bool,
    compressed: bool,
    mask: [u8; 4],
    missing: usize,
    payload: Vec<u8>,
}

#[derive(Debug)]
struct Fragments {
    text: bool,
    compressed: bool,
    frames: u32,
    payload: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(max_payload: usize, max_fragments: u32) -> Self {
        Self {
            max_payload,
            max_fragments,
            head: Vec::new(),
            frame: None,
            message: None,
            inflate: None,
        }
    }

    /// Decodes bytes and reports every message that they complete, until the turn is over. Returns
    /// how many bytes were decoded. Payloads are unmasked in place.
    pub(crate) fn feed(
        &mut self,
        input: &mut [u8],
        turn: &mut Turn,
        mut report: impl FnMut(Incoming),
    ) -> Result<usize, ReadError> {
        let len = input.len();
        let mut input = input;
        loop {
            if self.frame.is_none() {
                if turn.is_over() {
                    return Ok(len - input.len());
                }
                let Some(header_len) = self.open_frame(input)? else {
                    return Ok(len);
                };
                turn.bytes(header_len);
                input = &mut mem::take(&mut input)[header_len..];
            }
            let Some(mut frame) = self.frame.take() else {
                return Ok(len);
            };
            let available = frame.missing.min(input.len());
            let (payload, rest) = mem::take(&mut input).split_at_mut(available);
            unmask(payload, frame.mask);
            turn.bytes(available);
            input = rest;
            frame.missing -= available;
            if frame.missing > 0 {
                frame.mask.rotate_left(available % 4);
                frame.payload.extend_from_slice(payload);
                self.frame = Some(frame);
                return Ok(len);
            }
            turn.packet();
            if let Some(incoming) = self.close_frame(frame, payload, turn)? {
                report(incoming);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn in_text(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.text)
    }

    /// Parses a header and checks all limits on it. Returns how many bytes of `input` belong to it,
    /// or `None` if it is incomplete.
    fn open_frame(&mut self, input: &[u8]) -> Result<Option<usize>, ReadError> {
        let kept = self.head.len();
        let parsed = if kept == 0 {
            parse_header(input)?
        } else {
            let wanted = LONGEST_HEADER.saturating_sub(kept);
            self.head.extend_from_slice(&input[..input.len().min(wanted)]);
            parse_header(&self.head)?
        };
        let Some((header, length, header_len)) = parsed else {
            if kept == 0 {
                self.head.extend_from_slice(input);
            }
            return Ok(None);
        };
        self.head = Vec::new();
        let length = usize::try_from(length).map_err(|_| ReadError::TooLarge)?;
        self.check(&header, length)?;
        let Some(mask) = header.mask else {
            return Err(ReadError::Protocol);
        };
        self.frame = Some(OpenFrame {
            opcode: header.opcode,
            last: header.is_final,
            compressed: header.rsv1,
            mask,
            missing: length,
            payload: Vec::new(),
        });
        Ok(Some(header_len - kept))
    }

    fn check(&self, header: &FrameHeader, length: usize) -> Result<(), ReadError> {
        // RFC 7692 section 6: only the first frame of a message says whether it is compressed.
        let first = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        if header.rsv1 && !(first && self.inflate.is_some()) || header.rsv2 || header.rsv3 {
            return Err(ReadError::Protocol);
        }
        match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                Err(ReadError::Protocol)
            }
            OpCode::Control(_) if !header.is_final || length > 125 => Err(ReadError::Protocol),
            OpCode::Control(_) => Ok(()),
            OpCode::Data(data) => {
                if (data == Data::Continue) != self.message.is_some() {
                    return Err(ReadError::Protocol);
                }
                let (frames, bytes) =
                    self.message.as_ref().map_or((0, 0), |open| (open.frames, open.payload.len()));
                if length > self.max_payload.saturating_sub(bytes) {
                    return Err(ReadError::TooLarge);
                }
                if frames >= self.max_fragments {
                    return Err(ReadError::Fragments);
                }
                Ok(())
            }
        }
    }

    /// Handles a complete frame. Its payload is the part stored in `frame` followed by `tail`.
    fn close_frame(
        &mut self,
        frame: OpenFrame,
        tail: &[u8],
        turn: &mut Turn,
    ) -> Result<Option<Incoming>, ReadError> {
        let data = match frame.opcode {
            OpCode::Control(control) => {
                let payload = concat(frame.payload, tail);
                return match control {
                    Control::Ping => Ok(Some(Incoming::Ping(payload.into()))),
                    Control::Pong => Ok(Some(Incoming::Pong)),
                    Control::Close => parse_close(&payload).map(Some),
                    Control::Reserved(_) => Err(ReadError::Protocol),
                };
            }
            OpCode::Data(data) => data,
        };
        if let Some(message) = &mut self.message {
            message.frames += 1;
            message.payload.extend_from_slice(&frame.payload);
            message.payload.extend_from_slice(tail);
            if !frame.last {
                return Ok(None);
            }
            return match self.message.take() {
                Some(message) if message.compressed => {
                    let payload = self.inflated(&message.payload, turn)?;
                    to_message(message.text, payload).map(Some)
                }
                Some(message) => {
                    turn.bytes(message.payload.len().saturating_sub(tail.len()));
                    to_message(message.text, message.payload).map(Some)
                }
                None => Ok(None),
            };
        }
        let text = data == Data::Text;
        let compressed = frame.compressed;
        if frame.last && compressed && frame.payload.is_empty() {
            return to_message(text, self.inflated(tail, turn)?).map(Some);
        }
        // The part that arrived in earlier turns is decoded in this one.
        turn.bytes(frame.payload.len());
        let payload = concat(frame.payload, tail);
        if !frame.last {
            self.message = Some(Fragments { text, compressed, frames: 1, payload });
            return Ok(None);
        }
        let payload = if compressed { self.inflated(&payload, turn)? } else { payload };
        to_message(text, payload).map(Some)
    }

    fn inflated(&mut self, payload: &[u8], turn: &mut Turn) -> Result<Vec<u8>, ReadError> {
        let inflate = self.inflate.as_mut().ok_or(ReadError::Protocol)?;
        let message = inflate.message(payload, self.max_payload)?;
        turn.inflated(message.len());
        Ok(message)
    }
}

/// Parses the header at the start of `bytes`. Returns it with the length of its payload and its own
/// length.
fn parse_header(bytes: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, ReadError> {
    let mut cursor = Cursor::new(bytes);
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| ReadError::Protocol)?;
    let header_len = cursor.position() as usize;
    Ok(parsed.map(|(header, length)| (header, length, header_len)))
}

fn concat(mut kept: Vec<u8>, tail: &[u8]) -> Vec<u8> {
    kept.extend_from_slice(tail);
    kept
}

fn to_message(text: bool, payload: Vec<u8>) -> Result<Incoming, ReadError> {
    // Shrink the buffer to its content, because the application may keep the message.
    let payload = payload.into_boxed_slice().into_vec();
    if text {
        let text = String::from_utf8(payload).map_err(|_| ReadError::Utf8)?;
        Ok(Incoming::Text(text.into()))
    } else {
        Ok(Incoming::Binary(payload.into()))
    }
}

fn parse_close(payload: &[u8]) -> Result<Incoming, ReadError> {
    match payload {
        [] => Ok(Incoming::Close(None)),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !CloseCode::from(code).is_allowed() {
                return Err(ReadError::Protocol);
            }
            std::str::from_utf8(reason).map_err(|_| ReadError::Utf8)?;
            Ok(Incoming::Close(Some(code)))
        }
        [_] => Err(ReadError::Protocol),
    }
}

/// Removes the mask, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = vec![first];
        match payload.len() {
            len @ 0..=125 => out.push(0x80 | len as u8),
            len @ 126..=0xffff => {
                out.push(0x80 | 126);
                out.extend((len as u16).to_be_bytes());
            }
            len => {
                out.push(0x80 | 127);
                out.extend((len as u64).to_be_bytes());
            }
        }
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    fn read(reader: &mut Reader, bytes: &[u8], chunk: usize) -> Result<Vec<Incoming>, ReadError> {
        let mut out = Vec::new();
        for part in bytes.chunks(chunk) {
            reader.feed(&mut part.to_vec(), &mut Turn::endless(), |incoming| out.push(incoming))?;
        }
        Ok(out)
    }

    fn reader() -> Reader {
        Reader::new(100_000, 4)
    }

    #[test]
    fn messages_do_not_depend_on_the_size_of_reads() {
        let big = vec![7; 70_000];
        let mut bytes = masked(0x81, b"hello");
        bytes.extend(masked(0x02, &big[..200]));
        bytes.extend(masked(0x89, b"hi"));
        bytes.extend(masked(0x80, &big[200..]));
        bytes.extend(masked(0x82, b""));
        bytes.extend(masked(0x8a, b""));
        bytes.extend(masked(0x88, &[3, 232]));
        for chunk in [1, 2, 3, 7, 64, 1000, bytes.len()] {
            let mut reader = reader();
            let got = read(&mut reader, &bytes, chunk).unwrap();
            assert_eq!(
                got,
                [
                    Incoming::Text("hello".into()),
                    Incoming::Ping("hi".into()),
                    Incoming::Binary(big.clone().into()),
                    Incoming::Binary(Bytes::new()),
                    Incoming::Pong,
                    Incoming::Close(Some(1000)),
                ],
                "in chunks of {chunk}"
            );
            assert!(reader.frame.is_none() && reader.message.is_none());
            assert_eq!(reader.head.capacity(), 0, "an idle reader owns no buffer");
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_announced_length() {
        let header = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x86, 0xa1, 0, 0, 0, 0]; // 100 001 bytes
        assert_eq!(read(&mut reader(), &header, 14), Err(ReadError::TooLarge));
        let mut bytes = masked(0x02, &[0; 60_000]);
        bytes.extend(&masked(0x80, &[0; 60_000])[..8]);
        assert_eq!(read(&mut reader(), &bytes, 4096), Err(ReadError::TooLarge));
        let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(read(&mut reader(), &huge, 14), Err(ReadError::TooLarge));
    }

    #[test]
    fn a_flood_of_empty_fragments_is_refused() {
        let mut bytes = masked(0x01, b"");
        for _ in 0..4 {
            bytes.extend(masked(0x00, b""));
        }
        assert_eq!(read(&mut reader(), &bytes, bytes.len()), Err(ReadError::Fragments));
    }

    #[test]
    fn malformed_frames_are_refused() {
        let unmasked = vec![0x81, 0x01, b'x'];
        let cases = [
            (unmasked, ReadError::Protocol),
            (masked(0xc1, b"rsv1"), ReadError::Protocol),
            (masked(0x83, b"reserved"), ReadError::Protocol),
            (masked(0x8b, b"reserved"), ReadError::Protocol),
            (masked(0x09, b"fragmented ping"), ReadError::Protocol),
            (masked(0x89, &[0; 126]), ReadError::Protocol),
            (masked(0x80, b"continues nothing"), ReadError::Protocol),
            ([masked(0x01, b"a"), masked(0x81, b"b")].concat(), ReadError::Protocol),
            (masked(0x81, &[0xff, 0xfe]), ReadError::Utf8),
            (masked(0x88, &[3]), ReadError::Protocol),
            (masked(0x88, &[0, 1]), ReadError::Protocol),
            (masked(0x88, &[3, 232, 0xff]), ReadError::Utf8),
        ];
        for (bytes, error) in cases {
            assert_eq!(read(&mut reader(), &bytes, bytes.len()), Err(error), "{bytes:x?}");
        }
    }

    #[test]
    fn an_idle_reader_owns_no_buffer_and_a_message_owns_only_its_bytes() {
        let big = vec![7; 70_000];
        let mut bytes = masked(0x82, &big);
        bytes.extend(masked(0x02, &big[..200]));
        bytes.extend(masked(0x80, &big[200..300]));
        for chunk in [1, 1000, bytes.len()] {
            let mut reader = reader();
            for message in read(&mut reader, &bytes, chunk).unwrap() {
                let Incoming::Binary(data) = message else { unreachable!() };
                let data = Vec::from(data);
                assert_eq!(data.capacity(), data.len(), "in chunks of {chunk}");
            }
            assert!(reader.frame.is_none() && reader.message.is_none());
            assert_eq!(reader.head.capacity(), 0);
        }
    }
}
