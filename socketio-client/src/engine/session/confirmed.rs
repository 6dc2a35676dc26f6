//! Sends packets that must wait until the server has read the preceding ones.

use std::{
    future::Future,
    task::{Context, Poll},
};

use engineio_parser::{
    Frames, Transport,
    session::{CloseReason, SendError, Unsent},
};

use super::{
    Engine,
    backlog::{Backlog, Order},
    socket::Socket,
};
use crate::time::now;

impl Engine {
    /// Queues frames beyond the session's limits; the caller limits them. [`send`](Self::send)
    /// refuses further frames until the session has taken them.
    pub(crate) fn send_unbounded(&mut self, frames: Frames, order: Order) {
        if self.session.is_open() {
            self.backlog.push(frames, order);
        }
    }

    /// Returns whether frames wait in front of the session's queue.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Returns when a frame was last sent with [`Order::AfterConfirmation`].
    pub(crate) fn confirmed_send_at(&self) -> Option<std::time::Instant> {
        self.confirmed_send_at
    }

    /// Passes waiting frames to the session. Returns whether there were any.
    pub(super) fn poll_backlog(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.session.is_open() {
            self.backlog.clear();
            return false;
        }
        let mut progressed = false;
        while let Some(order) = self.backlog.first() {
            if let Order::AfterConfirmation(timeout) = order
                && !self.is_confirmed(cx)
            {
                if !self.backlog.is_late(timeout, cx) {
                    return progressed;
                }
                if let Socket::Open(socket) = &mut self.socket {
                    socket.forget_confirmation();
                }
            }
            let Some(frames) = self.backlog.pop() else { break };
            match order {
                Order::InOrder => self.unconfirmed = true,
                Order::AfterConfirmation(_) => self.confirmed_send_at = Some(now()),
            }
            if let Err(SendError::Full(frames)) = self.session.send(frames) {
                self.backlog.put_back(frames);
                return progressed;
            }
            progressed = true;
        }
        if std::mem::take(&mut self.backlog.close) {
            self.session.close(self.now(), CloseReason::ForcedClose, Unsent::Send);
            progressed = true;
        }
        progressed
    }

    /// Returns whether the server has read all messages passed to the session. Over polling, the
    /// response to a POST confirms it. On another transport,
    /// the transport does.
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
            self.unconfirmed = socket.poll_confirmed(cx).is_pending();
        }
        !self.unconfirmed
    }
}

impl Backlog {
    /// Returns whether the first frame has waited for `timeout`.
    fn is_late(&mut self, timeout: std::time::Duration, cx: &mut Context<'_>) -> bool {
        let sleep = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        matches!(sleep.as_mut().poll(cx), Poll::Ready(()))
    }
}
