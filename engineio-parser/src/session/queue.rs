//! The queue of a session: runs of frames in order, bounded by packets and bytes.

use std::collections::VecDeque;

use crate::{frame::Frame, frames::Frames};

/// The capacity, in runs, that an empty queue keeps for the next burst.
const RETAINED_RUNS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Queue {
    runs: VecDeque<Frames>,
    /// The number of frames of the first run that have left the queue.
    front_sent: usize,
    packets: usize,
    bytes: usize,
}

impl Queue {
    /// Appends a run, or returns it if it would exceed a limit. A queue with room accepts every
    /// run: a sender that was refused waits for room, and must find it whatever the size of its
    /// run.
    pub(super) fn push(
        &mut self,
        run: Frames,
        max_packets: usize,
        max_bytes: usize,
    ) -> Result<(), Frames> {
        let packets = self.packets.saturating_add(run.count());
        let bytes = self.bytes.saturating_add(run.bytes());
        let fits = packets <= max_packets && bytes <= max_bytes;
        if !fits && !self.has_room(max_packets, max_bytes) {
            return Err(run);
        }
        self.packets = packets;
        self.bytes = bytes;
        if self.runs.capacity() == 0 {
            // The queue of most sessions never holds more than one run.
            self.runs.reserve_exact(1);
        }
        self.runs.push_back(run);
        Ok(())
    }

    /// The next frame.
    pub(super) fn front(&self) -> Option<&Frame> {
        self.runs.front()?.get(self.front_sent)
    }

    /// Takes the next frame.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let run = self.runs.front()?;
        let last = self.front_sent + 1 == run.count();
        let frame = if last {
            let index = std::mem::take(&mut self.front_sent);
            let frame = self.runs.pop_front()?.into_nth(index)?;
            if self.runs.is_empty() && self.runs.capacity() > RETAINED_RUNS {
                self.runs = VecDeque::new();
            }
            frame
        } else {
            let frame = run.get(self.front_sent)?.clone();
            self.front_sent += 1;
            frame
        };
        self.packets -= 1;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Whether the first run has begun to leave. Its remaining frames must leave before any other.
    pub(super) fn in_run(&self) -> bool {
        self.front_sent > 0
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Releases the memory of an empty queue.
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

    /// Whether at least half of the queue is free.
    pub(super) fn has_room(&self, max_packets: usize, max_bytes: usize) -> bool {
        self.packets <= max_packets / 2 && self.bytes <= max_bytes / 2
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
    fn a_run_is_in_progress_until_its_last_frame_has_left() {
        let mut queue = Queue::default();
        queue.push(run("a", 1), 8, 100).unwrap();
        assert!(!queue.in_run());
        queue.pop();
        assert!(queue.in_run());
        queue.pop();
        assert!(!queue.in_run());
    }

    #[test]
    fn a_run_that_does_not_fit_is_refused_as_a_whole() {
        let mut queue = Queue::default();
        queue.push(run("a", 1), 3, 100).unwrap();
        let refused = queue.push(run("b", 1), 3, 100).unwrap_err();
        assert_eq!(refused.count(), 2);
        assert_eq!(queue.packets(), 2);
        queue.push(text("b"), 3, 100).unwrap();
    }

    #[test]
    fn the_queue_is_limited_by_bytes() {
        let mut queue = Queue::default();
        queue.push(text("12345"), 8, 10).unwrap();
        assert!(queue.push(text("12345"), 8, 10).is_err());
        assert!(queue.push(text("123"), 8, 10).is_ok());
    }

    #[test]
    fn a_queue_with_room_accepts_a_run_beyond_its_limits() {
        for limit in [1, 2] {
            let mut queue = Queue::default();
            for _ in 1..limit {
                queue.push(text(""), limit, limit).unwrap();
            }
            assert!(queue.push(run("a", 5), limit, limit).is_ok());
            assert!(queue.push(text(""), limit, limit).is_err());
        }
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
