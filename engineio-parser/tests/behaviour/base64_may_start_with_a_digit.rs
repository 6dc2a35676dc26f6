//! Base64 may begin with `4`. In protocol v4 that is data; in v3 the packet type precedes it.

use engineio_parser::{Frame, Packet, Revision};

#[test]
fn base64_may_start_with_a_digit() {
    let data = [0xe0, 0, 0];
    for (revision, text) in [(Revision::V4, "b4AAA"), (Revision::V3, "b44AAA")] {
        assert_eq!(Frame::binary(data.to_vec().into()).polling_text(revision), text);
        assert_eq!(Packet::decode_text(text.into(), revision), Ok(Packet::binary(data.to_vec())));
    }
}
