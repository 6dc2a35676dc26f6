//! The fuzz bodies hold for mutated messages of every type, and for any sequence of operations.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

mod common;

use common::all;
use proptest::prelude::*;
use socketio_adapter::fuzzing;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn message(
        which in 0..18_usize,
        json in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let message = all().swap_remove(which);
        let mut wire = if json { message.encode() } else { message.to_msgpack() }.to_vec();
        for (at, byte) in changes {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        fuzzing::message(&wire);
    }

    #[test]
    fn cluster_ops(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzzing::cluster_ops(&data);
    }
}
