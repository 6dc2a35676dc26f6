//! Strategies for every packet that a frame can express.
#![allow(dead_code, reason = "each test uses some of these")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use engineio_parser::{Packet, PacketType, Revision};
use proptest::{collection::vec, prelude::*};

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    let kind = (b'0'..=b'6').prop_map(|digit| PacketType::from_digit(digit).unwrap());
    prop_oneof![
        (kind, any::<String>()).prop_map(|(kind, text)| Packet::text(kind, text)),
        vec(any::<u8>(), 0..300).prop_map(Packet::binary),
    ]
}

pub(crate) fn packets() -> impl Strategy<Value = Vec<Packet>> {
    vec(packet(), 1..8)
}

pub(crate) fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![Just(Revision::V3), Just(Revision::V4)]
}
