//! Incremental decoding of a polling body of revision 4.

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use crate::{
    error::PayloadError,
    packet::{Packet, PacketData, Revision},
};

const SEPARATOR: u8 = 0x1e;

/// How many bytes are reserved in advance for a packet that is still arriving.
const CHUNK: usize = 64 * 1024;

/// Decodes a polling body of revision 4 while it arrives. It returns each packet as soon as the
/// packet is complete, and only on request. The length of the body is therefore not limited. Many
/// small packets need no more memory than the piece in which they arrived. Only the length of each
/// packet is limited, as that of a WebSocket message.
///
/// The packets are the same as those of [`decode`](super::decode). They do not share memory with
/// the pieces.
///
/// ```
/// use engineio_parser::{Packet, payload::Reader};
///
/// let mut reader = Reader::new(1_000_000);
/// reader.push("4a\x1e4".into());
/// assert_eq!(reader.next_packet(), Some(Ok(Packet::message("a"))));
/// assert_eq!(reader.next_packet(), None); // more is needed
/// reader.push("b".into());
/// reader.finish();
/// assert_eq!(reader.next_packet(), Some(Ok(Packet::message("b"))));
/// assert_eq!(reader.next_packet(), None);
/// ```
#[derive(Debug)]
pub struct Reader {
    max_payload: usize,
    /// The part of the last piece that is not decoded yet.
    arrived: Bytes,
    /// The beginning of an incomplete packet.
    partial: Vec<u8>,
    empty: bool,
    complete: bool,
    /// The last packet or an error was returned.
    over: bool,
}

impl Reader {
    /// Creates a reader for a body whose packets have at most `max_payload` bytes each. As on a
    /// WebSocket, the digit of the type counts for text, and base64 is counted after decoding.
    pub fn new(max_payload: usize) -> Self {
        Self {
            max_payload,
            arrived: Bytes::new(),
            partial: Vec::new(),
            empty: true,
            complete: false,
            over: false,
        }
    }

    /// Adds the next piece of the body. Call it only after [`next_packet`](Self::next_packet) has
    /// returned `None`. Otherwise the rest of the previous piece is lost.
    pub fn push(&mut self, piece: Bytes) {
        self.empty &= piece.is_empty();
        self.arrived = piece;
    }

    /// Marks the body as complete.
    pub fn finish(&mut self) {
        self.complete = true;
    }

    /// Returns the next packet. Returns `None` if more data is needed, and after the last packet.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`decode`](super::decode), and [`PayloadError::TooLong`]. After an
    /// error it returns `None`.
    pub fn next_packet(&mut self) -> Option<Result<Packet, PayloadError>> {
        if self.over {
            return None;
        }
        let end = self.arrived.iter().position(|byte| *byte == SEPARATOR);
        if end.is_none() && !self.complete {
            let rest = std::mem::take(&mut self.arrived);
            return self.buffer(&rest).err().map(|error| self.fail(error));
        }
        let last = self.arrived.split_to(end.unwrap_or(self.arrived.len()));
        match end {
            Some(_) => self.arrived.advance(1),
            None => self.over = true,
        }
        if self.empty {
            return Some(Err(PayloadError::Empty));
        }
        let packet = self.complete(&last);
        Some(packet.or_else(|error| self.fail(error)))
    }

    /// Returns the number of bytes that the reader has buffered.
    pub fn buffered_bytes(&self) -> usize {
        self.partial.capacity() + self.arrived.len()
    }

    /// Decodes the packet that ends with these bytes.
    fn complete(&mut self, last: &[u8]) -> Result<Packet, PayloadError> {
        let packet = if self.partial.is_empty() {
            self.check(last.first(), last.len())?;
            let text = std::str::from_utf8(last).map_err(|_| PayloadError::InvalidUtf8)?;
            Packet::decode_str(text, Revision::V4)?
        } else {
            self.buffer(last)?;
            let bytes = Bytes::from(std::mem::take(&mut self.partial).into_boxed_slice());
            let text = ByteString::try_from(bytes).map_err(|_| PayloadError::InvalidUtf8)?;
            Packet::decode_text(text, Revision::V4)?
        };
        match &packet.data {
            PacketData::Binary(data) if data.len() > self.max_payload => Err(self.too_long()),
            _ => Ok(packet),
        }
    }

