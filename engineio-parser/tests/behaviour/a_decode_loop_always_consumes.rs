//! Each step of a decoder consumes bytes or ends the decoder, so decoding takes linear time.

use bytes::Bytes;
use engineio_parser::{Revision, payload, webtransport::Decoder};
use proptest::{collection::vec, prelude::*};

/// Large enough that a decoder of quadratic cost would not finish.
const LARGE: usize = 1 << 20;

proptest! {
    #[test]
    fn a_decoder_yields_at_most_one_packet_per_byte(
        body in vec(prop_oneof![any::<u8>(), Just(0x1e), Just(b':'), Just(b'0'), Just(0), Just(0xff)], 0..200),
        binary in any::<bool>(),
    ) {
        for revision in [Revision::V3, Revision::V4] {
            let packets = payload::decode(revision, body.clone().into(), binary);
            let limit = body.len() + 1;
            prop_assert!(packets.take(limit + 1).count() <= limit);
        }
        let mut decoder = Decoder::new(64);
        decoder.push(&body);
        let mut packets = 0;
        while let Ok(Some(_)) = decoder.next() {
            packets += 1;
            prop_assert!(packets <= body.len());
        }
    }
}

#[test]
fn a_body_of_many_small_packets_is_decoded() {
    for (revision, binary, packet) in [
        (Revision::V4, false, &b"6\x1e"[..]),
        (Revision::V4, false, b"b\x1e"),
        (Revision::V3, false, b"1:6"),
        (Revision::V3, true, b"\x00\x01\xff6"),
        (Revision::V3, true, b"\x01\x01\xff\x04"),
    ] {
        let body = Bytes::from(packet.repeat(LARGE / packet.len()));
        let packets = payload::decode(revision, body, binary).filter(Result::is_ok).count();
        assert_eq!(packets, LARGE / packet.len());
    }
}

#[test]
fn a_body_of_only_empty_packets_ends() {
    let body = Bytes::from("0:".repeat(LARGE / 2));
    assert_eq!(payload::decode(Revision::V3, body, false).next(), None);
}

#[test]
fn a_large_packet_in_tiny_chunks_is_decoded() {
    let mut decoder = Decoder::new(LARGE as u64);
    decoder.push(&[0x7f, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    for _ in 1..LARGE {
        decoder.push(b"4");
        assert_eq!(decoder.next(), Ok(None));
    }
    decoder.push(b"4");
    assert!(decoder.next().unwrap().is_some());
}
