//! Handlers by event name. `H` is the type of a handler.

use std::collections::HashMap;

use socketio_core::Listener;

/// The handlers of a socket. `connect`, `disconnect` and `connect_error` have reserved names that
/// the server cannot send.
#[derive(Clone)]
pub(crate) struct Table<H> {
    events: HashMap<Box<str>, Vec<Listener<H>>>,
    any: Vec<Listener<H>>,
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Self { events: HashMap::new(), any: Vec::new() }
    }
}

impl<H: Clone> Table<H> {
    pub(crate) fn add(&mut self, event: &str, handler: H, once: bool) {
        let listeners = self.events.entry(event.into()).or_default();
        listeners.retain(|listener| !listener.is_spent());
        listeners.push(if once { Listener::once(handler) } else { Listener::new(handler) });
    }

    pub(crate) fn remove(&mut self, event: &str) {
        self.events.remove(event);
    }

    pub(crate) fn add_any(&mut self, handler: H, first: bool) {
        let at = if first { 0 } else { self.any.len() };
        self.any.insert(at, Listener::new(handler));
    }

    pub(crate) fn remove_any(&mut self, which: impl Fn(&H) -> bool) {
        self.any.retain(|listener| !which(&listener.handler));
    }

    pub(crate) fn clear_any(&mut self) {
        self.any.clear();
    }

    /// Returns the handlers of all events.
    pub(crate) fn any(&self) -> &[Listener<H>] {
        &self.any
    }

    /// Returns the name of an event, if it has handlers, and its handlers in the order in which
    /// they were added.
    pub(crate) fn of(&self, event: &str) -> (Option<&str>, &[Listener<H>]) {
        let known = self.events.get_key_value(event);
        known.map_or((None, &[]), |(name, listeners)| (Some(name), listeners))
    }

    /// Removes the one-time handlers of an event that have run.
    pub(crate) fn prune(&mut self, event: &str) {
        if let Some(listeners) = self.events.get_mut(event) {
            listeners.retain(|listener| !listener.is_spent());
            if listeners.is_empty() {
                self.events.remove(event);
            }
        }
    }

    /// Returns the names of the events that have handlers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events.keys().map(|name| name.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_keep_their_order_and_one_time_handlers_are_removed() {
        let mut table = Table::default();
        table.add("say", 1, false);
        table.add("say", 2, true);
        table.add_any(3, false);
        table.add_any(4, true);
        let run = |table: &Table<i32>| {
            let all = table.any().iter().chain(table.of("say").1);
            all.filter(|it| it.take()).map(|it| it.handler).collect::<Vec<_>>()
        };
        assert_eq!(run(&table), [4, 3, 1, 2]);
        assert_eq!(run(&table), [4, 3, 1]);
        let once = |table: &Table<i32>| table.of("say").1.iter().any(Listener::is_once);
        assert!(once(&table));
        table.prune("say");
        assert!(!once(&table));
        table.remove("say");
        table.remove_any(|handler| *handler == 4);
        assert_eq!(run(&table), [3]);
        table.clear_any();
        assert!(run(&table).is_empty() && table.names().is_empty());
    }
}