    /// Adds bytes to the incomplete packet. The final length is not known in advance.
    fn buffer(&mut self, bytes: &[u8]) -> Result<(), PayloadError> {
        let len = self.partial.len() + bytes.len();
        let limit = self.check(self.partial.first().or(bytes.first()), len)?;
        if self.partial.capacity() < len {
            let additional = self.partial.len().max(CHUNK.min(8 * len)).max(bytes.len());
            self.partial.reserve_exact(additional.min(limit - self.partial.len()));
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Checks the length of a packet that begins with `first`. Returns its limit.
    fn check(&self, first: Option<&u8>, len: usize) -> Result<usize, PayloadError> {
        let limit = match first {
            Some(b'b') => self.max_payload.div_ceil(3).saturating_mul(4).saturating_add(1),
            _ => self.max_payload,
        };
        if len > limit { Err(self.too_long()) } else { Ok(limit) }
    }

    fn too_long(&self) -> PayloadError {
        PayloadError::TooLong { max_payload: self.max_payload }
    }

    fn fail<T>(&mut self, error: PayloadError) -> Result<T, PayloadError> {
        self.over = true;
        self.arrived = Bytes::new();
        self.partial = Vec::new();
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::{error::PacketError, packet::PacketType, payload};

    fn read(max_payload: usize, pieces: &[&[u8]]) -> Vec<Result<Packet, PayloadError>> {
        let mut reader = Reader::new(max_payload);
        let mut packets = Vec::new();
        for piece in pieces {
            reader.push(Bytes::copy_from_slice(piece));
            packets.extend(std::iter::from_fn(|| reader.next_packet()));
        }
        reader.finish();
        packets.extend(std::iter::from_fn(|| reader.next_packet()));
        packets
    }

    proptest! {
        #[test]
        fn a_body_in_pieces_has_the_same_packets_as_the_complete_body(
            parts in vec(select(vec![&b"4a"[..], b"\x1e", b"4", b"b/w==", b"bAQ", b"2", b"\xff", b"4\xc3", b"\xa9", b"x", b""]), 0..12),
            size in 1_usize..8,
        ) {
            let body = parts.concat();
            let whole: Vec<_> = payload::decode(Revision::V4, body.clone().into(), false).collect();
            let pieces: Vec<_> = body.chunks(size).collect();
            prop_assert_eq!(read(usize::MAX, &pieces), whole);
        }
    }

    #[test]
    fn only_the_length_of_each_packet_is_limited() {
        let too_long = Err(PayloadError::TooLong { max_payload: 6 });
        let body = "4aaaaa\x1ebAAAAAAAA\x1e".repeat(1000) + "2";
        for size in [1, 2, 7, body.len()] {
            let pieces: Vec<_> = body.as_bytes().chunks(size).collect();
            let packets = read(6, &pieces);
            assert_eq!(packets.len(), 2001);
            assert_eq!(packets[0], Ok(Packet::message("aaaaa")));
            assert_eq!(packets[1], Ok(Packet::binary(vec![0; 6])));
            assert_eq!(packets[2000], Ok(Packet::text(PacketType::Ping, "")));
            for long in ["4aaaaaa", "bAAAAAAAAAA==", "bAAAAAAAAAAAA"] {
                let long = format!("2\x1e{long}\x1e2");
                let pieces: Vec<_> = long.as_bytes().chunks(size).collect();
                let ping = Ok(Packet::text(PacketType::Ping, ""));
                assert_eq!(read(6, &pieces), [ping, too_long.clone()]);
            }
        }
    }

    #[test]
    fn a_packet_that_is_too_long_is_refused_before_it_is_buffered() {
        let mut reader = Reader::new(1000);
        let mut most = 0;
        let error = loop {
            reader.push(Bytes::from_static(b"4444444444"));
            match reader.next_packet() {
                None => most = reader.buffered_bytes().max(most),
                Some(packet) => break packet.unwrap_err(),
            }
        };
        assert_eq!(error, PayloadError::TooLong { max_payload: 1000 });
        assert!(most <= 1000, "{most}");
        assert_eq!(reader.buffered_bytes(), 0);
    }

    #[test]
    fn no_packet_follows_an_error() {
        for (body, error) in [
            (&b""[..], PayloadError::Empty),
            (b"\x1e4a", PacketError::Empty.into()),
            (b"x\x1e4a", PacketError::UnknownType(b'x').into()),
        ] {
            assert_eq!(read(10, &[body]), [Err(error)]);
        }
    }
}
