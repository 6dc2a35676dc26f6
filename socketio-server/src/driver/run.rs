//! Running handlers: they are started in the order of their events, and polled inside the client's
//! task.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Context,
    time::Instant,
};

use socketio_core::{Listener, panic_message, poll_caught};
use socketio_parser::{AckId, Args, Nsp};
use tracing::Span;

use crate::driver::{
    state::{Call, Driver, Filtering, Running, Waiting},
    timer::now,
};
use crate::{
    config::rate_limit::{Budget, Excess},
    error::HandlerError,
    handlers::context,
    handlers::{Erased, Failure, HandlerFuture, Rewrite, Stage, Step, context::Responder},
    socket::{Socket, ack::WaitingAck},
};

impl Driver {
    /// Handles an event from the client.
    pub(super) fn event(&mut self, nsp: &Nsp, id: Option<AckId>, args: Args, cx: &mut Context<'_>) {
        let limit = self.registry.config.max_in_flight;
        let Some(space) = self.spaces.iter_mut().find(|space| space.socket.nsp() == nsp) else {
            return;
        };
        self.registry.counters.here().events.received.one();
        if let Some(rate) = &self.registry.config.rate_limit {
            let budget = space.budget.get_or_insert_with(|| Box::new(Budget::new(rate, now())));
            if !budget.admit(rate, now(), args.bytes()) {
                let (socket, excess) = (space.socket.clone(), rate.excess);
                let responder = id.map(|id| Responder::new(socket.clone(), id));
                let call = Call { event: args.event().into(), socket: socket.clone(), responder };
                let error = HandlerError::public("rate limit exceeded");
                self.failed(call, Stage::RateLimit, error, cx);
                if excess == Excess::Disconnect {
                    socket.disconnect();
                }
                return;
            }
        }
        if space.is_free(limit) && space.inbox.is_empty() {
            let socket = space.socket.clone();
            return self.dispatch(socket, id, args, cx);
        }
        let waiting = Waiting { id, args };
        self.inbox_bytes += waiting.cost();
        space.inbox.push_back(waiting);
        if self.inbox_bytes > self.registry.config.max_inbox_bytes {
            self.connection.set_reading(false);
        }
    }

    /// Starts the steps of an event: the handlers of all events, then the middlewares, then the
    /// event's own handlers.
    fn dispatch(&mut self, socket: Socket, id: Option<AckId>, args: Args, cx: &mut Context<'_>) {
        let table = socket.namespace().table();
        let (any, middlewares, own) = socket.0.look_at_own(|own| {
            let own_listeners = own.events.find(args.event());
            (own.events.any.clone(), own.middlewares.clone(), own_listeners)
        });
        let responder = id.map(|id| Responder::new(socket.clone(), id));
        for listener in table.events.any.iter().chain(&any) {
            let context = event_context(socket.clone(), args.clone(), responder.clone());
            self.start_event(&listener.handler, context, cx);
        }
        if middlewares.is_empty() {
            let shared = table.events.find(args.event());
            drop(table);
            return self.handle([shared, own], event_context(socket, args, responder), cx);
        }
        drop(table);
        let rewrite = Rewrite::new(args);
        let context = context::Context {
            rewrite: Some(rewrite.0.clone()),
            responder: responder.clone(),
            ..context::Context::of(socket.clone())
        };
        let future = Box::pin(filters(middlewares, context, rewrite.clone()));
        let mut filtering = Filtering { future, rewrite, responder };
        match poll_caught(&mut filtering.future, cx) {
            Step::Pending => {
                let space = self.spaces.iter_mut().find(|space| space.socket.same(&socket));
                if let Some(space) = space {
                    space.filtering = Some(filtering);
                }
            }
            step => self.filtered(socket, filtering, step, cx),
        }
    }

