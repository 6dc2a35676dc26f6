//! A protocol v3 client that asked for base64 (`b64=1`) never gets a binary body.

use engineio_parser::{Frame, PacketType, Revision, payload};

#[test]
fn b64_forbids_binary_bodies() {
    let frames = [Frame::binary(vec![1].into()), Frame::text(PacketType::Message, "a")];
    let payload = payload::encode(Revision::V3, true, &frames);
    assert!(!payload.binary);
    assert_eq!(payload.body, "6:b4AQ==2:4a");
    assert!(payload::encode(Revision::V3, false, &frames).binary);
}
