//! How a session's last words leave.

use std::{
    future::Future,
    task::{Context, Poll},
    time::Duration,
};

use engineio_parser::{Transport, session::CloseReason};
use tokio::time::sleep;

use super::Engine;
use crate::engine::{
    event::Closed,
    state::{End, Socket},
};

/// How long the goodbye may take before everything is dropped.
const LINGER: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn on_closed(&mut self, reason: CloseReason) {
        tracing::debug!(target: "engineio::client", %reason, "closed");
        if reason == CloseReason::TransportError && self.transport() == Transport::WebSocket {
            self.shared.remember_websocket(false);
        }
        self.end = End::Lingering(reason, Box::pin(sleep(LINGER)));
    }

    /// The end, once the session is over; `None` before.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Option<Poll<Closed>> {
        let End::Lingering(reason, patience) = &mut self.end else {
            return match self.end {
                End::Told => Some(Poll::Pending),
                _ => None,
            };
        };
        let reason = *reason;
        let late = patience.as_mut().poll(cx).is_ready();
        // Where the connection is gone, or silent for long, there is nobody to say goodbye to.
        let polite = matches!(reason, CloseReason::ForcedClose | CloseReason::ParseError);
        if polite && !late && self.poll_goodbye(cx).is_pending() {
            return Some(Poll::Pending);
        }
        self.end = End::Told;
        self.socket = Socket::None;
        self.get.clear();
        self.post.clear();
        let error = self.error.take().filter(|_| reason == CloseReason::TransportError);
        Some(Poll::Ready(Closed { reason, error }))
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.session.transport() == Transport::WebSocket {
            return match &mut self.socket {
                Socket::Open(socket) => socket.poll_close(cx),
                Socket::None | Socket::Connecting(_) => Poll::Ready(()),
            };
        }
        // The GET stays open until the last POST was answered: aborted, it would end the session before the server has
        // read that POST.
        while self.poll_post(cx) {}
        if self.post.is_busy() { Poll::Pending } else { Poll::Ready(()) }
    }
}
