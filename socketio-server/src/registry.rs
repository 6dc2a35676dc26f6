//! What the drivers of the clients know of the server.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use socketio_parser::Nsp;
use tokio::sync::watch;

use crate::{config::ServerConfig, model::Namespace};

/// The namespaces by name, and whether the server was closed.
pub(crate) struct Registry {
    pub(crate) config: Arc<ServerConfig>,
    namespaces: RwLock<HashMap<Nsp, Namespace>>,
    closed: watch::Sender<bool>,
}

impl Registry {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self { config, namespaces: RwLock::default(), closed: watch::Sender::new(false) }
    }

    pub(crate) fn find(&self, nsp: &Nsp) -> Option<Namespace> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner).get(nsp).cloned()
    }

    pub(crate) fn of(&self, nsp: Nsp) -> Namespace {
        let mut namespaces = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Namespace::new(nsp.clone(), self.config.clone());
        namespaces.entry(nsp.clone()).or_insert_with(new).clone()
    }

    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until the server is closed.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}
