//! Decoding a frame returns the packet that was encoded, on every transport.

use crate::arbitrary;

use engineio_parser::{Packet, Revision};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_packet_survives_a_message_transport(packet in arbitrary::packet(), revision in arbitrary::revision()) {
        let frame = packet.to_frame().unwrap();
        prop_assert_eq!(frame.to_packet(), packet.clone());
        let mut message = frame.payload();
        let decoded = if frame.is_binary() {
            if revision == Revision::V3 {
                message = [&b"\x04"[..], &message].concat().into();
            }
            Packet::decode_binary(message, revision)
        } else {
            Packet::decode_text(message.try_into().unwrap(), revision)
        };
        prop_assert_eq!(decoded, Ok(packet));
    }

    #[test]
    fn a_packet_survives_its_text_form(packet in arbitrary::packet(), revision in arbitrary::revision()) {
        let frame = packet.to_frame().unwrap();
        let text = frame.polling_text(revision);
        prop_assert_eq!(text.len(), frame.polling_len(revision));
        prop_assert_eq!(Packet::decode_text(text.try_into().unwrap(), revision), Ok(packet));
    }
}
