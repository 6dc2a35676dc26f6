//! Packets in wire form, encoded once and shared by every recipient.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::{Buf, Bytes};

use crate::{
    lenient_base64,
    packet::{Packet, PacketData, PacketType, Revision},
    websocket::{BINARY, TEXT, header_len, write_header},
};

/// Room in front of a text packet for the longest header that a server writes: an unmasked
/// WebSocket frame with a 64-bit length.
pub(crate) const HEADROOM: usize = 10;

/// One packet in wire form for a message transport. A clone costs one reference count.
///
/// A text packet and its WebSocket header share one buffer, so a server writes the same bytes to
/// every recipient of a broadcast. A binary frame keeps the application's own buffer and stores its
/// header separately.
#[derive(Clone)]
pub struct Frame {
    /// For text: the complete WebSocket frame. The header is right-aligned in the first
    /// [`HEADROOM`] bytes and is followed by the packet's digit and data. For binary: the data.
    body: Bytes,
    /// Encodings that only some recipients need, built once for all clones. A text frame has them
    /// only after [`Frame::share`].
    forms: Option<Arc<Forms>>,
    binary: bool,
    compress: bool,
}

enum Body<'a> {
    Text(&'a Bytes),
    Binary(&'a Bytes),
}

#[derive(Default)]
struct Forms {
    base64_v4: OnceLock<Bytes>,
    base64_v3: OnceLock<Bytes>,
    /// The compressed frame (`None` if compression was declined) and the window size in bits that
    /// it was built for.
    compressed: OnceLock<(u8, Option<Bytes>)>,
}

/// A frame as a server writes it to a WebSocket or a WebTransport stream: `header`, then `body`.
#[derive(Clone, Debug)]
pub struct WireFrame {
    header: [u8; HEADROOM + 1],
    header_len: u8,
    /// The bytes after the header. For a text packet they already contain the header, and
    /// `header()` is empty.
    pub body: Bytes,
}

impl WireFrame {
    /// Wraps bytes that already are a complete WebSocket frame, such as a pong or a close frame.
    #[inline]
    pub fn raw(body: Bytes) -> Self {
        Self { header: [0; HEADROOM + 1], header_len: 0, body }
    }

    /// A frame with this header, of which the first 11 bytes count.
    pub(crate) fn new(header: &[u8], body: Bytes) -> Self {
        let mut this = Self::raw(body);
        for (target, byte) in this.header.iter_mut().zip(header) {
            *target = *byte;
            this.header_len += 1;
        }
        this
    }

    /// Returns the bytes to write before `body`. Empty if `body` already begins with them.
    #[inline]
    pub fn header(&self) -> &[u8] {
        self.header.get(..usize::from(self.header_len)).unwrap_or_default()
    }
}

impl Frame {
    /// Creates a text packet.
    pub fn text(kind: PacketType, text: &str) -> Self {
        let mut buffer = Vec::with_capacity(HEADROOM + 1 + text.len());
        buffer.extend_from_slice(&[0; HEADROOM]);
        buffer.push(kind.digit());
        buffer.extend_from_slice(text.as_bytes());
        Self::from_text(buffer)
    }

    /// Writes the header of a text frame into the room in front of the packet.
    pub(crate) fn from_text(mut buffer: Vec<u8>) -> Self {
        let payload = buffer.len() - HEADROOM;
        let header = header_len(payload);
        if let Some(out) = buffer.get_mut(HEADROOM - header..) {
            write_header(out, TEXT, payload);
        }
        Self { body: buffer.into(), forms: None, binary: false, compress: true }
    }

    /// Creates a binary message that shares `data`.
    pub fn binary(data: Bytes) -> Self {
        Self { body: data, forms: Some(Arc::default()), binary: true, compress: true }
    }

    /// Returns whether this is a binary message.
    #[inline]
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// Returns whether transports may compress this frame. See
    /// [`Frames::compress`](crate::Frames::compress).
    #[inline]
    pub fn may_compress(&self) -> bool {
        self.compress
    }

    /// Returns the packet as a message transport of revision 4 carries it: the digit and data of a
    /// text packet, or raw binary.
    pub fn payload(&self) -> Bytes {
        match self.body() {
            Body::Text(buffer) => buffer.slice(HEADROOM..),
            Body::Binary(body) => body.clone(),
        }
    }

    /// Returns the bytes of [`payload`](Self::payload).
    pub fn as_bytes(&self) -> &[u8] {
        match self.body() {
            Body::Text(buffer) => buffer.get(HEADROOM..).unwrap_or_default(),
            Body::Binary(body) => body,
        }
    }

    /// Returns the length of [`payload`](Self::payload) in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match self.body() {
            Body::Text(buffer) => buffer.len() - HEADROOM,
            Body::Binary(body) => body.len(),
        }
    }

    /// Returns whether the payload has no bytes (an empty binary message).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the type of the packet.
    pub fn kind(&self) -> PacketType {
        match self.body() {
            Body::Text(buffer) => buffer
                .get(HEADROOM)
                .and_then(|digit| PacketType::from_digit(*digit))
                .unwrap_or(PacketType::Message),
            Body::Binary(_) => PacketType::Message,
        }
    }

    /// Returns the unmasked WebSocket frame (RFC 6455 section 5.2) that a server sends.
    pub fn websocket(&self, revision: Revision) -> WireFrame {
        self.clone().into_websocket(revision)
    }

    /// Like [`websocket`](Self::websocket), but passes the buffer on.
    #[inline]
    pub fn into_websocket(self, revision: Revision) -> WireFrame {
        let mut body = self.body;
        if !self.binary {
            // In contrast to a slice, this makes no second reference.
            body.advance(HEADROOM - header_len(body.len() - HEADROOM));
            return WireFrame::raw(body);
        }
        let prefix = usize::from(revision == Revision::V3);
        let mut header = [0; HEADROOM + 1];
        let len = write_header(&mut header, BINARY, body.len() + prefix);
        // Revision 3 puts the type byte before binary data. In revision 4 the byte is written but
        // not sent.
        if let Some(prefix) = header.get_mut(len) {
            *prefix = PacketType::Message as u8;
        }
        WireFrame { header, header_len: (len + prefix) as u8, body }
    }

    /// Returns the WebSocket frame for a client that accepts only text (`b64`). Binary data is
    /// encoded as in [`polling_text`](Self::polling_text); a text packet is the same as in
    /// [`websocket`](Self::websocket).
    pub fn websocket_text(&self, revision: Revision) -> WireFrame {
        if !self.is_binary() {
            return self.websocket(revision);
        }
        let body = self.polling_text(revision);
        let mut header = [0; HEADROOM + 1];
        let len = write_header(&mut header, TEXT, body.len());
        WireFrame { header, header_len: len as u8, body }
    }

    /// Returns the packet as text for a polling payload without raw binary. Binary data becomes `b`
    /// and base64 (`b4` and base64 in revision 3).
    ///
    /// The base64 text is built once per frame, regardless of the number of recipients that poll.
    pub fn polling_text(&self, revision: Revision) -> Bytes {
        match self.body() {
            Body::Text(_) => self.payload(),
            Body::Binary(body) => {
                let prefix = if revision == Revision::V3 { "b4" } else { "b" };
                let encode = || lenient_base64::encode(prefix, body);
                let form = self.forms.as_deref().map(|forms| match revision {
                    Revision::V4 => &forms.base64_v4,
                    Revision::V3 => &forms.base64_v3,
                });
                form.map_or_else(encode, |form| form.get_or_init(encode).clone())
            }
        }
    }

    /// Returns the length of [`polling_text`](Self::polling_text) in bytes. Does not build the
    /// text.
    pub fn polling_len(&self, revision: Revision) -> usize {
        match self.body() {
            Body::Text(_) => self.len(),
            Body::Binary(body) => {
                let prefix = if revision == Revision::V3 { 2 } else { 1 };
                prefix + body.len().div_ceil(3) * 4
            }
        }
    }

    /// See [`internal::compressed`](crate::internal::compressed).
    pub(crate) fn compressed(
        &self,
        window_bits: u8,
        compress: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        let Some(forms) = &self.forms else { return compress() };
        let mut compress = Some(compress);
        let mut run = || compress.take().and_then(|compress| compress());
        let (bits, form) = forms.compressed.get_or_init(|| (window_bits, run()));
        if *bits == window_bits { form.clone() } else { run() }
    }

    fn body(&self) -> Body<'_> {
        if self.binary { Body::Binary(&self.body) } else { Body::Text(&self.body) }
    }

    pub(crate) fn set_compress(&mut self, compress: bool) {
        self.compress = compress;
    }

    /// Makes clones share the encodings that are built from now on.
    pub(crate) fn share(&mut self) {
        self.forms.get_or_insert_default();
    }

    /// Converts the frame back into a packet.
    pub fn to_packet(&self) -> Packet {
        let kind = self.kind();
        let data = match self.body() {
            Body::Text(buffer) => {
                let text = buffer.slice(HEADROOM + 1..);
                PacketData::Text(text.try_into().unwrap_or_default())
            }
            Body::Binary(body) => PacketData::Binary(body.clone()),
        };
        Packet { kind, data }
    }
}

