//! What the drivers of the clients know of the server.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic::Ordering},
};

use engineio_server::Handle;
use socketio_adapter::Selection;
use socketio_parser::{Nsp, RawJson};
use tokio::sync::watch;

use crate::{
    cluster::join_cluster,
    config::ServerConfig,
    error::HandlerError,
    model::{Namespace, Socket},
    rule::{NamespaceRequest, Params, Rule},
    stats::{Counters, Stats},
};

/// The namespaces by name, and whether the server was closed.
pub(crate) struct Registry {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) counters: Arc<Counters>,
    state: RwLock<State>,
    phase: watch::Sender<Phase>,
}

/// How far the server's end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Closed,
}

#[derive(Default)]
struct State {
    namespaces: HashMap<Nsp, Namespace>,
    /// How many of them were made because a client asked for them.
    dynamic: usize,
    parents: Arc<Vec<Parent>>,
    hooks: Arc<Vec<Hook>>,
}

#[derive(Clone)]
struct Parent {
    rule: Arc<Rule>,
    template: Namespace,
}

type Hook = Arc<dyn Fn(&Namespace) + Send + Sync>;

/// What a client is told of a namespace that it is not let into by name.
const UNKNOWN: &str = "Invalid namespace";

/// A namespace that a client wants into.
pub(crate) enum Door {
    /// The client has entered.
    Open(Namespace),
    /// The application is being told of it, or a parent's function is to be asked.
    Shut,
}

impl Door {
    fn of(namespace: &Namespace, parents: &[Parent]) -> Self {
        let mut asked = parents.iter().take(namespace.0.asked.load(Ordering::Acquire));
        if !namespace.0.gate.is_open() || asked.any(|parent| parent.rule.is_function()) {
            return Self::Shut;
        }
        namespace.0.enter();
        Self::Open(namespace.clone())
    }
}

