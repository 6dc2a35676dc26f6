//! Malformed input from a peer causes an error, never a panic.

use engineio_parser::{
    FramingError, PacketError, PayloadError, Revision, payload, webtransport::Decoder,
};

fn errors(revision: Revision, body: &'static [u8], binary: bool) -> Vec<PayloadError> {
    payload::decode(revision, body.into(), binary)
        .take(body.len() + 2)
        .filter_map(Result::err)
        .collect()
}

#[test]
fn an_empty_body_is_an_error() {
    for (revision, binary) in [(Revision::V4, false), (Revision::V3, false), (Revision::V3, true)] {
        assert_eq!(errors(revision, b"", binary), [PayloadError::Empty]);
    }
}

#[test]
fn a_binary_body_in_revision_4_is_an_error() {
    assert_eq!(errors(Revision::V4, b"4a", true), [PayloadError::UnexpectedBinary]);
}

#[test]
fn text_that_is_not_utf8_is_an_error() {
    assert_eq!(errors(Revision::V4, b"4\xff", false), [PayloadError::InvalidUtf8]);
    assert_eq!(errors(Revision::V4, b"4a\x1e4\xc3\x1e4b", false), [PayloadError::InvalidUtf8]);
    assert_eq!(errors(Revision::V3, b"2:4\xc3", false), [PayloadError::LengthMismatch]);
    assert_eq!(errors(Revision::V3, b"3:4\xc34", false), [PayloadError::LengthMismatch]);
    assert_eq!(errors(Revision::V3, b"2:4\xc34", false), [PayloadError::InvalidUtf8]);
    assert_eq!(errors(Revision::V3, b"\x00\x02\xff4\xc3", true), [PayloadError::InvalidUtf8]);

    let mut decoder = Decoder::new(10);
    decoder.push(b"\x024\xff");
    assert_eq!(decoder.next(), Err(FramingError::InvalidUtf8));
}

#[test]
fn an_empty_packet_is_an_error() {
    let empty = PayloadError::Packet(PacketError::Empty);
    assert_eq!(errors(Revision::V4, b"4a\x1e", false), [empty]);
    assert_eq!(errors(Revision::V3, b"\x00\x00\xff", true), [empty]);
    assert_eq!(errors(Revision::V3, b"\x01\x00\xff", true), [empty]);

    let mut decoder = Decoder::new(10);
    decoder.push(b"\x80");
    assert_eq!(decoder.next(), Err(FramingError::Empty));
}

#[test]
fn an_unknown_marker_is_an_error() {
    assert_eq!(errors(Revision::V3, b"\x02\x01\xff4", true), [PayloadError::UnknownMarker(2)]);
}
