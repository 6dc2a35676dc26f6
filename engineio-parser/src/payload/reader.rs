//! A body of revision 4, read while it arrives.

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use crate::{
    error::PayloadError,
    packet::{Data, Packet, Revision},
};

const SEPARATOR: u8 = 0x1e;

/// Bytes of a large packet that are reserved before they arrive.
const CHUNK: usize = 64 * 1024;

/// Reads a body of revision 4 while it arrives: a packet comes out as soon as it is whole, and no sooner than it is asked
/// for. So a body may be of any length, and many small packets cost no more than the piece that they arrived in; only
/// the length of one packet is bounded, as that of one message of a WebSocket is.
///
/// The packets are those of [`decode`](super::decode), and what they carry is memory of their own.
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
    /// What has arrived and was not looked at.
    arrived: Bytes,
    /// The beginning of a packet whose end has not arrived.
    partial: Vec<u8>,
    empty: bool,
    whole: bool,
    /// The last packet was given, or an error.
    over: bool,
}

impl Reader {
    /// A body whose packets have at most `max_payload` bytes each: of text with the type's digit, of binary without
    /// its base64, as on a WebSocket.
    pub fn new(max_payload: usize) -> Self {
        Self {
            max_payload,
            arrived: Bytes::new(),
            partial: Vec::new(),
            empty: true,
            whole: false,
            over: false,
        }
    }

    /// Takes in the next piece of the body, when [`next_packet`](Self::next_packet) has given `None`. What of an earlier
    /// piece was not looked at is lost otherwise.
    pub fn push(&mut self, piece: Bytes) {
        self.empty &= piece.is_empty();
        self.arrived = piece;
    }

    /// Says that the body is whole.
    pub fn finish(&mut self) {
        self.whole = true;
    }

    /// The next packet. `None` until more has arrived, and after the last one.
    ///
    /// # Errors
    ///
    /// As [`decode`](super::decode), and [`PayloadError::TooLong`]. Nothing follows an error.
    pub fn next_packet(&mut self) -> Option<Result<Packet, PayloadError>> {
        if self.over {
            return None;
        }
        let end = self.arrived.iter().position(|byte| *byte == SEPARATOR);
        if end.is_none() && !self.whole {
            let rest = std::mem::take(&mut self.arrived);
            return self.keep(&rest).err().map(|error| self.fail(error));
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

    /// Bytes that were taken in and not given out.
    pub fn held(&self) -> usize {
        self.partial.capacity() + self.arrived.len()
    }

    /// Decodes a packet that ends with these bytes.
    fn complete(&mut self, last: &[u8]) -> Result<Packet, PayloadError> {
        let packet = if self.partial.is_empty() {
            self.check(last.first(), last.len())?;
            let text = std::str::from_utf8(last).map_err(|_| PayloadError::InvalidUtf8)?;
            Packet::decode_str(text, Revision::V4)?
        } else {
            self.keep(last)?;
            let bytes = Bytes::from(std::mem::take(&mut self.partial).into_boxed_slice());
            let text = ByteString::try_from(bytes).map_err(|_| PayloadError::InvalidUtf8)?;
            Packet::decode_text(text, Revision::V4)?
        };
        match &packet.data {
            Data::Binary(data) if data.len() > self.max_payload => Err(self.too_long()),
            _ => Ok(packet),
        }
    }

    /// Adds to the packet that is arriving, whose length is not trusted to any announcement.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), PayloadError> {
        let len = self.partial.len() + bytes.len();
        let limit = self.check(self.partial.first().or(bytes.first()), len)?;
        if self.partial.capacity() < len {
            let ahead = self.partial.len().max(CHUNK.min(8 * len)).max(bytes.len());
            self.partial.reserve_exact(ahead.min(limit - self.partial.len()));
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// The limit of a packet that begins with this byte, if it is kept.
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
        fn a_body_in_pieces_has_the_packets_of_the_whole(
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
    fn only_the_length_of_a_packet_is_bounded() {
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
    fn a_packet_is_refused_before_it_is_held() {
        let mut reader = Reader::new(1000);
        let mut held = 0;
        let error = loop {
            reader.push(Bytes::from_static(b"4444444444"));
            match reader.next_packet() {
                None => held = reader.held().max(held),
                Some(packet) => break packet.unwrap_err(),
            }
        };
        assert_eq!(error, PayloadError::TooLong { max_payload: 1000 });
        assert!(held <= 1000, "{held}");
        assert_eq!(reader.held(), 0);
    }

    #[test]
    fn nothing_follows_an_error() {
        for (body, error) in [
            (&b""[..], PayloadError::Empty),
            (b"\x1e4a", PacketError::Empty.into()),
            (b"x\x1e4a", PacketError::UnknownType(b'x').into()),
        ] {
            assert_eq!(read(10, &[body]), [Err(error)]);
        }
    }
}
