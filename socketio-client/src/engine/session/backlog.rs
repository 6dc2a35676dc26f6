//! A queue in front of the session's queue, for packets beyond its limits and packets that must not
//! arrive together with the preceding ones.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use engineio_parser::{
    Frames, Transport,
    session::{CloseReason, SendError, Unsent},
};
use tokio::time::{Sleep, sleep};

use super::{Engine, socket::Socket};
use crate::time::now;

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
    close: bool,
    /// The timer of the first packet, which waits for the server's confirmation.
    timer: Option<Pin<Box<Sleep>>>,
    /// When a packet was last sent with [`Order::AfterConfirmation`].
    confirmed_send_at: Option<Instant>,
}

impl Engine {
    /// Queues a run of frames.
    ///
    /// # Errors
    ///
    /// Returns the frames if the queue is full or the session is closing.
    pub(crate) fn send(&mut self, frames: Frames) -> Result<(), SendError> {
        if self.has_backlog() {
            return Err(SendError::Full(frames));
        }
        self.unconfirmed = true;
        self.session.send(frames)
    }

    /// Queues frames beyond the session's limits; the caller limits them. [`send`](Self::send)
    /// refuses further frames until the session has taken them.
    pub(crate) fn send_unbounded(&mut self, frames: Frames, order: Order) {
        if self.session.is_open() {
            self.backlog.queue.push_back((frames, order));
        }
    }

    /// Ends the session. Queued packets are sent first, then the close packet. `Closed` follows
    /// within 30 s, plus 2 s for the peer's close.
    pub(crate) fn close(&mut self) {
        self.closing.get_or_insert_with(tokio::time::Instant::now);
        if self.has_backlog() {
            self.backlog.close = true;
        } else {
            self.session.close(self.now(), CloseReason::ForcedClose, Unsent::Send);
        }
    }

    /// Returns whether frames wait in front of the session's queue.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.queue.is_empty()
    }

    /// Returns when a frame was last sent with [`Order::AfterConfirmation`].
    pub(crate) fn confirmed_send_at(&self) -> Option<Instant> {
        self.backlog.confirmed_send_at
    }

    /// Passes waiting frames to the session. Returns whether there were any.
    pub(super) fn poll_backlog(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.session.is_open() {
            self.backlog = Backlog::default();
            return false;
        }
        let mut progressed = false;
        while let Some((_, order)) = self.backlog.queue.front() {
            let order = *order;
            if let Order::AfterConfirmation(timeout) = order
                && !self.is_confirmed(cx)
            {
                let timer = self.backlog.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
                if timer.as_mut().poll(cx).is_pending() {
                    return progressed;
                }
                if let Socket::Open(socket) = &mut self.socket {
                    socket.forget_confirmation();
                }
            }
            self.backlog.timer = None;
            let Some((frames, _)) = self.backlog.queue.pop_front() else { break };
            match order {
                Order::InOrder => self.unconfirmed = true,
                Order::AfterConfirmation(_) => self.backlog.confirmed_send_at = Some(now()),
            }
            if let Err(SendError::Full(frames)) = self.session.send(frames) {
                // The server has confirmed the preceding packets.
                self.backlog.queue.push_front((frames, Order::InOrder));
                return progressed;
            }
            progressed = true;
        }
        if progressed {
            self.backlog.queue = VecDeque::new();
        }
        if std::mem::take(&mut self.backlog.close) {
            self.session.close(self.now(), CloseReason::ForcedClose, Unsent::Send);
            progressed = true;
        }
        progressed
    }

    /// Returns whether the server has read all messages passed to the session. Over polling, the
    /// response to a POST confirms it. On another transport, the transport does.
    fn is_confirmed(&mut self, cx: &mut Context<'_>) -> bool {
        if self.session.queued_packets() > 0 {
            return false;
        }
        if self.session.transport() == Transport::Polling {
            return !self.post.is_busy();
        }
        if self.unconfirmed
            && let Socket::Open(socket) = &mut self.socket
        {
            self.unconfirmed = socket.poll_confirmed(cx) == Poll::Pending;
        }
        !self.unconfirmed
    }
}
