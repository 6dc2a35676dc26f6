//! The polling requests, and the probe of the transport that replaces polling.

use std::time::Instant;

use super::{Phase, Session};
use crate::{
    packet::Transport,
    session::{
        event::{CloseReason, Output, Reading, Role, Violation},
        polling::{LAST_RESPONSE_TIMEOUT, NOOP_AFTER, Outgoing},
        timer::Timer,
        upgrade::Upgrade,
    },
};

impl Session {
    pub(super) fn start_probe(&mut self, now: Instant, via: Transport) -> Result<(), Violation> {
        if !self.is_open() || !self.upgrade.fits(self.transport, via) {
            return Err(Violation::UpgradeRefused);
        }
        self.upgrade.start(self.role, via);
        self.timers.set(Timer::Upgrade, now, self.config.upgrade_timeout);
        Ok(())
    }

    pub(super) fn start_outgoing(&mut self, now: Instant) -> Result<(), Violation> {
        let concurrent = match self.role {
            Role::Server => Violation::ConcurrentPoll,
            Role::Client => Violation::ConcurrentPush,
        };
        // The last POST of a client carries its close packet.
        let has_final_packet = self.role == Role::Client && self.final_packet.is_some();
        self.check_request(self.requests.out() != Outgoing::None, has_final_packet, concurrent)?;
        self.requests.set_out(Outgoing::Waiting);
        self.polled_while_closing |= self.role == Role::Server && self.is_closing();
        if self.upgrade.answered() {
            self.timers.set(Timer::Noop, now, NOOP_AFTER);
        }
        Ok(())
    }

    pub(super) fn start_incoming(&mut self) -> Result<(), Violation> {
        let concurrent = match self.role {
            Role::Server => Violation::ConcurrentPush,
            Role::Client => Violation::ConcurrentPoll,
        };
        self.check_request(self.requests.incoming(), false, concurrent)?;
        self.requests.set_incoming(true);
        Ok(())
    }

    fn check_request(
        &mut self,
        open: bool,
        has_final_packet: bool,
        concurrent: Violation,
    ) -> Result<(), Violation> {
        if self.is_closed() && !has_final_packet {
            return Err(Violation::Closed);
        }
        if self.transport != Transport::Polling || self.upgrade.pausing() {
            return Err(Violation::NotPolling);
        }
        if open {
            self.fail(CloseReason::TransportError);
            return Err(concurrent);
        }
        Ok(())
    }

    pub(super) fn end_request(&mut self, outgoing: bool) {
        if outgoing {
            self.requests.set_out(Outgoing::None);
        } else {
            self.requests.set_incoming(false);
            if self.requests.out() == Outgoing::Failed {
                self.fail(CloseReason::TransportError);
            }
        }
        self.switch_if_paused();
    }

    pub(super) fn abort_request(&mut self, now: Instant, outgoing: bool) {
        // A server that has closed refuses a POST, and the refusal may overtake the response to the
        // GET with the server's last packets.
        let polling = self.is_open() && self.transport == Transport::Polling;
        if self.role == Role::Client && polling && outgoing && self.requests.incoming() {
            self.requests.set_out(Outgoing::Failed);
            self.timers.set(Timer::Close, now, LAST_RESPONSE_TIMEOUT);
            return;
        }
        if self.transport == Transport::Polling {
            self.fail(CloseReason::TransportError);
        }
        self.end_request(outgoing);
    }

    pub(super) fn switch_if_paused(&mut self) {
        if let Some(via) = self.upgrade.via()
            && self.upgrade.pausing()
            && self.requests.is_idle()
        {
            self.switch(via);
        }
    }

    pub(super) fn switch(&mut self, via: Transport) {
        self.timers.clear(Timer::Upgrade);
        self.timers.clear(Timer::Noop);
        self.upgrade.finish(self.role, self.transport, self.queue.in_run());
        self.transport = via;
        // The queue now belongs to the new transport. A waiting GET ends with a noop.
        self.requests.end_with_noop();
        self.outputs.push(Output::Upgraded(via));
        self.finish_if_drained();
    }

    pub(super) fn on_upgrade_timeout(&mut self, now: Instant) {
        if self.upgrade.expects_request() {
            if self.is_open() {
                self.fail(CloseReason::TransportClose);
            }
        } else if self.upgrade.former().is_none() {
            self.drop_probe();
        } else if self.phase == Phase::Open && self.heartbeat.reading() == Reading::Open {
            self.fail(CloseReason::TransportError);
        } else {
            // The shell reads nothing now. A closing session has a deadline of its own.
            self.timers.set(Timer::Upgrade, now, self.config.upgrade_timeout);
        }
    }

    /// Server: limits the time without a request after the client has closed an answered probe.
    /// JavaScript clients that have read the answer poll no more, whether or not their page still
    /// exists. Other clients go on polling at once.
    pub(super) fn await_request(&mut self, now: Instant) {
        let requested = self.requests.out() != Outgoing::None || self.requests.incoming();
        if self.upgrade.expects_request() && self.is_open() && !requested {
            self.timers.set(Timer::Upgrade, now, self.config.upgrade_timeout);
        }
    }

    /// Server: the client goes on polling.
    pub(super) fn on_request(&mut self) {
        if self.upgrade.request_arrived() {
            self.timers.clear(Timer::Upgrade);
        }
    }

    pub(super) fn drop_probe(&mut self) {
        if let Some(via) = self.upgrade.via() {
            self.timers.clear(Timer::Upgrade);
            self.timers.clear(Timer::Noop);
            self.requests.cancel_noop();
            self.upgrade = Upgrade::default();
            self.outputs.push(Output::ProbeFailed(via));
        }
    }
}
