//! The listeners of a namespace or a socket. `H` is the type of a handler.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::handlers::{Erased, OutgoingListener};

/// Identifies a listener among all listeners of the process. The default identifies none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListenerId(u64);

/// A handler with its id.
#[derive(Clone)]
pub(crate) struct Listener<H> {
    id: ListenerId,
    pub(crate) handler: H,
    /// Set if the handler runs only once: whether it has run.
    spent: Option<Arc<AtomicBool>>,
}

impl<H> Listener<H> {
    pub(crate) fn new(handler: H) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = ListenerId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { id, handler, spent: None }
    }

    /// Creates a listener that runs once.
    pub(crate) fn once(handler: H) -> Self {
        Self { spent: Some(Arc::default()), ..Self::new(handler) }
    }

    /// Adds the listener to the end of a list.
    pub(crate) fn append_to(self, list: &mut Vec<Self>) -> ListenerId {
        let id = self.id;
        list.push(self);
        id
    }

    /// Adds the listener to the start of a list.
    pub(crate) fn prepend_to(self, list: &mut Vec<Self>) -> ListenerId {
        let id = self.id;
        list.insert(0, self);
        id
    }

    /// Returns whether the handler may run. A handler that runs once gets `true` only once, from
    /// any thread.
    pub(crate) fn take(&self) -> bool {
        self.spent.as_ref().is_none_or(|spent| !spent.swap(true, Ordering::Relaxed))
    }

    pub(crate) fn is_once(&self) -> bool {
        self.spent.is_some()
    }

    /// Returns the same handler, not yet run.
    fn renewed(&self) -> Self
    where
        H: Clone,
    {
        let spent = self.spent.is_some().then(Arc::default);
        Self { id: self.id, handler: self.handler.clone(), spent }
    }

    fn is_spent(&self) -> bool {
        self.spent.as_ref().is_some_and(|spent| spent.load(Ordering::Relaxed))
    }
}

fn remove_from<H>(list: &mut Vec<Listener<H>>, id: ListenerId) -> Option<Listener<H>> {
    let at = list.iter().position(|listener| listener.id == id)?;
    Some(list.remove(at))
}

/// The listeners of events.
#[derive(Clone)]
pub(crate) struct EventListeners<H> {
    by_name: HashMap<Box<str>, Arc<[Listener<H>]>>,
    /// The listeners of all events.
    pub(crate) any: Vec<Listener<H>>,
}

impl<H> Default for EventListeners<H> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), any: Vec::new() }
    }
}

impl<H: Clone> EventListeners<H> {
    pub(crate) fn add(&mut self, event: &str, listener: Listener<H>) -> ListenerId {
        let id = listener.id;
        let list = self.by_name.entry(event.into()).or_default();
        *list = list.iter().cloned().chain([listener]).collect();
        id
    }

    /// Returns the listeners of an event, in the order in which they were added.
    pub(crate) fn find(&self, event: &str) -> Option<Arc<[Listener<H>]>> {
        self.by_name.get(event).cloned()
    }

    /// Removes the listeners of an event. The returned list must be dropped without holding a lock,
    /// as must those of the other functions that remove listeners.
    pub(crate) fn remove(&mut self, event: &str) -> Option<Arc<[Listener<H>]>> {
        self.by_name.remove(event)
    }

    pub(crate) fn remove_listener(&mut self, id: ListenerId) -> Option<Listener<H>> {
        let mut removed = remove_from(&mut self.any, id);
        self.by_name.retain(|_, list| {
            if let Some(listener) = list.iter().find(|listener| listener.id == id) {
                removed = Some(listener.clone());
                *list = list.iter().filter(|listener| listener.id != id).cloned().collect();
            }
            !list.is_empty()
        });
        removed
    }

    /// Removes the listeners of an event that run once and have run. Returns the former list.
    fn prune(&mut self, event: &str) -> Option<Arc<[Listener<H>]>> {
        let former = self.by_name.remove(event)?;
        if former.iter().any(|listener| !listener.is_spent()) {
            let kept = former.iter().filter(|listener| !listener.is_spent()).cloned().collect();
            self.by_name.insert(event.into(), kept);
        }
        Some(former)
    }

    /// Returns the same listeners for another namespace, in which listeners that run once may run
    /// again.
    pub(crate) fn renewed(&self) -> Self {
        let by_name = self.by_name.iter().map(|(event, list)| {
            let renewed = list.iter().map(Listener::renewed).collect();
            (event.clone(), renewed)
        });
        Self { by_name: by_name.collect(), any: self.any.clone() }
    }

    /// Adds the listeners of `other` after these.
    pub(crate) fn append(&mut self, other: &Self) {
        for (event, list) in &other.by_name {
            let listeners = self.by_name.entry(event.clone()).or_default();
            *listeners = listeners.iter().chain(list.iter()).cloned().collect();
        }
        self.any.extend_from_slice(&other.any);
    }
}

