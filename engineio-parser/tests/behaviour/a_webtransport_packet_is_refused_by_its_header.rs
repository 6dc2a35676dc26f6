//! WebTransport enforces the size limit before it buffers the packet, as polling does.

use engineio_parser::{FramingError, Packet, webtransport::Decoder};

#[test]
fn a_webtransport_packet_is_refused_by_its_header() {
    let mut decoder = Decoder::new(200);
    decoder.push(b"\x7e\x00\xc8");
    decoder.push(&[b'4'; 200]);
    assert_eq!(decoder.next(), Ok(Some(Packet::message("4".repeat(199)))));
    decoder.push(b"\x7e\x00\xc9");
    assert_eq!(decoder.next(), Err(FramingError::TooLong { len: 201, max_payload: 200 }));
}

#[test]
fn the_limit_includes_the_digit_of_text() {
    let mut decoder = Decoder::new(3);
    decoder.push(b"\x034ab\x83abc\x044abc");
    assert_eq!(decoder.next(), Ok(Some(Packet::message("ab"))));
    assert_eq!(decoder.next(), Ok(Some(Packet::binary("abc"))));
    assert_eq!(decoder.next(), Err(FramingError::TooLong { len: 4, max_payload: 3 }));
}