impl Packet {
    /// Encodes the packet. Returns `None` for binary data in a packet other than a message; neither
    /// end sends such packets.
    ///
    /// ```
    /// use engineio_parser::Packet;
    ///
    /// let frame = Packet::message("hello").to_frame();
    /// assert_eq!(frame.map(|frame| frame.payload()).as_deref(), Some(&b"4hello"[..]));
    /// ```
    pub fn to_frame(&self) -> Option<Frame> {
        match (&self.data, self.kind) {
            (PacketData::Text(text), kind) => Some(Frame::text(kind, text)),
            (PacketData::Binary(data), PacketType::Message) => Some(Frame::binary(data.clone())),
            (PacketData::Binary(_), _) => None,
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("kind", &self.kind()).field("len", &self.len()).finish()
    }
}

/// Builds the text frame of a message in place, behind room for the WebSocket header and the
/// packet's digit.
///
/// The data must be UTF-8, because the frame is sent as text.
#[derive(Debug)]
pub struct FrameWriter {
    buffer: Vec<u8>,
}

impl FrameWriter {
    /// Creates a writer for a message that reuses the memory of `buffer`, whose content is lost.
    #[inline]
    pub fn message(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&[0; HEADROOM]);
        buffer.push(PacketType::Message.digit());
        Self { buffer }
    }

