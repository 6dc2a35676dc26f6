//! The queue of a session: runs of frames in order, bounded by packets and bytes.

use std::collections::VecDeque;

use crate::{
    frame::Frame,
    frames::Frames,
    packed::{OutgoingMessage, PackedFrames},
    packet::Revision,
};

/// The capacity, in runs, that an empty queue keeps for the next burst.
const RETAINED_RUNS: usize = 64;

/// In a longer queue, packed messages take no more memory than they need. The queue of a client that
/// reads is shorter.
const ROOMY_RUNS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Queue {
    runs: VecDeque<Run>,
    /// The number of frames of the first run that have left the queue.
    front_sent: u32,
    packets: usize,
    bytes: usize,
    /// Whether small text messages are packed.
    packs: bool,
}

#[derive(Debug)]
enum Run {
    Frames(Frames),
    /// Messages that may leave together, but need not.
    Packed(PackedFrames),
}

impl Queue {
    /// Sets whether small text messages are packed from now on.
    pub(super) fn pack(&mut self, pack: bool) {
        self.packs = pack;
    }

    /// Returns whether a message may be appended. A queue with room accepts every message: a sender
    /// that was refused waits for room, and must find it whatever the size of its message.
    #[inline]
    pub(super) fn accepts(
        &self,
        message: &OutgoingMessage<'_>,
        max_packets: usize,
        max_bytes: usize,
    ) -> bool {
        self.has_room(max_packets, max_bytes)
            || self.packets.saturating_add(message.count()) <= max_packets
                && self.bytes.saturating_add(message.bytes()) <= max_bytes
    }

    /// Appends a message, regardless of the limits: the caller checks whether the queue
    /// [accepts](Self::accepts) it.
    #[inline]
    pub(super) fn push(&mut self, message: OutgoingMessage<'_>) {
        if self.packs
            && let Some(Run::Packed(packed)) = self.runs.back_mut()
            && packed.has_room()
            && let Some(payload) = message.packed_payload(false)
        {
            self.packets += 1;
            self.bytes += payload.len();
            return packed.push(payload);
        }
        self.push_run(message);
    }

    /// Appends a message as a run of its own.
    fn push_run(&mut self, message: OutgoingMessage<'_>) {
        if self.runs.capacity() == 0 {
            // The queue of most sessions never holds more than one run.
            self.runs.reserve_exact(1);
        }
        if self.runs.len() >= ROOMY_RUNS
            && let Some(Run::Packed(packed)) = self.runs.back_mut()
        {
            packed.shrink();
        }
        let payload = if self.packs { message.packed_payload(self.is_empty()) } else { None };
        self.runs.push_back(match payload {
            Some(payload) => {
                self.packets += 1;
                self.bytes += payload.len();
                let mut packed = PackedFrames::default();
                packed.push(payload);
                Run::Packed(packed)
            }
            None => {
                let frames = message.into_frames();
                self.packets += frames.count();
                self.bytes += frames.bytes();
                Run::Frames(frames)
            }
        });
    }

    /// The length of the next frame as [`Frame::polling_len`] counts it.
    pub(super) fn next_polling_len(&self, revision: Revision) -> Option<usize> {
        match self.runs.front()? {
            Run::Frames(run) => Some(run.get(self.front_sent as usize)?.polling_len(revision)),
            Run::Packed(packed) => Some(packed.first_len()),
        }
    }

