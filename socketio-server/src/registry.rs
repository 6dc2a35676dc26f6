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
    phase: watch::Sender<Phase>,
}

/// How far the server's end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Closed,
}

impl Registry {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self { config, namespaces: RwLock::default(), phase: watch::Sender::new(Phase::Open) }
    }

    pub(crate) fn find(&self, nsp: &Nsp) -> Option<Namespace> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner).get(nsp).cloned()
    }

    pub(crate) fn of(&self, nsp: Nsp) -> Namespace {
        let mut namespaces = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Namespace::new(nsp.clone(), self.config.clone());
        namespaces.entry(nsp.clone()).or_insert_with(new).clone()
    }

    /// From now on a connection that this side closes was closed with the server.
    pub(crate) fn drain(&self) {
        self.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Draining;
            }
            open
        });
    }

    pub(crate) fn close(&self) {
        self.phase.send_replace(Phase::Closed);
    }

    /// Whether the server is being drained or was closed.
    pub(crate) fn is_ending(&self) -> bool {
        *self.phase.borrow() != Phase::Open
    }

    /// Waits until the server is closed.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`.
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Closed).await;
    }
}
