//! Decoding a polling body returns the packets that were encoded.

use crate::arbitrary;

use engineio_parser::{Frame, Packet, Revision, payload};
use proptest::prelude::*;

proptest! {
    #[test]
    fn payloads_round_trip(
        packets in arbitrary::packets(),
        revision in arbitrary::revision(),
        b64 in any::<bool>(),
    ) {
        let frames: Vec<Frame> = packets.iter().filter_map(Packet::to_frame).collect();
        let payload = payload::encode(revision, b64, &frames);
        let any_binary = frames.iter().any(Frame::is_binary);
        prop_assert_eq!(payload.binary, revision == Revision::V3 && !b64 && any_binary);
        let decoded: Result<Vec<_>, _> =
            payload::decode(revision, payload.body, payload.binary).collect();
        prop_assert_eq!(decoded, Ok(packets));
    }
}