    /// Returns the buffer, to which the caller appends the data. The bytes that it already contains
    /// must stay.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The packet's digit and the data.
    #[inline]
    pub(crate) fn payload(&self) -> &[u8] {
        self.buffer.get(HEADROOM..).unwrap_or_default()
    }

    /// Returns the frame, in memory of exactly its size.
    pub fn copy(&self) -> Frame {
        Frame::from_text(self.buffer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn websocket(frame: &Frame, revision: Revision) -> Vec<u8> {
        let frame = frame.websocket(revision);
        [frame.header(), &frame.body].concat()
    }

    #[test]
    fn a_websocket_header_holds_the_length_of_the_payload() {
        for (len, header) in [
            (1, &[1][..]),
            (125, &[125]),
            (126, &[126, 0, 126]),
            (0xffff, &[126, 0xff, 0xff]),
            (0x1_0000, &[127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let text = Frame::text(PacketType::Message, &"x".repeat(len - 1));
            let expected = [&[TEXT], header, &text.payload()].concat();
            assert_eq!(websocket(&text, Revision::V4), expected);
            assert_eq!(websocket(&text, Revision::V3), expected);

            let binary = Frame::binary(vec![7; len].into());
            let expected = [&[BINARY], header, &binary.payload()].concat();
            assert_eq!(websocket(&binary, Revision::V4), expected);
        }
    }

    #[test]
    fn the_length_in_revision_3_includes_the_type_byte() {
        for (len, header) in [(0, &[1][..]), (124, &[125]), (125, &[126, 0, 126])] {
            let binary = Frame::binary(vec![7; len].into());
            let expected = [&[BINARY], header, &[4], &binary.payload()[..]].concat();
            assert_eq!(websocket(&binary, Revision::V3), expected);
        }
    }

    #[test]
    fn a_client_that_accepts_only_text_gets_base64() {
        for (revision, prefix) in [(Revision::V3, "b4"), (Revision::V4, "b")] {
            let frame = Frame::binary(vec![1, 2, 3].into()).websocket_text(revision);
            let len = prefix.len() as u8 + 4;
            assert_eq!(frame.header(), [TEXT, len]);
            assert_eq!(frame.body, format!("{prefix}AQID"));
            let text = Frame::text(PacketType::Message, "hello");
            assert_eq!(text.websocket_text(revision).body, text.websocket(revision).body);
        }
    }

    #[test]
    fn clones_share_a_whole_text_frame() {
        let frame = Frame::text(PacketType::Message, "hello");
        let (one, other) = (frame.websocket(Revision::V4), frame.clone().websocket(Revision::V4));
        assert!(one.header().is_empty());
        assert_eq!(one.body.as_ptr(), other.body.as_ptr());
    }

    #[test]
    fn a_binary_frame_shares_the_buffer_of_the_application() {
        let data = Bytes::from(vec![1, 2, 3]);
        let frame = Frame::binary(data.clone());
        assert_eq!(frame.websocket(Revision::V3).body.as_ptr(), data.as_ptr());
        assert_eq!(frame.payload().as_ptr(), data.as_ptr());
    }

    #[test]
    fn a_compressed_frame_is_built_once_for_all_clones_with_one_window_size() {
        let frame = Frame::binary(vec![1, 2, 3].into());
        let some = |text: &'static str| move || Some(Bytes::from_static(text.as_bytes()));
        assert_eq!(frame.compressed(15, some("large")).unwrap(), "large");
        assert_eq!(frame.clone().compressed(15, || panic!("again")).unwrap(), "large");
        assert_eq!(frame.compressed(9, some("small")).unwrap(), "small");
        let incompressible = Frame::binary(vec![1, 2, 3].into());
        assert_eq!(incompressible.compressed(15, || None), None);
        assert_eq!(incompressible.compressed(15, || panic!("again")), None);
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
        let mut writer = FrameWriter::message(b"former".to_vec());
        writer.buffer().extend_from_slice(b"2[7y");
        let frame = writer.copy();
        assert_eq!(frame.payload(), "42[7y");
        assert_eq!(frame.kind(), PacketType::Message);
        assert_eq!(writer.buffer().get(HEADROOM..), Some(&b"42[7y"[..]));
    }
}
