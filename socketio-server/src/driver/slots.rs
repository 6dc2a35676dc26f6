//! The namespaces that a client has joined, and how it leaves them.

use std::{collections::VecDeque, sync::Arc, task::Context};

use socketio_core::Listener;
use socketio_parser::Nsp;

use crate::{
    config::rate_limit::Budget,
    driver::{
        Driver,
        events::Waiting,
        handlers::{Call, CallName, Role, span},
    },
    error::DisconnectReason,
    handlers::{self, DisconnectContext, ErasedHandler},
    namespace::{Namespace, recovery::Lease},
    socket::Socket,
};

/// A namespace that the client has joined.
pub(super) struct NamespaceSlot {
    socket: Socket,
    /// Number of running handlers of events.
    pub(super) in_flight: usize,
    /// Events that wait for a free handler.
    pub(super) inbox: VecDeque<Waiting>,
    /// Whether the middlewares of an event are running. Later events wait.
    pub(super) middlewares_running: bool,
    /// The remaining tokens of the rate limit, if there is one.
    pub(super) budget: Option<Box<Budget>>,
}

impl NamespaceSlot {
    pub(super) fn new(socket: Socket) -> Self {
        let (in_flight, middlewares_running) = (0, false);
        Self { socket, in_flight, inbox: VecDeque::new(), middlewares_running, budget: None }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns the number of events that have arrived and whose handlers have not been started.
    pub(super) fn unstarted(&self) -> u64 {
        self.inbox.len() as u64 + u64::from(self.middlewares_running)
    }

    /// Returns whether the next event may be handled now.
    pub(super) fn is_free(&self, limit: usize) -> bool {
        self.in_flight < limit && !self.middlewares_running
    }
}

impl Driver {
    pub(super) fn slot(&mut self, socket: &Socket) -> Option<&mut NamespaceSlot> {
        self.slots.iter_mut().find(|slot| slot.socket.same(socket))
    }

    /// Handles a client that left a namespace or withdrew its CONNECT.
    pub(super) fn leave(&mut self, nsp: &Nsp, cx: &mut Context<'_>) {
        if let Some(at) = self.connects.iter().position(|connect| connect.nsp() == nsp) {
            let connect = self.connects.remove(at);
            self.withdraw(connect, false);
        }
        if let Some(at) = self.slots.iter().position(|slot| slot.socket.nsp() == nsp) {
            let slot = self.slots.remove(at);
            self.end(slot, DisconnectReason::ClientNamespaceDisconnect, cx);
        }
    }

    /// Ends a socket: starts its disconnection handlers, the first of them while it is still in its
    /// rooms. Events that were never started are dropped.
    pub(super) fn end(
        &mut self,
        slot: NamespaceSlot,
        reason: DisconnectReason,
        cx: &mut Context<'_>,
    ) {
        let dropped = slot.unstarted();
        if slot.middlewares_running {
            self.running.retain(|running| !running.is_middlewares_of(&slot.socket));
            // A waiting event of another namespace may take the place.
            self.backlog = true;
        }
        let socket = slot.socket;
        let retain = reason.is_recoverable();
        if retain {
            socket.0.record_loss();
        }
        socket.0.set_disconnected();
        self.counters().events.dropped.add(dropped);
        self.counters().disconnected.one(reason);
        tracing::debug!(target: "socketio::namespace", nsp = %socket.nsp(), %reason, dropped, "a socket was disconnected");
        self.inbox_bytes -= slot.inbox.iter().map(Waiting::cost).sum::<usize>();
        // The dropped events may have been the reason why reading was paused.
        self.resume_reading();
        let table = socket.namespace().table();
        let description = self.violation.clone();
        let context = DisconnectContext { socket: socket.clone(), reason, description };
        let own = socket.0.with_handlers(|table| table.disconnecting.clone());
        let all = table.disconnecting.iter().chain(&own);
        self.run_lifecycle("disconnecting", all, &context, cx);
        let namespace = socket.namespace();
        let membership = namespace.remove(&socket.0, retain, self.membership(namespace));
        let own = socket.0.with_handlers(|table| table.disconnect.clone());
        let all = table.disconnect.iter().chain(&own);
        self.run_lifecycle("disconnect", all, &context, cx);
        socket.0.hand_over();
        socket.0.drop_handlers();
        drop(membership);
    }

    /// Starts the handlers of a connection or disconnection.
    pub(super) fn run_lifecycle<'a, C: handlers::Context + Clone>(
        &mut self,
        name: &'static str,
        listeners: impl IntoIterator<Item = &'a Listener<ErasedHandler<C>>>,
        context: &C,
        cx: &mut Context<'_>,
    ) {
        for listener in listeners {
            if listener.take() {
                if listener.is_once() {
                    let namespace = context.socket().namespace();
                    drop(namespace.change_with(|table| table.prune(name)));
                }
                let span = span(|| name, context.socket());
                let call = |context: C| Call {
                    name: CallName::Lifecycle(name),
                    socket: context.socket().clone(),
                    responder: None,
                };
                self.run(span, Role::Lifecycle, &listener.handler, context.clone(), call, cx);
            }
        }
    }

    /// Removes a socket without running any handler. With `retain`, a client that was recovering
    /// its session may try again.
    pub(super) fn remove(&self, socket: &Socket, retain: bool) {
        socket.0.set_disconnected();
        let namespace = socket.namespace();
        let retain = retain && socket.recovered();
        let membership = namespace.remove(&socket.0, retain, self.membership(namespace));
        socket.0.hand_over();
        socket.0.drop_handlers();
        drop(membership);
    }

    /// Returns the socket's membership in its namespace. When it is dropped, the client has left
    /// the namespace.
    pub(super) fn membership(&self, namespace: &Namespace) -> Lease {
        if !namespace.is_child() {
            return Lease::default();
        }
        let (registry, namespace) = (Arc::downgrade(&self.registry), Arc::downgrade(&namespace.0));
        Lease::new(move || {
            if let Some((registry, namespace)) = registry.upgrade().zip(namespace.upgrade()) {
                registry.leave(&Namespace(namespace));
            }
        })
    }
}
