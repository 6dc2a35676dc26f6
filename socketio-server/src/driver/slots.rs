//! The namespaces that a client has joined, and how it leaves them.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    task::Context,
};

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
    handlers::{self, DisconnectContext, ErasedHandler, extractors::auth_size},
    namespace::{Namespace, recovery::Lease},
    socket::Socket,
};

/// A namespace that the client has joined.
pub(super) struct NamespaceSlot {
    socket: Socket,
    /// Place in the order in which the client joined its namespaces.
    order: u32,
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
    fn new(socket: Socket) -> Self {
        let (in_flight, middlewares_running) = (0, false);
        Self {
            socket,
            order: 0,
            in_flight,
            inbox: VecDeque::new(),
            middlewares_running,
            budget: None,
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    fn auth_bytes(&self) -> usize {
        auth_size(self.socket.0.auth.as_deref())
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

/// Up to this number, searching is faster than hashing, and the index would take memory.
const MAX_UNINDEXED: usize = 16;

/// The namespaces that a client has joined. Few are searched linearly, more by an index.
#[derive(Default)]
pub(super) struct Slots {
    /// In the order in which the client joined, unless there is an index.
    list: Vec<NamespaceSlot>,
    index: Option<Box<Index>>,
}

struct Index {
    positions: HashMap<Nsp, usize>,
    /// Size of the auths of all namespaces.
    auth_bytes: usize,
    /// The place in the order of the next namespace.
    next: u32,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &NamespaceSlot> {
        self.list.iter()
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut NamespaceSlot> {
        self.list.get_mut(at)
    }

    pub(super) fn find(&mut self, nsp: &Nsp) -> Option<&mut NamespaceSlot> {
        self.position(nsp).and_then(|at| self.list.get_mut(at))
    }

    #[inline]
    pub(super) fn position(&self, nsp: &Nsp) -> Option<usize> {
        match &self.index {
            Some(index) => index.positions.get(nsp).copied(),
            None => self.list.iter().position(|slot| slot.socket.nsp() == nsp),
        }
    }

    /// Returns the size of the auths of all namespaces.
    pub(super) fn auth_bytes(&self) -> usize {
        match &self.index {
            Some(index) => index.auth_bytes,
            None => self.list.iter().map(NamespaceSlot::auth_bytes).sum(),
        }
    }

    pub(super) fn push(&mut self, socket: Socket) {
        let mut slot = NamespaceSlot::new(socket);
        if let Some(index) = &mut self.index {
            slot.order = index.next;
            index.add(&slot, self.list.len());
            self.list.push(slot);
            return;
        }
        if let Some(last) = self.list.last() {
            slot.order = last.order.wrapping_add(1);
        } else {
            // Most connections have one namespace.
            self.list.reserve_exact(1);
        }
        self.list.push(slot);
        if self.list.len() > MAX_UNINDEXED {
            let mut index = Index { positions: HashMap::new(), auth_bytes: 0, next: 0 };
            self.list.iter().zip(0..).for_each(|(slot, at)| index.add(slot, at));
            self.index = Some(Box::new(index));
        }
    }

    pub(super) fn remove(&mut self, nsp: &Nsp) -> Option<NamespaceSlot> {
        let at = self.position(nsp)?;
        let Some(index) = &mut self.index else { return Some(self.list.remove(at)) };
        let slot = self.list.swap_remove(at);
        index.auth_bytes -= slot.auth_bytes();
        index.positions.remove(nsp);
        if let Some(moved) = self.list.get(at) {
            index.positions.insert(moved.socket.nsp().clone(), at);
        }
        if self.list.len() <= MAX_UNINDEXED {
            self.restore_order();
        }
        Some(slot)
    }

    /// Removes all namespaces, in the order in which the client joined them.
    pub(super) fn take_all(&mut self) -> Vec<NamespaceSlot> {
        self.restore_order();
        mem::take(&mut self.list)
    }

    /// Removes the namespaces whose socket is disconnected, in the order in which the client joined
    /// them.
    pub(super) fn take_disconnected(&mut self) -> Vec<NamespaceSlot> {
        let disconnected = self.list.iter().filter(|slot| slot.socket.0.is_disconnected());
        let mut names: Vec<_> =
            disconnected.map(|slot| (slot.order, slot.socket.nsp().clone())).collect();
        names.sort_unstable_by_key(|(order, _)| *order);
        names.iter().filter_map(|(_, nsp)| self.remove(nsp)).collect()
    }

    /// Drops the index.
    fn restore_order(&mut self) {
        if self.index.take().is_some() {
            self.list.sort_unstable_by_key(|slot| slot.order);
        }
    }
}

impl Index {
    fn add(&mut self, slot: &NamespaceSlot, at: usize) {
        self.positions.insert(slot.socket.nsp().clone(), at);
        self.auth_bytes += slot.auth_bytes();
        self.next = slot.order.wrapping_add(1);
    }
}

impl Driver {
    pub(super) fn slot(&mut self, socket: &Socket) -> Option<&mut NamespaceSlot> {
        self.slots.find(socket.nsp()).filter(|slot| slot.socket.same(socket))
    }

    /// Handles a client that left a namespace or withdrew its CONNECT.
    pub(super) fn leave(&mut self, nsp: &Nsp, cx: &mut Context<'_>) {
        if let Some(at) = self.connects.iter().position(|connect| connect.nsp() == nsp) {
            let connect = self.connects.remove(at);
            self.withdraw(connect, false);
        }
        if let Some(slot) = self.slots.remove(nsp) {
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
        let description = self.violation.as_ref().map(|violation| violation.to_string().into());
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
                    requested: None,
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
