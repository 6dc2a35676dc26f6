//! The messages that arrive while the node joins the cluster.

use std::{collections::VecDeque, sync::Arc};

use socketio_adapter::{ClusterLimits, Inbox, Message, MessageError, Offset};

use crate::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
    lock,
};

/// The inbox of one attempt to join. It holds messages back until the attempt has succeeded.
///
/// An engine may deliver messages to a node that never learns that it has joined. The node then
/// tries again, and misses what is published in between. Its clients would get the events before
/// and after this gap. So they get none of the events before it.
pub(super) struct JoinInbox {
    inbox: Arc<dyn Inbox>,
    /// Changes under the lock of `early`.
    has_joined: AtomicBool,
    early: Mutex<Early>,
    max_messages: usize,
    max_bytes: usize,
}

/// The messages that are held back.
#[derive(Default)]
struct Early {
    messages: VecDeque<(Message, Option<Offset>)>,
    bytes: usize,
}

impl JoinInbox {
    pub(super) fn new(inbox: Arc<dyn Inbox>, limits: &ClusterLimits) -> Self {
        Self {
            inbox,
            has_joined: AtomicBool::new(false),
            early: Mutex::default(),
            max_messages: limits.max_queued_messages,
            max_bytes: limits.max_queued_bytes,
        }
    }

    /// Delivers the messages that were held back. From then on, messages are delivered at once.
    pub(super) fn joined(&self) {
        while let Some((message, offset)) = self.next() {
            self.inbox.receive(message, offset);
        }
    }

    fn next(&self) -> Option<(Message, Option<Offset>)> {
        let mut early = lock(&self.early);
        let next = early.messages.pop_front();
        if next.is_none() {
            self.has_joined.store(true, Ordering::Release);
        }
        next
    }

    /// Holds a message back. Drops the oldest ones if they exceed the limits of the queue to the
    /// other nodes. Returns the message if the node has joined.
    fn hold_back(
        &self,
        message: Message,
        offset: Option<Offset>,
    ) -> Option<(Message, Option<Offset>)> {
        let mut early = lock(&self.early);
        if self.has_joined.load(Ordering::Acquire) {
            return Some((message, offset));
        }
        early.bytes += message.body.bytes();
        early.messages.push_back((message, offset));
        while early.messages.len() > self.max_messages.max(1)
            || (early.bytes > self.max_bytes && early.messages.len() > 1)
        {
            let Some((oldest, _)) = early.messages.pop_front() else { break };
            early.bytes -= oldest.body.bytes();
        }
        None
    }
}

impl Inbox for JoinInbox {
    fn receive(&self, message: Message, offset: Option<Offset>) {
        let due = if self.has_joined.load(Ordering::Acquire) {
            Some((message, offset))
        } else {
            self.hold_back(message, offset)
        };
        if let Some((message, offset)) = due {
            self.inbox.receive(message, offset);
        }
    }

    fn receive_own(&self, number: u64, offset: &Offset) -> bool {
        // A node publishes only once it has joined.
        self.has_joined.load(Ordering::Acquire) && self.inbox.receive_own(number, offset)
    }

    fn undecodable(&self, error: &MessageError) {
        self.inbox.undecodable(error);
    }
}

#[cfg(test)]
mod tests {
    use socketio_adapter::Body;
    use socketio_parser::Nsp;

    use super::*;

    /// Records the numbers of the messages that it receives.
    #[derive(Default)]
    struct Received(Mutex<Vec<u64>>);

    impl Inbox for Received {
        fn receive(&self, message: Message, _: Option<Offset>) {
            lock(&self.0).extend(message.seq);
        }

        fn undecodable(&self, _: &MessageError) {}
    }

    fn inbox(limits: &ClusterLimits, early: u64) -> (Arc<Received>, JoinInbox) {
        let received = Arc::new(Received::default());
        let inbox = JoinInbox::new(received.clone(), limits);
        (0..early).for_each(|number| inbox.receive(message(number), None));
        (received, inbox)
    }

    fn message(number: u64) -> Message {
        let (uid, nsp) = ("1".into(), Nsp::root());
        Message { uid, nsp, body: Body::Heartbeat, seq: Some(number) }
    }

    #[test]
    fn messages_are_delivered_in_order_once_the_node_has_joined() {
        let (received, inbox) = inbox(&ClusterLimits::default(), 3);
        assert!(lock(&received.0).is_empty());
        inbox.joined();
        inbox.receive(message(3), None);
        assert_eq!(*lock(&received.0), [0, 1, 2, 3]);
    }

    #[test]
    fn the_latest_messages_are_held_back_within_the_limits() {
        for limits in [
            ClusterLimits::default().max_queued_messages(2),
            ClusterLimits::default().max_queued_bytes(2 * Body::Heartbeat.bytes()),
        ] {
            let (received, inbox) = inbox(&limits, 5);
            inbox.joined();
            assert_eq!(*lock(&received.0), [3, 4]);
        }
    }
}
