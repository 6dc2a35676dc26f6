//! Assembly of messages from the bytes of a peer.

use std::{borrow::Cow, mem};

use bytes::BufMut;

use super::{
    Incoming, Message,
    header::{Header, MAX_HEADER, Opcode, TEXT, apply_mask},
};
use crate::error::WebSocketError;

/// How many bytes of a large payload are allocated ahead.
const CHUNK: usize = 64 * 1024;

/// Decodes the frames of a peer.
///
/// Every limit is checked on the header, before the payload arrives, and memory grows with the data
/// that has arrived. Between messages a decoder owns no buffer.
///
/// ```
/// use engineio_parser::websocket::{Decoded, Decoder, Incoming, Message, PING, TEXT, encode};
///
/// let mut decoder = Decoder::of_server(1_000_000);
/// let mut bytes = [encode(TEXT, None, b"4hello"), encode(PING, None, b"")].concat();
/// let mut input = &mut bytes[..];
/// let text = decoder.decode(&mut input)?;
/// assert_eq!(text, Decoded::Incoming(Incoming::Message(Message::Text("4hello".into()))));
/// assert_eq!(decoder.decode(&mut input)?, Decoded::Incoming(Incoming::Ping(b"".into())));
/// assert_eq!(decoder.decode(&mut input)?, Decoded::Incomplete);
/// # Ok::<(), engineio_parser::WebSocketError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_payload: usize,
    max_fragments: u32,
    masked: bool,
    may_compress: bool,
    /// How many bytes of an incomplete header have arrived.
    head_len: u8,
    head: [u8; MAX_HEADER],
    /// The frame whose payload is arriving.
    frame: Option<Box<OpenFrame>>,
    /// The message whose fragments are arriving.
    message: Option<Box<Fragments>>,
}

/// The result of [`Decoder::decode`].
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The input is used up. More bytes must arrive.
    Incomplete,
    /// A frame is complete, but its message is not.
    Fragment,
    /// A message or control frame is complete.
    Incoming(Incoming<'a>),
}

#[derive(Debug)]
struct OpenFrame {
    opcode: Opcode,
    last: bool,
    compressed: bool,
    /// The mask of the next byte and the three after it.
    mask: Option<[u8; 4]>,
    len: usize,
    /// The bytes that have arrived, unmasked.
    payload: Vec<u8>,
}

#[derive(Debug)]
struct Fragments {
    opcode: Opcode,
    compressed: bool,
    frames: u32,
    payload: Vec<u8>,
}

impl OpenFrame {
    /// Takes the payload from `input`, unmasked in place. Stores it if it is incomplete, and
    /// otherwise returns the part after the stored one.
    fn fill<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<&'a mut [u8]> {
        let missing = self.len - self.payload.len();
        let payload = take(input, missing.min(input.len()));
        if let Some(mask) = self.mask {
            apply_mask(payload, mask);
        }
        if payload.len() == missing {
            return Some(payload);
        }
        if let Some(mask) = &mut self.mask {
            mask.rotate_left(payload.len() % 4);
        }
        self.payload.extend_from_slice(payload);
        None
    }
}

impl Decoder {
    /// Creates a decoder for the frames of a client, which are masked. A message may have
    /// `max_payload` bytes and any number of fragments.
    pub fn of_client(max_payload: usize) -> Self {
        Self {
            max_payload,
            max_fragments: u32::MAX,
            masked: true,
            may_compress: false,
            head_len: 0,
            head: [0; MAX_HEADER],
            frame: None,
            message: None,
        }
    }

    /// Creates a decoder for the frames of a server, which are not masked.
    pub fn of_server(max_payload: usize) -> Self {
        Self { masked: false, ..Self::of_client(max_payload) }
    }

