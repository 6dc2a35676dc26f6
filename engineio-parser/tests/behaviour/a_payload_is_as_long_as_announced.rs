//! The length of a body is known before it is encoded, so that a request can keep within a byte
//! budget.

use crate::arbitrary;

use engineio_parser::{Frame, Packet, Revision, payload};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_payload_is_as_long_as_announced(
        packets in arbitrary::packets(),
        revision in arbitrary::revision(),
        b64 in any::<bool>(),
    ) {
        let frames: Vec<Frame> = packets.iter().filter_map(Packet::to_frame).collect();
        let payload = payload::encode(revision, b64, &frames);
        let budget: usize =
            frames.iter().map(|frame| payload::encoded_len(frame, revision, b64)).sum();
        match revision {
            Revision::V4 => prop_assert_eq!(payload.body.len(), budget - "\x1e".len()),
            Revision::V3 if b64 || payload.binary => prop_assert_eq!(payload.body.len(), budget),
            Revision::V3 => {
                prop_assert!(payload.body.len() < budget);
                prop_assert!(payload.body.len() + 2 * frames.len() >= budget);
            }
        }
    }
}
