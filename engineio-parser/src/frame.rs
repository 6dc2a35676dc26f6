//! Packets in wire form, encoded once and shared by every recipient.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    lenient_base64,
    packet::{Data, Packet, PacketType, Revision},
};

/// Room kept in front of a text packet for the longest header a server puts before it
/// (an unmasked WebSocket frame of 64-bit length).
const HEADROOM: usize = 10;

const FIN_TEXT: u8 = 0x81;
const FIN_BINARY: u8 = 0x82;

/// One packet in wire form for a message transport. A clone costs one reference count.
///
/// A text frame lies in one buffer together with its WebSocket header, so that a server writes the same bytes to
/// every recipient of a broadcast. A binary frame keeps the application's own buffer; its header stands beside it.
#[derive(Clone)]
pub struct Frame {
    repr: Repr,
    compress: bool,
}

#[derive(Clone)]
enum Repr {
    /// Whole WebSocket frame: header right-aligned in the first [`HEADROOM`] bytes, then digit and data.
    Text {
        buffer: Bytes,
    },
    Binary {
        body: Bytes,
        forms: Arc<Forms>,
    },
}

/// Forms of a binary packet that only some recipients need, built once.
#[derive(Default)]
struct Forms {
    base64_v4: OnceLock<Bytes>,
    base64_v3: OnceLock<Bytes>,
}

/// A frame as a server writes it to a WebSocket: `header`, then `body`.
#[derive(Clone, Debug)]
pub struct WebSocketFrame {
    header: [u8; HEADROOM + 1],
    header_len: u8,
    /// What follows the header. For a text packet this already begins with the header, and `header()` is empty.
    pub body: Bytes,
}

impl WebSocketFrame {
    /// Bytes that are a whole WebSocket frame already (a pong or a close frame).
    pub fn raw(body: Bytes) -> Self {
        Self { header: [0; HEADROOM + 1], header_len: 0, body }
    }

    /// The bytes to write before `body`; empty where `body` begins with them already.
    pub fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }
}

impl Frame {
    /// A text packet.
    pub fn text(kind: PacketType, text: &str) -> Self {
        let mut writer = FrameWriter::with_capacity(kind, text.len());
        writer.put(text.as_bytes());
        writer.finish()
    }

    fn new(repr: Repr) -> Self {
        Self { repr, compress: true }
    }

    /// A binary message that shares `data`.
    pub fn binary(data: Bytes) -> Self {
        Self::new(Repr::Binary { body: data, forms: Arc::default() })
    }

    /// Whether this is a binary message.
    pub fn is_binary(&self) -> bool {
        matches!(self.repr, Repr::Binary { .. })
    }

    /// Whether transports that compress may compress it. See [`Frames::compress`].
    pub fn may_compress(&self) -> bool {
        self.compress
    }

    /// The packet as a message transport of revision 4 carries it: digit and data of a text packet, or raw binary.
    pub fn payload(&self) -> Bytes {
        match &self.repr {
            Repr::Text { buffer } => buffer.slice(HEADROOM..),
            Repr::Binary { body, .. } => body.clone(),
        }
    }

    /// The length of [`payload`](Self::payload) in bytes.
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::Text { buffer } => buffer.len() - HEADROOM,
            Repr::Binary { body, .. } => body.len(),
        }
    }

    /// Whether the payload has no bytes (an empty binary message).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the packet.
    pub fn kind(&self) -> PacketType {
        match &self.repr {
            Repr::Text { buffer } => {
                PacketType::from_digit(buffer[HEADROOM]).unwrap_or(PacketType::Message)
            }
            Repr::Binary { .. } => PacketType::Message,
        }
    }

    /// The unmasked WebSocket frame (RFC 6455 section 5.2) a server sends.
    pub fn websocket(&self, revision: Revision) -> WebSocketFrame {
        match &self.repr {
            Repr::Text { buffer } => {
                let header = websocket_header_len(buffer.len() - HEADROOM);
                WebSocketFrame::raw(buffer.slice(HEADROOM - header..))
            }
            Repr::Binary { body, .. } => {
                let prefix = usize::from(revision == Revision::V3);
                let mut header = [0; HEADROOM + 1];
                let len = write_websocket_header(&mut header, FIN_BINARY, body.len() + prefix);
                // Revision 3 puts the type byte before binary data; writing it costs nothing in revision 4.
                header[len] = PacketType::Message as u8;
                WebSocketFrame { header, header_len: (len + prefix) as u8, body: body.clone() }
            }
        }
    }

    /// As [`websocket`](Self::websocket), for a client that asked for text only (`b64`): binary as
    /// [`polling_text`](Self::polling_text).
    pub fn websocket_text(&self, revision: Revision) -> WebSocketFrame {
        if !self.is_binary() {
            return self.websocket(revision);
        }
        let body = self.polling_text(revision);
        let mut header = [0; HEADROOM + 1];
        let len = write_websocket_header(&mut header, FIN_TEXT, body.len());
        WebSocketFrame { header, header_len: len as u8, body }
    }

    /// The packet's text in a polling payload that cannot carry raw binary: `b…` with base64 for binary.
    /// Built once per frame, however many recipients poll.
    pub fn polling_text(&self, revision: Revision) -> Bytes {
        match &self.repr {
            Repr::Text { .. } => self.payload(),
            Repr::Binary { body, forms } => {
                let (form, prefix) = match revision {
                    Revision::V4 => (&forms.base64_v4, "b"),
                    Revision::V3 => (&forms.base64_v3, "b4"),
                };
                form.get_or_init(|| lenient_base64::encode(prefix, body)).clone()
            }
        }
    }

    /// How many bytes [`polling_text`](Self::polling_text) has, without building it.
    pub fn polling_len(&self, revision: Revision) -> usize {
        match &self.repr {
            Repr::Text { .. } => self.len(),
            Repr::Binary { body, .. } => {
                let prefix = if revision == Revision::V3 { 2 } else { 1 };
                prefix + body.len().div_ceil(3) * 4
            }
        }
    }

    /// The packet this frame stands for.
    pub fn to_packet(&self) -> Packet {
        let kind = self.kind();
        let data = match &self.repr {
            Repr::Text { buffer } => {
                let text = buffer.slice(HEADROOM + 1..);
                Data::Text(text.try_into().unwrap_or_default())
            }
            Repr::Binary { body, .. } => Data::Binary(body.clone()),
        };
        Packet { kind, data }
    }
}