    /// Polls the middlewares of events.
    pub(super) fn poll_filtering(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        let mut moved = false;
        while let Some(space) = self.spaces.get_mut(index) {
            index += 1;
            let Some(filtering) = &mut space.filtering else { continue };
            let step = poll_caught(&mut filtering.future, cx);
            if !matches!(step, Step::Pending)
                && let Some(filtering) = space.filtering.take()
            {
                let socket = space.socket.clone();
                self.filtered(socket, filtering, step, cx);
                moved = true;
            }
        }
        if moved {
            self.start_waiting(cx);
        }
    }

    /// Handles the decision of an event's middlewares.
    fn filtered(&mut self, socket: Socket, event: Filtering, step: Step, cx: &mut Context<'_>) {
        let args = event.rewrite.current();
        let call = |socket, responder| Call { event: args.event().into(), socket, responder };
        match step {
            // As in Node, a middleware that disconnects the socket also refuses the event.
            Step::Done(_) if socket.0.is_disconnected() => {}
            Step::Done(_) => {
                let shared = socket.namespace().table().events.find(args.event());
                let own = socket.0.look_at_own(|own| own.events.find(args.event()));
                self.handle([shared, own], event_context(socket, args, event.responder), cx);
            }
            Step::Failed(error) => {
                self.failed(call(socket, event.responder), Stage::Middleware, error, cx);
            }
            step => self.ended(call(socket, event.responder), step, cx),
        }
    }

    /// Starts the handlers of an event: the namespace's, then the socket's own.
    fn handle(
        &mut self,
        listeners: [Option<Arc<[Listener<Erased>]>>; 2],
        context: context::Context,
        cx: &mut Context<'_>,
    ) {
        let mut listeners = listeners.iter().flatten().flat_map(|it| it.iter()).peekable();
        if listeners.peek().is_none() {
            let event = context.args.as_ref().map(Args::event);
            tracing::debug!(target: "socketio::socket", event, "no handler");
        }
        let mut context = Some(context);
        while let Some(listener) = listeners.next() {
            let context = if listeners.peek().is_some() { context.clone() } else { context.take() };
            if let Some(context) = context
                && listener.take()
            {
                if listener.is_once() {
                    prune(&context);
                }
                self.start_event(&listener.handler, context, cx);
            }
        }
    }

    fn start_event(&mut self, handler: &Erased, context: context::Context, cx: &mut Context<'_>) {
        let event = context.args.clone();
        let event = event.as_ref().map(Args::event).unwrap_or_default();
        let socket = context.socket.clone();
        if self.run(handler, event, context, true, cx)
            && let Some(space) = self.spaces.iter_mut().find(|space| space.socket.same(&socket))
        {
            space.in_flight += 1;
        }
    }

    /// Starts a connection or disconnection handler, which counts only towards `max_handlers`.
    pub(super) fn start(
        &mut self,
        handler: &Erased,
        event: &str,
        context: context::Context,
        cx: &mut Context<'_>,
    ) {
        self.run(handler, event, context, false, cx);
    }

    /// Starts a handler and polls it once. Returns whether it has to be kept because it is not
    /// finished.
    fn run(
        &mut self,
        handler: &Erased,
        event: &str,
        context: context::Context,
        counted: bool,
        cx: &mut Context<'_>,
    ) -> bool {
        let socket = context.socket.clone();
        let responder = context.responder.clone();
        let span = tracing::debug_span!(target: "socketio::socket", "event", name = event, nsp = %socket.nsp());
        let inside = span.enter();
        tracing::trace!(target: "socketio::socket", "a handler starts");
        let began = self.registry.config.measure_handlers.then(now);
        let started = catch_unwind(AssertUnwindSafe(|| handler(context)));
        if !matches!(started, Ok(Err(_))) {
            self.counters().handlers.started.one();
        }
        let call = |event: &str| Call { event: event.into(), socket, responder };
        let mut future = match started {
            Ok(Ok(future)) => future,
            Ok(Err(error)) => {
                self.failed(call(event), Stage::Extract, error, cx);
                return false;
            }
            Err(panic) => {
                let error = HandlerError::from(panic_message(&*panic));
                self.failed(call(event), Stage::Panic, error, cx);
                return false;
            }
        };
        match poll_caught(&mut future, cx) {
            Step::Done(None) => {
                self.timed(began);
                false
            }
            Step::Pending => {
                drop(inside);
                let call = call(event);
                self.keep(Running { future, span, call, counted, ack_bytes: 0, began });
                true
            }
            step => {
                self.timed(began);
                self.ended(call(event), step, cx);
                false
            }
        }
    }

