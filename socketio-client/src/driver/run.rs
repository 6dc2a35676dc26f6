//! Runs the handlers: starts them in the order of their events and polls them inside the
//! connection's task.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Context,
};

use socketio_core::{
    ErasedHandler, HandlerFuture, Listener, PublicErrors, Step, Unstarted, poll_caught,
    start_caught,
};
use socketio_parser::{AckId, Args};

use super::{Driver, Link, Namespace, Phase, Running, inbox::Item};
use crate::{
    error::HandlerError,
    socket::{
        Responder, Socket,
        handlers::{self, ConnectContext, ConnectErrorContext, DisconnectContext, EventContext},
    },
};

impl Driver {
    /// Starts handlers for waiting items while there is room. The namespaces take turns, so that a
    /// busy one does not hold up the others. Returns whether any was started.
    pub(super) fn start_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progressed = false;
        let mut blocked = 0;
        while blocked < self.waiting.len()
            && let Some(index) = self.waiting.pop_front()
        {
            let Some(namespace) = self.namespaces.get_mut(index) else { continue };
            let free =
                self.shared.config().max_handlers > self.running.len() && namespace.is_free();
            // Connection changes wait only for the events before them, not for running handlers.
            let may_start = |item: &Item| free || !item.is_event();
            if namespace.inbox.front().is_some_and(|item| !may_start(item)) {
                self.waiting.push_back(index);
                blocked += 1;
                continue;
            }
            let item = namespace.inbox.pop_front();
            if namespace.inbox.is_empty() {
                namespace.inbox = VecDeque::new();
                namespace.is_waiting = false;
            } else {
                self.waiting.push_back(index);
            }
            // Leaving a namespace may have emptied its inbox.
            let Some(item) = item else { continue };
            blocked = 0;
            self.inbox.remove(&item);
            self.dispatch(index, item, cx);
            progressed = true;
        }
        self.set_reading();
        progressed
    }

    /// Lets a namespace whose inbox is not empty take turns.
    pub(super) fn add_waiting(&mut self, index: usize) {
        let idle = self.namespaces.get_mut(index).filter(|it| !it.is_waiting);
        if let Some(namespace) = idle.filter(|namespace| !namespace.inbox.is_empty()) {
            namespace.is_waiting = true;
            self.waiting.push_back(index);
        }
    }

    /// Returns whether an event may start its handlers at once, bypassing the inbox.
    pub(super) fn is_free(&self, index: usize) -> bool {
        self.shared.config().max_handlers > self.running.len()
            && self.namespaces.get(index).is_some_and(|namespace| {
                matches!(namespace.phase, Phase::Joined)
                    && namespace.inbox.is_empty()
                    && namespace.is_free()
            })
    }

    /// Pauses or resumes reading, depending on the size of the inbox.
    pub(super) fn set_reading(&mut self) {
        let reading = self.inbox.may_read();
        if let Link::Open(engine) = &mut self.link {
            engine.set_reading(reading);
        }
    }

    /// Starts the handlers of an item.
    fn dispatch(&mut self, index: usize, item: Item, cx: &mut Context<'_>) {
        if let Item::Event { id, args, epoch } = item {
            return self.dispatch_event(index, id, args, epoch, cx);
        }
        let (Some(namespace), Some(socket)) = (self.namespaces.get(index), self.socket(index))
        else {
            return;
        };
        let listeners = namespace.slot.listeners();
        match item {
            Item::Event { .. } => {}
            Item::Connect => {
                self.start_all(index, &listeners.connect, ConnectContext { socket }, cx);
            }
            Item::ConnectError(error) => {
                let context = ConnectErrorContext { socket, error };
                self.start_all(index, &listeners.connect_error, context, cx);
            }
            Item::Disconnect { reason, description } => {
                let context = DisconnectContext { socket, reason, description };
                self.start_all(index, &listeners.disconnect, context, cx);
            }
        }
    }

    /// Starts the handlers of an event that arrived after join number `epoch`.
    pub(super) fn dispatch_event(
        &mut self,
        index: usize,
        id: Option<AckId>,
        args: Args,
        epoch: u64,
        cx: &mut Context<'_>,
    ) {
        let Some(namespace) = self.namespaces.get(index) else { return };
        let listeners = namespace.slot.listeners();
        let own = listeners.events.find(args.event());
        if own.is_none() && listeners.events.any.is_empty() {
            return;
        }
        // A socket that its user has disconnected handles no more events. `disconnect` raises the
        // flag that is checked here.
        let requested = self.changes.requests || self.shared.signal().has_request();
        if requested && namespace.slot.request().is_closing() {
            return;
        }
        let Some(socket) = self.socket(index) else { return };
        let responder = id.map(|id| Responder::new(socket.clone(), id, epoch));
        let all = listeners.events.any.iter().chain(own.iter().flat_map(|it| it.iter()));
        self.start_all(index, all, EventContext { socket, args, responder }, cx);
    }

    /// Returns the socket of a namespace. Without handles there are no handlers to call.
    fn socket(&self, index: usize) -> Option<Socket> {
        let slot = self.namespaces.get(index)?.slot.clone();
        Some(Socket::new(slot, self.shared.manager()?))
    }

    /// Starts the handlers of an event or of a connection change.
    fn start_all<'a, C: NamedContext>(
        &mut self,
        index: usize,
        listeners: impl IntoIterator<Item = &'a Listener<ErasedHandler<C>>>,
        mut context: C,
        cx: &mut Context<'_>,
    ) {
        let mut listeners = listeners.into_iter().peekable();
        while let Some(listener) = listeners.next() {
            if !listener.take() {
                continue;
            }
            if listener.is_once()
                && let Some(namespace) = self.namespaces.get(index)
            {
                namespace.slot.change_listeners(|it| it.prune(context.event()));
            }
            let started = match listeners.peek() {
                Some(_) => start_caught(&listener.handler, &mut context.clone()),
                None => start_caught(&listener.handler, &mut context),
            };
            self.run(index, &context, started, cx);
        }
    }

    /// Polls a handler once, in place, and keeps it if it is not finished.
    fn run<C: NamedContext>(
        &mut self,
        namespace: usize,
        context: &C,
        started: Result<HandlerFuture, Unstarted>,
        cx: &mut Context<'_>,
    ) {
        let step = match started {
            Ok(mut future) => match poll_caught(&mut future, cx) {
                Step::Pending => {
                    self.running.push(Running {
                        future,
                        event: context.event().into(),
                        responder: context.responder().cloned(),
                        counted: C::IS_EVENT,
                        namespace,
                    });
                    let namespace = self.namespaces.get_mut(namespace);
                    if let Some(namespace) = namespace.filter(|_| C::IS_EVENT) {
                        namespace.in_flight += 1;
                    }
                    return;
                }
                step => step,
            },
            Err(Unstarted::NotExtracted(error)) => Step::Failed(error),
            Err(Unstarted::Panicked(message)) => Step::Panicked(message),
        };
        let public = &self.shared.config().public_errors;
        ended(context.event(), context.responder(), step, public);
    }

    /// Polls the running handlers. Returns whether one has ended.
    pub(super) fn poll_running(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.running.len();
        let mut index = 0;
        while let Some(running) = self.running.get_mut(index) {
            match poll_caught(&mut running.future, cx) {
                Step::Pending => index += 1,
                step => {
                    // The other handlers keep their order, so that handlers waiting for the same
                    // thing get it in the order of their start.
                    let running = self.running.remove(index);
                    let namespace = self.namespaces.get_mut(running.namespace);
                    if let Some(namespace) = namespace.filter(|_| running.counted) {
                        namespace.in_flight -= 1;
                    }
                    let Running { event, responder, .. } = running;
                    let public = &self.shared.config().public_errors;
                    ended(&event, responder.as_ref(), step, public);
                }
            }
        }
        self.running.len() < before
    }
}

