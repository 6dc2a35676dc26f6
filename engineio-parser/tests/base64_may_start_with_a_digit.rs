//! Base64 that begins with `4` is data in protocol v4; in v3 the type stands before it.

use engineio_parser::{Packet, Revision, payload};

#[test]
fn base64_may_start_with_a_digit() {
    let data = [0xe0, 0, 0];
    for (revision, text) in [(Revision::V4, "b4AAA"), (Revision::V3, "b44AAA")] {
        assert_eq!(payload::base64_packet(revision, &data), text);
        assert_eq!(
            Packet::decode_text(text.into(), revision),
            Ok(Packet::binary(data.to_vec()))
        );
    }
}
