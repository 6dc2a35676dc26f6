//! The WebSocket of a session: its transport, or the probe that is to become it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use engineio_parser::{
    Transport,
    session::{Input, Loss},
};

use super::Engine;
use crate::{
    engine::{
        error::{EngineError, RequestError},
        http::within,
        websocket::WebSocket,
    },
    time::now,
};

/// The WebSocket of a session: its transport, or the probe of an upgrade.
pub(super) enum Socket {
    None,
    Connecting(Pin<Box<dyn Future<Output = Result<WebSocket, RequestError>> + Send>>),
    Open(Box<WebSocket>),
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
    pub(super) fn connect_socket(&mut self) {
        let shared = self.shared.clone();
        let sid = self.session.sid().clone();
        self.socket = Socket::Connecting(Box::pin(async move {
            let connecting = WebSocket::open(&shared, &sid);
            if sid.is_empty() {
                return connecting.await;
            }
            within(Some(shared.options.upgrade_timeout), connecting).await
        }));
    }

    /// Polls the WebSocket. Returns whether it has connected or read anything.
    pub(super) fn poll_socket(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.socket {
            Socket::None => false,
            Socket::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => false,
                Poll::Ready(result) => {
                    self.socket = Socket::None;
                    self.on_connected(result);
                    true
                }
            },
            Socket::Open(_) => self.poll_read(cx),
        }
    }

    fn on_connected(&mut self, result: Result<WebSocket, RequestError>) {
        let probe = self.session.transport() != Transport::WebSocket;
        match result {
            Ok(socket) => {
                let start = Input::ProbeStarted(Transport::WebSocket);
                if !probe || self.session.handle_input(self.now(), start).is_ok() {
                    self.socket = Socket::Open(Box::new(socket));
                }
            }
            Err(error) if probe => {
                tracing::debug!(target: "engineio::client", %error, "probe error");
            }
            Err(error) => self.on_lost(Some(error)),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let Socket::Open(socket) = &self.socket else { return false };
        if self.session.transport() == Transport::WebSocket && !self.may_read(socket.buffered()) {
            return false;
        }
        let Socket::Open(socket) = &mut self.socket else { return false };
        let read = socket.poll_read(cx);
        if socket.take_filled() {
            self.read_at = now();
        }
        match read {
            Poll::Pending => return false,
            Poll::Ready(Ok(Input::Packet(via, packet))) => self.on_packet(via, packet),
            Poll::Ready(Ok(Input::Lost(..))) => self.on_lost(None),
            Poll::Ready(Ok(input)) => self.feed(input),
            Poll::Ready(Err(error)) => self.on_lost(Some(error)),
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
                self.on_lost(Some(error));
                true
            }
        }
    }

    fn on_lost(&mut self, error: Option<RequestError>) {
        self.socket = Socket::None;
        let loss = if error.is_some() { Loss::Failed } else { Loss::Closed };
        if self.session.transport() == Transport::WebSocket
            && let Some(error) = error
        {
            self.shared.remember_websocket(false);
            self.failed(EngineError::WebSocket(error));
        }
        self.feed(Input::Lost(Transport::WebSocket, loss));
    }
}
