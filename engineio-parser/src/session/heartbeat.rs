//! The heartbeat: which end pings, and how long the peer may be silent.
//!
//! In revision 4 the server pings; in revision 3 the client does. The end that pings waits
//! `timeout` for the answer. The other end expects the next ping within `interval + timeout` of the
//! last one.

use std::time::{Duration, Instant};

use super::{
    event::Role,
    timer::{Timer, Timers},
};
use crate::packet::Revision;

#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    /// Whether this end sends the pings.
    pings: bool,
    /// Whether a ping of this end is unanswered.
    waiting: bool,
    /// Whether other traffic has already extended the deadline of this ping.
    extended: bool,
    suspended: bool,
}

impl Heartbeat {
    pub(super) fn new(
        role: Role,
        revision: Revision,
        interval: Duration,
        timeout: Duration,
    ) -> Self {
        let pings = (role == Role::Server) == (revision == Revision::V4);
        Self { interval, timeout, pings, waiting: false, extended: false, suspended: false }
    }

    /// Sets the timings. A client learns them from the handshake.
    pub(super) fn set_timings(&mut self, interval: Duration, timeout: Duration) {
        self.interval = interval;
        self.timeout = timeout;
    }

    pub(super) fn pings(&self) -> bool {
        self.pings
    }

    pub(super) fn start(&self, now: Instant, timers: &mut Timers) {
        if self.pings {
            timers.set(Timer::Ping, now, self.interval);
        } else {
            self.await_peer(now, timers);
        }
    }

    pub(super) fn stop(&self, timers: &mut Timers) {
        timers.clear(Timer::Ping);
        timers.clear(Timer::Silence);
    }

    /// Called when a ping is due. The caller sends it.
    pub(super) fn on_ping_due(&mut self, now: Instant, timers: &mut Timers) {
        self.waiting = true;
        self.extended = false;
        self.await_peer(now, timers);
    }

    /// Called for the peer's pong. An unsolicited pong has no effect.
    pub(super) fn on_pong(&mut self, now: Instant, timers: &mut Timers) {
        if std::mem::take(&mut self.waiting) {
            timers.clear(Timer::Silence);
            timers.set(Timer::Ping, now, self.interval);
        }
    }

    /// Called for the peer's ping. The caller answers it.
    pub(super) fn on_ping(&self, now: Instant, timers: &mut Timers) {
        self.await_peer(now, timers);
    }

    /// Called for every packet except a pong. Such a packet shows that the peer is alive: a large
    /// upload may delay its pong. Only the first packet per ping extends the deadline, so that most
    /// messages touch no timer.
    pub(super) fn on_traffic(&mut self, now: Instant, timers: &mut Timers) {
        if self.waiting && !self.extended {
            self.extended = true;
            self.await_peer(now, timers);
        }
    }

    /// Suspends or resumes the deadline for the peer. While the shell does not read, silence is not
    /// the peer's fault. On resumption the deadline starts anew, because the shell must first read
    /// the packets that arrived in between.
    pub(super) fn suspend(&mut self, now: Instant, suspended: bool, timers: &mut Timers) {
        if self.suspended == suspended {
            return;
        }
        self.suspended = suspended;
        if suspended {
            timers.clear(Timer::Silence);
        } else if self.waiting || !self.pings {
            self.await_peer(now, timers);
        }
    }

    fn await_peer(&self, now: Instant, timers: &mut Timers) {
        let patience =
            if self.pings { self.timeout } else { self.interval.saturating_add(self.timeout) };
        if !self.suspended {
            timers.set(Timer::Silence, now, patience);
        }
    }
}
