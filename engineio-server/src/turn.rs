//! The limits on one turn of a connection.

use std::time::{Duration, Instant};

use crate::{config::TurnLimits, stats::saturated};

/// How many messages are handled between two readings of the clock.
const CLOCK_EVERY: u32 = 4;

/// The rest of what a connection may do in this turn. See [`TurnLimits`].
#[derive(Debug)]
pub(crate) struct Turn {
    packets: u32,
    messages: u32,
    bytes: u32,
    inflated: u32,
    writes: u32,
    /// When the first message was handed to the application.
    began: Option<Instant>,
    over: bool,
    /// The connection has looked for data in this turn.
    has_read: bool,
    /// The limit of messages or of time was reached.
    out_of_messages: bool,
}

impl Turn {
    pub(crate) fn new(limits: &TurnLimits) -> Self {
        let TurnLimits { packets, messages, bytes, inflated, writes, .. } = *limits;
        // With less, a turn would be over before it has done anything.
        Self {
            packets: packets.max(1),
            messages: messages.max(1),
            bytes: saturated(bytes.max(1)),
            inflated: saturated(inflated.max(1)),
            writes: writes.max(2),
            began: None,
            over: false,
            has_read: false,
            out_of_messages: false,
        }
    }

    /// Creates a turn without limits.
    #[cfg(test)]
    pub(crate) fn endless() -> Self {
        Self::new(&TurnLimits {
            packets: u32::MAX,
            messages: u32::MAX,
            bytes: usize::MAX,
            inflated: usize::MAX,
            writes: u32::MAX,
            time: Duration::MAX,
        })
    }

    /// Returns whether a limit was reached.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Returns whether the application gets no more messages in this turn. If only another limit
    /// was reached, it still gets those already decoded.
    pub(crate) fn is_out_of_messages(&self) -> bool {
        self.out_of_messages
    }

    /// Notes that the connection looks for data.
    pub(crate) fn read(&mut self) {
        self.has_read = true;
    }

    /// Returns whether the turn was used up by writing before anything could be read.
    pub(crate) fn is_starved(&self) -> bool {
        self.over && !self.has_read && !self.out_of_messages
    }

    /// Counts a packet that arrived.
    pub(crate) fn packet(&mut self) {
        self.packets = self.packets.saturating_sub(1);
        self.over |= self.packets == 0;
    }

    /// Counts bytes that were read or compressed, or that belong to a message completed in this
    /// turn.
    pub(crate) fn bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(saturated(bytes));
        self.over |= self.bytes == 0;
    }

    /// Counts the size of an inflated message.
    pub(crate) fn inflated(&mut self, bytes: usize) {
        self.inflated = self.inflated.saturating_sub(saturated(bytes));
        self.over |= self.inflated == 0;
    }

    /// Counts a batch of frames that was written.
    pub(crate) fn wrote(&mut self) {
        self.writes = self.writes.saturating_sub(1);
        self.over |= self.writes == 0;
    }

    /// Counts a message passed to the application. `time` is the limit for handling messages.
    #[inline]
    pub(crate) fn message(&mut self, time: Duration) {
        self.messages = self.messages.saturating_sub(1);
        self.out_of_messages |= self.messages == 0;
        // Real time, not tokio's clock, which tests can pause: the limit bounds how long other
        // tasks wait.
        match self.began {
            None => self.began = Some(Instant::now()),
            Some(began) if self.messages.is_multiple_of(CLOCK_EVERY) => {
                self.out_of_messages |= began.elapsed() >= time;
            }
            Some(_) => {}
        }
        self.over |= self.out_of_messages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_over_at_its_first_limit() {
        let limits = TurnLimits { time: Duration::MAX, ..TurnLimits::default() };
        let ends = |act: &dyn Fn(&mut Turn)| {
            let mut turn = Turn::new(&limits);
            let mut count = 0;
            while !turn.is_over() {
                act(&mut turn);
                count += 1;
            }
            count
        };
        assert_eq!(ends(&|turn| turn.packet()), 256);
        assert_eq!(ends(&|turn| turn.message(limits.time)), 256);
        assert_eq!(ends(&|turn| turn.bytes(1024)), 256);
        assert_eq!(ends(&|turn| turn.inflated(1024)), 64);
        assert_eq!(ends(&|turn| turn.wrote()), 16);
        assert_eq!(ends(&|turn| turn.inflated(1_000_000)), 1, "one message of any size");
    }

    #[test]
    fn a_turn_with_limits_of_zero_still_does_something() {
        let (packets, messages, bytes, inflated, writes) = (0, 0, 0, 0, 0);
        let time = Duration::ZERO;
        let mut turn = Turn::new(&TurnLimits { packets, messages, bytes, inflated, writes, time });
        turn.bytes(0);
        turn.inflated(0);
        assert!(!turn.is_over(), "nothing was compressed or inflated");
        turn.wrote();
        assert!(!turn.is_over(), "one batch of frames leaves room for reading");
        turn.packet();
        assert!(turn.is_over());
    }

    #[test]
    fn slow_messages_end_a_turn_early() {
        let mut turn = Turn::new(&TurnLimits::default());
        let mut messages = 0;
        while !turn.is_over() {
            turn.message(Duration::ZERO);
            messages += 1;
        }
        assert_eq!(messages, CLOCK_EVERY);
    }
}