    /// Takes the next frame.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let frame = match self.runs.front_mut()? {
            Run::Frames(run) if (self.front_sent as usize) + 1 < run.count() => {
                let frame = run.get(self.front_sent as usize)?.clone();
                self.front_sent += 1;
                frame
            }
            Run::Frames(_) => {
                let index = std::mem::take(&mut self.front_sent) as usize;
                let Some(Run::Frames(run)) = self.pop_run() else { return None };
                run.into_nth(index)?
            }
            Run::Packed(packed) => {
                let frame = packed.pop()?;
                if packed.count() == 0 {
                    self.pop_run();
                }
                frame
            }
        };
        self.packets -= 1;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Whether the next messages are packed.
    #[inline]
    pub(super) fn is_packed(&self) -> bool {
        matches!(self.runs.front(), Some(Run::Packed(_)))
    }

    /// Takes the next messages, which are packed.
    pub(super) fn pop_packed(&mut self) -> Option<PackedFrames> {
        if !self.is_packed() {
            return None;
        }
        let Some(Run::Packed(packed)) = self.pop_run() else { return None };
        self.packets -= packed.count();
        self.bytes -= packed.payload_len();
        Some(packed)
    }

    #[inline]
    fn pop_run(&mut self) -> Option<Run> {
        let run = self.runs.pop_front();
        if self.runs.is_empty() && self.runs.capacity() > RETAINED_RUNS {
            self.runs = VecDeque::new();
        }
        run
    }

    /// Whether the first run has begun to leave. Its remaining frames must leave before any other.
    pub(super) fn in_run(&self) -> bool {
        self.front_sent > 0
    }

    pub(super) fn clear(&mut self) {
        *self = Self { packs: self.packs, ..Self::default() };
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

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether at least half of the queue is free.
    #[inline]
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
    use crate::{frame::FrameWriter, packet::PacketType};

    fn text(data: &str) -> OutgoingMessage<'static> {
        run(data, 0)
    }

    fn run(data: &str, attachments: usize) -> OutgoingMessage<'static> {
        let attachments = (0..attachments).map(|_| Bytes::from_static(b"abc"));
        Frames::new(Frame::text(PacketType::Message, data), attachments).into()
    }

    fn written(data: &str) -> FrameWriter {
        let mut writer = FrameWriter::message(Vec::new());
        writer.buffer().extend_from_slice(data.as_bytes());
        writer
    }

    #[test]
    fn frames_leave_in_order_and_are_counted() {
        let mut queue = Queue::default();
        queue.push(run("a", 2));
        queue.push(text("bc"));
        assert_eq!((queue.packets(), queue.bytes()), (4, 2 + 3 + 3 + 3));

        let lengths: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|f| f.len()).collect();
        assert_eq!(lengths, [2, 3, 3, 3]);
        assert!(queue.is_empty());
        assert_eq!((queue.packets(), queue.bytes()), (0, 0));
    }

    #[test]
    fn a_run_is_in_progress_until_its_last_frame_has_left() {
        let mut queue = Queue::default();
        queue.push(run("a", 1));
        assert!(!queue.in_run());
        queue.pop();
        assert!(queue.in_run());
        queue.pop();
        assert!(!queue.in_run());
    }

    #[test]
    fn a_run_that_does_not_fit_is_refused_as_a_whole() {
        let mut queue = Queue::default();
        queue.push(run("a", 1));
        assert!(!queue.accepts(&run("b", 1), 3, 100));
        assert!(queue.accepts(&text("b"), 3, 100));
    }

    #[test]
    fn the_queue_is_limited_by_bytes() {
        let mut queue = Queue::default();
        queue.push(text("12345"));
        assert!(!queue.accepts(&text("12345"), 8, 10));
        assert!(queue.accepts(&text("123"), 8, 10));
    }

    #[test]
    fn a_queue_with_room_accepts_a_run_beyond_its_limits() {
        for limit in [1, 2] {
            let mut queue = Queue::default();
            for _ in 1..limit {
                queue.push(text(""));
            }
            let long = run("a", 5);
            assert!(queue.accepts(&long, limit, limit));
            queue.push(long);
            assert!(!queue.accepts(&text(""), limit, limit));
        }
    }

    #[test]
    fn small_texts_are_packed_between_other_runs_and_keep_their_order() {
        let mut queue = Queue::default();
        let (a, large) = (written("a"), written(&"x".repeat(600)));
        queue.push((&a).into());
        assert!(queue.pop_packed().is_none(), "a queue packs only if it is told so");
        queue.pack(true);
        for message in [
            (&a).into(),
            (&written("bc")).into(),
            run("d", 1),
            (&a).into(),
            (&large).into(),
            (&a).into(),
        ] {
            queue.push(message);
        }
        assert_eq!((queue.packets(), queue.bytes()), (8, 2 + 2 + 3 + 2 + 3 + 2 + 601 + 2));
        let len = |queue: &mut Queue| queue.pop().map(|frame| frame.len());
        assert_eq!(len(&mut queue), Some(2));
        let packed = queue.pop_packed().unwrap();
        assert_eq!(packed.as_bytes(), b"\x81\x024a\x81\x034bc");
        assert!(queue.pop_packed().is_none());
        assert_eq!((len(&mut queue), len(&mut queue)), (Some(2), Some(3)));
        assert_eq!(queue.next_polling_len(Revision::V4), Some(2));
        assert_eq!((len(&mut queue), len(&mut queue)), (Some(2), Some(601)));
        assert_eq!(queue.pop_packed().map(|packed| packed.count()), Some(1));
        assert_eq!((queue.packets(), queue.bytes(), queue.is_empty()), (0, 0, true));
    }

    #[test]
    fn short_shared_texts_are_packed_behind_others() {
        let mut queue = Queue::default();
        queue.pack(true);
        let shared = |len: usize| Frames::from(Frame::text(PacketType::Message, &"x".repeat(len)));
        let (short, long) = (shared(1), shared(128));
        let attached = Frames::new(Frame::text(PacketType::Message, "x"), [Bytes::new()]);
        queue.push(OutgoingMessage::Shared(&short));
        assert!(!queue.is_packed(), "alone, a shared text is not copied");
        for frames in [&short, &short, &long, &attached] {
            queue.push(OutgoingMessage::Shared(frames));
        }
        assert_eq!((queue.packets(), queue.bytes()), (6, 2 + 2 + 2 + 129 + 2));
        assert_eq!(queue.pop().map(|frame| frame.len()), Some(2));
        assert_eq!(queue.pop_packed().unwrap().as_bytes(), b"\x81\x024x\x81\x024x");
        let lengths: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|frame| frame.len()).collect();
        assert_eq!(lengths, [129, 2, 0]);
        assert_eq!((queue.packets(), queue.bytes()), (0, 0));
    }

    #[test]
    fn packed_messages_are_limited_like_others() {
        let mut queue = Queue::default();
        queue.pack(true);
        let message = written("1");
        for _ in 0..4 {
            assert!(queue.accepts(&(&message).into(), 4, 100));
            queue.push((&message).into());
        }
        assert!(!queue.accepts(&(&message).into(), 4, 100));
        queue.pop();
        assert!(queue.accepts(&(&message).into(), 4, 100));
        for _ in 0..101 {
            queue.push((&message).into());
        }
        let counts = std::iter::from_fn(|| queue.pop_packed().map(|packed| packed.count()));
        assert_eq!(counts.collect::<Vec<_>>(), [63 + 1, 40], "one buffer takes 64 frames");
    }

    #[test]
    fn a_client_that_does_not_read_holds_no_large_buffers_for_small_texts() {
        let (mut queue, mut other) = (Queue::default(), Queue::default());
        queue.pack(true);
        other.pack(true);
        let (small, large) = (written("a"), written(&"x".repeat(500)));
        for _ in 0..1000 {
            // Another client of the thread gives a large buffer back.
            for _ in 0..7 {
                other.push((&large).into());
            }
            drop(other.pop_packed());
            queue.push((&small).into());
            queue.push(text("b"));
        }
        let packed = queue.runs.iter().filter_map(|run| match run {
            Run::Packed(packed) => Some(packed.capacity()),
            Run::Frames(_) => None,
        });
        let held: usize = packed.sum();
        assert!(held < 64 * 1024, "{held} bytes for {} packets", queue.packets());
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let mut queue = Queue::default();
        for _ in 0..1000 {
            queue.push(text("a"));
        }
        while queue.pop().is_some() {}
        assert_eq!(queue.runs.capacity(), 0);

        queue.push(text("a"));
        queue.pop();
        assert!(queue.runs.capacity() > 0, "small queues keep their memory between messages");
        queue.release();
        assert_eq!(queue.runs.capacity(), 0);
    }
}
