//! What waits in front of the session's queue: messages beyond its limits, and messages that must not arrive together with
//! those before them.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use engineio_parser::Frames;
use tokio::time::Sleep;

/// How a message of the queue leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// After those before it.
    Behind,
    /// Once the server has taken those before it, or after so much time: Node's server handles what it reads at once in
    /// several steps, and a DISCONNECT among it would undo the events before.
    Apart(Duration),
}

#[derive(Default)]
pub(super) struct Held {
    queue: VecDeque<(Frames, Order)>,
    /// The session is to be closed when all of it has left.
    pub(super) close: bool,
    /// How long the server may still take to confirm what precedes the first message.
    pub(super) patience: Option<Pin<Box<Sleep>>>,
}

impl Held {
    pub(super) fn push(&mut self, frames: Frames, order: Order) {
        self.queue.push_back((frames, order));
    }

    pub(super) fn first(&self) -> Option<Order> {
        self.queue.front().map(|(_, order)| *order)
    }

    pub(super) fn pop(&mut self) -> Option<Frames> {
        self.patience = None;
        self.queue.pop_front().map(|(frames, _)| frames)
    }

    /// Puts back what was taken last. The server has confirmed what precedes it.
    pub(super) fn unpop(&mut self, frames: Frames) {
        self.queue.push_front((frames, Order::Behind));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
