//! A connected namespace keeps its name, not the packet that the name came in: that may have been as large as a message
//! can be, and there may be one for each namespace.

use std::time::Instant;

use bytes::Bytes;
use engineio_parser::PacketData;
use socketio_parser::{ByteString, Connection, Limits, Nsp, Protocol};

#[test]
fn a_namespace_does_not_pin_its_packet() {
    let packet = Bytes::from(br#"0/chat,{"token":"a large one"}"#.to_vec());
    let message = PacketData::Text(ByteString::try_from(packet.clone()).unwrap());
    let mut server = Connection::<()>::server(Protocol::V5, Limits::default());
    server.handle_data(Instant::now(), message).unwrap();
    assert!(server.accept(&Nsp::new("/chat").unwrap()));
    while server.poll_output().is_some() {}
    assert!(server.is_connected(&Nsp::new("/chat").unwrap()));
    assert!(packet.is_unique());
}
