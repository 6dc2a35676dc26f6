//! What waits to be sent: runs of frames in order, bounded by packets and by bytes.

use std::collections::VecDeque;

use crate::{frame::Frame, frames::Frames};

/// Room that an emptied queue keeps for the next burst, in runs.
const KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Queue {
    runs: VecDeque<Frames>,
    /// Frames of the first run that were given out already.
    given: usize,
    packets: usize,
    bytes: usize,
}

impl Queue {
    /// Appends a run, or gives it back where it would exceed a limit. An empty queue takes any run: a limit smaller than
    /// one message would otherwise refuse it for ever.
    pub(super) fn push(
        &mut self,
        run: Frames,
        max_packets: usize,
        max_bytes: usize,
    ) -> Result<(), Frames> {
        let packets = self.packets.saturating_add(run.count());
        let bytes = self.bytes.saturating_add(run.bytes());
        if !self.is_empty() && (packets > max_packets || bytes > max_bytes) {
            return Err(run);
        }
        self.packets = packets;
        self.bytes = bytes;
        self.runs.push_back(run);
        Ok(())
    }

    /// The frame that is next.
    pub(super) fn front(&self) -> Option<&Frame> {
        self.runs.front()?.get(self.given)
    }

    /// Takes the frame that is next.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let run = self.runs.front()?;
        let last = self.given + 1 == run.count();
        let frame = if last {
            let given = std::mem::take(&mut self.given);
            let frame = self.runs.pop_front()?.into_nth(given)?;
            if self.runs.is_empty() && self.runs.capacity() > KEPT {
                self.runs = VecDeque::new();
            }
            frame
        } else {
            let frame = run.get(self.given)?.clone();
            self.given += 1;
            frame
        };
        self.packets -= 1;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Whether a run has begun to leave, so that nothing else may go before its rest.
    pub(super) fn in_run(&self) -> bool {
        self.given > 0
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives memory back while there is nothing to send.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }

    #[cfg(test)]
    pub(super) fn is_released(&self) -> bool {
        self.runs.capacity() == 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::packet::PacketType;

    fn text(data: &str) -> Frames {
        Frame::text(PacketType::Message, data).into()
    }

    fn run(data: &str, attachments: usize) -> Frames {
        let attachments = (0..attachments).map(|_| Bytes::from_static(b"abc"));
        Frames::new(Frame::text(PacketType::Message, data), attachments)
    }

    #[test]
    fn frames_leave_in_order_and_are_counted() {
        let mut queue = Queue::default();
        queue.push(run("a", 2), 8, 100).unwrap();
        queue.push(text("bc"), 8, 100).unwrap();
        assert_eq!((queue.packets(), queue.bytes()), (4, 2 + 3 + 3 + 3));

        let lengths: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|f| f.len()).collect();
        assert_eq!(lengths, [2, 3, 3, 3]);
        assert!(queue.is_empty());
        assert_eq!((queue.packets(), queue.bytes()), (0, 0));
    }

    #[test]
    fn a_run_is_open_until_its_last_frame_has_left() {
        let mut queue = Queue::default();
        queue.push(run("a", 1), 8, 100).unwrap();
        assert!(!queue.in_run());
        queue.pop();
        assert!(queue.in_run());
        queue.pop();
        assert!(!queue.in_run());
    }

    #[test]
    fn a_run_is_accepted_whole_or_not_at_all() {
        let mut queue = Queue::default();
        queue.push(text("a"), 3, 100).unwrap();
        let refused = queue.push(run("b", 2), 3, 100).unwrap_err();
        assert_eq!(refused.count(), 3);
        assert_eq!(queue.packets(), 1);
        queue.push(run("b", 1), 3, 100).unwrap();
    }

    #[test]
    fn bytes_are_limited() {
        let mut queue = Queue::default();
        queue.push(text("12345"), 8, 10).unwrap();
        assert!(queue.push(text("12345"), 8, 10).is_err());
        assert!(queue.push(text("123"), 8, 10).is_ok());
    }

    #[test]
    fn an_empty_queue_takes_a_run_beyond_its_limits() {
        let mut queue = Queue::default();
        assert!(queue.push(run("a", 5), 1, 1).is_ok());
        assert!(queue.push(text(""), 1, 1).is_err());
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let mut queue = Queue::default();
        for _ in 0..1000 {
            queue.push(text("a"), 1000, 10_000).unwrap();
        }
        while queue.pop().is_some() {}
        assert_eq!(queue.runs.capacity(), 0);

        queue.push(text("a"), 1000, 10_000).unwrap();
        queue.pop();
        assert!(queue.runs.capacity() > 0, "small queues keep their memory between messages");
        queue.release();
        assert_eq!(queue.runs.capacity(), 0);
    }
}
