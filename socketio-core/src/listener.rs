//! Tables of listeners, which are handlers of events. `H` is the type of a handler.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Identifies a listener among all listeners of the process. The default identifies none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerId(u64);

/// A handler with its id.
#[derive(Clone, Debug)]
pub struct Listener<H> {
    id: ListenerId,
    /// The handler.
    pub handler: H,
    /// Set if the handler runs only once: whether it has run.
    spent: Option<Arc<AtomicBool>>,
}

impl<H> Listener<H> {
    /// Creates a listener that runs for each event.
    pub fn new(handler: H) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = ListenerId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { id, handler, spent: None }
    }

    /// Creates a listener that runs once.
    pub fn once(handler: H) -> Self {
        Self { spent: Some(Arc::default()), ..Self::new(handler) }
    }

    /// Returns the id of the listener.
    pub fn id(&self) -> ListenerId {
        self.id
    }

    /// Adds the listener to the end of a list.
    pub fn append_to(self, list: &mut Vec<Self>) -> ListenerId {
        let id = self.id;
        list.push(self);
        id
    }

    /// Adds the listener to the start of a list.
    pub fn prepend_to(self, list: &mut Vec<Self>) -> ListenerId {
        let id = self.id;
        list.insert(0, self);
        id
    }

    /// Removes a listener from a list.
    pub fn remove_from(list: &mut Vec<Self>, id: ListenerId) -> Option<Self> {
        let at = list.iter().position(|listener| listener.id == id)?;
        Some(list.remove(at))
    }

    /// Returns whether the handler may run. A handler that runs once gets `true` only once, from
    /// any thread.
    pub fn take(&self) -> bool {
        self.spent.as_ref().is_none_or(|spent| !spent.swap(true, Ordering::Relaxed))
    }

    /// Returns whether the handler runs only once.
    pub fn is_once(&self) -> bool {
        self.spent.is_some()
    }

    /// Returns the listener with another type of handler.
    #[must_use]
    pub fn map<G>(self, map: impl FnOnce(H) -> G) -> Listener<G> {
        Listener { id: self.id, handler: map(self.handler), spent: self.spent }
    }

    /// Returns the same handler, not yet run.
    #[must_use]
    pub fn renewed(&self) -> Self
    where
        H: Clone,
    {
        let spent = self.spent.is_some().then(Arc::default);
        Self { id: self.id, handler: self.handler.clone(), spent }
    }

    /// Returns whether the handler runs only once and has run.
    pub fn is_spent(&self) -> bool {
        self.spent.as_ref().is_some_and(|spent| spent.load(Ordering::Relaxed))
    }
}

/// The listeners of events.
#[derive(Clone, Debug)]
pub struct EventListeners<H> {
    // Compared, not hashed: most applications have few events.
    by_name: BTreeMap<Box<str>, Arc<[Listener<H>]>>,
    /// The listeners of all events.
    pub any: Vec<Listener<H>>,
}

impl<H> Default for EventListeners<H> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), any: Vec::new() }
    }
}

impl<H: Clone> EventListeners<H> {
    /// Adds a listener of an event.
    pub fn add(&mut self, event: &str, listener: Listener<H>) -> ListenerId {
        let id = listener.id;
        let list = self.by_name.entry(event.into()).or_default();
        *list = list.iter().cloned().chain([listener]).collect();
        id
    }

    /// Returns the listeners of an event, in the order in which they were added.
    pub fn find(&self, event: &str) -> Option<Arc<[Listener<H>]>> {
        self.by_name.get(event).cloned()
    }

    /// Returns the name of an event, if it has listeners, and its listeners in the order in which
    /// they were added.
    pub fn get(&self, event: &str) -> (Option<&str>, &[Listener<H>]) {
        let known = self.by_name.get_key_value(event);
        known.map_or((None, &[]), |(name, list)| (Some(name), list))
    }

    /// Removes the listeners of an event. The returned list must be dropped without holding a lock,
    /// as must those of the other functions that remove listeners.
    pub fn remove(&mut self, event: &str) -> Option<Arc<[Listener<H>]>> {
        self.by_name.remove(event)
    }

    /// Removes the listener with this id.
    pub fn remove_listener(&mut self, id: ListenerId) -> Option<Listener<H>> {
        let mut removed = Listener::remove_from(&mut self.any, id);
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
    pub fn prune(&mut self, event: &str) -> Option<Arc<[Listener<H>]>> {
        let former = self.by_name.remove(event)?;
        if former.iter().any(|listener| !listener.is_spent()) {
            let kept = former.iter().filter(|listener| !listener.is_spent()).cloned().collect();
            self.by_name.insert(event.into(), kept);
        }
        Some(former)
    }

    /// Returns the same listeners for another namespace, in which listeners that run once may run
    /// again.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let by_name = self.by_name.iter().map(|(event, list)| {
            let renewed = list.iter().map(Listener::renewed).collect();
            (event.clone(), renewed)
        });
        Self { by_name: by_name.collect(), any: self.any.clone() }
    }

    /// Adds the listeners of `other` after these.
    pub fn append(&mut self, other: &Self) {
        for (event, list) in &other.by_name {
            let listeners = self.by_name.entry(event.clone()).or_default();
            *listeners = listeners.iter().chain(list.iter()).cloned().collect();
        }
        self.any.extend_from_slice(&other.any);
    }

    /// Removes the listeners of all named events.
    pub fn remove_all(&mut self) -> Vec<Arc<[Listener<H>]>> {
        mem::take(&mut self.by_name).into_values().collect()
    }

    /// Returns the listeners of all named events.
    pub fn named(&self) -> impl Iterator<Item = &Listener<H>> {
        self.by_name.values().flat_map(|list| list.iter())
    }

    /// Returns the names of the events that have listeners.
    pub fn names(&self) -> Vec<String> {
        self.by_name.keys().map(|name| name.to_string()).collect()
    }
}
