//! The end of a session: sends the queued packets and the close.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use engineio_parser::{Transport, session::CloseReason};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Closed, Engine, socket::Socket};

/// How long sending the queued packets and the close may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for the peer's close.
const PEER_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How far the end of a session is.
pub(super) enum End {
    NotYet,
    /// The close is being sent, until the timer fires.
    Lingering {
        reason: CloseReason,
        timer: Pin<Box<Sleep>>,
        /// Whether the close was sent and the peer's close is awaited.
        close_sent: bool,
    },
    /// The owner has received `Closed`.
    Reported,
}

impl Engine {
    pub(super) fn on_closed(&mut self, reason: CloseReason) {
        tracing::debug!(target: "engineio::client", %reason, "a session was closed");
        if reason == CloseReason::TransportError && self.transport() == Transport::WebSocket {
            self.shared.remember_websocket(false);
        }
        let soon = Instant::now() + PEER_CLOSE_TIMEOUT;
        let until = self.closing.map_or(soon, |closing| soon.max(closing + CLOSE_TIMEOUT));
        self.end =
            End::Lingering { reason, timer: Box::pin(sleep_until(until)), close_sent: false };
    }

    /// Polls the end of the session. Returns `None` if the session is not closed.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Option<Poll<Closed>> {
        let reason = match self.end {
            End::NotYet => return None,
            End::Reported => return Some(Poll::Pending),
            End::Lingering { reason, .. } => reason,
        };
        // If the connection is lost or the peer is silent, there is no one to send a close to.
        let graceful = matches!(reason, CloseReason::ForcedClose | CloseReason::ParseError);
        if graceful && self.poll_graceful_end(cx).is_pending() && !self.is_late(cx) {
            return Some(Poll::Pending);
        }
        self.end = End::Reported;
        self.socket = Socket::None;
        self.get.clear();
        self.body = None;
        self.post.clear();
        let error = self.error.take().filter(|_| reason == CloseReason::TransportError);
        Some(Poll::Ready(Closed { reason, error }))
    }

    fn poll_graceful_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.session.transport() != Transport::Polling {
            return match &mut self.socket {
                Socket::Open(socket) => socket.poll_close(cx),
                Socket::None | Socket::Connecting(_) => Poll::Ready(()),
            };
        }
        // The GET stays open until the last POST has its response. Aborting it would end the
        // session before the server has read that POST.
        while self.poll_post(cx) {}
        if self.post.is_busy() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let End::Lingering { timer, close_sent, .. } = &mut self.end else { return true };
        if let Socket::Open(socket) = &self.socket
            && socket.has_sent_close()
            && !*close_sent
        {
            *close_sent = true;
            let soon = (Instant::now() + PEER_CLOSE_TIMEOUT).min(timer.deadline());
            timer.as_mut().reset(soon);
        }
        timer.as_mut().poll(cx).is_ready()
    }
}