impl Packet {
    /// The packet in wire form. `None` for binary data of anything but a message, which no end sends.
    ///
    /// ```
    /// use engineio_parser::Packet;
    ///
    /// let frame = Packet::message("hello").to_frame();
    /// assert_eq!(frame.map(|frame| frame.payload()).as_deref(), Some(&b"4hello"[..]));
    /// ```
    pub fn to_frame(&self) -> Option<Frame> {
        match (&self.data, self.kind) {
            (Data::Text(text), kind) => Some(Frame::text(kind, text)),
            (Data::Binary(data), PacketType::Message) => Some(Frame::binary(data.clone())),
            (Data::Binary(_), _) => None,
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("kind", &self.kind()).field("len", &self.len()).finish()
    }
}

/// Builds a text frame in place: the packet's digit is written, header room lies in front of it.
///
/// What is written must be UTF-8, as the frame is sent as text.
#[derive(Debug)]
pub struct FrameWriter {
    buffer: BytesMut,
}

impl FrameWriter {
    /// A writer of a message with room for `capacity` bytes of data.
    pub fn message(capacity: usize) -> Self {
        Self::with_capacity(PacketType::Message, capacity)
    }

    fn with_capacity(kind: PacketType, capacity: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(HEADROOM + 1 + capacity);
        buffer.put_bytes(0, HEADROOM);
        buffer.put_u8(kind.digit());
        Self { buffer }
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes of data were written so far.
    pub fn len(&self) -> usize {
        self.buffer.len() - HEADROOM - 1
    }

    /// Whether no data was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data written so far, for headers that can only be completed afterwards.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADROOM + 1..]
    }

    /// The finished frame.
    pub fn finish(mut self) -> Frame {
        let payload = self.buffer.len() - HEADROOM;
        let header = websocket_header_len(payload);
        write_websocket_header(&mut self.buffer[HEADROOM - header..], FIN_TEXT, payload);
        Frame::new(Repr::Text { buffer: self.buffer.freeze() })
    }
}

impl io::Write for FrameWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An indivisible run of frames: a text and its attachments. Nothing is ever sent in between.
#[derive(Clone, Debug)]
pub struct Frames {
    first: Frame,
    rest: Option<Arc<[Frame]>>,
}

impl Frames {
    /// A run that begins with `first`; `attachments` follow it in order.
    pub fn new(first: Frame, attachments: impl IntoIterator<Item = Bytes>) -> Self {
        let rest: Arc<[Frame]> = attachments.into_iter().map(Frame::binary).collect();
        Self { first, rest: (!rest.is_empty()).then_some(rest) }
    }

    /// Whether transports that compress may compress these frames (default yes). No is for what was compressed before,
    /// and for secrets beside text that others choose (see the attacks named CRIME and BREACH).
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.first.compress = compress;
        if let Some(rest) = &mut self.rest {
            // Shared frames are not changed under others.
            *rest = rest.iter().map(|frame| Frame { compress, ..frame.clone() }).collect();
        }
        self
    }

