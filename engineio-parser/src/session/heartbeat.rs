//! Who pings, who answers, and how long the peer may be silent.
//!
//! Revision 4: the server pings. Revision 3: the client does. The end that pings waits `timeout` for the answer; the other
//! one expects the next ping within `interval + timeout` of the last.

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
    pings: bool,
    /// A ping of ours is due or unanswered.
    waiting: bool,
    /// The deadline of this cycle was extended once by other traffic.
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

    /// The client learns the timings from the handshake.
    pub(super) fn set_timings(&mut self, interval: Duration, timeout: Duration) {
        self.interval = interval;
        self.timeout = timeout;
    }

    /// Whether this end sends the pings.
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

    /// The next ping is due: the caller sends it.
    pub(super) fn on_ping_due(&mut self, now: Instant, timers: &mut Timers) {
        self.waiting = true;
        self.extended = false;
        self.await_peer(now, timers);
    }

    /// The answer to our ping. One that nothing asked for has no effect.
    pub(super) fn on_pong(&mut self, now: Instant, timers: &mut Timers) {
        if std::mem::take(&mut self.waiting) {
            timers.clear(Timer::Silence);
            timers.set(Timer::Ping, now, self.interval);
        }
    }

    /// The peer's ping: the caller answers it.
    pub(super) fn on_ping(&self, now: Instant, timers: &mut Timers) {
        self.await_peer(now, timers);
    }

    /// Any packet but a pong shows that the peer lives: a large upload may hold its pong up. It counts once per ping, so
    /// that no timer is touched per message.
    pub(super) fn on_traffic(&mut self, now: Instant, timers: &mut Timers) {
        if self.waiting && !self.extended {
            self.extended = true;
            self.await_peer(now, timers);
        }
    }

    /// While nothing is read, silence is not the peer's. Afterwards its deadline starts anew, since what it has sent in
    /// between must first be read.
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
