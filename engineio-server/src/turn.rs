//! What is left of a connection's turn.

use std::time::{Duration, Instant};

use crate::config::TurnLimits;

/// After how many messages the clock is looked at.
const CLOCK_EVERY: u32 = 4;

/// What one turn of a connection may still do.
#[derive(Debug)]
pub(crate) struct Turn {
    packets: u32,
    messages: u32,
    bytes: usize,
    inflated: usize,
    writes: u32,
    /// When the first message was handed to the application.
    began: Option<Instant>,
    over: bool,
    /// The application has had enough of it.
    served: bool,
}

impl Turn {
    pub(crate) fn new(limits: &TurnLimits) -> Self {
        let TurnLimits { packets, messages, bytes, inflated, writes, .. } = *limits;
        Self { packets, messages, bytes, inflated, writes, began: None, over: false, served: false }
    }

    /// One that never ends.
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

    /// Whether a limit was reached.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether no more messages are handed out. What was decoded before another limit was reached still is.
    pub(crate) fn is_served(&self) -> bool {
        self.served
    }

    /// A packet arrived.
    pub(crate) fn packet(&mut self) {
        self.packets = self.packets.saturating_sub(1);
        self.over |= self.packets == 0;
    }

    /// Bytes were read, compressed, or belong to a message that is complete now.
    pub(crate) fn bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.over |= self.bytes == 0;
    }

    /// A message was inflated to so many bytes.
    pub(crate) fn inflated(&mut self, bytes: usize) {
        self.inflated = self.inflated.saturating_sub(bytes);
        self.over |= self.inflated == 0;
    }

    /// A batch of frames was written.
    pub(crate) fn wrote(&mut self) {
        self.writes = self.writes.saturating_sub(1);
        self.over |= self.writes == 0;
    }

    /// A message is handed to the application.
    pub(crate) fn message(&mut self, time: Duration) {
        self.messages = self.messages.saturating_sub(1);
        self.served |= self.messages == 0;
        // Not tokio's clock, which may stand still: this is about the time that others wait.
        match self.began {
            None => self.began = Some(Instant::now()),
            Some(began) if self.messages.is_multiple_of(CLOCK_EVERY) => {
                self.served |= began.elapsed() >= time;
            }
            Some(_) => {}
        }
        self.over |= self.served;
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
