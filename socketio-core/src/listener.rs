//! Tables of listeners, which are handlers of events. `H` is the type of a handler.

use std::{
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

/// An event and its listeners.
type Named<H> = (Box<str>, Arc<[Listener<H>]>);

/// The number of names up to which each is compared.
const MAX_COMPARED: usize = 8;

/// The listeners of events.
#[derive(Clone, Debug)]
pub struct EventListeners<H> {
    /// Sorted by the length of the name, then by name. A list takes less memory than a map, and most
    /// applications have few events.
    by_name: Vec<Named<H>>,
    /// The listeners of all events.
    pub any: Vec<Listener<H>>,
}

impl<H> Default for EventListeners<H> {
    fn default() -> Self {
        Self { by_name: Vec::new(), any: Vec::new() }
    }
}

impl<H: Clone> EventListeners<H> {
    /// Adds a listener of an event.
    pub fn add(&mut self, event: &str, listener: Listener<H>) -> ListenerId {
        let id = listener.id;
        self.extend(event, &[listener]);
        id
    }

    fn extend(&mut self, event: &str, added: &[Listener<H>]) {
        match self.position(event) {
            Ok(at) => {
                let list = &mut self.by_name[at].1;
                *list = list.iter().chain(added).cloned().collect();
            }
            Err(at) => {
                self.by_name.reserve_exact(1);
                self.by_name.insert(at, (event.into(), added.into()));
            }
        }
    }

    /// Returns the position of an event, or the position to insert it at.
    #[inline]
    fn position(&self, event: &str) -> Result<usize, usize> {
        let order = |(name, _): &Named<H>| {
            // Most names differ in their length.
            name.len().cmp(&event.len()).then_with(|| (**name).cmp(event))
        };
        self.by_name.binary_search_by(order)
    }

    /// Returns the listeners of an event, in the order in which they were added.
    pub fn find(&self, event: &str) -> Option<Arc<[Listener<H>]>> {
        let at = self.position(event).ok()?;
        Some(self.by_name[at].1.clone())
    }

    /// Returns the name of an event, if it has listeners, and its listeners in the order in which
    /// they were added.
    #[inline]
    pub fn get(&self, event: &str) -> (Option<&str>, &[Listener<H>]) {
        let found = match self.by_name.len() {
            // Few names are compared faster than they are searched.
            ..=MAX_COMPARED => self.by_name.iter().find(|(name, _)| **name == *event),
            _ => self.position(event).ok().and_then(|at| self.by_name.get(at)),
        };
        found.map_or((None, &[]), |(name, list)| (Some(name), list))
    }

    /// Removes the listeners of an event. The returned list must be dropped without holding a lock,
    /// as must those of the other functions that remove listeners.
    pub fn remove(&mut self, event: &str) -> Option<Arc<[Listener<H>]>> {
        let at = self.position(event).ok()?;
        Some(self.by_name.remove(at).1)
    }

    /// Removes the listener with this id.
    pub fn remove_listener(&mut self, id: ListenerId) -> Option<Listener<H>> {
        let mut removed = Listener::remove_from(&mut self.any, id);
        self.by_name.retain_mut(|(_, list)| {
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
        let at = self.position(event).ok()?;
        let list = &mut self.by_name[at].1;
        let kept: Arc<[_]> = list.iter().filter(|listener| !listener.is_spent()).cloned().collect();
        if kept.is_empty() {
            return Some(self.by_name.remove(at).1);
        }
        Some(mem::replace(list, kept))
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
            self.extend(event, list);
        }
        self.any.extend_from_slice(&other.any);
    }

    /// Removes the listeners of all named events.
    pub fn remove_all(&mut self) -> Vec<Arc<[Listener<H>]>> {
        mem::take(&mut self.by_name).into_iter().map(|(_, list)| list).collect()
    }

    /// Returns the listeners of all named events.
    pub fn named(&self) -> impl Iterator<Item = &Listener<H>> {
        self.by_name.iter().flat_map(|(_, list)| list.iter())
    }

    /// Returns the names of the events that have listeners, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.by_name.iter().map(|(name, _)| name.to_string()).collect();
        names.sort_unstable();
        names
    }
}