/// All listeners of a namespace, or of one socket.
#[derive(Clone, Default)]
pub(crate) struct Table {
    pub(crate) events: EventListeners<Erased>,
    pub(crate) connection: Vec<Listener<Erased>>,
    pub(crate) disconnecting: Vec<Listener<Erased>>,
    pub(crate) disconnect: Vec<Listener<Erased>>,
    /// Middlewares: those of a namespace run before CONNECT is accepted, those of a socket before
    /// its events.
    pub(crate) middlewares: Vec<Listener<Erased>>,
    /// Listeners of outgoing events.
    pub(crate) outgoing: Arc<Vec<Listener<OutgoingListener>>>,
}

/// Listeners that have been removed from a [`Table`].
#[derive(Default)]
pub(crate) struct Removed {
    events: Vec<Arc<[Listener<Erased>]>>,
    listeners: Vec<Listener<Erased>>,
    outgoing: Option<Listener<OutgoingListener>>,
}

impl Removed {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.listeners.is_empty() && self.outgoing.is_none()
    }
}

impl Table {
    pub(crate) fn add(&mut self, event: &str, listener: Listener<Erased>) -> ListenerId {
        if let Some(list) = self.lifecycle_listeners(event) {
            return listener.append_to(list);
        }
        if socketio_parser::is_reserved(event) {
            tracing::warn!(target: "socketio::namespace", event, "no client can send an event of this name");
        }
        self.events.add(event, listener)
    }

    /// Returns the list for an event of a socket's life. Its names are those that Node's servers
    /// use, and no client can send them.
    fn lifecycle_listeners(&mut self, event: &str) -> Option<&mut Vec<Listener<Erased>>> {
        match event {
            "connection" | "connect" => Some(&mut self.connection),
            "disconnecting" => Some(&mut self.disconnecting),
            "disconnect" => Some(&mut self.disconnect),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, event: &str) -> Removed {
        match self.lifecycle_listeners(event) {
            Some(list) => Removed { listeners: mem::take(list), ..Removed::default() },
            None => {
                let events = self.events.remove(event).into_iter().collect();
                Removed { events, ..Removed::default() }
            }
        }
    }

    /// Removes the listeners of all named events, including those of a socket's life.
    pub(crate) fn remove_all(&mut self) -> Removed {
        let events = mem::take(&mut self.events.by_name).into_values().collect();
        let lifecycle = [&mut self.connection, &mut self.disconnecting, &mut self.disconnect];
        let listeners = lifecycle.into_iter().flat_map(mem::take).collect();
        Removed { events, listeners, outgoing: None }
    }

    pub(crate) fn remove_listener(&mut self, id: ListenerId) -> Removed {
        let lists = [
            &mut self.connection,
            &mut self.disconnecting,
            &mut self.disconnect,
            &mut self.middlewares,
        ];
        let removed = lists.into_iter().find_map(|list| remove_from(list, id));
        let listeners = removed.or_else(|| self.events.remove_listener(id)).into_iter().collect();
        let outgoing = self.outgoing.iter().any(|listener| listener.id == id);
        let outgoing =
            outgoing.then(|| remove_from(Arc::make_mut(&mut self.outgoing), id)).flatten();
        Removed { events: Vec::new(), listeners, outgoing }
    }

    /// Removes the listeners of an event that run once and have run.
    pub(crate) fn prune(&mut self, event: &str) -> Removed {
        let Some(list) = self.lifecycle_listeners(event) else {
            let events = self.events.prune(event).into_iter().collect();
            return Removed { events, ..Removed::default() };
        };
        let (spent, kept) = mem::take(list).into_iter().partition(Listener::is_spent);
        *list = kept;
        Removed { listeners: spent, ..Removed::default() }
    }

    /// Returns the same listeners for another namespace, in which listeners that run once may run
    /// again.
    pub(crate) fn renewed(&self) -> Self {
        let renewed = |list: &[Listener<_>]| list.iter().map(Listener::renewed).collect();
        Self {
            events: self.events.renewed(),
            connection: renewed(&self.connection),
            disconnecting: renewed(&self.disconnecting),
            disconnect: renewed(&self.disconnect),
            middlewares: self.middlewares.clone(),
            outgoing: self.outgoing.clone(),
        }
    }

    /// Returns these listeners after those of another namespace, whose listeners that run once may
    /// run again here. Only the middlewares of this table are kept.
    pub(crate) fn preceded_by(&self, first: &Self) -> Self {
        let mut all = first.renewed();
        all.events.append(&self.events);
        all.connection.extend_from_slice(&self.connection);
        all.disconnecting.extend_from_slice(&self.disconnecting);
        all.disconnect.extend_from_slice(&self.disconnect);
        all.middlewares.clone_from(&self.middlewares);
        Arc::make_mut(&mut all.outgoing).extend_from_slice(&self.outgoing);
        all
    }

    /// Returns whether there is a listener that runs once.
    pub(crate) fn has_once(&self) -> bool {
        let lifecycle = [&self.connection, &self.disconnecting, &self.disconnect];
        let events = self.events.by_name.values().flat_map(|list| list.iter());
        events.chain(lifecycle.into_iter().flatten()).any(Listener::is_once)
    }

    /// Returns the names of the events that have listeners.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events.by_name.keys().map(|name| name.to_string()).collect()
    }
}
