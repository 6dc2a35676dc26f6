//! The message transport of a session: its transport, or the probe that is to become it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use engineio_parser::{
    Transport,
    session::{Input, Loss},
};

use super::Engine;
#[cfg(feature = "webtransport")]
use crate::engine::webtransport::WebTransport;
use crate::engine::{
    dial::{Attempt, race},
    error::{EngineError, RequestError},
    http::within,
    message_transport::MessageTransport,
    websocket::WebSocket,
};

/// How much earlier than a WebSocket a WebTransport connection starts if a session can be upgraded
/// to both, as in Node's client.
const HEAD_START: Duration = Duration::from_millis(200);

type Connected = Result<Box<dyn MessageTransport>, RequestError>;

/// The message transport of a session: its transport, or the probe of an upgrade.
pub(super) enum Socket {
    None,
    Connecting(Pin<Box<dyn Future<Output = Option<Connected>> + Send>>),
    Open(Box<dyn MessageTransport>),
}

impl Socket {
    /// Returns whether a frame sent now is written at once.
    pub(super) fn is_writable(&self) -> bool {
        match self {
            Self::Open(socket) => socket.is_writable(),
            Self::None | Self::Connecting(_) => true,
        }
    }
}

impl Engine {
    /// Connects the first of the candidates that succeeds. Each may take `limit`.
    pub(super) fn connect_socket(&mut self, candidates: &[Transport], limit: Option<Duration>) {
        let attempts = candidates.iter().map(|via| {
            let (shared, sid) = (self.shared.clone(), self.session.sid().clone());
            let attempt: Attempt<_, _> = match via {
                #[cfg(feature = "webtransport")]
                Transport::WebTransport => Box::pin(async move {
                    let socket = within(limit, WebTransport::open(&shared, &sid)).await?;
                    Ok(Box::new(socket) as Box<dyn MessageTransport>)
                }),
                _ => Box::pin(async move {
                    let socket = within(limit, WebSocket::open(&shared, &sid)).await?;
                    Ok(Box::new(socket) as Box<dyn MessageTransport>)
                }),
            };
            attempt
        });
        self.socket = Socket::Connecting(Box::pin(race(attempts.collect(), HEAD_START)));
    }

    /// Connects the transports that the session may be upgraded to and that were not probed yet.
    pub(super) fn connect_probe(&mut self) {
        if !self.untried.is_empty() {
            let candidates = self.untried.clone();
            self.connect_socket(&candidates, Some(self.shared.options.upgrade_timeout));
        }
    }

    /// Polls the message transport. Returns whether it has connected or read anything.
    pub(super) fn poll_socket(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.socket {
            Socket::None => false,
            Socket::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => false,
                Poll::Ready(result) => {
                    self.socket = Socket::None;
                    if let Some(result) = result {
                        self.on_connected(result);
                    }
                    true
                }
            },
            Socket::Open(_) => self.poll_read(cx),
        }
    }

    fn on_connected(&mut self, result: Connected) {
        let probe = self.session.transport() == Transport::Polling;
        match result {
            Ok(socket) => {
                let via = socket.via();
                self.untried.retain(|untried| *untried != via);
                let start = Input::ProbeStarted(via);
                if !probe || self.session.handle_input(self.now(), start).is_ok() {
                    self.socket = Socket::Open(socket);
                }
            }
            Err(error) if probe => {
                tracing::debug!(target: "engineio::client", %error, "the connection for an upgrade failed");
                self.untried.clear();
            }
            Err(error) => self.on_lost(self.session.transport(), Some(error)),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let Socket::Open(socket) = &self.socket else { return false };
        if self.session.transport() != Transport::Polling && !self.may_read(socket.buffered()) {
            return false;
        }
        let Socket::Open(socket) = &mut self.socket else { return false };
        let via = socket.via();
        let read = socket.poll_read(cx);
        if socket.take_filled() {
            self.note_arrival();
        }
        match read {
            Poll::Pending => return false,
            Poll::Ready(Ok(Input::Packet(via, packet))) => self.on_packet(via, packet),
            Poll::Ready(Ok(Input::Lost(..))) => self.on_lost(via, None),
            Poll::Ready(Ok(input)) => self.feed(input),
            Poll::Ready(Err(error)) => self.on_lost(via, Some(error)),
        }
        true
    }

    /// Returns the bytes of the incomplete message.
    #[cfg(test)]
    pub(in crate::engine) fn buffered(&self) -> usize {
        if let Socket::Open(socket) = &self.socket { socket.buffered() } else { 0 }
    }

    /// Writes the session's frames. Returns whether the session may have changed.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let settled = self.is_settled();
        let Socket::Open(socket) = &mut self.socket else { return false };
        match socket.poll_write(cx, &mut self.session) {
            Ok(taken) => taken && !settled,
            Err(error) => {
                let via = socket.via();
                self.on_lost(via, Some(error));
                true
            }
        }
    }

    fn on_lost(&mut self, via: Transport, error: Option<RequestError>) {
        self.socket = Socket::None;
        let loss = if error.is_some() { Loss::Failed } else { Loss::Closed };
        if self.session.transport() == via
            && let Some(error) = error
        {
            self.shared.remember_websocket(false);
            self.failed(match via {
                Transport::WebTransport => EngineError::WebTransport(error),
                _ => EngineError::WebSocket(error),
            });
        }
        self.feed(Input::Lost(via, loss));
    }
}
