//! The deadlines of a session.

#![allow(clippy::indexing_slicing, reason = "the table has one deadline per `Timer`")]

use std::time::{Duration, Instant};

/// The purpose of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The next ping is due.
    Ping,
    /// The peer has been silent for too long.
    Silence,
    /// The upgrade has taken too long.
    Upgrade,
    /// A GET that waits during an upgrade ends with a noop.
    Noop,
    /// A closing session gives up on its remaining packets.
    Close,
}

impl Timer {
    const ALL: [Self; 5] = [Self::Ping, Self::Silence, Self::Upgrade, Self::Noop, Self::Close];
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    heartbeat: [Option<Instant>; 2],
    /// Boxed, because most sessions are neither upgrading nor closing.
    others: Option<Box<[Option<Instant>; 3]>>,
}

impl Timers {
    pub(super) fn get(&self, timer: Timer) -> Option<Instant> {
        match timer {
            Timer::Ping | Timer::Silence => self.heartbeat[timer as usize],
            other => self.others.as_ref()?[other as usize - 2],
        }
    }

    fn put(&mut self, timer: Timer, at: Option<Instant>) {
        match timer {
            Timer::Ping | Timer::Silence => self.heartbeat[timer as usize] = at,
            _ if at.is_none() && self.others.is_none() => {}
            other => {
                let others = self.others.get_or_insert_default();
                others[other as usize - 2] = at;
                self.others.take_if(|others| others.iter().all(Option::is_none));
            }
        }
    }

    /// Sets a deadline. It never expires if the time cannot be expressed.
    pub(super) fn set(&mut self, timer: Timer, now: Instant, after: Duration) {
        self.put(timer, now.checked_add(after));
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.put(timer, None);
    }

    /// Brings a deadline forward by `earlier`, at most to `now`. A timer that is not set stays so.
    pub(super) fn bring_forward(&mut self, timer: Timer, now: Instant, earlier: Duration) {
        if let Some(at) = self.get(timer) {
            self.put(timer, Some(at.checked_sub(earlier).map_or(now, |at| at.max(now))));
        }
    }

    /// The earliest deadline.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        let [ping, silence] = self.heartbeat;
        let next = earliest(ping, silence);
        match &self.others {
            None => next,
            Some(others) => others.iter().copied().fold(next, earliest),
        }
    }

    /// Takes the earliest deadline, if it has passed.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = Timer::ALL
            .into_iter()
            .filter_map(|timer| Some((self.get(timer)?, timer)))
            .min_by_key(|(at, _)| *at)?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }
}

#[inline]
fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_expire_once_and_in_order() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.set(Timer::Ping, now, Duration::from_secs(2));
        timers.set(Timer::Close, now, Duration::from_secs(1));
        timers.set(Timer::Noop, now, Duration::from_secs(3));
        assert_eq!(timers.next(), Some(now + Duration::from_secs(1)));

        let later = now + Duration::from_secs(2);
        assert_eq!(timers.pop_expired(later), Some(Timer::Close));
        assert_eq!(timers.pop_expired(later), Some(Timer::Ping));
        assert_eq!(timers.pop_expired(later), None);
        assert_eq!(timers.next(), Some(now + Duration::from_secs(3)));
        timers.clear(Timer::Noop);
        assert!(timers.others.is_none(), "unused deadlines hold memory");
    }

    #[test]
    fn a_deadline_is_brought_forward_to_now_at_most() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.bring_forward(Timer::Ping, now, Duration::from_secs(1));
        assert_eq!(timers.next(), None);
        timers.set(Timer::Ping, now, Duration::from_secs(5));
        timers.bring_forward(Timer::Ping, now, Duration::from_secs(2));
        assert_eq!(timers.next(), Some(now + Duration::from_secs(3)));
        timers.bring_forward(Timer::Ping, now, Duration::MAX);
        assert_eq!(timers.next(), Some(now));
    }

    #[test]
    fn a_deadline_beyond_the_range_of_instant_never_expires() {
        let mut timers = Timers::default();
        timers.set(Timer::Silence, Instant::now(), Duration::MAX);
        assert_eq!(timers.next(), None);
    }
}
