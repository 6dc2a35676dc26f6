//! A small message that the application retains does not keep its input buffer alive.

use bytes::Bytes;
use engineio_parser::{Packet, PacketData, Revision, payload, webtransport::Decoder};

fn binary_messages(packets: impl Iterator<Item = Packet>) -> Vec<Bytes> {
    packets
        .filter_map(|packet| match packet.data {
            PacketData::Binary(data) => Some(data),
            PacketData::Text(_) => None,
        })
        .collect()
}

#[test]
fn a_small_binary_message_does_not_pin_its_polling_body() {
    let text = "x".repeat(999);
    for (revision, binary, body) in [
        (Revision::V4, false, format!("4{text}\x1ebAQID").into_bytes()),
        (Revision::V3, false, format!("1000:4{text}6:b4AQID").into_bytes()),
        (
            Revision::V3,
            true,
            [b"\x00\x01\x00\x00\x00\xff4", text.as_bytes(), b"\x01\x04\xff\x04\x01\x02\x03"]
                .concat(),
        ),
    ] {
        let body = Bytes::from(body);
        let messages =
            binary_messages(payload::decode(revision, body.clone(), binary).map(Result::unwrap));
        assert_eq!(messages, [&[1, 2, 3][..]]);
        assert!(body.is_unique(), "{revision:?}");
    }
}

#[test]
fn a_small_text_message_does_not_pin_its_polling_body() {
    let filler = "x".repeat(999);
    for (revision, binary, body) in [
        (Revision::V4, false, format!("4small\x1e6{filler}").into_bytes()),
        (Revision::V3, false, format!("6:4small1000:6{filler}").into_bytes()),
        (
            Revision::V3,
            true,
            [b"\x00\x06\xff4small\x00\x01\x00\x00\x00\xff6", filler.as_bytes()].concat(),
        ),
    ] {
        let body = Bytes::from(body);
        let mut packets: Vec<_> =
            payload::decode(revision, body.clone(), binary).map(Result::unwrap).collect();
        packets.truncate(1);
        assert_eq!(packets, [Packet::message("small")]);
        assert!(body.is_unique(), "{revision:?}");
    }
}

#[test]
fn a_small_message_does_not_pin_its_webtransport_stream() {
    let mut decoder = Decoder::new(10_000);
    let stream = [&b"\x83\x01\x02\x03\x7e\x27\x0e"[..], &[b'4'; 9998]].concat();
    decoder.push(&stream);
    let messages = binary_messages(std::iter::from_fn(|| decoder.next().unwrap()));
    let [message] = messages.try_into().unwrap();
    // `try_into_mut` returns the original allocation, because nothing else refers to it.
    assert!(message.try_into_mut().unwrap().capacity() < 100);
}
