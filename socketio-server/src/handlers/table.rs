//! The listeners of a namespace or a socket. `H` is the type of a handler.

use std::{
    any::Any,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub(crate) use socketio_core::{EventListeners, Listener, ListenerId};

use crate::handlers::{
    ConnectHandler, DisconnectHandler, EventHandler, EventMiddleware, OutgoingListener,
};

/// All listeners of a namespace, or of one socket.
#[derive(Clone, Default)]
pub(crate) struct Table {
    /// Differs from that of every other table of a namespace with other listeners.
    pub(crate) version: u64,
    pub(crate) events: EventListeners<EventHandler>,
    pub(crate) connection: Vec<Listener<ConnectHandler>>,
    pub(crate) disconnecting: Vec<Listener<DisconnectHandler>>,
    pub(crate) disconnect: Vec<Listener<DisconnectHandler>>,
    /// Middlewares of a namespace, which run before CONNECT is accepted.
    pub(crate) middlewares: Vec<Listener<ConnectHandler>>,
    /// Middlewares of a socket, which run before the handlers of its events.
    pub(crate) event_middlewares: Vec<Listener<EventMiddleware>>,
    /// Listeners of outgoing events.
    pub(crate) outgoing: Arc<Vec<Listener<OutgoingListener>>>,
}

/// Listeners that have been removed from a [`Table`]. Must be dropped without holding a lock.
#[derive(Default)]
pub(crate) struct Removed(Vec<Box<dyn Any + Send>>);

impl Removed {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn one<T: Any + Send>(listener: T) -> Self {
        Self(vec![Box::new(listener)])
    }
}

impl Table {
    pub(crate) fn next_version() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a listener. The names of a socket's life are those that Node's servers use, and no
    /// client can send them.
    pub(crate) fn add(&mut self, event: &str, listener: Listener<EventHandler>) -> ListenerId {
        match event {
            "connection" | "connect" => listener
                .map(|handler| -> ConnectHandler {
                    Arc::new(move |context| handler(&mut context.clone().into_event()?))
                })
                .append_to(&mut self.connection),
            "disconnecting" => {
                listener.map(|it| on_end(it, "disconnecting")).append_to(&mut self.disconnecting)
            }
            "disconnect" => {
                listener.map(|it| on_end(it, "disconnect")).append_to(&mut self.disconnect)
            }
            _ => {
                if socketio_parser::is_reserved(event) {
                    tracing::warn!(target: "socketio::namespace", event, "the name of this event is reserved, so its handler will never run");
                }
                self.events.add(event, listener)
            }
        }
    }

    pub(crate) fn remove(&mut self, event: &str) -> Removed {
        match event {
            "connection" | "connect" => Removed::one(mem::take(&mut self.connection)),
            "disconnecting" => Removed::one(mem::take(&mut self.disconnecting)),
            "disconnect" => Removed::one(mem::take(&mut self.disconnect)),
            _ => self.events.remove(event).map(Removed::one).unwrap_or_default(),
        }
    }

    /// Removes the listeners of all named events, including those of a socket's life.
    pub(crate) fn remove_all(&mut self) -> Removed {
        Removed::one((
            self.events.remove_all(),
            mem::take(&mut self.connection),
            mem::take(&mut self.disconnecting),
            mem::take(&mut self.disconnect),
        ))
    }

    pub(crate) fn remove_listener(&mut self, id: ListenerId) -> Removed {
        fn from<H: 'static>(list: &mut Vec<Listener<H>>, id: ListenerId) -> Option<Removed>
        where
            Listener<H>: Send,
        {
            Listener::remove_from(list, id).map(Removed::one)
        }
        from(&mut self.connection, id)
            .or_else(|| from(&mut self.disconnecting, id))
            .or_else(|| from(&mut self.disconnect, id))
            .or_else(|| from(&mut self.middlewares, id))
            .or_else(|| from(&mut self.event_middlewares, id))
            .or_else(|| self.events.remove_listener(id).map(Removed::one))
            .or_else(|| {
                let found = self.outgoing.iter().any(|listener| listener.id() == id);
                found.then(|| from(Arc::make_mut(&mut self.outgoing), id)).flatten()
            })
            .unwrap_or_default()
    }

    /// Removes the listeners of an event that run once and have run.
    pub(crate) fn prune(&mut self, event: &str) -> Removed {
        fn spent<H: 'static>(list: &mut Vec<Listener<H>>) -> Removed
        where
            Listener<H>: Send,
        {
            let (spent, kept) = mem::take(list).into_iter().partition(Listener::is_spent);
            *list = kept;
            Removed::one::<Vec<_>>(spent)
        }
        match event {
            "connection" | "connect" => spent(&mut self.connection),
            "disconnecting" => spent(&mut self.disconnecting),
            "disconnect" => spent(&mut self.disconnect),
            _ => self.events.prune(event).map(Removed::one).unwrap_or_default(),
        }
    }

    /// Returns the same listeners for another namespace, in which listeners that run once may run
    /// again.
    pub(crate) fn renewed(&self) -> Self {
        fn renewed<H: Clone>(list: &[Listener<H>]) -> Vec<Listener<H>> {
            list.iter().map(Listener::renewed).collect()
        }
        Self {
            version: Self::next_version(),
            events: self.events.renewed(),
            connection: renewed(&self.connection),
            disconnecting: renewed(&self.disconnecting),
            disconnect: renewed(&self.disconnect),
            middlewares: self.middlewares.clone(),
            event_middlewares: Vec::new(),
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
        let mut ends = self.disconnecting.iter().chain(&self.disconnect);
        self.events.named().any(Listener::is_once)
            || self.connection.iter().any(Listener::is_once)
            || ends.any(Listener::is_once)
    }

    /// Returns the names of the events that have listeners.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events.names()
    }
}

/// Adapts a handler that was registered under the name of a disconnection event.
fn on_end(handler: EventHandler, event: &'static str) -> DisconnectHandler {
    Arc::new(move |context| handler(&mut context.clone().into_event(event)?))
}