impl Namespace {
    /// Returns whether the namespace may run one more handler.
    fn is_free(&self) -> bool {
        self.in_flight < self.slot.config().max_in_flight
    }
}

/// The context of an event or of a connection change, which has the name of its listeners.
trait NamedContext: handlers::Context + Clone {
    /// Whether its handlers count towards `max_in_flight`.
    const IS_EVENT: bool = false;

    fn event(&self) -> &str;

    /// Returns the place for the ack of the event.
    fn responder(&self) -> Option<&Responder> {
        None
    }
}

impl NamedContext for EventContext {
    const IS_EVENT: bool = true;

    fn event(&self) -> &str {
        self.args.event()
    }

    fn responder(&self) -> Option<&Responder> {
        self.responder.as_ref()
    }
}

impl NamedContext for ConnectContext {
    fn event(&self) -> &str {
        "connect"
    }
}

impl NamedContext for ConnectErrorContext {
    fn event(&self) -> &str {
        "connect_error"
    }
}

impl NamedContext for DisconnectContext {
    fn event(&self) -> &str {
        "disconnect"
    }
}

/// Reports how a handler ended: logs an error and sends it as the ack.
fn ended(event: &str, responder: Option<&Responder>, step: Step, public: &PublicErrors) {
    // Formatting an error runs user code, which may panic.
    let result = catch_unwind(AssertUnwindSafe(|| match step {
        Step::Failed(error) => failed(event, responder, &error.resolved(public)),
        Step::Panicked(message) => failed(event, responder, &HandlerError::from(message)),
        Step::Done(()) | Step::Pending => {}
    }));
    if result.is_err() {
        tracing::error!(target: "socketio::client", "formatting the error of a handler panicked");
    }
}

fn failed(event: &str, responder: Option<&Responder>, error: &HandlerError) {
    let error_text = error.for_log();
    tracing::warn!(target: "socketio::client", event, error = error_text, "a handler failed");
    if let Some(responder) = responder {
        let _ = responder.send(&error.to_ack());
    }
}
