//! A queue in front of the session's queue, for packets beyond its limits and packets that must not
//! arrive together with the preceding ones.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use engineio_parser::Frames;
use tokio::time::Sleep;

/// When a packet of the queue may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// After the preceding packets.
    InOrder,
    /// After the server has read the preceding packets, or after this time. Node's server handles
    /// the packets that it reads at once in several steps, and a DISCONNECT among them would
    /// discard the events before it.
    AfterConfirmation(Duration),
}

#[derive(Default)]
pub(super) struct Backlog {
    queue: VecDeque<(Frames, Order)>,
    /// Whether to close the session after the last packet.
    pub(super) close: bool,
    /// The timer of the first packet, which waits for the server's confirmation.
    pub(super) timer: Option<Pin<Box<Sleep>>>,
}

impl Backlog {
    pub(super) fn push(&mut self, frames: Frames, order: Order) {
        self.queue.push_back((frames, order));
    }

    pub(super) fn first(&self) -> Option<Order> {
        self.queue.front().map(|(_, order)| *order)
    }

    pub(super) fn pop(&mut self) -> Option<Frames> {
        self.timer = None;
        let (frames, _) = self.queue.pop_front()?;
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(frames)
    }

    /// Puts back the packet popped last. The server has confirmed the preceding ones.
    pub(super) fn put_back(&mut self, frames: Frames) {
        self.queue.push_front((frames, Order::InOrder));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
