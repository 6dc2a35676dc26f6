//! Handlers by event name. `H` is a handler, whatever that is.

use std::{collections::HashMap, sync::Arc};

/// The handlers of a namespace, or of one socket.
#[derive(Clone)]
pub(crate) struct Table<H> {
    events: HashMap<Box<str>, Arc<[H]>>,
    pub(crate) connection: Vec<H>,
    pub(crate) disconnecting: Vec<H>,
    pub(crate) disconnect: Vec<H>,
    pub(crate) middlewares: Vec<H>,
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Self {
            events: HashMap::new(),
            connection: Vec::new(),
            disconnecting: Vec::new(),
            disconnect: Vec::new(),
            middlewares: Vec::new(),
        }
    }
}

impl<H: Clone> Table<H> {
    /// Adds a handler. What Node's servers listen to as events of a socket's life is that here too; a client cannot
    /// bring them about.
    pub(crate) fn add(&mut self, event: &str, handler: H) {
        match event {
            "connection" | "connect" => return self.connection.push(handler),
            "disconnecting" => return self.disconnecting.push(handler),
            "disconnect" => return self.disconnect.push(handler),
            _ if socketio_parser::is_reserved(event) => {
                tracing::warn!(target: "socketio::namespace", event, "no client can send an event of this name");
            }
            _ => {}
        }
        let handlers = self.events.entry(event.into()).or_default();
        *handlers = handlers.iter().cloned().chain([handler]).collect();
    }

    pub(crate) fn remove(&mut self, event: &str) -> Option<Arc<[H]>> {
        self.events.remove(event)
    }

    /// The handlers of an event, in the order in which they were added.
    pub(crate) fn find(&self, event: &str) -> Option<Arc<[H]>> {
        self.events.get(event).cloned()
    }
}
