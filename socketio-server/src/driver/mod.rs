//! The driver of one client: a future that runs its connection, namespaces and handlers in one
//! task.

mod deciding;
mod restoring;
mod run;
mod spaces;
mod state;
mod timer;
mod turn;

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use engineio_server::{CloseReason, Event, Frames, PacketData, Revision, SendError};
use socketio_parser::{Connection, Output, Protocol};

use self::{
    timer::{Timer, now},
    turn::Turn,
};
use crate::{
    client::{CLOSE, Client, waiter::Waiter},
    error::{AckError, DisconnectReason},
    namespace::registry::Registry,
    stats::Stripe,
};

pub(crate) use self::state::Driver;

impl Driver {
    pub(crate) fn new(connection: engineio_server::Connection, registry: Arc<Registry>) -> Self {
        let handle = connection.handle().clone();
        let config = registry.config.clone();
        // Clients of Socket.IO v2 use Engine.IO revision 3, with the Socket.IO protocol v4 on top.
        let protocol = match handle.revision() {
            Revision::V3 => Protocol::V4,
            Revision::V4 => Protocol::V5,
        };
        let machine =
            Connection::server(protocol, config.limits.clone()).with_parser(config.parser);
        let connect_deadline = now().checked_add(config.connect_timeout);
        let client = Arc::new(Client::new(handle, machine, config, registry.counters.clone()));
        let span = tracing::debug_span!(target: "socketio::client", "session", id = %client);
        Self {
            connection,
            span,
            client,
            registry,
            spaces: Vec::new(),
            next_space: 0,
            deciding: Vec::new(),
            restoring: Vec::new(),
            connecting: Vec::new(),
            running: Vec::new(),
            inbox_bytes: 0,
            ack_bytes: 0,
            backlog: false,
            turn: Turn::default(),
            connect_deadline,
            timer: Timer::default(),
            deaf: false,
            violation: None,
            closed: false,
        }
    }

