//! The connection's life: it opens, is lost, and opens again.

use std::{
    error::Error,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use engineio_parser::session::CloseReason;
use socketio_parser::{DecodeError, Violation};

use super::{
    new_machine,
    state::{Driver, Link},
    timer::{after, now},
};
use crate::{
    engine::{Closed, Engine, EngineError, EngineEvent, RequestError},
    error::{ConnectError, DisconnectReason},
    manager_event::ManagerEvent,
    reconnect::random,
};

/// Events read before the handlers run.
const BATCH: usize = 64;

impl Driver {
    /// Starts opening the connection. `reconnecting` tells whether this is a reconnection.
    pub(super) fn open(&mut self, reconnecting: bool) {
        let config = self.engine.clone();
        self.link = Link::Opening {
            future: Box::pin(async move { Engine::open(&config).await }),
            deadline: self.connect_deadline(),
            reconnecting,
        };
    }

    pub(super) fn connect_deadline(&self) -> Option<Instant> {
        let timeout = self.shared.state().connect_timeout;
        timeout.and_then(|timeout| now().checked_add(timeout))
    }

    /// Polls the connection. Returns whether something happened.
    pub(super) fn poll_link(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.link {
            Link::Opening { future, reconnecting, .. } => {
                let reconnecting = *reconnecting;
                match future.as_mut().poll(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(engine)) => self.opened(engine, reconnecting),
                    Poll::Ready(Err(EngineError::Unsupported)) => {
                        self.failed(ConnectError::Unsupported, reconnecting);
                    }
                    Poll::Ready(Err(error)) => {
                        self.failed(ConnectError::Transport(Arc::new(error)), reconnecting);
                    }
                }
                true
            }
            Link::Open(_) => self.read(cx),
            Link::Idle | Link::Waiting { .. } => false,
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        // Messages are handled as they are read, so they alone do not need another round.
        let mut progressed = false;
        for _ in 0..BATCH {
            let Link::Open(engine) = &mut self.link else { return true };
            let event = engine.poll_event(cx);
            progressed |= !matches!(event, Poll::Pending | Poll::Ready(EngineEvent::Message(_)));
            match event {
                Poll::Pending => return progressed,
                Poll::Ready(EngineEvent::Message(data)) => {
                    let result = self.machine.handle_data(engine.read_at(), data);
                    self.outputs(cx);
                    if let Err(violation) = result {
                        self.violated(&violation);
                    }
                }
                Poll::Ready(EngineEvent::Upgraded(transport)) => {
                    let session = (engine.sid().to_owned(), transport);
                    self.shared.set_session(Some(session));
                    self.shared.notify(&ManagerEvent::Upgrade(transport));
                }
                Poll::Ready(EngineEvent::Ping) => self.shared.notify(&ManagerEvent::Ping),
                Poll::Ready(EngineEvent::Closed(Closed { reason, error })) => {
                    self.shared.set_session(None);
                    self.link = Link::Idle;
                    self.dirty = true;
                    self.exceeded = error.as_ref().and_then(EngineError::exceeded);
                    self.lost(reason_of(reason), error.map(|error| chain(&error)));
                }
            }
            // A handler may have disconnected its socket. Handle that before further messages.
            self.handle_requests();
        }
        true
    }

    /// Ends the connection after the server broke the protocol or sent too much.
    fn violated(&mut self, violation: &Violation) {
        self.close_session();
        let (reason, description) = match violation {
            // Reported like a single message that is too large.
            Violation::Decode(DecodeError::AttachmentsTooLarge { limit }) => {
                self.exceeded = Some(*limit);
                let error = RequestError::TooLarge { limit: *limit };
                (DisconnectReason::TransportError, error.to_string())
            }
            violation => (DisconnectReason::ParseError, violation.to_string()),
        };
        self.lost(reason, Some(description));
    }

    fn opened(&mut self, mut engine: Engine, reconnecting: bool) {
        engine.set_reading(self.reading);
        self.shared.set_max_sent(engine.max_sent());
        self.shared.set_session(Some((engine.sid().to_owned(), engine.transport())));
        self.machine = new_machine(&self.shared);
        self.link = Link::Open(Box::new(engine));
        self.dirty = true;
        let attempts = self.backoff.attempts();
        self.backoff.reset();
        self.shared.notify(&ManagerEvent::Open);
        self.handle_requests();
        if reconnecting {
            self.shared.notify(&ManagerEvent::Reconnect(attempts));
        }
    }

    /// Handles a failure to open the connection.
    fn failed(&mut self, error: ConnectError, reconnecting: bool) {
        self.link = Link::Idle;
        self.dirty = true;
        self.clear_open_request();
        self.shared.notify(&ManagerEvent::Error(error.clone()));
        let for_good = matches!(error, ConnectError::Unsupported);
        for index in 0..self.members.len() {
            if self.is_active(index) {
                if for_good {
                    self.deactivate(index);
                }
                self.connect_error(index, error.clone());
            }
        }
        if for_good {
            self.backoff.reset();
        } else {
            self.reconnect();
        }
        if reconnecting {
            self.shared.notify(&ManagerEvent::ReconnectError(error));
        }
    }

    /// Handles the loss of the connection: fails all pending acks, notifies every socket, and
    /// reconnects.
    fn lost(&mut self, reason: DisconnectReason, description: Option<String>) {
        self.clear_open_request();
        self.end_namespaces(reason, description.as_deref(), None);
        self.backoff.reset();
        self.shared.notify(&ManagerEvent::Close { reason, description });
        self.reconnect();
    }

    /// Closes the connection. It opens again if it is still requested. Packets that joined
    /// namespaces have queued by now are sent first.
    pub(super) fn close_connection(&mut self, reason: DisconnectReason, left: Option<usize>) {
        for index in 0..self.members.len() {
            self.send_remaining(index);
        }
        let was_idle = matches!(self.link, Link::Idle);
        self.close_session();
        self.backoff.reset();
        if !was_idle {
            self.end_namespaces(reason, None, left);
            self.shared.notify(&ManagerEvent::Close { reason, description: None });
        }
    }

    /// Schedules the next attempt, if the policy allows one.
    fn reconnect(&mut self) {
        let policy = self.shared.state().reconnection.clone();
        if !policy.is_enabled() {
            return;
        }
        match self.backoff.next(&policy, random()) {
            Some(delay) => {
                self.link = Link::Waiting { until: after(delay) };
                self.shared.notify(&ManagerEvent::Reconnecting { delay });
            }
            None => {
                self.backoff.reset();
                self.shared.notify(&ManagerEvent::ReconnectFailed);
            }
        }
    }

    /// Clears the request to open the connection, which has been served. Call it before notifying
    /// anybody, because a listener may request a new connection.
    fn clear_open_request(&mut self) {
        let mut state = self.shared.state();
        // If `close` is pending, or a socket is to be left then joined again, the request is for
        // the next connection.
        let again = state.slots.iter().any(|slot| {
            let slot = slot.state();
            slot.leave && slot.active
        });
        state.open &= state.close || again;
    }

    fn attempt(&mut self) {
        if !self.shared.state().reconnection.is_enabled() {
            self.link = Link::Idle;
            self.dirty = true;
            return;
        }
        self.shared.notify(&ManagerEvent::ReconnectAttempt(self.backoff.attempts()));
        self.open(true);
    }

    /// Polls the session that is being closed. Returns whether it has ended.
    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(closing) = &mut self.closing else { return false };
        loop {
            match closing.engine.poll_event(cx) {
                Poll::Ready(EngineEvent::Closed(_)) => break,
                Poll::Ready(_) => {}
                Poll::Pending => return false,
            }
        }
        self.closing = None;
        // The next session may be opened.
        self.dirty = true;
        true
    }

    /// Handles expired deadlines. Returns whether the timer fired.
    pub(super) fn timeouts(&mut self, cx: &mut Context<'_>) -> bool {
        let next = self.next_deadline();
        if !self.timer.poll(next, cx) {
            return false;
        }
        self.dirty = true;
        let now = now();
        self.closing.take_if(|closing| closing.deadline <= now);
        match &self.link {
            Link::Opening { deadline: Some(deadline), reconnecting, .. } if *deadline <= now => {
                self.failed(ConnectError::Timeout, *reconnecting);
            }
            Link::Waiting { until } if *until <= now && self.closing.is_none() => self.attempt(),
            _ => {}
        }
        self.expire_namespaces(now);
        let result = self.machine.handle_timeout(now);
        self.outputs(cx);
        if let Err(violation) = result {
            self.violated(&violation);
        }
        true
    }

    fn next_deadline(&self) -> Option<Instant> {
        let link = match &self.link {
            Link::Opening { deadline, .. } => *deadline,
            Link::Waiting { until } => Some(*until).filter(|_| self.closing.is_none()),
            Link::Idle | Link::Open(_) => None,
        };
        let members = self.members.iter().filter_map(|member| member.phase.deadline());
        let closing = self.closing.iter().map(|closing| closing.deadline);
        members.chain(closing).chain(link).chain(self.machine.poll_timeout()).min()
    }
}

fn reason_of(reason: CloseReason) -> DisconnectReason {
    match reason {
        CloseReason::TransportError => DisconnectReason::TransportError,
        CloseReason::TransportClose => DisconnectReason::TransportClose,
        CloseReason::PingTimeout => DisconnectReason::PingTimeout,
        CloseReason::ParseError => DisconnectReason::ParseError,
        _ => DisconnectReason::ForcedClose,
    }
}

/// Formats an error with all its sources.
fn chain(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
