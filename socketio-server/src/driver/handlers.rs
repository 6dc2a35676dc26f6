//! Running handlers: they are polled inside the client's task.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::Context,
    time::Instant,
};

use socketio_core::{Unstarted, poll_caught, start_caught};
use socketio_parser::Args;
use tracing::Span;

use crate::{
    driver::Driver,
    error::HandlerError,
    handlers::{self, ErasedHandler, EventContext, Failure, HandlerFuture, Rewrite, Stage, Step},
    socket::{
        Socket,
        ack::{AckRequest, WaitingAck},
    },
    time::now,
};

/// A handler that has been started and is not finished.
pub(super) struct Running {
    future: HandlerFuture,
    span: Span,
    call: Call,
    role: Role,
    /// When the handler was started, if running times are measured.
    began: Option<Instant>,
}

/// The purpose of a running future.
pub(super) enum Role {
    /// Handles an event. Counts towards `max_in_flight`.
    Event,
    /// Handles a connection or disconnection.
    Lifecycle,
    /// Runs the middlewares of an event, whose handlers start afterwards.
    Middlewares(Rewrite),
    /// Sends an ack of this size in bytes, which waits for earlier events or for room in the
    /// outgoing queue. Its handler has finished.
    Ack(usize),
}

/// The values needed to report how a handler ended.
pub(super) struct Call {
    pub(super) name: CallName,
    pub(super) socket: Socket,
    pub(super) requested: Option<AckRequest>,
}

/// The name of the event that a handler handles.
pub(super) enum CallName {
    Event(Args),
    /// An event of a socket's life, such as `disconnect`.
    Lifecycle(&'static str),
}

impl CallName {
    fn as_str(&self) -> &str {
        match self {
            Self::Event(args) => args.event(),
            Self::Lifecycle(name) => name,
        }
    }
}

impl From<EventContext> for Call {
    fn from(context: EventContext) -> Self {
        let EventContext { socket, args, requested } = context;
        Self { name: CallName::Event(args), socket, requested }
    }
}

/// Creates the tracing span of a handler.
#[inline]
pub(super) fn span<'a>(event: impl FnOnce() -> &'a str, socket: &Socket) -> Span {
    let (nsp, sid) = (socket.nsp(), socket.id());
    tracing::debug_span!(target: "socketio::socket", "event", name = event(), %nsp, sid)
}

impl Running {
    /// Prepares the middlewares of an event.
    pub(super) fn middlewares(future: HandlerFuture, rewrite: Rewrite, call: Call) -> Self {
        Self { future, span: Span::none(), call, role: Role::Middlewares(rewrite), began: None }
    }

    /// Returns whether these are the middlewares of an event of this socket.
    pub(super) fn is_middlewares_of(&self, socket: &Socket) -> bool {
        matches!(self.role, Role::Middlewares(_)) && self.call.socket.same(socket)
    }

    fn ack_bytes(&self) -> usize {
        if let Role::Ack(bytes) = self.role { bytes } else { 0 }
    }
}

impl Driver {
    /// Starts a handler. Its context becomes a [`Call`] only if it does not finish at once.
    #[inline]
    pub(super) fn run<C: handlers::Context>(
        &mut self,
        span: Span,
        role: Role,
        handler: &ErasedHandler<C>,
        mut context: C,
        call: impl FnOnce(C) -> Call,
        cx: &mut Context<'_>,
    ) {
        let inside = span.enter();
        tracing::trace!(target: "socketio::socket", "a handler starts");
        let began = self.registry.config.measure_handlers.then(now);
        let started = start_caught(handler, &mut context);
        if !matches!(started, Err(Unstarted::NotExtracted(_))) {
            self.registry.counters.one(|stripe| &stripe.handlers.started);
        }
        match started {
            Ok(mut future) => {
                let step = poll_caught(&mut future, cx);
                drop(inside);
                match step {
                    // Most handlers finish at once and have no more to send.
                    Step::Done(None) if began.is_none() => {}
                    Step::Pending => {
                        let call = call(context);
                        self.keep(Running { future, span, call, role, began });
                    }
                    step => self.finished(call(context), role, began, step, cx),
                }
            }
            Err(Unstarted::NotExtracted(error)) => {
                self.failed(call(context), Stage::Extract, error, cx);
            }
            Err(Unstarted::Panicked(message)) => {
                self.failed(call(context), Stage::Panic, message.into(), cx);
            }
        }
    }

    /// Polls a future for the first time, and keeps it if it has not finished.
    pub(super) fn poll_new(&mut self, mut running: Running, cx: &mut Context<'_>) {
        let inside = running.span.enter();
        let step = poll_caught(&mut running.future, cx);
        drop(inside);
        if matches!(step, Step::Pending) {
            self.keep(running);
        } else {
            let Running { call, role, began, .. } = running;
            self.finished(call, role, began, step, cx);
        }
    }

