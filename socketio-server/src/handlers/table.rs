//! The listeners of a namespace or a socket. `H` is the type of a handler.

use std::{mem, sync::Arc};

pub(crate) use socketio_core::{EventListeners, Listener, ListenerId};

use crate::handlers::{Erased, OutgoingListener};

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
        let events = self.events.remove_all();
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
        let removed = lists.into_iter().find_map(|list| Listener::remove_from(list, id));
        let listeners = removed.or_else(|| self.events.remove_listener(id)).into_iter().collect();
        let outgoing = self.outgoing.iter().any(|listener| listener.id() == id);
        let outgoing = outgoing
            .then(|| Listener::remove_from(Arc::make_mut(&mut self.outgoing), id))
            .flatten();
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
        self.events.named().chain(lifecycle.into_iter().flatten()).any(Listener::is_once)
    }

    /// Returns the names of the events that have listeners.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events.names()
    }
}
