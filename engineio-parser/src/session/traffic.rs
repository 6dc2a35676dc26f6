//! Packet and byte counters of a session.

use std::ops::AddAssign;

use crate::packet::{Packet, PacketData};

/// Packets and bytes in both directions, including protocol packets (handshake, heartbeat,
/// upgrade).
///
/// A packet counts the bytes that a WebSocket message would carry: its type digit and data, before
/// compression. Frame headers, base64 and the lengths in polling bodies do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Packets that arrived.
    pub packets_in: u64,
    /// Bytes of the packets that arrived.
    pub bytes_in: u64,
    /// Packets that were given to a transport.
    pub packets_out: u64,
    /// Bytes of the packets that were given to a transport.
    pub bytes_out: u64,
}

impl Traffic {
    pub(super) fn received(&mut self, packet: &Packet) {
        let digit = usize::from(matches!(packet.data, PacketData::Text(_)));
        self.packets_in += 1;
        self.bytes_in += (digit + packet.data.len()) as u64;
    }

    pub(super) fn sent(&mut self, packets: usize, bytes: usize) {
        self.packets_out += packets as u64;
        self.bytes_out += bytes as u64;
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
