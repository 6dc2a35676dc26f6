//! The heartbeat: which end pings, and how long the peer may be silent.
//!
//! In revision 4 the server pings; in revision 3 the client does. The end that pings waits
//! `timeout` for the answer. The other end expects the next ping within `interval + timeout` of the
//! last one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    config::Config,
    event::{Reading, Role},
    timer::{Timer, Timers},
};
use crate::packet::{PacketType, Revision};

#[derive(Debug)]
pub(super) struct Heartbeat {
    /// The timings. Sessions share them.
    config: Arc<Config>,
    /// Whether this end sends heartbeats while its shell is blind. They are pings, or in revision 3
    /// the server's pongs.
    beats_while_blind: bool,
    /// Whether this end sends the pings.
    pings: bool,
    /// Whether a ping of this end is unanswered.
    waiting: bool,
    /// Whether other traffic has already extended the deadline of this ping.
    extended: bool,
    reading: Reading,
}

impl Heartbeat {
    pub(super) fn new(role: Role, revision: Revision, config: Arc<Config>) -> Self {
        let pings = (role == Role::Server) == (revision == Revision::V4);
        let beats_while_blind = pings || role == Role::Server;
        let (waiting, extended, reading) = (false, false, Reading::Open);
        Self { config, beats_while_blind, pings, waiting, extended, reading }
    }

    /// Sets the timings. A client learns them from the handshake.
    pub(super) fn set_timings(&mut self, interval: Duration, timeout: Duration) {
        // Sessions with the configured timings share them.
        if (self.config.ping_interval, self.config.ping_timeout) == (interval, timeout) {
            return;
        }
        let config = Arc::make_mut(&mut self.config);
        config.ping_interval = interval;
        config.ping_timeout = timeout;
    }

    pub(super) fn pings(&self) -> bool {
        self.pings
    }

    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    /// Returns the type of the heartbeats that this end sends.
    pub(super) fn packet(&self) -> PacketType {
        if self.pings { PacketType::Ping } else { PacketType::Pong }
    }

    pub(super) fn start(&self, now: Instant, timers: &mut Timers) {
        if self.pings {
            timers.set(Timer::Ping, now, self.config.ping_interval);
        } else {
            self.await_peer(now, timers);
        }
    }

    /// Called when a ping is due, or the heartbeat that replaces it while the shell is blind. The
    /// caller sends the packet.
    pub(super) fn on_ping_due(&mut self, now: Instant, timers: &mut Timers) {
        self.waiting = self.pings;
        self.extended = false;
        if self.reading == Reading::Blind {
            timers.set(Timer::Ping, now, self.config.ping_interval);
        } else {
            self.await_peer(now, timers);
        }
    }

    /// Called for the peer's pong. An unsolicited pong has no effect.
    pub(super) fn on_pong(&mut self, now: Instant, timers: &mut Timers) {
        if self.reading == Reading::Blind {
            self.await_peer(now, timers);
        } else if std::mem::take(&mut self.waiting) {
            timers.clear(Timer::Silence);
            timers.set(Timer::Ping, now, self.config.ping_interval);
        }
    }

    /// Called when something has arrived that the shell has not read, which shows that the peer is
    /// alive. `sent` says whether this end's ping was sent.
    pub(super) fn on_heard(&mut self, now: Instant, sent: bool, timers: &mut Timers) {
        match self.reading {
            Reading::Open => {}
            // It may be the pong.
            Reading::Watched if self.pings && sent => self.on_pong(now, timers),
            Reading::Watched if self.pings && !self.waiting => {}
            Reading::Watched | Reading::Blind => self.await_peer(now, timers),
        }
    }

    /// Called for every packet except a pong. Such a packet shows that the peer is alive: a large
    /// upload may delay its pong. Only the first packet per ping extends the deadline, so that most
    /// messages touch no timer.
    #[inline]
    pub(super) fn on_traffic(&mut self, now: Instant, timers: &mut Timers) {
        if self.waiting && !self.extended {
            self.extended = true;
            self.await_peer(now, timers);
        }
    }

    /// Changes how the peer's silence is judged. While the shell is blind, silence is not the
    /// peer's fault. Afterwards the deadline starts again, because the shell must first read the
    /// packets that arrived in the meantime.
    pub(super) fn set_reading(&mut self, now: Instant, reading: Reading, timers: &mut Timers) {
        let former = std::mem::replace(&mut self.reading, reading);
        if former == reading {
            return;
        }
        if reading == Reading::Blind {
            self.await_peer(now, timers);
            if self.beats_while_blind && timers.get(Timer::Ping).is_none() {
                timers.set(Timer::Ping, now, self.config.ping_interval);
            }
        } else if former == Reading::Blind {
            if !self.pings || self.waiting {
                timers.clear(Timer::Ping);
                self.await_peer(now, timers);
            } else {
                timers.clear(Timer::Silence);
            }
        }
    }

    /// Restarts the deadline of the peer's silence.
    pub(super) fn await_peer(&self, now: Instant, timers: &mut Timers) {
        let timeout = match self.reading {
            Reading::Blind => self.config.pause_timeout,
            _ if self.pings => self.config.ping_timeout,
            _ => self.config.ping_interval.saturating_add(self.config.ping_timeout),
        };
        timers.set(Timer::Silence, now, timeout);
    }
}
