//! The driver of one client: a future that runs its connection, namespaces and handlers in one
//! task.

mod connect;
mod events;
mod handlers;
mod slots;
mod turn;

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use engineio_server::{
    CloseReason, Event, Frames, PacketData, Revision,
    internal::{Refusal, Session, count_refused, saturated, send_with},
};
use socketio_parser::{
    Connection, Content, Output, Packet, Parser, Protocol, Violation, decode_event, is_event,
};
use tracing::Span;

use self::{connect::Connect, handlers::Running, slots::Slots, turn::Turn};
use crate::{
    client::{CLOSE, Client, LINE_LOST, waiter::Waiter},
    error::{AckError, DisconnectReason},
    handlers::table::Table,
    namespace::registry::Registry,
    stats::Stripe,
    time::{Timer, now},
};

/// Drives one client until its connection is closed and its handlers have ended.
pub(crate) struct Driver {
    connection: engineio_server::Connection,
    /// The tracing span of this client, if it is enabled.
    span: Option<Box<Span>>,
    client: Arc<Client>,
    registry: Arc<Registry>,
    /// The namespaces that the client has joined.
    slots: Slots,
    /// Position of the namespace whose waiting event starts next.
    next_slot: u32,
    /// The CONNECTs that are not decided.
    connects: Vec<Connect>,
    running: Vec<Running>,
    /// Memory used by events that wait for a free handler, in bytes.
    inbox_bytes: usize,
    /// Memory of a packet whose attachments have not all arrived, in bytes.
    unfinished_bytes: u32,
    /// The values that the statistics have of this client.
    reported: Reported,
    /// Size of the acks that wait for earlier events or for room in the outgoing queue, in bytes.
    ack_bytes: usize,
    /// Whether events wait only because the turn was over or the outgoing queue too full, although
    /// handlers were free.
    backlog: bool,
    turn: Turn,
    /// The handlers of the namespace whose event came last in this turn.
    table: Option<Arc<Table>>,
    /// When a client without a namespace is closed. `None` once it has had a namespace.
    connect_deadline: Option<Instant>,
    timer: Timer,
    /// The server is closing the connection: further messages are ignored.
    closing: bool,
    /// How the client broke the protocol, if it did. Boxed, because few clients do.
    violation: Option<Box<Violation>>,
    closed: bool,
}

