//! Messages that wait to be published.

use std::collections::VecDeque;

use socketio_adapter::{Body, ClusterLimits, Message, NodeId};
use tokio::sync::Notify;

use crate::{
    error::ClusterError,
    sync::{Mutex, lock},
};

/// Messages in the order in which they will be sent, limited in number and bytes.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
    closed: bool,
}

/// A message with its recipient: one node, or all other nodes (`None`).
pub(super) struct Outgoing {
    pub(super) to: Option<NodeId>,
    pub(super) message: Message,
}

impl Outgoing {
    /// Returns whether this is an event that is delivered on this node when the engine's log
    /// returns it.
    pub(super) fn is_logged(&self) -> bool {
        self.message.seq.is_some() && !is_volatile(&self.message.body)
    }
}

/// Returns whether a message is a volatile event. Its number is one of another series.
pub(super) fn is_volatile(body: &Body) -> bool {
    matches!(body, Body::Broadcast { selection, .. } if selection.flags.volatile)
}

impl Queue {
    pub(super) fn new(limits: &ClusterLimits) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            max_messages: limits.max_queued_messages,
            max_bytes: limits.max_queued_bytes,
        }
    }

    /// Adds a message, unless the queue is full or closed.
    pub(super) fn push(&self, outgoing: Outgoing) -> Result<(), ClusterError> {
        let bytes = outgoing.message.body.bytes();
        {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(ClusterError::NotInCluster);
            }
            // A single message is always accepted, whatever its size.
            let full = !state.waiting.is_empty() && state.bytes + bytes > self.max_bytes;
            if full || state.waiting.len() >= self.max_messages {
                return Err(ClusterError::QueueFull);
            }
            state.bytes += bytes;
            state.waiting.push_back(outgoing);
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Takes out the events that wait to be logged.
    pub(super) fn take_logged(&self) -> Vec<Message> {
        let mut state = lock(&self.state);
        let (logged, others) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(|outgoing| outgoing.is_logged());
        state.waiting = others;
        let logged: Vec<_> = logged.into_iter().map(|outgoing| outgoing.message).collect();
        state.bytes -= logged.iter().map(|message| message.body.bytes()).sum::<usize>();
        logged
    }

    /// Returns the next message, or `None` if there will be no more.
    pub(super) async fn next(&self) -> Option<Outgoing> {
        loop {
            let closed = {
                let mut state = lock(&self.state);
                if let Some(outgoing) = state.waiting.pop_front() {
                    state.bytes -= outgoing.message.body.bytes();
                    return Some(outgoing);
                }
                state.closed
            };
            if closed {
                return None;
            }
            self.wake.notified().await;
        }
    }

    /// Takes the messages that follow the last one taken, up to the first that is for one node or
    /// for the log: at most `messages` messages and `bytes` bytes.
    pub(super) fn take_batch(&self, messages: usize, bytes: usize) -> Vec<Message> {
        let mut state = lock(&self.state);
        let mut room = bytes;
        let mut count = 0;
        for outgoing in state.waiting.iter().take(messages) {
            let left = room.checked_sub(outgoing.message.body.bytes());
            match left.filter(|_| outgoing.to.is_none() && !outgoing.is_logged()) {
                Some(left) => (room, count) = (left, count + 1),
                None => break,
            }
        }
        state.bytes -= bytes - room;
        state.waiting.drain(..count).map(|outgoing| outgoing.message).collect()
    }

    /// Accepts no further messages. Waiting messages can still be published.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Outgoing {
        let (uid, nsp) = ("1".into(), socketio_parser::Nsp::root());
        Outgoing { to: None, message: Message { uid, nsp, body: Body::Heartbeat, seq: None } }
    }

    #[tokio::test]
    async fn the_number_of_waiting_messages_is_limited() {
        let queue = Queue::new(&ClusterLimits::default().max_queued_messages(2));
        queue.push(message()).unwrap();
        queue.push(message()).unwrap();
        assert!(matches!(queue.push(message()), Err(ClusterError::QueueFull)));
        queue.next().await.unwrap();
        queue.push(message()).unwrap();
    }

    #[tokio::test]
    async fn the_bytes_of_waiting_messages_are_limited_except_for_one_message() {
        let queue = Queue::new(&ClusterLimits::default().max_queued_bytes(1));
        queue.push(message()).unwrap();
        assert!(matches!(queue.push(message()), Err(ClusterError::QueueFull)));
        queue.next().await.unwrap();
        queue.push(message()).unwrap();
    }

    #[tokio::test]
    async fn messages_to_all_nodes_are_taken_as_a_batch() {
        let queue = Queue::new(&ClusterLimits::default());
        let size = message().message.body.bytes();
        for _ in 0..5 {
            queue.push(message()).unwrap();
        }
        queue.push(Outgoing { to: Some("2".into()), ..message() }).unwrap();
        let logged = Message { seq: Some(0), ..message().message };
        queue.push(Outgoing { to: None, message: logged }).unwrap();
        queue.push(message()).unwrap();
        queue.next().await.unwrap();
        assert_eq!(queue.take_batch(1, usize::MAX).len(), 1);
        assert_eq!(queue.take_batch(9, 2 * size).len(), 2);
        assert_eq!(queue.take_batch(9, usize::MAX).len(), 1);
        assert_eq!(queue.take_batch(9, usize::MAX).len(), 0, "the next one is a reply");
        assert!(queue.next().await.unwrap().to.is_some());
        assert_eq!(queue.take_batch(9, usize::MAX).len(), 0, "the next one is for the log");
        assert!(queue.next().await.unwrap().is_logged());
        assert_eq!(queue.take_batch(9, usize::MAX).len(), 1);
        assert_eq!(lock(&queue.state).bytes, 0);
    }

    #[tokio::test]
    async fn messages_that_wait_at_the_end_are_still_sent() {
        let queue = Queue::new(&ClusterLimits::default());
        queue.push(message()).unwrap();
        queue.close();
        assert!(matches!(queue.push(message()), Err(ClusterError::NotInCluster)));
        assert!(queue.next().await.is_some());
        assert!(queue.next().await.is_none());
    }
}
