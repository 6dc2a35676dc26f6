//! Packets before a malformed one are delivered; packets after it are not.

use engineio_parser::{FramingError, Packet, Revision, payload, webtransport::Decoder};

#[test]
fn a_payload_ends_after_its_first_error() {
    for (revision, binary, body) in [
        (Revision::V4, false, &b"4a\x1e9\x1e4b"[..]),
        (Revision::V4, false, b"4a\x1e4\xff\x1e4b"),
        (Revision::V3, false, b"2:4a1:92:4b"),
        (Revision::V3, true, b"\x00\x02\xff4a\x00\x01\xff9\x00\x02\xff4b"),
    ] {
        let mut packets = payload::decode(revision, body.into(), binary);
        assert_eq!(packets.next(), Some(Ok(Packet::message("a"))));
        assert!(packets.next().unwrap().is_err());
        assert_eq!(packets.next(), None);
        assert_eq!(packets.next(), None);
    }
}

#[test]
fn a_webtransport_stream_ends_after_its_first_error() {
    let mut decoder = Decoder::new(10);
    decoder.push(b"\x024a\x00\x024b");
    assert_eq!(decoder.next(), Ok(Some(Packet::message("a"))));
    assert_eq!(decoder.next(), Err(FramingError::Empty));
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"\x024c");
    assert_eq!(decoder.next(), Ok(None));
}
