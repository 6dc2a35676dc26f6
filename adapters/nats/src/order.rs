//! The order of a publisher's messages, where they come by several subjects.
//!
//! The client of NATS reads them in order from one connection, and puts each into the queue of its subscription. Who takes from
//! one queue after the other sees them in another order: the second message in the queue that is looked at last, the first one, which
//! arrived meanwhile, in the queue that is behind already. So all queues are looked at twice: what was put into a queue before
//! something seen in the first look is seen in the second one at the latest.

use std::collections::HashMap;

use socketio_adapter::NodeId;

use crate::frame::Frame;

/// What was seen too early.
#[derive(Debug, Default)]
pub(crate) struct Order(Vec<Frame>);

impl Order {
    /// Whether something waits for another look.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.0.is_empty()
    }

    /// Takes what two looks have seen, and gives what is complete, each publisher's in order.
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
    fn what_came_before_is_given_before() {
        let mut order = Order::default();
        let out =
            order.release(vec![frame("a", 2)], vec![frame("a", 1), frame("a", 4), frame("b", 1)]);
        assert_eq!(out, [frame("a", 1), frame("a", 2)]);
        assert!(order.is_waiting(), "4 may come before a 3 that is not seen yet");
        let out = order.release(vec![], vec![frame("a", 3)]);
        assert_eq!(out, [frame("a", 3), frame("a", 4), frame("b", 1)]);
        assert!(!order.is_waiting());
    }
}
