//! The end of a session and its final packets.

use std::time::{Duration, Instant};

use super::{Phase, Session};
use crate::{
    packet::{PacketType, Transport},
    session::{
        event::{CloseReason, Output, Role},
        polling::Outgoing,
        timer::{Timer, Timers},
        upgrade::Upgrade,
    },
};

/// How long a closing session waits for its last packets to leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

impl Session {
    /// Starts closing: from now on only queued frames leave.
    pub(super) fn start_closing(&mut self, now: Instant, reason: CloseReason) {
        self.phase = Phase::Closing(reason);
        self.controls.clear_heartbeat();
        self.timers.clear(Timer::Ping);
        self.timers.clear(Timer::Silence);
        self.timers.set(Timer::Close, now, CLOSE_TIMEOUT);
        // A closing client need not finish its upgrade. A server keeps the upgrade, because its
        // client may have left polling already.
        if self.role == Role::Client {
            self.drop_probe();
        }
        if self.requests.out() == Outgoing::Failed {
            return self.finish(reason);
        }
        self.finish_if_drained();
    }

    /// Ends the session at once and drops its queue. On polling, a waiting request gets a close
    /// packet or a noop.
    pub(super) fn fail(&mut self, reason: CloseReason) {
        let reason = match self.phase {
            Phase::Closed => return,
            Phase::Closing(requested) => requested,
            Phase::Opening | Phase::Open => reason,
        };
        if self.transport == Transport::Polling && self.phase != Phase::Opening {
            self.final_packet = self.final_packet_for(reason);
        }
        self.finish(reason);
    }

    fn final_packet_for(&self, reason: CloseReason) -> Option<PacketType> {
        let transport_lost =
            matches!(reason, CloseReason::TransportClose | CloseReason::TransportError);
        match self.role {
            Role::Server if self.requests.out() != Outgoing::Waiting => None,
            // A client that closes the session with a POST needs no close packet. Its GET is only
            // ended.
            Role::Server if reason == CloseReason::TransportClose => Some(PacketType::Noop),
            Role::Server => Some(PacketType::Close),
            Role::Client => (!transport_lost).then_some(PacketType::Close),
        }
    }

    pub(super) fn finish(&mut self, reason: CloseReason) {
        self.drop_probe();
        self.upgrade = Upgrade::default();
        self.phase = Phase::Closed;
        self.timers = Timers::default();
        self.queue.clear();
        self.controls.clear();
        self.outputs.push(Output::Closed(reason));
    }

    pub(super) fn finish_if_drained(&mut self) {
        if let Phase::Closing(reason) = self.phase
            && self.transport != Transport::Polling
            && !self.has_frames()
            && !self.upgrade.has_transmit(self.transport)
        {
            self.finish(reason);
        }
    }
}
