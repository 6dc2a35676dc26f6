//! The time of a machine that may sleep.

use std::time::{Duration, Instant};

/// The least difference between the two clocks that counts as sleep. Less is drift, and small corrections.
const SLEEP: Duration = Duration::from_secs(1);

/// A monotonic clock that includes the time in which the machine slept.
///
/// The monotonic clock of most systems stands still while the machine is suspended, the wall clock does not. A shell that
/// gives a [`Session`](super::Session) the time of this clock ends it by its heartbeat as soon as the machine is awake,
/// although the monotonic deadlines are still to come. A wall clock that is set forward counts as sleep as well: at worst
/// a session ends too early. One that is set back changes nothing.
///
/// Reads no clock itself: the shell passes the times of both in, that of the wall clock as the time since 1970.
///
/// ```
/// use std::time::{Duration, Instant};
/// use engineio_parser::session::Clock;
///
/// let (now, wall) = (Instant::now(), Duration::from_secs(1_700_000_000));
/// let mut clock = Clock::new(now, wall);
/// let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
/// assert!(!clock.update(now + second, wall + second));
/// assert!(clock.update(now + 2 * second, wall + hour)); // the machine has slept
/// assert_eq!(clock.now(now + 3 * second), now + hour + second);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    monotonic: Instant,
    wall: Duration,
    slept: Duration,
}

impl Clock {
    /// A clock that begins with the times of the two clocks.
    pub fn new(monotonic: Instant, wall: Duration) -> Self {
        Self { monotonic, wall, slept: Duration::ZERO }
    }

    /// Compares the two clocks, whose present times are given. Returns whether the machine has slept since the last call.
    /// Sleep is noticed only here, so a shell calls this before it relies on a connection, and now and then.
    pub fn update(&mut self, monotonic: Instant, wall: Duration) -> bool {
        let awake = monotonic.saturating_duration_since(self.monotonic);
        let passed = wall.saturating_sub(self.wall);
        (self.monotonic, self.wall) = (monotonic, wall);
        let slept = passed.saturating_sub(awake);
        if slept < SLEEP {
            return false;
        }
        self.slept = self.slept.saturating_add(slept);
        true
    }

    /// The time of this clock at a time of the monotonic clock.
    pub fn now(&self, monotonic: Instant) -> Instant {
        monotonic.checked_add(self.slept).unwrap_or(monotonic)
    }

    /// The time of the monotonic clock at which this clock shows `time`, if the machine does not sleep until then.
    pub fn monotonic(&self, time: Instant) -> Instant {
        time.checked_sub(self.slept).unwrap_or(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_clock_goes_on_while_the_machine_sleeps() {
        let (start, wall) = (Instant::now(), Duration::from_secs(1_700_000_000));
        let mut clock = Clock::new(start, wall);
        assert!(clock.update(start + SECOND, wall + 61 * SECOND));
        assert!(clock.update(start + 2 * SECOND, wall + 122 * SECOND));
        assert_eq!(clock.now(start + 3 * SECOND), start + 123 * SECOND);
        assert_eq!(clock.monotonic(start + 130 * SECOND), start + 10 * SECOND);
    }

    #[test]
    fn drift_is_no_sleep() {
        let (start, wall) = (Instant::now(), Duration::from_secs(1_700_000_000));
        let mut clock = Clock::new(start, wall);
        for n in 1..100 {
            let drift = Duration::from_millis(900) * n;
            assert!(!clock.update(start + n * SECOND, wall + n * SECOND + drift));
        }
        assert_eq!(clock.now(start), start);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_changes_nothing() {
        let (start, wall) = (Instant::now(), Duration::from_secs(1_700_000_000));
        let mut clock = Clock::new(start, wall);
        assert!(!clock.update(start + SECOND, wall - 3600 * SECOND));
        assert!(!clock.update(start + 2 * SECOND, wall - 3599 * SECOND));
        assert!(clock.update(start + 3 * SECOND, wall));
    }

    #[test]
    fn no_time_is_too_large() {
        let (start, wall) = (Instant::now(), Duration::ZERO);
        let mut clock = Clock::new(start, wall);
        clock.slept = Duration::MAX;
        assert!(clock.update(start, Duration::MAX));
        assert_eq!((clock.now(start), clock.monotonic(start)), (start, start));
    }
}