impl Registry {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        let phase = watch::Sender::new(Phase::Open);
        Self { config, counters: Arc::default(), state: RwLock::default(), phase }
    }

    /// The namespace that the application names: kept from now on, with or without sockets.
    pub(crate) fn of(&self, nsp: Nsp) -> Namespace {
        let known = self.read().namespaces.get(&nsp).cloned();
        if let Some(namespace) = known {
            namespace.0.keep();
            join_cluster(&namespace);
            return namespace;
        }
        let parents = self.read().parents.clone();
        let matching = |(at, parent): (usize, &Parent)| {
            Some((at + 1, parent.clone(), parent.rule.matches(nsp.as_str())?))
        };
        let namespace = match parents.iter().enumerate().find_map(matching) {
            Some((asked, parent, params)) => {
                Namespace::child(&parent.template, nsp.clone(), params, false, asked)
            }
            None => {
                let (config, counters) = (self.config.clone(), self.counters.clone());
                Namespace::new(nsp.clone(), config, counters, parents.len())
            }
        };
        let added = {
            let mut state = self.write();
            let entry = state.namespaces.entry(nsp);
            let added = matches!(entry, std::collections::hash_map::Entry::Vacant(_));
            let namespace = entry.or_insert(namespace).clone();
            namespace.0.keep();
            (added, namespace)
        };
        self.added(added)
    }

    /// Adds a parent: what it is to be called by is its template.
    pub(crate) fn add_parent(&self, rule: Rule) -> Namespace {
        let rule = Arc::new(rule);
        let mut state = self.write();
        let name = format!("/_{}", state.parents.len());
        let (config, counters) = (self.config.clone(), self.counters.clone());
        let template = Namespace::new(Nsp::from(name), config, counters, 0);
        let parent = Parent { rule, template: template.clone() };
        Arc::make_mut(&mut state.parents).push(parent);
        template
    }

    pub(crate) fn on_new(&self, hook: impl Fn(&Namespace) + Send + Sync + 'static) {
        Arc::make_mut(&mut self.write().hooks).push(Arc::new(hook));
    }

    /// The children of a parent.
    pub(crate) fn children(&self, template: &Namespace) -> Vec<Namespace> {
        let state = self.read();
        state.namespaces.values().filter(|it| it.0.is_child_of(template)).cloned().collect()
    }

    /// The namespace that a client asks for, if there is one. Who enters [leaves](Self::leave).
    pub(crate) fn enter(&self, nsp: &Nsp) -> Option<Door> {
        let state = self.read();
        // Under the lock, so that it is not removed meanwhile.
        state.namespaces.get(nsp).map(|namespace| Door::of(namespace, &state.parents))
    }

    /// Enters a namespace, unless it was removed meanwhile.
    fn enter_found(&self, namespace: &Namespace) -> bool {
        let state = self.read();
        let listed = state.namespaces.get(namespace.nsp());
        let listed = listed.is_some_and(|it| Arc::ptr_eq(&it.0, &namespace.0));
        if listed {
            namespace.0.enter();
        }
        listed
    }

    /// A client is no longer in a namespace, nor on its way in. The last one to leave takes a child with it.
    pub(crate) fn leave(&self, namespace: &Namespace) {
        if !namespace.0.leave() || !self.config.cleanup_empty_child_namespaces {
            return;
        }
        let removed = {
            let mut state = self.write();
            let listed = state.namespaces.get(namespace.nsp());
            let listed = listed.is_some_and(|it| Arc::ptr_eq(&it.0, &namespace.0));
            if !listed || !namespace.0.is_idle_child() {
                return;
            }
            state.dynamic -= 1;
            state.namespaces.remove(namespace.nsp())
        };
        drop(removed);
        tracing::debug!(target: "socketio::namespace", nsp = namespace.name(), "removed");
        self.retire(namespace);
    }

    /// A namespace that was removed leaves the cluster, whoever has it still: but not before its handlers have ended, as what
    /// they say in the end is for other nodes as well. They have twice `linger` for that.
    fn retire(&self, namespace: &Namespace) {
        let Some(membership) = namespace.membership().cloned() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return membership.close() };
        let (namespace, linger) = (namespace.clone(), 2 * self.config.engine.get_linger());
        runtime.spawn(async move {
            let _ = tokio::time::timeout(linger, namespace.0.deserted()).await;
            membership.close();
        });
    }

    /// Removes a namespace and disconnects its sockets.
    pub(crate) fn close_namespace(&self, nsp: &Nsp) -> bool {
        let removed = {
            let mut state = self.write();
            let removed = state.namespaces.remove(nsp);
            if removed.as_ref().is_some_and(|it| it.0.is_dynamic()) {
                state.dynamic -= 1;
            }
            removed
        };
        let Some(namespace) = removed else { return false };
        // Whoever has found it and is not listed yet looks at this afterwards.
        namespace.0.close();
        let mut members = Vec::new();
        namespace.hub().select(&Selection::default(), None, &mut members);
        for member in members {
            Socket(member).disconnect();
        }
        self.retire(&namespace);
        true
    }

    pub(crate) fn has_parents(&self) -> bool {
        !self.read().parents.is_empty()
    }

    /// Waits for a namespace that is being made and asks the functions of its parents, or else finds the first parent that
    /// answers for the name, and makes the namespace. The client has entered it.
    pub(crate) async fn resolve(
        self: Arc<Self>,
        nsp: Nsp,
        auth: Option<RawJson>,
        conn: Handle,
    ) -> Result<Namespace, HandlerError> {
        let request = NamespaceRequest { nsp: nsp.clone(), auth, conn };
        let result = loop {
            let found = self.read().namespaces.get(&nsp).cloned();
            let entered = match found {
                Some(namespace) => self.ask(&namespace, &request).await,
                None => self.find_parent(&request).await,
            };
            // Where others were faster, they are asked in turn.
            if let Some(result) = entered.transpose() {
                break result;
            }
        };
        // An error is user code: it speaks here, where a panic is caught.
        result.map_err(|error| error.resolved(&self.config.public_errors).spoken())
    }

    /// Asks the functions of the parents that come before a namespace, its own among them. `None` where it was removed
    /// meanwhile.
    async fn ask(
        &self,
        namespace: &Namespace,
        request: &NamespaceRequest,
    ) -> Result<Option<Namespace>, HandlerError> {
        namespace.0.gate.opened().await;
        let parents = self.read().parents.clone();
        let asked = namespace.0.asked.load(Ordering::Acquire);
        for (at, parent) in parents.iter().enumerate().take(asked) {
            if !parent.rule.is_function() {
                continue;
            }
            let accepted = parent.rule.answers(request).await?.is_some();
            let own = namespace.0.is_child_of(&parent.template);
            if own && !accepted {
                return Err(HandlerError::public(UNKNOWN));
            }
            if accepted && !own {
                self.adopt(namespace, parent, at);
            }
            if accepted {
                break;
            }
        }
        Ok(self.enter_found(namespace).then(|| namespace.clone()))
    }

    /// A parent's function has accepted a namespace: it is that parent's, unless it is another's already.
    fn adopt(&self, namespace: &Namespace, parent: &Parent, at: usize) {
        // Under the lock, so that who else is accepted finds all of the parent's handlers.
        let _state = self.write();
        if namespace.0.child.get().is_none() {
            namespace.adopt(&parent.template, at + 1);
        }
    }

    /// Finds the first parent that answers for a name, and makes the namespace. `None` where others were faster.
    async fn find_parent(
        &self,
        request: &NamespaceRequest,
    ) -> Result<Option<Namespace>, HandlerError> {
        let parents = self.read().parents.clone();
        for (at, parent) in parents.iter().enumerate() {
            if let Some(params) = parent.rule.answers(request).await? {
                return self.make_child(parent, at, &request.nsp, params);
            }
        }
        Err(HandlerError::public(UNKNOWN))
    }

    fn make_child(
        &self,
        parent: &Parent,
        at: usize,
        nsp: &Nsp,
        params: Params,
    ) -> Result<Option<Namespace>, HandlerError> {
        let limit = self.config.max_dynamic_namespaces;
        let child = Namespace::child(&parent.template, nsp.clone(), params, true, at + 1);
        {
            let mut state = self.write();
            if state.namespaces.contains_key(nsp) {
                return Ok(None);
            }
            if state.dynamic >= limit {
                drop(state);
                tracing::debug!(target: "socketio::namespace", limit, "max_dynamic_namespaces");
                return Err(HandlerError::public("too many namespaces"));
            }
            child.0.enter();
            state.dynamic += 1;
            state.namespaces.insert(nsp.clone(), child.clone());
        }
        Ok(Some(self.added((true, child))))
    }

    /// Tells of a namespace that was added, where no lock is held; then clients may enter.
    fn added(&self, (added, namespace): (bool, Namespace)) -> Namespace {
        join_cluster(&namespace);
        if added && !namespace.nsp().is_root() {
            let hooks = self.read().hooks.clone();
            for hook in hooks.iter() {
                if catch_unwind(AssertUnwindSafe(|| hook(&namespace))).is_err() {
                    tracing::error!(target: "socketio::namespace", "a handler of new namespaces panicked");
                }
            }
        }
        if added {
            if self.is_ending() {
                namespace.0.end();
            }
            namespace.0.gate.open();
        }
        namespace
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
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
        self.end();
    }

    pub(crate) fn close(&self) {
        self.phase.send_replace(Phase::Closed);
        self.end();
    }

    fn end(&self) {
        for namespace in self.namespaces() {
            namespace.0.end();
        }
    }

    pub(crate) fn leave_cluster(&self) {
        for membership in self.namespaces().iter().filter_map(Namespace::membership) {
            membership.close();
        }
    }

    /// All namespaces.
    pub(crate) fn namespaces(&self) -> Vec<Namespace> {
        self.read().namespaces.values().cloned().collect()
    }

    /// What was counted, and what the namespaces hold.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        stats.add_counters(&self.counters);
        for namespace in self.namespaces() {
            stats.namespaces += 1;
            stats.sockets += namespace.hub().len() as u64;
            stats.rooms += namespace.hub().count_rooms() as u64;
            if let Some(recorder) = &namespace.0.recorder {
                let log = recorder.log();
                let (events, bytes) = log.size();
                stats.recovery_log.events += events as u64;
                stats.recovery_log.bytes += bytes as u64;
                stats.recovery_log.sessions += log.sessions() as u64;
            }
            let membership = namespace.membership();
            stats.cluster_requests += membership.map_or(0, |it| it.pending()) as u64;
        }
        stats
    }

    /// Waits until the cluster has been told that this node has left.
    pub(crate) async fn left_cluster(&self) {
        for membership in self.namespaces().iter().filter_map(Namespace::membership) {
            membership.left().await;
        }
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
