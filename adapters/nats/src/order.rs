//! Restores the order of a publisher's messages that arrive over several subjects.
//!
//! The NATS client reads messages in order from one connection and puts each into the queue of its
//! subscription. If a reader empties one queue after another, it can see the order reversed: it
//! finds the second message in the last queue, while the first message has just arrived in a queue
//! that was already read. All queues are therefore read twice. Any message queued before a message
//! of the first pass is seen in the second pass at the latest.

use std::collections::HashMap;

use socketio_adapter::NodeId;

use crate::frame::Frame;

/// Messages that may overtake others and are therefore held until the next pass.
#[derive(Debug, Default)]
pub(crate) struct Order(Vec<Frame>);

impl Order {
    /// Returns whether messages wait for another pass.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.0.is_empty()
    }

    /// Takes the messages of two passes. Returns those that are complete, in the order of each
    /// publisher.
    pub(crate) fn release(&mut self, first: Vec<Frame>, second: Vec<Frame>) -> Vec<Frame> {
        let mut out = std::mem::take(&mut self.0);
        out.extend(first);
        let mut newest = HashMap::<NodeId, u64>::new();
        for frame in &out {
            let newest = newest.entry(frame.uid.clone()).or_default();
            *newest = frame.count.max(*newest);
        }
        for frame in second {
            match newest.get(&frame.uid) {
                Some(newest) if frame.count <= *newest => out.push(frame),
                _ => self.0.push(frame),
            }
        }
        out.sort_by(|one, other| one.uid.cmp(&other.uid).then(one.count.cmp(&other.count)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(uid: &'static str, count: u64) -> Frame {
        Frame { uid: uid.into(), count, message: bytes::Bytes::new() }
    }

    #[test]
    fn earlier_messages_are_released_first() {
        let mut order = Order::default();
        let out =
            order.release(vec![frame("a", 2)], vec![frame("a", 1), frame("a", 4), frame("b", 1)]);
        assert_eq!(out, [frame("a", 1), frame("a", 2)]);
        assert!(order.is_waiting(), "a message 3 may still arrive before 4");
        let out = order.release(vec![], vec![frame("a", 3)]);
        assert_eq!(out, [frame("a", 3), frame("a", 4), frame("b", 1)]);
        assert!(!order.is_waiting());
    }
}
