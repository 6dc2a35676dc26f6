//! The reconnection policy. Does no I/O; the random number is an argument.

use std::time::Duration;

/// The reconnection policy: whether, how often and after which delays the client reconnects. By
/// default, the client reconnects without a limit of attempts.
///
/// The delay before attempt n is `delay · 2^(n-1)`, plus or minus a random part, and at most
/// `delay_max`. This is the formula of Node.
///
/// ```
/// use std::time::Duration;
/// use socketio_client::{ClientConfig, Reconnection};
///
/// let reconnection = Reconnection::default().attempts(10).delay(Duration::from_millis(200));
/// let config = ClientConfig::default().reconnection(reconnection);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Reconnection {
    enabled: bool,
    attempts: Option<u32>,
    delay: Duration,
    delay_max: Duration,
    randomization_factor: f64,
    immediate: bool,
}

impl Default for Reconnection {
    fn default() -> Self {
        Self {
            enabled: true,
            attempts: None,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(5),
            randomization_factor: 0.5,
            immediate: false,
        }
    }
}

impl Reconnection {
    /// Disables reconnection. A connection that is lost or cannot be opened stays closed.
    ///
    /// ```
    /// let reconnection = socketio_client::Reconnection::off();
    /// ```
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// Sets the number of attempts before the client gives up (default: no limit).
    ///
    /// ```
    /// use socketio_client::Reconnection;
    ///
    /// let reconnection = Reconnection::default().attempts(5);
    /// ```
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Sets the delay before the first attempt (default 1 s). It doubles with each attempt. A delay of
    /// less than a millisecond counts as one, as in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_client::Reconnection;
    ///
    /// let reconnection = Reconnection::default().delay(Duration::from_secs(2));
    /// ```
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the longest delay (default 5 s).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_client::Reconnection;
    ///
    /// let reconnection = Reconnection::default().delay_max(Duration::from_secs(30));
    /// ```
    pub fn delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = delay;
        self
    }

    /// Sets whether the first attempt after a lost connection has no delay (default `false`, as in
    /// Node). The delays then begin with the second attempt. If all clients of a server lose their
    /// connections at once, the server gets all their first attempts at once. Use this option for
    /// clients that lose their connections one by one, such as phones that change networks.
    ///
    /// With [`remember_upgrade`](crate::EngineOptions::remember_upgrade) as well, a client that had
    /// a WebSocket opens the next one without polling first.
    ///
    /// ```
    /// use socketio_client::Reconnection;
    ///
    /// let reconnection = Reconnection::default().immediate(true);
    /// ```
    pub fn immediate(mut self, immediate: bool) -> Self {
        self.immediate = immediate;
        self
    }

    /// Sets the fraction of the delay, from 0 to 1, by which it is randomly shortened or lengthened
    /// (default 0.5). This prevents the clients of a restarted server from reconnecting all at
    /// once.
    ///
    /// ```
    /// use socketio_client::Reconnection;
    ///
    /// let reconnection = Reconnection::default().randomization_factor(0.2);
    /// ```
    pub fn randomization_factor(mut self, factor: f64) -> Self {
        self.randomization_factor = factor.clamp(0.0, 1.0);
        self
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }
}

/// Counts the attempts since the connection was lost.
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

    /// Returns the delay before the next attempt, or `None` to give up. `random` is in `0.0..1.0`.
    pub(crate) fn next(&mut self, policy: &Reconnection, random: f64) -> Option<Duration> {
        if policy.attempts.is_some_and(|limit| self.attempts >= limit) {
            return None;
        }
        let delayed = self.attempts.checked_sub(u32::from(policy.immediate));
        self.attempts = self.attempts.saturating_add(1);
        let Some(delayed) = delayed else { return Some(Duration::ZERO) };
        // Larger factors change nothing, and an infinite one would make zero undefined.
        let exponent = delayed.min(64) as i32;
        let base = policy.delay.as_secs_f64() * 1000.0 * 2f64.powi(exponent);
        let deviation = (random * policy.randomization_factor * base).floor();
        // The first decimal of the random number selects the direction.
        let shorter = (random * 10.0) as u32 & 1 == 0;
        let millis = if shorter { base - deviation } else { base + deviation };
        let millis = millis.min(policy.delay_max.as_secs_f64() * 1000.0).max(1.0);
        Some(Duration::from_millis(millis as u64))
    }
}

/// Returns a random number in `0.0..1.0`.
pub(crate) fn random() -> f64 {
    // Without a source of randomness, clients reconnect at the same time. That is better than not
    // at all.
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
    fn the_first_decimal_selects_the_direction_of_the_deviation() {
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
    fn a_delay_of_zero_counts_as_a_millisecond() {
        let zero = Reconnection::default().delay(Duration::ZERO);
        for policy in [zero, Reconnection::default().delay_max(Duration::ZERO)] {
            for attempts in [0, 1, 1023, 1024, u32::MAX] {
                let delay = Backoff { attempts }.next(&policy, 0.99);
                assert_eq!(delay, Some(Duration::from_millis(1)));
            }
        }
    }

    #[test]
    fn an_immediate_attempt_comes_before_the_delays() {
        let policy = Reconnection::default().randomization_factor(0.0).immediate(true);
        assert_eq!(delays(&policy, 0.9, 4), [0, 1000, 2000, 4000].map(Some));
        assert_eq!(delays(&policy.attempts(1), 0.9, 2), [Some(0), None]);
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
