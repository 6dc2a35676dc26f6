//! Protocol v3 counts the length of text in UTF-16 code units, as JavaScript does. In a binary body
//! it counts bytes.

use engineio_parser::{Frame, Packet, PacketType, PayloadError, Revision, payload};

const TEXT: &str = "é€😀";

#[test]
fn a_text_body_counts_utf16_code_units() {
    let body = payload::encode(Revision::V3, true, &[Frame::text(PacketType::Message, TEXT)]).body;
    assert_eq!(body, format!("5:4{TEXT}"));
    let packets: Vec<_> = payload::decode(Revision::V3, body, false).collect();
    assert_eq!(packets, [Ok(Packet::message(TEXT))]);
}

#[test]
fn a_binary_body_counts_bytes() {
    let frames = [Frame::text(PacketType::Message, TEXT), Frame::binary(vec![7].into())];
    let body = payload::encode(Revision::V3, false, &frames).body;
    assert_eq!(
        body,
        [&b"\x00\x01\x00\xff4"[..], TEXT.as_bytes(), b"\x01\x02\xff\x04\x07"].concat()
    );
    let packets: Vec<_> = payload::decode(Revision::V3, body, true).collect();
    assert_eq!(packets, [Ok(Packet::message(TEXT)), Ok(Packet::binary(vec![7]))]);
}

#[test]
fn a_length_that_ends_within_a_character_is_an_error() {
    let packets: Vec<_> = payload::decode(Revision::V3, "2:4😀".into(), false).collect();
    assert_eq!(packets, [Err(PayloadError::LengthMismatch)]);
}
