//! Every packet is counted once, with the bytes that a WebSocket would carry.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use engineio_parser::{
    Frame, Packet, PacketType, Revision, Transport,
    session::{Config, Input, Session},
};

#[test]
fn packets_and_bytes_are_counted_both_ways() {
    let now = Instant::now();
    let via = Transport::WebSocket;
    let config = Arc::new(Config::default());
    let mut session = Session::server(now, config, Revision::V4, via, "sid".into());
    let open = session.poll_transmit(via, usize::MAX).unwrap();
    session.send(Frame::text(PacketType::Message, "abc").into()).unwrap();
    session.send(Frame::binary(Bytes::from_static(&[1, 2])).into()).unwrap();
    while session.poll_transmit(via, usize::MAX).is_some() {}
    for packet in [Packet::message("hello"), Packet::binary(vec![0; 10])] {
        session.handle_input(now, Input::Packet(via, packet)).unwrap();
    }

    let traffic = session.take_traffic();
    assert_eq!((traffic.packets_out, traffic.bytes_out), (3, open.len() as u64 + 4 + 2));
    assert_eq!((traffic.packets_in, traffic.bytes_in), (2, 6 + 10));
    assert_eq!(session.take_traffic(), Default::default(), "taking the counters resets them");
}