    /// Keeps a handler that has not finished.
    fn keep(&mut self, running: Running) {
        self.ack_bytes += running.ack_bytes();
        if let Some(slot) = self.slot(&running.call.socket) {
            match running.role {
                Role::Event => slot.in_flight += 1,
                Role::Middlewares(_) => slot.middlewares_running = true,
                Role::Lifecycle | Role::Ack(_) => {}
            }
        }
        self.running.push(running);
        if self.running.len() >= self.registry.config.max_handlers || !self.has_room_for_acks() {
            self.connection.pause_reading();
        }
    }

    /// Polls the running handlers, and starts events that waited for one of them.
    pub(super) fn poll_running(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        let mut any_finished = false;
        while let Some(running) = self.running.get_mut(index) {
            let inside = running.span.enter();
            let step = poll_caught(&mut running.future, cx);
            drop(inside);
            if matches!(step, Step::Pending) {
                index += 1;
                continue;
            }
            any_finished = true;
            let running = self.running.swap_remove(index);
            self.ack_bytes -= running.ack_bytes();
            let Running { call, role, began, .. } = running;
            if let Some(slot) = self.slot(&call.socket) {
                match role {
                    Role::Event => slot.in_flight -= 1,
                    Role::Middlewares(_) => slot.middlewares_running = false,
                    Role::Lifecycle | Role::Ack(_) => {}
                }
            }
            self.finished(call, role, began, step, cx);
        }
        if self.running.is_empty() && self.running.capacity() > 8 {
            self.running = Vec::new();
        }
        if any_finished || self.backlog {
            self.start_waiting(cx);
        }
    }

    /// Handles the end of a handler.
    fn finished(
        &mut self,
        mut call: Call,
        role: Role,
        began: Option<Instant>,
        step: Step,
        cx: &mut Context<'_>,
    ) {
        if let Some(began) = began {
            let handlers = &self.counters().handlers;
            let took = now().saturating_duration_since(began).as_nanos();
            handlers.timed.one();
            handlers.nanoseconds.add(u64::try_from(took).unwrap_or(u64::MAX));
        }
        let middlewares = matches!(role, Role::Middlewares(_));
        if let Role::Middlewares(rewrite) = role {
            let args = rewrite.current();
            if let Step::Done(_) = step {
                // As in Node, a middleware that disconnects the socket also refuses the event.
                if !call.socket.0.is_disconnected() {
                    let Call { socket, requested, .. } = call;
                    self.handle(EventContext { socket, args, requested }, cx);
                }
                return;
            }
            call.name = CallName::Event(args);
        }
        match step {
            Step::Done(Some(ack)) => self.keep_ack(call.socket, *ack, cx),
            Step::Done(None) | Step::Pending => {}
            Step::Failed(error) if middlewares => {
                self.failed(call, Stage::Middleware, error, cx);
            }
            Step::Failed(error) => self.failed(call, Stage::Handler, error, cx),
            Step::Panicked(message) => self.failed(call, Stage::Panic, message.into(), cx),
        }
    }

    /// Reports a failure to the client, if it waits for an ack, and to the namespace's error
    /// handler. The error and the error handler are user code, so panics are caught.
    pub(super) fn failed(
        &mut self,
        call: Call,
        stage: Stage,
        error: HandlerError,
        cx: &mut Context<'_>,
    ) {
        let counters = self.counters();
        match stage {
            Stage::Extract => &counters.handlers.not_extracted,
            Stage::Handler => &counters.handlers.failed,
            Stage::Panic => &counters.handlers.panicked,
            Stage::Middleware => &counters.handlers.middleware_failed,
            Stage::RateLimit => &counters.events.rate_limited,
        }
        .one();
        let Call { name, socket, requested } = call;
        let mut waiting = None;
        let report = || {
            let error = error.resolved(&self.registry.config.public_errors);
            if let Some(requested) = &requested {
                let responder = requested.reply(socket.clone());
                waiting = responder.send_or_wait(&error.to_ack()).ok().flatten();
            }
            let failure = Failure { event: name.as_str().to_owned(), stage, error };
            socket.namespace().report(&socket, failure);
        };
        if catch_unwind(AssertUnwindSafe(report)).is_err() {
            tracing::error!(target: "socketio::namespace", "the error handler panicked");
        }
        if let Some(ack) = waiting {
            self.keep_ack(socket, ack, cx);
        }
    }

    /// Keeps an ack that has to wait. It counts towards `max_handlers` like the handler whose ack
    /// it is.
    fn keep_ack(&mut self, socket: Socket, ack: WaitingAck, cx: &mut Context<'_>) {
        let role = Role::Ack(ack.bytes());
        let future: HandlerFuture = Box::pin(async move {
            // A client that has left in the meantime is not a failure.
            let _ = ack.send().await;
            Ok(None)
        });
        let call = Call { name: CallName::Lifecycle("ack"), socket, requested: None };
        self.poll_new(Running { future, span: Span::none(), call, role, began: None }, cx);
    }

    /// Returns whether the acks that wait take at most half of `max_queued_bytes`. Otherwise no
    /// event starts, as if they were in the queue.
    pub(super) fn has_room_for_acks(&self) -> bool {
        self.ack_bytes
            <= engineio_server::internal::settings(&self.registry.config.engine).max_queued.bytes
                / 2
    }
}
