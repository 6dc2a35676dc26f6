//! Runs the handlers: starts them in the order of their events and polls them inside the
//! connection's task.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Context,
};

use socketio_core::{Listener, PublicErrors, Step, panic_message, poll_caught};

use super::{Driver, Link, Namespace, Phase, Running, inbox::Item};
use crate::{
    error::HandlerError,
    socket::{
        Responder, Socket,
        handlers::{self, Erased},
    },
};

impl Driver {
    /// Starts handlers for waiting items while there is room. Returns whether any was started.
    pub(super) fn start_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progressed = false;
        let mut index = 0;
        while let Some(namespace) = self.namespaces.get_mut(index) {
            let free =
                self.shared.config().max_handlers > self.running.len() && namespace.is_free();
            // Connection changes wait only for the events before them, not for running handlers.
            let may_start = |item: &Item| free || !item.is_event();
            if !namespace.inbox.front().is_some_and(may_start) {
                index += 1;
                continue;
            }
            let Some(item) = namespace.inbox.pop_front() else { continue };
            self.inbox.remove(&item);
            self.dispatch(index, item, cx);
            progressed = true;
        }
        self.set_reading();
        progressed
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

    pub(super) fn dispatch(&mut self, index: usize, item: Item, cx: &mut Context<'_>) {
        let Some(namespace) = self.namespaces.get(index) else { return };
        let counted = item.is_event();
        // A socket that its user has disconnected handles no more events. `disconnect` raises the
        // flag that is checked here.
        let requested = self.changes.requests || self.shared.signal().has_request();
        if counted && requested && namespace.slot.request().is_closing() {
            return;
        }
        let listeners = namespace.slot.listeners();
        let any = if counted { &listeners.events.any[..] } else { &[] };
        let (name, mut own) = listeners.events.get(item.name());
        if any.is_empty() && own.is_empty() {
            return;
        }
        let name = name.map_or_else(|| Cow::Owned(item.name().to_owned()), Cow::Borrowed);
        let mut once = Vec::new();
        if own.iter().any(Listener::is_once) {
            once.extend(own.iter().filter(|it| it.take()));
            own = &[];
            drop(namespace.slot.change_listeners(|it| it.events.prune(&name)));
        }
        // Without handles there are no handlers to call.
        let Some(manager) = self.shared.manager() else { return };
        let socket = Socket::new(namespace.slot.clone(), manager);
        let mut context = Some(item.into_context(socket));
        let mut listeners = any.iter().chain(own).chain(once).peekable();
        while let Some(listener) = listeners.next() {
            let last = listeners.peek().is_none();
            let Some(context) = (if last { context.take() } else { context.clone() }) else {
                break;
            };
            self.run(index, &listener.handler, &name, context, counted, cx);
        }
    }

    /// Starts a handler and polls it once, in place.
    fn run(
        &mut self,
        namespace: usize,
        handler: &Erased,
        event: &str,
        context: handlers::Context,
        counted: bool,
        cx: &mut Context<'_>,
    ) {
        let responder = context.responder.clone();
        let public = &self.shared.config().public_errors;
        let mut future = match catch_unwind(AssertUnwindSafe(|| handler(context))) {
            Ok(Ok(future)) => future,
            Ok(Err(error)) => return ended(event, responder, Step::Failed(error), public),
            Err(panic) => {
                return ended(event, responder, Step::Panicked(panic_message(&*panic)), public);
            }
        };
        match poll_caught(&mut future, cx) {
            Step::Pending => {
                self.running.push(Running {
                    future,
                    event: event.into(),
                    responder,
                    counted,
                    namespace,
                });
                if let Some(namespace) = self.namespaces.get_mut(namespace).filter(|_| counted) {
                    namespace.in_flight += 1;
                }
            }
            step => ended(event, responder, step, public),
        }
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
                    ended(&event, responder, step, &self.shared.config().public_errors);
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

/// Reports how a handler ended: logs an error and sends it as the ack.
fn ended(event: &str, responder: Option<Responder>, step: Step, public: &PublicErrors) {
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

fn failed(event: &str, responder: Option<Responder>, error: &HandlerError) {
    let error_text = error.for_log();
    tracing::warn!(target: "socketio::client", event, error = error_text, "a handler failed");
    if let Some(responder) = responder {
        let _ = responder.answer(&error.to_ack());
    }
}