    /// The frames in order.
    pub fn iter(&self) -> impl Iterator<Item = &Frame> {
        std::iter::once(&self.first).chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    /// How many frames there are.
    pub fn count(&self) -> usize {
        1 + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// Bytes of all frames' payloads.
    pub fn bytes(&self) -> usize {
        self.iter().map(Frame::len).sum()
    }
}

impl From<Frame> for Frames {
    fn from(first: Frame) -> Self {
        Self { first, rest: None }
    }
}

fn websocket_header_len(payload: usize) -> usize {
    match payload {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Writes an unmasked header at the start of `out` and returns its length.
fn write_websocket_header(out: &mut [u8], first: u8, payload: usize) -> usize {
    out[0] = first;
    match payload {
        0..=125 => {
            out[1] = payload as u8;
            2
        }
        126..=0xffff => {
            out[1] = 126;
            out[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
            4
        }
        _ => {
            out[1] = 127;
            out[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
            10
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn websocket(frame: &Frame, revision: Revision) -> Vec<u8> {
        let frame = frame.websocket(revision);
        [frame.header(), &frame.body].concat()
    }

    #[test]
    fn a_websocket_header_has_the_length_of_the_payload() {
        for (len, header) in [
            (1, &[1][..]),
            (125, &[125]),
            (126, &[126, 0, 126]),
            (0xffff, &[126, 0xff, 0xff]),
            (0x1_0000, &[127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let text = Frame::text(PacketType::Message, &"x".repeat(len - 1));
            let expected = [&[FIN_TEXT], header, &text.payload()].concat();
            assert_eq!(websocket(&text, Revision::V4), expected);
            assert_eq!(websocket(&text, Revision::V3), expected);

            let binary = Frame::binary(vec![7; len].into());
            let expected = [&[FIN_BINARY], header, &binary.payload()].concat();
            assert_eq!(websocket(&binary, Revision::V4), expected);
        }
    }

    #[test]
    fn revision_3_counts_its_type_byte() {
        for (len, header) in [(0, &[1][..]), (124, &[125]), (125, &[126, 0, 126])] {
            let binary = Frame::binary(vec![7; len].into());
            let expected = [&[FIN_BINARY], header, &[4], &binary.payload()[..]].concat();
            assert_eq!(websocket(&binary, Revision::V3), expected);
        }
    }

    #[test]
    fn a_client_that_takes_text_only_gets_base64() {
        for (revision, prefix) in [(Revision::V3, "b4"), (Revision::V4, "b")] {
            let frame = Frame::binary(vec![1, 2, 3].into()).websocket_text(revision);
            let len = prefix.len() as u8 + 4;
            assert_eq!(frame.header(), [FIN_TEXT, len]);
            assert_eq!(frame.body, format!("{prefix}AQID"));
            let text = Frame::text(PacketType::Message, "hello");
            assert_eq!(text.websocket_text(revision).body, text.websocket(revision).body);
        }
    }

    #[test]
    fn the_whole_text_frame_is_shared() {
        let frame = Frame::text(PacketType::Message, "hello");
        let (one, other) = (frame.websocket(Revision::V4), frame.clone().websocket(Revision::V4));
        assert!(one.header().is_empty());
        assert_eq!(one.body.as_ptr(), other.body.as_ptr());
    }

    #[test]
    fn a_binary_frame_shares_the_data() {
        let data = Bytes::from(vec![1, 2, 3]);
        let frame = Frame::binary(data.clone());
        assert_eq!(frame.websocket(Revision::V3).body.as_ptr(), data.as_ptr());
        assert_eq!(frame.payload().as_ptr(), data.as_ptr());
    }

    #[test]
    fn base64_is_built_once_for_all_clones() {
        let frame = Frame::binary(vec![1, 2, 3].into());
        let (one, other) =
            (frame.polling_text(Revision::V4), frame.clone().polling_text(Revision::V4));
        assert_eq!(one, "bAQID");
        assert_eq!(one.as_ptr(), other.as_ptr());
        assert_eq!(frame.polling_text(Revision::V3), "b4AQID");
    }

    #[test]
    fn a_frame_is_written_in_place() {
        let mut writer = FrameWriter::message(0);
        assert!(writer.is_empty());
        write!(writer, "__{}", 7).unwrap();
        writer.put(b"y");
        writer.data_mut()[..2].copy_from_slice(b"2[");
        assert_eq!(writer.len(), 4);
        let frame = writer.finish();
        assert_eq!(frame.payload(), "42[7y");
        assert_eq!(frame.kind(), PacketType::Message);
    }

    #[test]
    fn a_run_is_compressed_whole_or_not_at_all() {
        let run = Frames::new(Frame::text(PacketType::Message, "x"), [Bytes::from_static(b"1")]);
        let plain = run.clone().compress(false);
        assert!(run.iter().all(Frame::may_compress));
        assert!(!plain.iter().any(Frame::may_compress));
        assert!(plain.compress(true).iter().all(Frame::may_compress));
    }

    #[test]
    fn a_run_keeps_its_order() {
        let text = Frame::text(PacketType::Message, "x");
        let run = Frames::new(text.clone(), [Bytes::from_static(b"1"), Bytes::from_static(b"23")]);
        let payloads: Vec<_> = run.iter().map(Frame::payload).collect();
        assert_eq!(payloads, ["4x", "1", "23"]);
        assert_eq!((run.count(), run.bytes()), (3, 5));
        assert_eq!(Frames::from(text).count(), 1);
    }
}
