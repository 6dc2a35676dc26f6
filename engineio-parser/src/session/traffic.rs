//! How much a session has carried.

use std::ops::AddAssign;

use crate::{
    frame::Frame,
    packet::{Data, Packet},
};

/// Packets and bytes, both ways. Packets of the protocol itself (handshake, heartbeat, upgrade) are among them.
///
/// Bytes are those of the packets as a WebSocket carries them: with the type's digit, without frame headers, before
/// compression, and without the base64 or the lengths that a polling body may add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Packets that arrived.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Packets that were given to a transport.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

impl Traffic {
    pub(super) fn received(&mut self, packet: &Packet) {
        let digit = usize::from(matches!(packet.data, Data::Text(_)));
        self.packets_in += 1;
        self.bytes_in += (digit + packet.data.len()) as u64;
    }

    pub(super) fn sent(&mut self, frame: &Frame) {
        self.packets_out += 1;
        self.bytes_out += frame.len() as u64;
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.packets_in += other.packets_in;
        self.bytes_in += other.bytes_in;
        self.packets_out += other.packets_out;
        self.bytes_out += other.bytes_out;
    }
}
