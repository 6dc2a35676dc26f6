//! Sends packets that must wait until the server has read the preceding ones.

use std::{
    future::Future,
    task::{Context, Poll},
};

use engineio_parser::{
    Frames, Transport,
    session::{CloseReason, SendError},
};

use super::{Engine, now};
use crate::engine::{
    held::{Held, Order},
    state::Socket,
};

impl Engine {
    /// Queues frames beyond the session's limits; the caller limits them. [`send`](Self::send)
    /// refuses further frames until the session has taken them.
    pub(crate) fn send_held(&mut self, frames: Frames, order: Order) {
        if self.session.is_open() {
            self.held.push(frames, order);
        }
    }

    /// Returns whether frames wait in front of the session's queue.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns when a frame was last sent with [`Order::Apart`].
    pub(crate) fn apart_at(&self) -> Option<std::time::Instant> {
        self.apart_at
    }

    /// Passes waiting frames to the session. Returns whether there were any.
    pub(super) fn poll_held(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.session.is_open() {
            self.held.clear();
            return false;
        }
        let mut moved = false;
        while let Some(order) = self.held.first() {
            if let Order::Apart(patience) = order
                && !self.is_taken(cx)
                && !self.held.is_late(patience, cx)
            {
                return moved;
            }
            let Some(frames) = self.held.pop() else { break };
            match order {
                Order::Behind => self.untaken = true,
                Order::Apart(_) => self.apart_at = Some(now()),
            }
            if let Err(SendError::Full(frames)) = self.session.send(frames) {
                self.held.unpop(frames);
                return moved;
            }
            moved = true;
        }
        if std::mem::take(&mut self.held.close) {
            self.session.close(self.now(), CloseReason::ForcedClose, false);
            moved = true;
        }
        moved
    }

    /// Returns whether the server has read all messages passed to the session. Over polling, the
    /// response to a POST confirms it. Over a WebSocket, the pong to a ping after the last message
    /// does.
    fn is_taken(&mut self, cx: &mut Context<'_>) -> bool {
        if self.session.queued_packets() > 0 {
            return false;
        }
        if self.session.transport() == Transport::Polling {
            return !self.post.is_busy();
        }
        if self.untaken
            && let Socket::Open(socket) = &mut self.socket
        {
            self.untaken = socket.poll_pong(cx).is_pending();
        }
        !self.untaken
    }
}

impl Held {
    /// Returns whether the first frame has waited for `patience`.
    fn is_late(&mut self, patience: std::time::Duration, cx: &mut Context<'_>) -> bool {
        let sleep = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        matches!(sleep.as_mut().poll(cx), Poll::Ready(()))
    }
}