    fn keep(&mut self, running: Running) {
        self.ack_bytes += running.ack_bytes;
        self.running.push(running);
        if self.running.len() >= self.registry.config.max_handlers || !self.has_room_for_acks() {
            self.connection.set_reading(false);
        }
    }

    /// Returns whether the acks that wait take at most half of `max_queued_bytes`. Otherwise no
    /// event starts, as if they were in the queue.
    fn has_room_for_acks(&self) -> bool {
        self.ack_bytes <= self.registry.config.engine.get_max_queued().1 / 2
    }

    /// Handles the end of a handler.
    fn ended(&mut self, call: Call, step: Step, cx: &mut Context<'_>) {
        match step {
            Step::Done(waiting) => self.keep_ack(call.socket, waiting, cx),
            Step::Failed(error) => self.failed(call, Stage::Handler, error, cx),
            Step::Panicked(message) => self.failed(call, Stage::Panic, message.into(), cx),
            Step::Pending => {}
        }
    }

    /// Reports a failure, also to the client if it waits for an ack.
    pub(super) fn failed(
        &mut self,
        call: Call,
        stage: Stage,
        error: HandlerError,
        cx: &mut Context<'_>,
    ) {
        let socket = call.socket.clone();
        let waiting = call.failed(stage, error);
        self.keep_ack(socket, waiting, cx);
    }

    /// Keeps an ack that has to wait. It counts towards `max_handlers` like the handler whose ack
    /// it is.
    fn keep_ack(&mut self, socket: Socket, ack: Option<WaitingAck>, cx: &mut Context<'_>) {
        let Some(ack) = ack else { return };
        let ack_bytes = ack.bytes();
        let mut future: HandlerFuture = Box::pin(async move {
            // A client that has left in the meantime is not a failure.
            let _ = ack.send().await;
            Ok(None)
        });
        if let Step::Pending = poll_caught(&mut future, cx) {
            let call = Call { event: Box::default(), socket, responder: None };
            let span = Span::none();
            let (counted, began) = (false, None);
            self.keep(Running { future, span, call, counted, ack_bytes, began });
        }
    }

    /// Records the running time of a finished handler.
    fn timed(&self, began: Option<Instant>) {
        if let Some(began) = began {
            let handlers = &self.counters().handlers;
            let took = now().saturating_duration_since(began).as_nanos();
            handlers.timed.one();
            handlers.nanoseconds.add(u64::try_from(took).unwrap_or(u64::MAX));
        }
    }

    /// Polls the running handlers, and starts events that waited for one of them.
    pub(super) fn poll_running(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        let mut finished = false;
        while let Some(running) = self.running.get_mut(index) {
            let inside = running.span.enter();
            let step = poll_caught(&mut running.future, cx);
            drop(inside);
            match step {
                Step::Pending => index += 1,
                step => {
                    let running = self.running.swap_remove(index);
                    let space = self.spaces.iter_mut().find(|space| running.belongs_to(space));
                    if let Some(space) = space {
                        space.in_flight -= 1;
                    }
                    self.ack_bytes -= running.ack_bytes;
                    self.timed(running.began);
                    self.ended(running.call, step, cx);
                    finished = true;
                }
            }
        }
        if self.running.is_empty() && self.running.capacity() > 8 {
            self.running = Vec::new();
        }
        if finished || self.backlog {
            self.start_waiting(cx);
        }
    }

    pub(super) fn is_turn_over(&self) -> bool {
        self.turn.is_over(&self.registry.config.engine.get_turn())
    }

