//! The connection's life: it opens, is lost, and opens again.

use std::{
    error::Error,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use engineio_parser::session::CloseReason;
use socketio_parser::{DecodeError, Output, Violation};

use super::{Driver, Link, new_machine};
use crate::{
    engine::{Closed, Engine, EngineError, EngineEvent, RequestError},
    error::{ConnectError, DisconnectReason},
    manager::ManagerEvent,
    reconnection::random,
    socket::Waiter,
    time::{after, now},
};

/// Events read before the handlers run.
const BATCH: usize = 64;

/// How a connection ended.
pub(super) struct Loss {
    pub(super) reason: DisconnectReason,
    pub(super) description: Option<String>,
    /// The message size limit that the server exceeded.
    pub(super) exceeded: Option<usize>,
}

impl Driver {
    /// Starts opening the connection.
    pub(super) fn open(&mut self) {
        let mut config = self.engine.clone();
        config.timeout = self.shared.connect_timeout();
        self.link = Link::Opening {
            future: Box::pin(async move { Engine::open(&config).await }),
            deadline: self.connect_deadline(),
        };
    }

    pub(super) fn connect_deadline(&self) -> Option<Instant> {
        self.shared.connect_timeout().and_then(|timeout| now().checked_add(timeout))
    }

    /// Polls the connection. Returns whether something happened.
    pub(super) fn poll_link(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.link {
            Link::Opening { future, .. } => {
                match future.as_mut().poll(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(engine)) => self.opened(engine),
                    Poll::Ready(Err(EngineError::Unsupported)) => {
                        self.failed(ConnectError::Unsupported);
                    }
                    Poll::Ready(Err(error)) => {
                        self.failed(ConnectError::Transport(Arc::new(error)));
                    }
                }
                true
            }
            Link::Open(engine) => {
                engine.start_turn();
                self.read(cx)
            }
            Link::Closing { engine, .. } => loop {
                match engine.poll_event(cx) {
                    Poll::Ready(EngineEvent::Closed(_)) => {
                        self.closed();
                        return true;
                    }
                    Poll::Ready(_) => {}
                    Poll::Pending => return false,
                }
            },
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
                    let read_at = engine.read_at();
                    let result = self.machine.poll_data_at(|| read_at, data);
                    self.handle_result(result, cx);
                }
                Poll::Ready(EngineEvent::Upgraded(transport)) => {
                    self.shared.session_opened(engine.sid(), transport, engine.max_sent());
                    self.shared.notify(&ManagerEvent::Upgrade(transport));
                }
                Poll::Ready(EngineEvent::Opened) => {}
                Poll::Ready(EngineEvent::Ping) => self.shared.notify(&ManagerEvent::Ping),
                Poll::Ready(EngineEvent::Closed(Closed { reason, error })) => {
                    self.shared.session_ended();
                    self.set_link(Link::Idle);
                    self.lost(Loss {
                        reason: reason_of(reason),
                        exceeded: error.as_ref().and_then(EngineError::exceeded),
                        description: error.map(|error| chain(&error)),
                    });
                }
            }
            // A handler may have disconnected its socket. Handle that before further messages.
            self.handle_requests();
        }
        true
    }

    /// Handles the outputs of the protocol state machine, beginning with the one in `result`.
    fn handle_result(
        &mut self,
        result: Result<Option<Output<Waiter>>, Violation>,
        cx: &mut Context<'_>,
    ) {
        match result {
            Ok(first) => self.outputs(first, cx),
            Err(violation) => {
                self.outputs(None, cx);
                self.violated(&violation);
            }
        }
    }

    /// Ends the connection after the server broke the protocol or sent too much.
    fn violated(&mut self, violation: &Violation) {
        self.close_session();
        self.lost(match violation {
            // Reported like a single message that is too large.
            Violation::Decode(DecodeError::AttachmentsTooLarge { limit }) => Loss {
                reason: DisconnectReason::TransportError,
                description: Some(RequestError::TooLarge { limit: *limit }.to_string()),
                exceeded: Some(*limit),
            },
            violation => Loss {
                reason: DisconnectReason::ParseError,
                description: Some(violation.to_string()),
                exceeded: None,
            },
        });
    }

    fn opened(&mut self, mut engine: Engine) {
        engine.set_reading(self.inbox.may_read());
        self.shared.session_opened(engine.sid(), engine.transport(), engine.max_sent());
        self.machine = new_machine(&self.shared);
        self.set_link(Link::Open(Box::new(engine)));
        let attempts = self.backoff.attempts();
        self.backoff.reset();
        self.shared.notify(&ManagerEvent::Open);
        self.handle_requests();
        if attempts > 0 {
            self.shared.notify(&ManagerEvent::Reconnect(attempts));
        }
    }

    /// Handles a failure to open the connection.
    fn failed(&mut self, error: ConnectError) {
        let reconnecting = self.backoff.attempts() > 0;
        self.set_link(Link::Idle);
        // Before listeners are notified, because a listener may request a new connection.
        self.shared.withdraw_request();
        self.shared.notify(&ManagerEvent::Error(error.clone()));
        let for_good = matches!(error, ConnectError::Unsupported);
        for index in 0..self.namespaces.len() {
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
    fn lost(&mut self, loss: Loss) {
        // Before listeners are notified, because a listener may request a new connection.
        self.shared.withdraw_request();
        self.end_namespaces(&loss, None);
        self.backoff.reset();
        let Loss { reason, description, .. } = loss;
        self.shared.notify(&ManagerEvent::Close { reason, description });
        self.reconnect();
    }

    /// Drops the connection without a packet to the server. A connection that is being opened is
    /// opened anew, because the attempt would fail only after its timeout.
    pub(super) fn abandon(&mut self) {
        match self.link {
            Link::Open(_) => {
                self.shared.session_ended();
                self.set_link(Link::Idle);
                self.lost(Loss {
                    reason: DisconnectReason::TransportClose,
                    description: Some("network connection lost".into()),
                    exceeded: None,
                });
            }
            Link::Opening { .. } => self.open(),
            Link::Idle | Link::Waiting { .. } | Link::Closing { .. } => {}
        }
    }

    /// Closes the connection. It opens again if it is still requested. Packets that joined
    /// namespaces have queued by now are sent first.
    pub(super) fn close_connection(&mut self, reason: DisconnectReason, left: Option<usize>) {
        for index in 0..self.namespaces.len() {
            self.send_remaining(index);
        }
        let was_closed = matches!(self.link, Link::Idle | Link::Closing { retry: None, .. });
        self.close_session();
        self.backoff.reset();
        if !was_closed {
            self.end_namespaces(&Loss { reason, description: None, exceeded: None }, left);
            self.shared.notify(&ManagerEvent::Close { reason, description: None });
        }
    }

    /// Stops connecting. Lets the open session, if there is one, send its last packets.
    pub(super) fn close_session(&mut self) {
        self.shared.session_ended();
        let link = match std::mem::take(&mut self.link) {
            Link::Open(mut engine) => {
                engine.set_reading(true);
                engine.close();
                let deadline = after(self.shared.config().close_timeout);
                Link::Closing { engine, deadline, retry: None }
            }
            Link::Closing { engine, deadline, .. } => {
                Link::Closing { engine, deadline, retry: None }
            }
            Link::Idle | Link::Opening { .. } | Link::Waiting { .. } => Link::Idle,
        };
        self.set_link(link);
    }

    /// Handles the end of the session that was being closed.
    fn closed(&mut self) {
        let retry = if let Link::Closing { retry, .. } = self.link { retry } else { None };
        self.set_link(retry.map_or(Link::Idle, |until| Link::Waiting { until }));
    }

    fn set_link(&mut self, link: Link) {
        self.changes.requests = true;
        self.link = link;
    }

    /// Schedules the next attempt, if the policy allows one.
    fn reconnect(&mut self) {
        let policy = self.shared.reconnection();
        if !policy.is_enabled() {
            self.backoff.reset();
            return;
        }
        match self.backoff.next(&policy, random()) {
            Some(delay) => {
                let until = after(delay);
                match &mut self.link {
                    Link::Closing { retry, .. } => *retry = Some(until),
                    link => *link = Link::Waiting { until },
                }
                self.shared.notify(&ManagerEvent::Reconnecting { delay });
            }
            None => {
                self.backoff.reset();
                self.shared.notify(&ManagerEvent::ReconnectFailed);
            }
        }
    }

    fn attempt(&mut self) {
        if !self.shared.reconnection().is_enabled() {
            self.backoff.reset();
            self.set_link(Link::Idle);
            return;
        }
        self.shared.notify(&ManagerEvent::ReconnectAttempt(self.backoff.attempts()));
        self.open();
    }

    /// Handles expired deadlines. Returns whether the timer fired.
    pub(super) fn timeouts(&mut self, cx: &mut Context<'_>) -> bool {
        let next = self.next_deadline();
        if !self.timer.poll(next, cx) {
            return false;
        }
        self.changes.requests = true;
        let now = now();
        match self.link {
            Link::Opening { deadline: Some(deadline), .. } if deadline <= now => {
                self.failed(ConnectError::Timeout);
            }
            Link::Closing { deadline, .. } if deadline <= now => self.closed(),
            Link::Waiting { until } if until <= now => self.attempt(),
            _ => {}
        }
        self.expire_namespaces(now);
        let result = self.machine.handle_timeout(now).map(|()| None);
        self.handle_result(result, cx);
        true
    }

    fn next_deadline(&self) -> Option<Instant> {
        let link = match &self.link {
            Link::Opening { deadline, .. } => *deadline,
            Link::Closing { deadline, .. } => Some(*deadline),
            Link::Waiting { until } => Some(*until),
            Link::Idle | Link::Open(_) => None,
        };
        let namespaces = self.namespaces.iter().filter_map(|namespace| namespace.phase.deadline());
        namespaces.chain(link).chain(self.machine.poll_timeout()).min()
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
