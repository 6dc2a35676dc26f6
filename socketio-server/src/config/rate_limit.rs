//! Rate limits of sockets: token buckets that are updated when an event arrives, without timers.

use std::time::Instant;

/// The rate at which each socket may send events (see
/// [`ServerConfig::rate_limit`](crate::ServerConfig::rate_limit)). By default there is no limit,
/// and a client may send as fast as its handlers run.
///
/// Each socket has a bucket of tokens for events and one for bytes. A bucket holds up to `burst`
/// tokens, and gains `per_second` tokens each second. An event takes one token from the bucket for
/// events, and one token per byte from the bucket for bytes. If a bucket has too few tokens, the
/// event is dropped. The namespace's error handler is called
/// ([`Stage::RateLimit`](crate::Stage::RateLimit)), and a client that waits for an ack gets the
/// error "rate limit exceeded". An event larger than the burst of bytes never passes.
///
/// ```
/// use socketio_server::{Excess, Rate, RateLimit, Server, ServerConfig};
///
/// let limit = RateLimit::default()
///     .events(Rate::per_second(20).burst(100))
///     .bytes(Rate::per_second(50_000).burst(500_000))
///     .excess(Excess::Disconnect);
/// let io = Server::with_config(ServerConfig::default().rate_limit(limit));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct RateLimit {
    events: Option<Rate>,
    bytes: Option<Rate>,
    pub(crate) excess: Excess,
}

/// The treatment of a socket that sends too fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Excess {
    /// The event is dropped. The socket stays connected.
    #[default]
    Drop,
    /// The event is dropped and the socket disconnected ("server namespace disconnect").
    Disconnect,
}

/// A rate with a burst, for [`RateLimit`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Rate {
    per_second: f64,
    burst: f64,
}

impl RateLimit {
    /// Sets the rate of events (default: no limit).
    ///
    /// ```
    /// use socketio_server::{Rate, RateLimit};
    ///
    /// let limit = RateLimit::default().events(Rate::per_second(20));
    /// ```
    pub fn events(self, rate: Rate) -> Self {
        Self { events: Some(rate), ..self }
    }

    /// Sets the rate of bytes, including event names and attachments (default: no limit).
    ///
    /// ```
    /// use socketio_server::{Rate, RateLimit};
    ///
    /// let limit = RateLimit::default().bytes(Rate::per_second(50_000));
    /// ```
    pub fn bytes(self, rate: Rate) -> Self {
        Self { bytes: Some(rate), ..self }
    }

    /// Sets the treatment of a socket that sends too fast (default: the event is dropped).
    ///
    /// ```
    /// use socketio_server::{Excess, RateLimit};
    ///
    /// let limit = RateLimit::default().excess(Excess::Disconnect);
    /// ```
    pub fn excess(self, excess: Excess) -> Self {
        Self { excess, ..self }
    }
}

impl Rate {
    /// Creates a rate of `units` per second in the long run, and a burst of as many.
    ///
    /// ```
    /// let rate = socketio_server::Rate::per_second(20);
    /// ```
    pub fn per_second(units: u32) -> Self {
        Self { per_second: units.into(), burst: units.into() }
    }

    /// Sets how many units may be used at once after a pause (default: the units of one second).
    ///
    /// ```
    /// let rate = socketio_server::Rate::per_second(20).burst(100);
    /// ```
    pub fn burst(self, units: u32) -> Self {
        Self { burst: units.into(), ..self }
    }
}

/// The remaining tokens of a socket.
pub(crate) struct Budget {
    events: f64,
    bytes: f64,
    at: Instant,
}

impl Budget {
    pub(crate) fn new(limit: &RateLimit, now: Instant) -> Self {
        let full = |rate: Option<Rate>| rate.map_or(0.0, |rate| rate.burst);
        Self { events: full(limit.events), bytes: full(limit.bytes), at: now }
    }

    /// Returns whether an event passes. An event that does not pass takes no tokens.
    pub(crate) fn admit(&mut self, limit: &RateLimit, now: Instant, bytes: usize) -> bool {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let cost = bytes as f64;
        let pay = |rate: Option<Rate>, tokens: &mut f64, cost: f64| {
            let Some(rate) = rate else { return true };
            *tokens = (*tokens + seconds * rate.per_second).min(rate.burst);
            *tokens >= cost
        };
        // Both buckets are refilled, even if the first one is empty.
        let admitted =
            pay(limit.events, &mut self.events, 1.0) & pay(limit.bytes, &mut self.bytes, cost);
        if admitted {
            self.events -= 1.0;
            self.bytes -= cost;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_limit_per_second() {
        let (limit, start) =
            (RateLimit::default().events(Rate::per_second(2).burst(3)), Instant::now());
        let mut budget = Budget::new(&limit, start);
        let mut at = |millis| budget.admit(&limit, start + Duration::from_millis(millis), 1000);
        assert_eq!([at(0), at(0), at(0), at(0)], [true, true, true, false]);
        assert_eq!([at(400), at(500), at(500)], [false, true, false]);
        assert_eq!([at(60_000), at(60_000), at(60_000), at(60_000)], [true, true, true, false]);
    }

    #[test]
    fn bytes_are_limited_too() {
        let (limit, now) = (
            RateLimit::default()
                .events(Rate::per_second(1).burst(9))
                .bytes(Rate::per_second(10).burst(100)),
            Instant::now(),
        );
        let mut budget = Budget::new(&limit, now);
        assert!(!budget.admit(&limit, now, 101));
        assert!(budget.admit(&limit, now, 60));
        assert!(!budget.admit(&limit, now, 60));
        assert!(budget.admit(&limit, now + Duration::from_secs(2), 60));
    }
}
