//! When to try again. Pure: the random number is an argument.

use std::time::Duration;

/// Whether, how often and after which delays a lost connection is opened again.
///
/// The delay before attempt n is `delay · 2^(n-1)`, more or less a random part of it, and `delay_max` at most: Node's formula.
///
/// ```
/// use std::time::Duration;
/// use socketio_client::{ClientConfig, Reconnection};
///
/// let reconnection = Reconnection::default().attempts(10).delay(Duration::from_millis(200));
/// let config = ClientConfig::default().reconnection(reconnection);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reconnection {
    enabled: bool,
    attempts: Option<u32>,
    delay: Duration,
    delay_max: Duration,
    randomization_factor: f64,
}

impl Default for Reconnection {
    fn default() -> Self {
        Self {
            enabled: true,
            attempts: None,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(5),
            randomization_factor: 0.5,
        }
    }
}

impl Reconnection {
    /// No reconnection: a connection that is lost, or cannot be opened, is given up.
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// How many attempts are made before giving up (default: no limit).
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// The delay before the first attempt (default 1 s). It doubles with each.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The longest delay (default 5 s).
    pub fn delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = delay;
        self
    }

    /// The part of a delay, from 0 to 1, by which it is shortened or lengthened at random (default 0.5), so that the clients
    /// of a server that was restarted do not all come at once.
    pub fn randomization_factor(mut self, factor: f64) -> Self {
        self.randomization_factor = factor.clamp(0.0, 1.0);
        self
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }
}

/// The attempts made since the connection was lost.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How long to wait before the next attempt; `None` if there is to be none. `random` is in `0.0..1.0`.
    pub(crate) fn next(&mut self, policy: &Reconnection, random: f64) -> Option<Duration> {
        if policy.attempts.is_some_and(|limit| self.attempts >= limit) {
            return None;
        }
        let exponent = i32::try_from(self.attempts).unwrap_or(i32::MAX);
        self.attempts = self.attempts.saturating_add(1);
        let base = policy.delay.as_secs_f64() * 1000.0 * 2f64.powi(exponent);
        let deviation = (random * policy.randomization_factor * base).floor();
        // The first decimal of the number says in which direction.
        let shorter = (random * 10.0) as u32 & 1 == 0;
        let millis = if shorter { base - deviation } else { base + deviation };
        let millis = millis.min(policy.delay_max.as_secs_f64() * 1000.0);
        Some(Duration::from_millis(millis as u64))
    }
}

/// A number in `0.0..1.0`.
pub(crate) fn random() -> f64 {
    // Without a source of randomness clients come back at the same time, which is better than not at all.
    getrandom::u32().map_or(0.5, |number| f64::from(number) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(policy: &Reconnection, random: f64, count: usize) -> Vec<Option<u64>> {
        let mut backoff = Backoff::default();
        let mut next = || backoff.next(policy, random).map(|delay| delay.as_millis() as u64);
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let policy = Reconnection::default().randomization_factor(0.0);
        let expected = [1000, 2000, 4000, 5000, 5000].map(Some);
        assert_eq!(delays(&policy, 0.9, 5), expected);
    }

    #[test]
    fn the_first_decimal_says_in_which_direction_a_delay_deviates() {
        let policy = Reconnection::default();
        assert_eq!(delays(&policy, 0.25, 3), [875, 1750, 3500].map(Some));
        assert_eq!(delays(&policy, 0.35, 3), [1175, 2350, 4700].map(Some));
        // ⌊0.123 · 0.5 · 1000⌋
        assert_eq!(delays(&policy, 0.123, 1), [Some(1061)]);
    }

    #[test]
    fn attempts_are_counted_until_a_reset() {
        let policy = Reconnection::default().attempts(2).randomization_factor(0.0);
        let mut backoff = Backoff::default();
        assert!(backoff.next(&policy, 0.0).is_some() && backoff.next(&policy, 0.0).is_some());
        assert_eq!((backoff.next(&policy, 0.0), backoff.attempts()), (None, 2));
        backoff.reset();
        assert_eq!(backoff.next(&policy, 0.0), Some(Duration::from_secs(1)));
    }

    #[test]
    fn no_number_of_attempts_overflows() {
        let policy = Reconnection::default();
        let mut backoff = Backoff { attempts: u32::MAX - 1 };
        for _ in 0..4 {
            assert_eq!(backoff.next(&policy, 0.99), Some(Duration::from_secs(5)));
        }
    }
}
