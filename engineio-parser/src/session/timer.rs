//! The deadlines of a session.

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
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    /// Sets a deadline. It never expires if the time cannot be expressed.
    pub(super) fn set(&mut self, timer: Timer, now: Instant, after: Duration) {
        self.0[timer as usize] = now.checked_add(after);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// Brings a deadline forward by `earlier`, at most to `now`. A timer that is not set stays so.
    pub(super) fn bring_forward(&mut self, timer: Timer, now: Instant, earlier: Duration) {
        if let Some(at) = &mut self.0[timer as usize] {
            *at = at.checked_sub(earlier).map_or(now, |at| at.max(now));
        }
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    pub(super) fn clear_all(&mut self) {
        self.0 = Default::default();
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes the earliest deadline, if it has passed.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = Timer::ALL
            .into_iter()
            .filter_map(|timer| Some((self.0[timer as usize]?, timer)))
            .min_by_key(|(at, _)| *at)?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
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