    /// Limits the number of frames in one message (default: unlimited).
    #[must_use]
    pub fn max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = frames;
        self
    }

    /// Accepts compressed messages (default: no). `max_payload` limits their compressed size, so
    /// the caller must limit the decompressed size.
    #[must_use]
    pub fn accept_compressed(mut self) -> Self {
        self.may_compress = true;
        self
    }

    /// Returns whether the next byte begins a frame or continues a header.
    #[inline]
    pub fn is_between_frames(&self) -> bool {
        self.frame.is_none()
    }

    /// Returns how many bytes of the incomplete message are stored.
    #[inline]
    pub fn stored(&self) -> usize {
        let frame = self.frame.as_ref().map_or(0, |frame| frame.payload.len());
        frame + self.message.as_ref().map_or(0, |message| message.payload.len())
    }

    /// Decodes at most one frame. Removes its bytes from `input`, after unmasking them in place.
    ///
    /// # Errors
    ///
    /// Returns [`WebSocketError`] if the peer violates the protocol or a limit. The caller must
    /// close the connection and not use the decoder again.
    pub fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Decoded<'a>, WebSocketError> {
        if let Some(frame) = &mut self.frame {
            let Some(tail) = frame.fill(input) else { return Ok(Decoded::Incomplete) };
            return match self.frame.take() {
                Some(frame) => self.close_frame(*frame, tail),
                None => Ok(Decoded::Incomplete),
            };
        }
        let Some(mut frame) = self.open_frame(input)? else { return Ok(Decoded::Incomplete) };
        match frame.fill(input) {
            Some(tail) => self.close_frame(frame, tail),
            None => {
                self.frame = Some(Box::new(frame));
                Ok(Decoded::Incomplete)
            }
        }
    }

    /// Decodes the next frame like [`decode`](Self::decode) if it is complete, masked, and a whole
    /// text message, as most frames of clients are. Returns its payload, which may not be UTF-8.
    ///
    /// Returns `None` and leaves `input` as it is before any other frame.
    #[doc(hidden)]
    #[inline]
    pub fn decode_text<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<&'a [u8]> {
        let (head, mask, len) = match **input {
            [TEXT, len @ 0x80..=0xfd, a, b, c, d, ..] => (6, [a, b, c, d], usize::from(len & 0x7f)),
            [TEXT, 0xfe, high, low, a, b, c, d, ..] => {
                (8, [a, b, c, d], usize::from(u16::from_be_bytes([high, low])))
            }
            _ => return None,
        };
        let between_messages = self.frame.is_none() && self.message.is_none() && self.head_len == 0;
        let is_allowed = self.masked && self.max_fragments > 0 && len <= self.max_payload;
        if !between_messages || !is_allowed || input.len() < head + len {
            return None;
        }
        let (_, payload) = take(input, head + len).split_at_mut_checked(head)?;
        apply_mask(payload, mask);
        Some(payload)
    }

    /// Returns the buffer of a payload of which at least `least` bytes are missing. The caller may
    /// read the next bytes of the stream into it instead of passing them to
    /// [`decode`](Self::decode), and then calls `decode` again. Always `None` for masked frames.
    pub fn payload_mut(&mut self, least: usize) -> Option<impl BufMut> {
        let OpenFrame { len, payload, .. } =
            self.frame.as_deref_mut().filter(|frame| frame.mask.is_none())?;
        let missing = *len - payload.len();
        if missing < least.max(1) {
            return None;
        }
        if payload.capacity() - payload.len() < least {
            // The announced length is not trusted: memory grows with the data and ends at exactly
            // that length.
            payload.reserve_exact(payload.len().max(CHUNK).min(missing));
        }
        Some(payload.limit(missing))
    }

    /// Parses a header, if it is complete, removes it from `input`, and checks all limits.
    fn open_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<OpenFrame>, WebSocketError> {
        let stored = usize::from(self.head_len);
        let parsed = if stored == 0 {
            Header::parse(input)?
        } else {
            self.store_head(stored, input);
            let len = MAX_HEADER.min(stored + input.len());
            Header::parse(self.head.get(..len).unwrap_or_default())?
        };
        let used = match parsed {
            Some((_, len)) => len - stored,
            None => input.len(),
        };
        let head = take(input, used);
        let Some((header, _)) = parsed else {
            self.store_head(stored, head);
            self.head_len += used as u8;
            return Ok(None);
        };
        self.head_len = 0;
        let len = self.check(&header)?;
        let Header { opcode, last, compressed, mask, .. } = header;
        Ok(Some(OpenFrame { opcode, last, compressed, mask, len, payload: Vec::new() }))
    }

    /// Stores bytes of an incomplete header behind those that are already there.
    fn store_head(&mut self, stored: usize, bytes: &[u8]) {
        self.head.iter_mut().skip(stored).zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    /// Checks a header. Returns the length of the payload.
    fn check(&self, header: &Header) -> Result<usize, WebSocketError> {
        let Header { opcode, last, compressed, mask, payload_len } = *header;
        if mask.is_some() != self.masked {
            return Err(WebSocketError::Mask);
        }
        // RFC 7692 section 6: only the first frame of a message says whether it is compressed.
        let first = matches!(opcode, Opcode::Text | Opcode::Binary);
        if compressed && !(first && self.may_compress) {
            return Err(WebSocketError::ReservedBits);
        }
        if opcode.is_control() {
            return match payload_len {
                _ if !last => Err(WebSocketError::FragmentedControl),
                len @ 0..=125 => Ok(len as usize),
                _ => Err(WebSocketError::LongControl),
            };
        }
        if first == self.message.is_some() {
            return Err(WebSocketError::Continuation);
        }
        let max_payload = self.max_payload;
        let before = self.message.as_ref().map_or(0, |message| message.payload.len());
        let len = usize::try_from(payload_len)
            .ok()
            .filter(|len| *len <= max_payload.saturating_sub(before))
            .ok_or(WebSocketError::TooLarge { max_payload })?;
        if self.message.as_ref().map_or(0, |message| message.frames) >= self.max_fragments {
            return Err(WebSocketError::Fragments { max_fragments: self.max_fragments });
        }
        Ok(len)
    }

    /// Handles a complete frame. Its payload is the stored part followed by `tail`.
    #[inline]
    fn close_frame<'a>(
        &mut self,
        mut frame: OpenFrame,
        tail: &'a [u8],
    ) -> Result<Decoded<'a>, WebSocketError> {
        if frame.opcode == Opcode::Continuation {
            let message = self.message.as_mut().ok_or(WebSocketError::Continuation)?;
            message.frames += 1;
            message.payload.extend_from_slice(&frame.payload);
            message.payload.extend_from_slice(tail);
            return match self.message.take_if(|_| frame.last) {
                Some(message) => {
                    complete(message.opcode, message.compressed, Cow::Owned(message.payload))
                }
                None => Ok(Decoded::Fragment),
            };
        }
        let payload = if frame.payload.is_empty() {
            Cow::Borrowed(tail)
        } else {
            frame.payload.extend_from_slice(tail);
            Cow::Owned(frame.payload)
        };
        let OpenFrame { opcode, last, compressed, .. } = frame;
        let incoming = match opcode {
            Opcode::Ping => Incoming::Ping(payload),
            Opcode::Pong => Incoming::Pong(payload),
            Opcode::Close => Incoming::Close(parse_close(&payload)?),
            _ if last => return complete(opcode, compressed, payload),
            _ => {
                let payload = payload.into_owned();
                let message = Fragments { opcode, compressed, frames: 1, payload };
                self.message = Some(Box::new(message));
                return Ok(Decoded::Fragment);
            }
        };
        Ok(Decoded::Incoming(incoming))
    }
}