    /// Reads, dispatches and writes until no work is left.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.spaces.is_empty() {
            // A client of protocol v4 enters `/` before it sends anything.
            self.outputs(cx);
        }
        while !self.closed {
            // Checked before every message, because a disconnected socket handles no further
            // events.
            self.asked(cx);
            match self.connection.poll_event(cx) {
                Poll::Ready(Event::Message(data)) => self.message(data, cx),
                Poll::Ready(Event::Closed(reason)) => self.finish(reason, cx),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    // From here on a request wakes this task. Requests made earlier are handled
                    // now.
                    if !self.asked(cx) && !self.timeouts(cx) {
                        return;
                    }
                }
            }
        }
    }

    fn message(&mut self, data: PacketData, cx: &mut Context<'_>) {
        if self.deaf {
            return;
        }
        let result = self.client.machine().handle_data(now(), data);
        self.outputs(cx);
        if let Err(violation) = result {
            self.violated(&violation);
        }
    }

    /// Handles the outputs of the protocol's state machine.
    fn outputs(&mut self, cx: &mut Context<'_>) {
        loop {
            let Some(output) = self.client.machine().poll_output() else { return };
            match output {
                Output::Event { nsp, id, args } => self.event(&nsp, id, args, cx),
                Output::Acked { waiter, args, .. } => {
                    self.counters().acks.answered.one();
                    self.client.ack_room.freed();
                    waiter.answer(Ok(args));
                }
                Output::AckTimedOut { waiter } => {
                    self.counters().acks.expired.one();
                    self.client.ack_room.freed();
                    waiter.answer(Err(AckError::Timeout));
                }
                Output::AckFailed { waiter } => {
                    self.counters().acks.disconnected.one();
                    self.client.ack_room.freed();
                    waiter.answer(Err(AckError::Disconnected));
                }
                Output::ConnectRequested { nsp, auth } => self.connect(nsp, auth, cx),
                Output::TooManyNamespaces { nsp } => self.refuse_excess(&nsp),
                Output::Disconnected { nsp } => self.left(&nsp, cx),
                _ => {}
            }
        }
    }

    /// Closes a client that broke the protocol. Its sockets see a "forced close", as in Node.
    fn violated(&mut self, violation: &socketio_parser::Violation) {
        tracing::debug!(target: "socketio::client", %violation, "closing");
        self.violation = Some(violation.to_string().into());
        self.close(false);
    }

    /// Handles the requests of other tasks. Returns whether there were any.
    fn asked(&mut self, cx: &mut Context<'_>) -> bool {
        let asked = self.client.take_asked();
        if asked == 0 {
            return false;
        }
        let close = asked & CLOSE != 0;
        let leaves = |socket: &crate::socket::Socket| close || socket.0.is_disconnected();
        while let Some(at) = self.spaces.iter().position(|space| leaves(&space.socket)) {
            let space = self.spaces.remove(at);
            self.client.machine().disconnect(space.socket.nsp());
            self.outputs(cx);
            self.control(self.client.config.parser.encode_disconnect(space.socket.nsp()));
            self.end(space, DisconnectReason::ServerNamespaceDisconnect, cx);
        }
        while let Some(at) = self.connecting.iter().position(|it| leaves(&it.socket)) {
            let connecting = self.connecting.remove(at);
            self.refuse_disconnected(connecting.socket, cx);
        }
        if close {
            self.restoring.clear();
            self.close(false);
        }
        true
    }

    fn counters(&self) -> &Stripe {
        self.registry.counters.here()
    }

    fn close(&mut self, discard: bool) {
        self.deaf = true;
        self.client.handle.close(discard);
    }

    /// Sends a packet that the protocol requires. A client whose queue has no room for it is
    /// closed.
    fn control(&mut self, frames: Frames) -> bool {
        let result = self.client.handle.send_frames(frames);
        if let Err(SendError::Full(_)) = result {
            tracing::debug!(target: "socketio::client", "the queue has no room for a protocol packet: closing");
            self.counters().events.queue_full.one();
            self.counters().events.slow_clients_closed.one();
            self.close(true);
        }
        result.is_ok()
    }

    /// Checks the deadlines. Returns whether one has passed.
    fn timeouts(&mut self, cx: &mut Context<'_>) -> bool {
        let next = self.client.machine().poll_timeout();
        let next = next.into_iter().chain(self.connect_deadline).min();
        if !self.timer.poll(next, cx) {
            return false;
        }
        let now = now();
        if self.connect_deadline.is_some_and(|deadline| deadline <= now) {
            self.connect_deadline = None;
            tracing::debug!(target: "socketio::client", "no namespace within connect_timeout");
            self.close(false);
        }
        let result = self.client.machine().handle_timeout(now);
        self.outputs(cx);
        if let Err(violation) = result {
            self.violated(&violation);
        }
        true
    }

    /// Handles the end of the connection: every awaited ack fails, and every socket is
    /// disconnected.
    fn finish(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        // Sockets that were disconnected earlier have their own reason.
        self.asked(cx);
        self.closed = true;
        let reason = match reason {
            CloseReason::TransportError => DisconnectReason::TransportError,
            CloseReason::TransportClose => DisconnectReason::TransportClose,
            CloseReason::PingTimeout => DisconnectReason::PingTimeout,
            CloseReason::ParseError => DisconnectReason::ParseError,
            _ if self.registry.is_ending() && !self.deaf => DisconnectReason::ServerShuttingDown,
            _ => DisconnectReason::ForcedClose,
        };
        self.client.machine().close();
        self.outputs(cx);
        self.deciding.clear();
        self.restoring.clear();
        for connecting in std::mem::take(&mut self.connecting) {
            self.give_up(&connecting.socket, reason.is_recoverable());
        }
        for space in std::mem::take(&mut self.spaces) {
            self.end(space, reason, cx);
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let span = this.span.clone();
        let _inside = span.enter();
        this.turn = Turn::default();
        this.poll_deciding(cx);
        this.poll_restoring(cx);
        this.poll_connecting(cx);
        this.poll_filtering(cx);
        this.poll_running(cx);
        this.drive(cx);
        while this.backlog && this.may_start() {
            // Written data makes room for more acks.
            this.start_waiting(cx);
            this.drive(cx);
        }
        if this.backlog && this.is_turn_over() {
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
        if this.closed && this.running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Driver {
    /// Cleans up if the task was cancelled or the runtime is shutting down.
    fn drop(&mut self) {
        let connecting = std::mem::take(&mut self.connecting).into_iter().map(|it| it.socket);
        let spaces = std::mem::take(&mut self.spaces);
        for space in &spaces {
            self.counters().disconnected.cancelled.one();
            self.counters().events.dropped.add(space.unstarted());
        }
        for socket in connecting.chain(spaces.into_iter().map(|space| space.socket)) {
            self.abandon(&socket);
        }
        // Dropping a waiter notifies its owner, so the waiters are dropped after the lock is
        // released.
        let waiters = {
            let mut machine = self.client.machine();
            machine.close();
            std::iter::from_fn(|| machine.poll_output()).collect::<Vec<Output<Waiter>>>()
        };
        let failed = waiters.iter().filter(|it| matches!(it, Output::AckFailed { .. })).count();
        self.counters().acks.disconnected.add(failed as u64);
        drop(waiters);
        self.client.ack_room.freed();
    }
}
