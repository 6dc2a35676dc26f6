//! Control packets (handshake and heartbeat) that wait to be sent.

use crate::packet::PacketType;

/// A set of control packets: at most one of each type waits. A peer that pings faster than it reads
/// gets one pong and costs no memory.
#[derive(Debug, Default)]
pub(super) struct Controls(u8);

impl Controls {
    pub(super) fn insert(&mut self, kind: PacketType) {
        self.0 |= bit(kind);
    }

    pub(super) fn contains(&self, kind: PacketType) -> bool {
        self.0 & bit(kind) != 0
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0 == 0
    }

    pub(super) fn clear(&mut self) {
        self.0 = 0;
    }

    /// Takes the next packet. The handshake precedes all others.
    pub(super) fn pop(&mut self) -> Option<PacketType> {
        let next = [PacketType::Open, PacketType::Ping, PacketType::Pong]
            .into_iter()
            .find(|kind| self.contains(*kind))?;
        self.0 &= !bit(next);
        Some(next)
    }

    /// Removes pings and pongs. The handshake stays.
    pub(super) fn clear_heartbeat(&mut self) {
        self.0 &= bit(PacketType::Open);
    }
}

fn bit(kind: PacketType) -> u8 {
    1 << kind as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_of_each_type_waits_and_the_handshake_is_first() {
        let mut controls = Controls::default();
        for kind in [PacketType::Pong, PacketType::Pong, PacketType::Open, PacketType::Ping] {
            controls.insert(kind);
        }
        let order: Vec<_> = std::iter::from_fn(|| controls.pop()).collect();
        assert_eq!(order, [PacketType::Open, PacketType::Ping, PacketType::Pong]);
        assert!(controls.is_empty());
    }

    #[test]
    fn a_closing_session_keeps_only_the_handshake() {
        let mut controls = Controls::default();
        controls.insert(PacketType::Ping);
        controls.insert(PacketType::Open);
        controls.clear_heartbeat();
        assert!(controls.contains(PacketType::Open) && !controls.contains(PacketType::Ping));
    }
}
