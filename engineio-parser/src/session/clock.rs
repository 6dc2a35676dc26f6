//! A clock for machines that may sleep.

use std::time::{Duration, Instant};

/// Smallest difference between the two clocks that counts as sleep. Smaller ones are drift and
/// corrections.
const SLEEP: Duration = Duration::from_secs(1);

/// A monotonic clock that includes the time in which the machine slept.
///
/// On most systems, the monotonic clock stops while the machine is suspended, and the wall clock
/// continues. A shell that passes the time of this clock to a [`Session`](super::Session) lets the
/// session's heartbeat time out as soon as the machine is awake, although the deadlines are in the
/// future on the monotonic clock. A wall clock that is set forward also counts as sleep. At worst,
/// a session ends too early. A wall clock that is set back has no effect.
///
/// This type does not read clocks. The shell passes in the times of both, the wall clock's as the
/// time since 1970.
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
    /// Creates a clock from the current times of the two clocks.
    pub fn new(monotonic: Instant, wall: Duration) -> Self {
        Self { monotonic, wall, slept: Duration::ZERO }
    }

    /// Compares the current times of the two clocks. Returns whether the machine has slept since
    /// the last call. Sleep is detected only here, so a shell should call this before it relies on
    /// a connection, and from time to time.
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

    /// Returns how long the machine has slept in all, as far as [`update`](Self::update) has
    /// noticed.
    pub fn slept(&self) -> Duration {
        self.slept
    }

    /// Converts a time of the monotonic clock to the time of this clock.
    pub fn now(&self, monotonic: Instant) -> Instant {
        monotonic.checked_add(self.slept).unwrap_or(monotonic)
    }

    /// Converts a time of this clock to a time of the monotonic clock, assuming that the machine
    /// does not sleep until then.
    pub fn monotonic(&self, time: Instant) -> Instant {
        time.checked_sub(self.slept).unwrap_or(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_clock_continues_while_the_machine_sleeps() {
        let (start, wall) = (Instant::now(), Duration::from_secs(1_700_000_000));
        let mut clock = Clock::new(start, wall);
        assert!(clock.update(start + SECOND, wall + 61 * SECOND));
        assert!(clock.update(start + 2 * SECOND, wall + 122 * SECOND));
        assert_eq!(clock.slept(), 120 * SECOND);
        assert_eq!(clock.now(start + 3 * SECOND), start + 123 * SECOND);
        assert_eq!(clock.monotonic(start + 130 * SECOND), start + 10 * SECOND);
    }

    #[test]
    fn drift_does_not_count_as_sleep() {
        let (start, wall) = (Instant::now(), Duration::from_secs(1_700_000_000));
        let mut clock = Clock::new(start, wall);
        for n in 1..100 {
            let drift = Duration::from_millis(900) * n;
            assert!(!clock.update(start + n * SECOND, wall + n * SECOND + drift));
        }
        assert_eq!(clock.now(start), start);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_has_no_effect() {
        let (start, wall) = (Instant::now(), Duration::from_secs(1_700_000_000));
        let mut clock = Clock::new(start, wall);
        assert!(!clock.update(start + SECOND, wall - 3600 * SECOND));
        assert!(!clock.update(start + 2 * SECOND, wall - 3599 * SECOND));
        assert!(clock.update(start + 3 * SECOND, wall));
    }

    #[test]
    fn the_largest_times_do_not_overflow() {
        let (start, wall) = (Instant::now(), Duration::ZERO);
        let mut clock = Clock::new(start, wall);
        clock.slept = Duration::MAX;
        assert!(clock.update(start, Duration::MAX));
        assert_eq!((clock.now(start), clock.monotonic(start)), (start, start));
    }
}
