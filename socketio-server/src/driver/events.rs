//! Events of the client: they wait in the inbox of their namespace, and their handlers start in the
//! order of arrival.

use std::{sync::Arc, task::Context};

use engineio_server::internal::saturated;
use socketio_core::Listener;
use socketio_parser::{AckId, Args};

use crate::{
    config::rate_limit::{Budget, Excess},
    driver::{
        Driver,
        handlers::{Call, CallName, Role, Running, span},
    },
    error::HandlerError,
    handlers::{
        EventContext, EventHandler, EventMiddleware, EventMiddlewareContext, Rewrite, Stage,
        table::Table,
    },
    namespace::Namespace,
    socket::{
        Socket,
        ack::{AckRequest, WaitingAck},
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
    /// Handles an event from the client, in the namespace at this position.
    #[inline]
    pub(super) fn handle_event(
        &mut self,
        at: usize,
        id: Option<AckId>,
        args: Args,
        cx: &mut Context<'_>,
    ) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        self.registry.counters.one(|stripe| &stripe.events.received);
        let config = &self.registry.config;
        if let Some(rate) = &config.rate_limit {
            let budget = slot.budget.get_or_insert_with(|| Box::new(Budget::new(rate, now())));
            if !budget.admit(rate, now(), args.bytes()) {
                let (socket, excess) = (slot.socket().clone(), rate.excess);
                let (name, requested) = (CallName::Event(args), id.map(AckRequest::new));
                let call = Call { name, socket: socket.clone(), requested };
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

    /// Starts the handlers of an event. Most sockets have no handlers of their own, and most
    /// namespaces none of all events.
    #[inline(always)]
    fn start_event(&mut self, socket: Socket, id: Option<AckId>, args: Args, cx: &mut Context<'_>) {
        let table = self.take_table(socket.namespace());
        let context = EventContext { socket, args, requested: id.map(AckRequest::new) };
        if table.events.any.is_empty() && !context.socket.0.has_handlers() {
            self.run_handlers(&table, context, cx);
            self.table = Some(table);
        } else {
            self.start_any(table, context, cx);
        }
    }

    /// Starts the handlers of all events, then the middlewares, then the event's own handlers.
    fn start_any(&mut self, table: Arc<Table>, context: EventContext, cx: &mut Context<'_>) {
        let (own_any, middlewares) = context
            .socket
            .0
            .with_handlers(|own| (own.events.any.clone(), own.event_middlewares.clone()));
        for listener in table.events.any.iter().chain(&own_any) {
            self.run_event(&listener.handler, context.clone(), cx);
        }
        self.table = Some(table);
        if middlewares.is_empty() {
            return self.handle(context, cx);
        }
        let rewrite = Rewrite::new(context.args.clone());
        let EventContext { socket, args, requested } = context.clone();
        let middleware =
            EventMiddlewareContext { socket, args, requested, rewrite: rewrite.clone() };
        let future = Box::pin(run_middlewares(middlewares, middleware));
        self.poll_new(Running::middlewares(future, rewrite, context.into()), cx);
    }

    /// Takes the handlers of a namespace. The caller puts them back for the next event of this
    /// turn.
    fn take_table(&mut self, namespace: &Namespace) -> Arc<Table> {
        let version = namespace.table_version();
        let table = self.table.take().filter(|table| table.version == version);
        table.unwrap_or_else(|| namespace.table())
    }

    /// Starts the handlers of an event: the namespace's, then the socket's own.
    pub(super) fn handle(&mut self, context: EventContext, cx: &mut Context<'_>) {
        let table = self.take_table(context.socket.namespace());
        self.run_handlers(&table, context, cx);
        self.table = Some(table);
    }

    #[inline(always)]
    fn run_handlers(&mut self, table: &Table, context: EventContext, cx: &mut Context<'_>) {
        let event = context.args.event();
        let own = context.socket.0.with_handlers(|own| own.events.find(event));
        let (shared, own) = (table.events.get(event).1, own.as_deref().unwrap_or_default());
        // The last handler gets the context itself.
        let Some((last, others)) = own.split_last().or_else(|| shared.split_last()) else {
            tracing::debug!(target: "socketio::socket", event, "no handler for this event");
            return;
        };
        let (shared, own) = if own.is_empty() { (others, own) } else { (shared, others) };
        for listener in shared.iter().chain(own) {
            if take(listener, &context) {
                self.run_event(&listener.handler, context.clone(), cx);
            }
        }
        if take(last, &context) {
            let span = span(|| context.args.event(), &context.socket);
            self.run(span, Role::Event, &last.handler, context, Call::from, cx);
        }
    }

    fn run_event(&mut self, handler: &EventHandler, context: EventContext, cx: &mut Context<'_>) {
        let span = span(|| context.args.event(), &context.socket);
        self.run(span, Role::Event, handler, context, Call::from, cx);
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
            let at = self.next_slot as usize % self.slots.len();
            let Some(slot) = self.slots.get_mut(at) else { break };
            // Waiting events of a disconnected socket are dropped when the socket ends.
            let free = !slot.socket().0.is_disconnected()
                && slot.is_free(config.max_in_flight)
                && self.running.len() < config.max_handlers;
            if !free || slot.inbox.is_empty() {
                self.next_slot = saturated(at + 1);
                idle += 1;
                continue;
            }
            if !self.may_start() {
                self.backlog = true;
                break;
            }
            self.next_slot = saturated(at + 1);
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

/// Returns whether a listener is to be called. A listener that is called once is removed.
#[inline]
fn take(listener: &Listener<EventHandler>, context: &EventContext) -> bool {
    !listener.is_once() || take_once(listener, context)
}

fn take_once(listener: &Listener<EventHandler>, context: &EventContext) -> bool {
    let (socket, event) = (&context.socket, context.args.event());
    let taken = listener.take();
    if taken {
        // Dropping the listeners may run user code, so no lock is held.
        drop(socket.0.change_handlers(|table| table.prune(event)));
        drop(socket.namespace().change_with(|table| table.prune(event)));
    }
    taken
}

/// Runs the middlewares of an event one after another.
async fn run_middlewares(
    middlewares: Vec<Listener<EventMiddleware>>,
    context: EventMiddlewareContext,
) -> Result<Option<Box<WaitingAck>>, HandlerError> {
    for middleware in middlewares {
        let args = context.rewrite.current();
        let mut context = EventMiddlewareContext { args, ..context.clone() };
        if let Some(ack) = (middleware.handler)(&mut context)?.await? {
            // The client may leave first.
            let _ = ack.send().await;
        }
    }
    Ok(None)
}