/// The values that a client contributes to the gauges of the server.
#[derive(Debug, Default)]
struct Reported {
    inbox_events: u32,
    inbox_bytes: u32,
    unfinished_bytes: u32,
}

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
            span: (!span.is_none()).then(|| span.into()),
            client,
            registry,
            slots: Slots::default(),
            next_slot: 0,
            connects: Vec::new(),
            running: Vec::new(),
            inbox_bytes: 0,
            unfinished_bytes: 0,
            reported: Reported::default(),
            ack_bytes: 0,
            backlog: false,
            turn: Turn::default(),
            table: None,
            connect_deadline,
            timer: Timer::default(),
            closing: false,
            violation: None,
            closed: false,
        }
    }

    /// Reads, dispatches and writes until no work is left.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.slots.is_empty() {
            // A client of protocol v4 enters `/` before it sends anything.
            self.handle_outputs(cx);
        }
        while !self.closed {
            // Checked before every message, because a disconnected socket handles no further
            // events.
            self.handle_requests(cx);
            match self.connection.poll_event(cx) {
                Poll::Ready(Event::Message(data)) if !self.closing => {
                    self.handle_message(data, cx);
                }
                Poll::Ready(Event::Closed(reason)) => self.finish(reason, cx),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    // From here on a request wakes this task. Requests made earlier are handled
                    // now.
                    if !self.handle_requests(cx) && !self.handle_timeouts(cx) {
                        return;
                    }
                }
            }
        }
    }

    /// Handles a message of the client. Most messages are events without attachments in namespaces
    /// that the client has joined. They do not change the state machine, so it is not locked.
    #[inline]
    fn handle_message(&mut self, data: PacketData, cx: &mut Context<'_>) {
        let config = &self.client.config;
        match data {
            PacketData::Text(text)
                if is_event(&text)
                    && self.unfinished_bytes == 0
                    && config.parser == Parser::Json =>
            {
                match decode_event(text, &config.limits) {
                    Ok((nsp, id, args)) => match self.slots.position(&nsp) {
                        Some(at) => self.handle_event(at, id, args, cx),
                        None => {
                            let packet = Packet { nsp, content: Content::Event { id, args } };
                            let result = self.client.machine().poll_packet(packet);
                            self.handle_result(result, cx);
                        }
                    },
                    Err(error) => self.handle_result(Err(error.into()), cx),
                }
            }
            data => {
                let result = {
                    let mut machine = self.client.machine();
                    let result = machine.poll_data_at(now, data);
                    self.unfinished_bytes = saturated(machine.unfinished_bytes());
                    result
                };
                self.handle_result(result, cx);
            }
        }
    }

    /// Handles the first output of a message, and those that follow it.
    fn handle_result(
        &mut self,
        result: Result<Option<Output<Waiter>>, Violation>,
        cx: &mut Context<'_>,
    ) {
        match result {
            Ok(output) => {
                if let Some(output) = output {
                    self.handle_output(output, cx);
                }
                self.handle_outputs(cx);
            }
            Err(violation) => {
                self.handle_outputs(cx);
                self.close_if_violated(Err(violation));
            }
        }
    }

    /// Reports what waits to the statistics.
    fn report_waiting(&mut self, to: Reported) {
        let (from, gauges) = (&self.reported, &self.registry.counters.waiting);
        gauges.inbox_events.change(from.inbox_events, to.inbox_events);
        gauges.inbox_bytes.change(from.inbox_bytes, to.inbox_bytes);
        gauges.unfinished_bytes.change(from.unfinished_bytes, to.unfinished_bytes);
        self.reported = to;
    }

    /// Handles the outputs of the protocol's state machine.
    fn handle_outputs(&mut self, cx: &mut Context<'_>) {
        loop {
            let Some(output) = self.client.machine().poll_output() else { return };
            self.handle_output(output, cx);
        }
    }

    fn handle_output(&mut self, output: Output<Waiter>, cx: &mut Context<'_>) {
        match output {
            Output::Event { nsp, id, args } => {
                if let Some(at) = self.slots.position(&nsp) {
                    self.handle_event(at, id, args, cx);
                }
            }
            Output::Acked { waiter, args, .. } => {
                self.counters().acks.received.one();
                self.client.ack_room.freed();
                waiter.resolve(Ok(args));
            }
            Output::AckTimedOut { waiter } => {
                self.counters().acks.expired.one();
                self.client.ack_room.freed();
                waiter.resolve(Err(AckError::Timeout));
            }
            Output::AckFailed { waiter } => {
                self.counters().acks.disconnected.one();
                self.client.ack_room.freed();
                waiter.resolve(Err(AckError::Disconnected));
            }
            Output::ConnectRequested { nsp, auth } => self.connect(nsp, auth, cx),
            Output::TooManyNamespaces { nsp } => {
                self.send_refusal(Protocol::V5, &nsp, "too many namespaces", None);
            }
            Output::Disconnected { nsp } => self.leave(&nsp, cx),
            _ => {}
        }
    }

    /// Closes a client that broke the protocol. Its sockets see a "forced close", as in Node.
    fn close_if_violated(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            tracing::debug!(target: "socketio::client", %violation, "a client broke the protocol: closing its connection");
            self.violation = Some(violation.into());
            self.close(engineio_server::Unsent::Send);
        }
    }

    /// Handles the requests of other tasks. Returns whether there were any.
    #[inline]
    fn handle_requests(&mut self, cx: &mut Context<'_>) -> bool {
        let requests = self.client.take_requests();
        if requests != 0 {
            self.handle_taken(requests, cx);
        }
        requests != 0
    }

    #[cold]
    fn handle_taken(&mut self, requests: u8, cx: &mut Context<'_>) {
        let close = requests & CLOSE != 0;
        let mut left = if close { self.slots.take_all() } else { self.slots.take_disconnected() };
        while !left.is_empty() {
            for slot in left {
                let nsp = slot.socket().nsp();
                self.client.machine().disconnect(nsp);
                self.handle_outputs(cx);
                // No packet of the socket may follow its DISCONNECT.
                slot.socket().0.set_disconnected();
                self.control(self.client.config.parser.encode_disconnect(nsp), |_| {});
                self.end(slot, DisconnectReason::ServerNamespaceDisconnect, cx);
            }
            // The handlers may have disconnected more sockets.
            left = self.slots.take_disconnected();
        }
        self.refuse_disconnected(close, cx);
        if close {
            self.close(engineio_server::Unsent::Send);
        }
        if requests & LINE_LOST != 0 {
            self.end_sockets(DisconnectReason::TransportClose, cx);
            self.close(engineio_server::Unsent::Discard);
        }
    }

    fn counters(&self) -> &Stripe {
        self.registry.counters.here()
    }

    fn close(&mut self, unsent: engineio_server::Unsent) {
        self.closing = true;
        self.client.handle.close(unsent);
    }

    /// Sends a packet that the protocol requires. `sent` runs in the same step. A client whose queue
    /// has no room for the packet is closed.
    fn control(&mut self, frames: Frames, sent: impl FnOnce(&mut Session)) -> bool {
        let result = send_with(&self.client.handle, |session| {
            session.send_message(frames.into())?;
            sent(session);
            Ok(())
        });
        if let Err(Refusal::Full) = result {
            count_refused(&self.client.handle);
            tracing::debug!(target: "socketio::client", "a client's queue has no room for a packet of the protocol: closing its connection");
            self.counters().events.queue_full.one();
            self.counters().events.slow_clients_closed.one();
            self.close(engineio_server::Unsent::Discard);
        }
        result.is_ok()
    }

    /// Checks the deadlines. Returns whether one has passed.
    fn handle_timeouts(&mut self, cx: &mut Context<'_>) -> bool {
        let next = self.client.machine().poll_timeout();
        let next = match (next, self.connect_deadline) {
            (Some(next), Some(deadline)) => Some(next.min(deadline)),
            (next, deadline) => next.or(deadline),
        };
        if !self.timer.poll(next, cx) {
            return false;
        }
        let now = now();
        if self.connect_deadline.is_some_and(|deadline| deadline <= now) {
            self.connect_deadline = None;
            tracing::debug!(target: "socketio::client", "a client joined no namespace within `connect_timeout`: closing its connection");
            self.close(engineio_server::Unsent::Send);
        }
        let result = self.client.machine().handle_timeout(now);
        self.handle_outputs(cx);
        self.close_if_violated(result);
        true
    }

    /// Handles the end of the connection: every awaited ack fails, and every socket is
    /// disconnected.
    fn finish(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        // Sockets that were disconnected earlier have their own reason.
        self.handle_requests(cx);
        self.closed = true;
        let reason = match reason {
            CloseReason::TransportError => DisconnectReason::TransportError,
            CloseReason::TransportClose => DisconnectReason::TransportClose,
            CloseReason::PingTimeout => DisconnectReason::PingTimeout,
            CloseReason::ParseError => DisconnectReason::ParseError,
            _ if self.registry.is_ending() && !self.closing => DisconnectReason::ServerShuttingDown,
            _ => DisconnectReason::ForcedClose,
        };
        self.end_sockets(reason, cx);
    }

    /// Ends all sockets of a connection that is lost.
    fn end_sockets(&mut self, reason: DisconnectReason, cx: &mut Context<'_>) {
        self.client.machine().close();
        self.handle_outputs(cx);
        for connect in std::mem::take(&mut self.connects) {
            self.withdraw(connect, reason.is_recoverable());
        }
        for slot in self.slots.take_all() {
            self.end(slot, reason, cx);
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let span = this.span.take();
        let inside = span.as_deref().map(Span::enter);
        this.turn = Turn::default();
        if !this.connects.is_empty() {
            this.poll_connects(cx);
            // A refused namespace may have awaited acks.
            this.handle_outputs(cx);
        }
        this.poll_running(cx);
        this.drive(cx);
        while this.backlog && this.may_start() {
            // Written data makes room for more acks.
            this.start_waiting(cx);
            this.drive(cx);
        }
        // Idle clients hold no handlers that the application has removed.
        this.table = None;
        if this.backlog
            && this
                .turn
                .is_over(&engineio_server::internal::settings(&this.registry.config.engine).turn)
        {
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
        let Reported { inbox_bytes, unfinished_bytes, .. } = this.reported;
        let waiting = (saturated(this.inbox_bytes), this.unfinished_bytes);
        if (inbox_bytes, unfinished_bytes) != waiting {
            let events = this.slots.iter().map(|slot| slot.inbox.len()).sum();
            this.report_waiting(Reported {
                inbox_events: saturated(events),
                inbox_bytes: waiting.0,
                unfinished_bytes: this.unfinished_bytes,
            });
        }
        drop(inside);
        this.span = span;
        if this.closed && this.running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Driver {
    /// Cleans up if the task was canceled or the runtime is shutting down.
    fn drop(&mut self) {
        self.report_waiting(Reported::default());
        for connect in std::mem::take(&mut self.connects) {
            self.withdraw(connect, false);
        }
        for slot in self.slots.take_all() {
            self.counters().disconnected.canceled.one();
            self.counters().events.dropped.add(slot.unstarted());
            self.remove(slot.socket(), false);
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