/// Removes the first `len` bytes.
#[inline]
fn take<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let len = len.min(input.len());
    let (taken, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    taken
}

#[inline]
fn complete(
    opcode: Opcode,
    compressed: bool,
    payload: Cow<'_, [u8]>,
) -> Result<Decoded<'_>, WebSocketError> {
    Ok(Decoded::Incoming(if compressed {
        Incoming::Compressed { opcode, payload }
    } else {
        Incoming::Message(Message::new(opcode, payload)?)
    }))
}

fn parse_close(payload: &[u8]) -> Result<Option<u16>, WebSocketError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(WebSocketError::Close) };
    };
    std::str::from_utf8(reason).map_err(|_| WebSocketError::InvalidUtf8)?;
    Ok(Some(u16::from_be_bytes(*code)))
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

    fn decoder() -> Decoder {
        Decoder::of_client(100_000).max_fragments(4)
    }

    /// Decodes bytes in chunks.
    fn decode(
        decoder: &mut Decoder,
        bytes: &[u8],
        chunk: usize,
    ) -> Result<Vec<Incoming<'static>>, WebSocketError> {
        let mut out = Vec::new();
        for part in bytes.chunks(chunk) {
            let mut part = part.to_vec();
            let mut input = &mut part[..];
            loop {
                match decoder.decode(&mut input)? {
                    Decoded::Incomplete => break,
                    Decoded::Fragment => {}
                    Decoded::Incoming(incoming) => out.push(incoming.into_owned()),
                }
            }
            assert!(input.is_empty());
        }
        Ok(out)
    }

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        encode(first, MASK, payload)
    }

    #[test]
    fn messages_do_not_depend_on_the_size_of_reads() {
        let big = vec![7; 70_000];
        let bytes = [
            masked(TEXT, b"hello"),
            masked(0x02, &big[..200]),
            masked(PING, b"hi"),
            masked(0x80, &big[200..]),
            masked(BINARY, b""),
            masked(PONG, b""),
            masked(CLOSE, &[3, 232]),
        ]
        .concat();
        for chunk in [1, 2, 3, 7, 64, 1000, bytes.len()] {
            let mut decoder = decoder();
            let decoded = decode(&mut decoder, &bytes, chunk).unwrap();
            let expected = [
                Incoming::Message(Message::Text("hello".into())),
                Incoming::Ping(b"hi".into()),
                Incoming::Message(Message::Binary(Cow::Borrowed(&big))),
                Incoming::Message(Message::Binary(b"".into())),
                Incoming::Pong(b"".into()),
                Incoming::Close(Some(1000)),
            ];
            assert_eq!(decoded, expected, "in chunks of {chunk}");
            assert!(decoder.frame.is_none() && decoder.message.is_none());
        }
    }

    #[test]
    fn a_message_owns_only_its_bytes() {
        let big = vec![7; 70_000];
        let bytes = [masked(BINARY, &big), masked(0x02, &big[..200]), masked(0x80, &big[200..300])]
            .concat();
        for chunk in [1, 1000, bytes.len()] {
            for incoming in decode(&mut decoder(), &bytes, chunk).unwrap() {
                let Incoming::Message(Message::Binary(Cow::Owned(data))) = incoming else {
                    unreachable!()
                };
                assert_eq!(data.capacity(), data.len(), "in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_announced_length() {
        let too_large = Err(WebSocketError::TooLarge { max_payload: 100_000 });
        let header = header(BINARY, 100_001, MASK);
        assert_eq!(decode(&mut decoder(), header.as_ref(), 14), too_large);
        let begun = [&masked(0x02, &[0; 60_000])[..], &masked(0x80, &[0; 60_000])[..8]].concat();
        assert_eq!(decode(&mut decoder(), &begun, 4096), too_large);
        let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(decode(&mut decoder(), &huge, 14), too_large);
    }

    #[test]
    fn a_whole_text_frame_is_decoded_alike_on_the_short_path() {
        let long = "x".repeat(300);
        let texts = ["", "hello", &long].map(|text| masked(TEXT, text.as_bytes()));
        let others = [
            masked(TEXT, b"\xff"),
            masked(BINARY, b"a"),
            masked(PING, b"a"),
            masked(0x01, b"a"),
            masked(0xc1, b"a"),
            masked(TEXT, &[b'x'; 200])[..9].to_vec(),
            encode(TEXT, None, b"hello"),
            masked(TEXT, &[b'x'; 301]),
            vec![TEXT, 0x81],
        ];
        for bytes in texts.iter().chain(&others) {
            let (mut short, mut whole) = (bytes.clone(), bytes.clone());
            let mut input = &mut short[..];
            let text = Decoder::of_client(300).decode_text(&mut input).map(Message::text);
            if text.is_none() {
                assert_eq!(input, bytes, "the input changed");
                continue;
            }
            let text = text.map(|it| it.map(|it| Decoded::Incoming(Incoming::Message(it))));
            assert_eq!(text, Some(Decoder::of_client(300).decode(&mut &mut whole[..])));
        }
        let is_short =
            |bytes: &Vec<u8>| decoder().decode_text(&mut &mut bytes.clone()[..]).is_some();
        assert!(texts.iter().all(is_short));
        // The rest of a message, of a frame or of a header is not a whole text frame.
        for begun in [masked(0x01, b"a"), masked(TEXT, b"abc")[..8].to_vec(), vec![TEXT]] {
            let mut decoder = decoder();
            assert!(!matches!(
                decoder.decode(&mut &mut begun.clone()[..]),
                Ok(Decoded::Incoming(_))
            ));
            assert_eq!(decoder.decode_text(&mut &mut masked(TEXT, b"b")[..]), None);
        }
        let no_fragments = &mut Decoder::of_client(9).max_fragments(0);
        assert_eq!(no_fragments.decode_text(&mut &mut masked(TEXT, b"b")[..]), None);
    }

    #[test]
    fn a_flood_of_empty_fragments_is_refused() {
        let flood = [masked(0x01, b""), masked(0x00, b"").repeat(4)].concat();
        let refused = Err(WebSocketError::Fragments { max_fragments: 4 });
        assert_eq!(decode(&mut decoder(), &flood, flood.len()), refused);
        assert_eq!(decode(&mut Decoder::of_client(0), &flood, flood.len()), Ok(vec![]));
    }

    #[test]
    fn malformed_frames_are_refused() {
        let cases = [
            (encode(TEXT, None, b"unmasked"), WebSocketError::Mask),
            (masked(0xc1, b"compressed"), WebSocketError::ReservedBits),
            (masked(0x09, b"fragmented ping"), WebSocketError::FragmentedControl),
            (masked(PING, &[0; 126]), WebSocketError::LongControl),
            (masked(0x80, b"continues nothing"), WebSocketError::Continuation),
            ([masked(0x01, b"a"), masked(0x81, b"b")].concat(), WebSocketError::Continuation),
            (masked(TEXT, &[0xff, 0xfe]), WebSocketError::InvalidUtf8),
            (masked(CLOSE, &[3]), WebSocketError::Close),
            (masked(CLOSE, &[3, 232, 0xff]), WebSocketError::InvalidUtf8),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode(&mut decoder(), &bytes, bytes.len()), Err(error), "{bytes:x?}");
        }
        let of_server = &mut Decoder::of_server(100);
        assert_eq!(decode(of_server, &masked(TEXT, b"a"), 100), Err(WebSocketError::Mask));
    }

    #[test]
    fn a_compressed_message_is_not_checked() {
        let mut decoder = decoder().accept_compressed();
        let bytes = [masked(0x41, b"\xff"), masked(0x80, b"\xfe")].concat();
        let opcode = Opcode::Text;
        let compressed = Incoming::Compressed { opcode, payload: b"\xff\xfe".into() };
        assert_eq!(decode(&mut decoder, &bytes, 3), Ok(vec![compressed]));
        let control = decode(&mut decoder, &masked(PING | COMPRESSED, b""), 100);
        assert_eq!(control, Err(WebSocketError::ReservedBits));
    }

    #[test]
    fn a_large_payload_is_read_into_its_own_buffer() {
        let mut decoder = Decoder::of_server(usize::MAX);
        assert!(decoder.payload_mut(1).is_none());
        let len = 200_000;
        let mut begin = [header(BINARY, len, None).as_ref(), b"12345"].concat();
        assert_eq!(decoder.decode(&mut &mut begin[..]), Ok(Decoded::Incomplete));
        assert!(decoder.payload_mut(len).is_none());
        let mut rest = &vec![7; len][..];
        while let Some(mut payload) = decoder.payload_mut(1) {
            let (part, after) = rest.split_at(rest.len().min(1000).min(payload.remaining_mut()));
            payload.put_slice(part);
            rest = after;
        }
        assert_eq!((rest.len(), decoder.stored()), (5, len));
        let Ok(Decoded::Incoming(Incoming::Message(Message::Binary(Cow::Owned(data))))) =
            decoder.decode(&mut &mut [][..])
        else {
            panic!("a message");
        };
        assert_eq!((data.len(), data.capacity()), (len, len));
    }

    #[test]
    fn an_announced_length_reserves_little() {
        let mut decoder = Decoder::of_server(usize::MAX);
        let mut begin = b"\x82\x7f\x00\x00\x00\xff\xff\xff\xff\xff12345".to_vec();
        assert_eq!(decoder.decode(&mut &mut begin[..]), Ok(Decoded::Incomplete));
        decoder.payload_mut(8192).unwrap().put_slice(&[0; 100]);
        let payload = &decoder.frame.as_ref().unwrap().payload;
        assert!(payload.len() == 105 && payload.capacity() <= 2 * CHUNK);
    }
}