    /// Returns whether another waiting event may start. It may not if the turn is over, or if the
    /// outgoing queue is more than half full and its ack would have to wait.
    pub(super) fn may_start(&self) -> bool {
        !self.is_turn_over() && self.client.handle.has_room() && self.has_room_for_acks()
    }

    /// Starts waiting events while handlers are free, the turn lasts, and the outgoing queue has
    /// room. The namespaces take turns, also across the turns of the task, so that a busy one does
    /// not hold up the others.
    pub(super) fn start_waiting(&mut self, cx: &mut Context<'_>) {
        let config = self.registry.config.clone();
        self.backlog = false;
        let mut idle = 0;
        while idle < self.spaces.len() {
            let at = self.next_space % self.spaces.len();
            let Some(space) = self.spaces.get(at) else { break };
            // Waiting events of a disconnected socket are dropped when the socket ends.
            let free = !space.socket.0.is_disconnected()
                && space.is_free(config.max_in_flight)
                && self.running.len() < config.max_handlers;
            if !free || space.inbox.is_empty() {
                self.next_space = at + 1;
                idle += 1;
                continue;
            }
            if !self.may_start() {
                self.backlog = true;
                break;
            }
            self.next_space = at + 1;
            idle = 0;
            let Some(space) = self.spaces.get_mut(at) else { break };
            let Some(waiting) = space.inbox.pop_front() else { break };
            let socket = space.socket.clone();
            self.inbox_bytes -= waiting.cost();
            self.turn.start(waiting.args.bytes(), &config.engine.get_turn());
            self.dispatch(socket, waiting.id, waiting.args, cx);
        }
        self.resume_reading();
    }

    /// Resumes reading once there is room for events and handlers.
    pub(super) fn resume_reading(&mut self) {
        let config = &self.registry.config;
        if self.inbox_bytes <= config.max_inbox_bytes / 2
            && self.running.len() < config.max_handlers
            && self.has_room_for_acks()
        {
            self.connection.set_reading(true);
        }
    }
}

fn event_context(socket: Socket, args: Args, responder: Option<Responder>) -> context::Context {
    context::Context { args: Some(args), responder, ..context::Context::of(socket) }
}

/// Removes the event's handlers that run once and have run.
fn prune(context: &context::Context) {
    let Some(args) = &context.args else { return };
    let socket = &context.socket;
    drop(socket.0.change_own(|table| table.prune(args.event())));
    drop(socket.namespace().change_with(|table| table.prune(args.event())));
}

/// Runs the middlewares of an event one after another.
async fn filters(
    middlewares: Vec<Listener<Erased>>,
    context: context::Context,
    rewrite: Rewrite,
) -> Result<Option<WaitingAck>, HandlerError> {
    for middleware in middlewares {
        let context = context::Context { args: Some(rewrite.current()), ..context.clone() };
        if let Some(ack) = (middleware.handler)(context)?.await? {
            // The client may leave first.
            let _ = ack.send().await;
        }
    }
    Ok(None)
}

impl Call {
    /// Reports a failure. Returns its ack if that has to wait. The error and the error handler are
    /// user code, so panics are caught.
    fn failed(self, stage: Stage, error: HandlerError) -> Option<WaitingAck> {
        let counters = self.socket.0.client.counters.here();
        match stage {
            Stage::Extract => &counters.handlers.not_extracted,
            Stage::Handler => &counters.handlers.failed,
            Stage::Panic => &counters.handlers.panicked,
            Stage::Middleware => &counters.handlers.middleware_failed,
            Stage::RateLimit => &counters.events.rate_limited,
        }
        .one();
        let mut waiting = None;
        let report = || {
            let error = error.resolved(&self.socket.0.client.config.public_errors);
            if let Some(responder) = &self.responder {
                waiting = responder.send_or_wait(&error.to_ack()).ok().flatten();
            }
            let failure = Failure { event: self.event.into(), stage, error };
            self.socket.namespace().report(&self.socket, failure);
        };
        if catch_unwind(AssertUnwindSafe(report)).is_err() {
            tracing::error!(target: "socketio::namespace", "the error handler panicked");
        }
        waiting
    }
}
