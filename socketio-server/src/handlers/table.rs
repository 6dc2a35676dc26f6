//! Handlers by event name. `H` is the type of a handler.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The handlers of a namespace, or of one socket.
#[derive(Clone)]
pub(crate) struct Table<H> {
    events: HashMap<Box<str>, Arc<[Listener<H>]>>,
    /// Handlers of all events.
    pub(crate) any: Vec<H>,
    pub(crate) connection: Vec<Listener<H>>,
    pub(crate) disconnecting: Vec<Listener<H>>,
    pub(crate) disconnect: Vec<Listener<H>>,
    /// Middlewares: those of a namespace run before CONNECT is accepted, those of a socket before
    /// its events.
    pub(crate) middlewares: Vec<H>,
}

/// A handler of an event.
#[derive(Clone)]
pub(crate) struct Listener<H> {
    pub(crate) handler: H,
    /// Set if the handler runs only once: whether it has run.
    spent: Option<Arc<AtomicBool>>,
}

impl<H> Listener<H> {
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
        Self { handler: self.handler.clone(), spent: self.spent.is_some().then(Arc::default) }
    }

    fn is_spent(&self) -> bool {
        self.spent.as_ref().is_some_and(|spent| spent.load(Ordering::Relaxed))
    }
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Self {
            events: HashMap::new(),
            any: Vec::new(),
            connection: Vec::new(),
            disconnecting: Vec::new(),
            disconnect: Vec::new(),
            middlewares: Vec::new(),
        }
    }
}

impl<H: Clone> Table<H> {
    /// Adds a handler.
    pub(crate) fn add(&mut self, event: &str, handler: H) {
        self.insert(event, Listener { handler, spent: None });
    }

    /// Adds a handler that runs once.
    pub(crate) fn add_once(&mut self, event: &str, handler: H) {
        self.insert(event, Listener { handler, spent: Some(Arc::default()) });
    }

    /// Returns the list for an event of a socket's life. Its names are those that Node's servers
    /// use, and no client can send them.
    fn lifecycle_listeners(&mut self, event: &str) -> Option<&mut Vec<Listener<H>>> {
        match event {
            "connection" | "connect" => Some(&mut self.connection),
            "disconnecting" => Some(&mut self.disconnecting),
            "disconnect" => Some(&mut self.disconnect),
            _ => None,
        }
    }

    fn insert(&mut self, event: &str, listener: Listener<H>) {
        if let Some(list) = self.lifecycle_listeners(event) {
            return list.push(listener);
        }
        if socketio_parser::is_reserved(event) {
            tracing::warn!(target: "socketio::namespace", event, "no client can send an event of this name");
        }
        let listeners = self.events.entry(event.into()).or_default();
        *listeners = listeners.iter().cloned().chain([listener]).collect();
    }

    pub(crate) fn remove(&mut self, event: &str) -> Option<Arc<[Listener<H>]>> {
        match self.lifecycle_listeners(event) {
            Some(list) => Some(std::mem::take(list).into()),
            None => self.events.remove(event),
        }
    }

    /// Removes the handlers of an event that run once and have run. Returns the former list, which
    /// must be dropped without holding a lock.
    pub(crate) fn prune(&mut self, event: &str) -> Option<Arc<[Listener<H>]>> {
        if let Some(list) = self.lifecycle_listeners(event) {
            let former = std::mem::take(list);
            *list = former.iter().filter(|listener| !listener.is_spent()).cloned().collect();
            return Some(former.into());
        }
        let former = self.events.remove(event)?;
        if former.iter().any(|listener| !listener.is_spent()) {
            let kept = former.iter().filter(|listener| !listener.is_spent()).cloned().collect();
            self.events.insert(event.into(), kept);
        }
        Some(former)
    }

    /// Returns the same handlers for another namespace, in which handlers that run once may run
    /// again.
    pub(crate) fn renewed(&self) -> Self {
        let renewed = |list: &[Listener<H>]| list.iter().map(Listener::renewed).collect();
        let events = self.events.iter();
        Self {
            events: events
                .map(|(event, list)| (event.clone(), list.iter().map(Listener::renewed).collect()))
                .collect(),
            any: self.any.clone(),
            connection: renewed(&self.connection),
            disconnecting: renewed(&self.disconnecting),
            disconnect: renewed(&self.disconnect),
            middlewares: self.middlewares.clone(),
        }
    }

    /// Returns these handlers after those of another namespace, whose handlers that run once may
    /// run again here. Only the middlewares of this table are kept.
    pub(crate) fn preceded_by(&self, first: &Self) -> Self {
        let mut all = first.renewed();
        for (event, list) in &self.events {
            let listeners = all.events.entry(event.clone()).or_default();
            *listeners = listeners.iter().chain(list.iter()).cloned().collect();
        }
        all.any.extend_from_slice(&self.any);
        all.connection.extend_from_slice(&self.connection);
        all.disconnecting.extend_from_slice(&self.disconnecting);
        all.disconnect.extend_from_slice(&self.disconnect);
        all.middlewares.clone_from(&self.middlewares);
        all
    }

    /// Returns whether there is a handler that runs once.
    pub(crate) fn has_once(&self) -> bool {
        let life = [&self.connection, &self.disconnecting, &self.disconnect];
        let life = life.into_iter().flatten();
        self.events.values().flat_map(|list| list.iter()).chain(life).any(Listener::is_once)
    }

    /// Returns the handlers of an event, in the order in which they were added.
    pub(crate) fn find(&self, event: &str) -> Option<Arc<[Listener<H>]>> {
        self.events.get(event).cloned()
    }

    /// Returns the names of the events that have handlers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events.keys().map(|name| name.to_string()).collect()
    }
}
