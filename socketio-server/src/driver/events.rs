//! Events of the client: they wait in the inbox of their namespace, and their handlers start in the
//! order of arrival.

use std::task::Context;

use socketio_core::Listener;
use socketio_parser::{AckId, Args, Nsp};

use crate::{
    config::rate_limit::{Budget, Excess},
    driver::{
        Driver,
        handlers::{Call, CallName, Role, Running},
    },
    error::HandlerError,
    handlers::{
        EventContext, EventHandler, EventMiddleware, EventMiddlewareContext, Rewrite, Stage,
    },
    socket::{
        Socket,
        ack::{Responder, WaitingAck},
    },
    time::now,
};

/// An event that waits for a free handler.
pub(super) struct Waiting {
    id: Option<AckId>,
    args: Args,
}

impl Waiting {
    /// Returns the approximate memory that an event takes in the inbox, which counts towards
    /// `max_inbox_bytes`. Its slot counts twice, because a growing queue is half empty.
    pub(super) fn cost(&self) -> usize {
        self.args.heap_bytes() + 2 * size_of::<Self>()
    }
}

impl Driver {
    /// Handles an event from the client.
    pub(super) fn handle_event(
        &mut self,
        nsp: &Nsp,
        id: Option<AckId>,
        args: Args,
        cx: &mut Context<'_>,
    ) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.socket().nsp() == nsp) else {
            return;
        };
        self.registry.counters.here().events.received.one();
        let config = &self.registry.config;
        if let Some(rate) = &config.rate_limit {
            let budget = slot.budget.get_or_insert_with(|| Box::new(Budget::new(rate, now())));
            if !budget.admit(rate, now(), args.bytes()) {
                let (socket, excess) = (slot.socket().clone(), rate.excess);
                let responder = id.map(|id| Responder::new(socket.clone(), id));
                let call = Call { name: CallName::Event(args), socket: socket.clone(), responder };
                let error = HandlerError::public("rate limit exceeded");
                self.failed(call, Stage::RateLimit, error, cx);
                if excess == Excess::Disconnect {
                    socket.disconnect();
                }
                return;
            }
        }
        if slot.is_free(config.max_in_flight) && slot.inbox.is_empty() {
            let socket = slot.socket().clone();
            return self.start_event(socket, id, args, cx);
        }
        let waiting = Waiting { id, args };
        self.inbox_bytes += waiting.cost();
        slot.inbox.push_back(waiting);
        if self.inbox_bytes > config.max_inbox_bytes {
            self.connection.pause_reading();
        }
    }

    /// Starts the handlers of all events, then the middlewares, then the event's own handlers.
    fn start_event(&mut self, socket: Socket, id: Option<AckId>, args: Args, cx: &mut Context<'_>) {
        let responder = id.map(|id| Responder::new(socket.clone(), id));
        let any = socket.namespace().table().events.any.clone();
        let (own_any, middlewares) =
            socket.0.with_handlers(|own| (own.events.any.clone(), own.event_middlewares.clone()));
        for listener in any.iter().chain(&own_any) {
            self.run_event(listener, &socket, &args, &responder, cx);
        }
        if middlewares.is_empty() {
            return self.handle(socket, args, responder, cx);
        }
        let name = CallName::Event(args.clone());
        let rewrite = Rewrite::new(args.clone());
        let context = EventMiddlewareContext {
            socket: socket.clone(),
            args,
            responder: responder.clone(),
            rewrite: rewrite.clone(),
        };
        let future = Box::pin(run_middlewares(middlewares, context));
        let call = Call { name, socket, responder };
        self.poll_new(Running::middlewares(future, rewrite, call), cx);
    }

    /// Starts the handlers of an event: the namespace's, then the socket's own.
    pub(super) fn handle(
        &mut self,
        socket: Socket,
        args: Args,
        responder: Option<Responder>,
        cx: &mut Context<'_>,
    ) {
        let shared = socket.namespace().table().events.find(args.event());
        let own = socket.0.with_handlers(|own| own.events.find(args.event()));
        let listeners = [shared, own];
        let mut listeners = listeners.iter().flatten().flat_map(|it| it.iter()).peekable();
        if listeners.peek().is_none() {
            tracing::debug!(target: "socketio::socket", event = args.event(), "no handler");
        }
        for listener in listeners.filter(|listener| listener.take()) {
            if listener.is_once() {
                // Dropping the listeners may run user code, so no lock is held.
                drop(socket.0.change_handlers(|table| table.prune(args.event())));
                drop(socket.namespace().change_with(|table| table.prune(args.event())));
            }
            self.run_event(listener, &socket, &args, &responder, cx);
        }
    }

    fn run_event(
        &mut self,
        listener: &Listener<EventHandler>,
        socket: &Socket,
        args: &Args,
        responder: &Option<Responder>,
        cx: &mut Context<'_>,
    ) {
        let (name, responder) = (CallName::Event(args.clone()), responder.clone());
        let (socket, args) = (socket.clone(), args.clone());
        let context = EventContext { socket, args, responder: responder.clone() };
        self.run(&listener.handler, name, responder, context, Role::Event, cx);
    }

    /// Returns whether another waiting event may start. It may not if the turn is over, or if the
    /// outgoing queue is more than half full and its ack would have to wait.
    pub(super) fn may_start(&self) -> bool {
        let limits = engineio_server::internal::settings(&self.registry.config.engine).turn;
        !self.turn.is_over(&limits) && self.client.handle.has_room() && self.has_room_for_acks()
    }

    /// Starts waiting events while handlers are free, the turn lasts, and the outgoing queue has
    /// room. The namespaces take turns, also across the turns of the task, so that a busy one does
    /// not hold up the others.
    pub(super) fn start_waiting(&mut self, cx: &mut Context<'_>) {
        let config = self.registry.config.clone();
        self.backlog = false;
        let mut idle = 0;
        while idle < self.slots.len() {
            let at = self.next_slot % self.slots.len();
            let Some(slot) = self.slots.get(at) else { break };
            // Waiting events of a disconnected socket are dropped when the socket ends.
            let free = !slot.socket().0.is_disconnected()
                && slot.is_free(config.max_in_flight)
                && self.running.len() < config.max_handlers;
            if !free || slot.inbox.is_empty() {
                self.next_slot = at + 1;
                idle += 1;
                continue;
            }
            if !self.may_start() {
                self.backlog = true;
                break;
            }
            self.next_slot = at + 1;
            idle = 0;
            let Some(slot) = self.slots.get_mut(at) else { break };
            let Some(waiting) = slot.inbox.pop_front() else { break };
            let socket = slot.socket().clone();
            self.inbox_bytes -= waiting.cost();
            self.turn.start(
                waiting.args.bytes(),
                &engineio_server::internal::settings(&config.engine).turn,
            );
            self.start_event(socket, waiting.id, waiting.args, cx);
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
            self.connection.resume_reading();
        }
    }
}

/// Runs the middlewares of an event one after another.
async fn run_middlewares(
    middlewares: Vec<Listener<EventMiddleware>>,
    context: EventMiddlewareContext,
) -> Result<Option<WaitingAck>, HandlerError> {
    for middleware in middlewares {
        let args = context.rewrite.current();
        let context = EventMiddlewareContext { args, ..context.clone() };
        if let Some(ack) = (middleware.handler)(context)?.await? {
            // The client may leave first.
            let _ = ack.send().await;
        }
    }
    Ok(None)
}
