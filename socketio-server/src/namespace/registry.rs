//! The server's state that the clients' drivers share.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

use engineio_server::{Handle, internal::settings};
use socketio_adapter::Selection;
use socketio_parser::{Nsp, RawJson};
use tokio::sync::watch;

use crate::{
    config::ServerConfig,
    error::HandlerError,
    namespace::{
        Namespace,
        child::Origin,
        recovery::RecoveryLog,
        rule::{NamespaceRequest, Params, Rule},
    },
    socket::Socket,
    stats::{Counters, Stats},
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, read, write},
};

/// The namespaces by name, and whether the server was closed.
pub(crate) struct Registry {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) counters: Arc<Counters>,
    state: RwLock<State>,
    phase: watch::Sender<Phase>,
}

/// The phase of the server's shutdown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Closed,
}

#[derive(Default)]
struct State {
    namespaces: HashMap<Nsp, Namespace>,
    /// The number of namespaces that were created because a client requested them.
    dynamic: usize,
    /// At least the next ack id of each namespace that was removed.
    next_ack_id: u64,
    parents: Arc<Vec<Parent>>,
    hooks: Arc<Vec<Hook>>,
}

#[derive(Clone)]
struct Parent {
    rule: Arc<Rule>,
    template: Namespace,
}

type Hook = Arc<dyn Fn(&Namespace) + Send + Sync>;

/// The message for a client whose requested namespace does not exist or does not accept it.
const UNKNOWN: &str = "Invalid namespace";

/// The result of a client's request to enter a namespace.
pub(crate) enum Entry {
    Entered(Entered),
    /// The client has to wait, because the application's listeners are running or a parent's
    /// function has to be asked.
    Undecided,
}

/// A namespace that a client has entered.
pub(crate) struct Entered {
    pub(crate) namespace: Namespace,
    /// The template of the parent whose function has accepted the client.
    pub(crate) accepted_by: Option<Namespace>,
}

impl Entry {
    fn of(namespace: &Namespace, parents: &[Parent]) -> Self {
        let mut deciding =
            parents.iter().take(namespace.0.deciding_parents.load(Ordering::Acquire));
        if !namespace.0.gate.is_open() || deciding.any(|parent| parent.rule.is_function()) {
            return Self::Undecided;
        }
        namespace.0.add_user();
        Self::Entered(Entered { namespace: namespace.clone(), accepted_by: None })
    }
}

impl State {
    fn insert(&mut self, namespace: Namespace) {
        if namespace.0.is_dynamic() {
            self.dynamic += 1;
        }
        // The ack of an event of a removed namespace may be on its way. It must not be taken for the
        // ack of an event of this namespace, which may have the same name.
        namespace.0.ack_ids.fetch_max(self.next_ack_id, Ordering::Relaxed);
        self.namespaces.insert(namespace.nsp().clone(), namespace);
    }

    fn remove(&mut self, nsp: &Nsp) -> Option<Namespace> {
        let namespace = self.namespaces.remove(nsp)?;
        if namespace.0.is_dynamic() {
            self.dynamic -= 1;
        }
        self.next_ack_id = self.next_ack_id.max(namespace.0.ack_ids.load(Ordering::Relaxed));
        Some(namespace)
    }
}

impl Registry {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        let phase = watch::Sender::new(Phase::Open);
        Self { config, counters: Arc::default(), state: RwLock::default(), phase }
    }

    /// Returns the namespace that the application declares. It is kept from now on, with or without
    /// sockets.
    pub(crate) fn of(&self, nsp: Nsp) -> Namespace {
        let (known, parents) = {
            let state = self.read();
            (state.namespaces.get(&nsp).cloned(), state.parents.clone())
        };
        if let Some(namespace) = known {
            namespace.0.declare(parents.len());
            namespace.join_cluster();
            return namespace;
        }
        let matching = |(at, parent): (usize, &Parent)| {
            Some((at + 1, parent.clone(), parent.rule.matches(nsp.as_str())?))
        };
        let namespace = match parents.iter().enumerate().find_map(matching) {
            Some((deciding, parent, params)) => {
                let origin = Origin::DeclaredByName;
                Namespace::child(&parent.template, nsp.clone(), params, origin, deciding)
            }
            None => {
                let (config, counters) = (self.config.clone(), self.counters.clone());
                Namespace::new(nsp.clone(), config, counters, parents.len())
            }
        };
        let added = {
            let mut state = self.write();
            let known = state.namespaces.get(&nsp).cloned();
            let added = known.is_none();
            let namespace = known.unwrap_or(namespace);
            if added {
                state.insert(namespace.clone());
            }
            namespace.0.declare(parents.len());
            (added, namespace)
        };
        self.added(added)
    }

    /// Returns a namespace that no client can enter.
    pub(crate) fn detached(&self, nsp: Nsp) -> Namespace {
        Namespace::new(nsp, self.config.clone(), self.counters.clone(), 0)
    }

    /// Adds a parent. Returns its template, which collects the parent's handlers.
    pub(crate) fn add_parent(&self, rule: Rule) -> Namespace {
        let rule = Arc::new(rule);
        let mut state = self.write();
        let name = format!("/_{}", state.parents.len());
        let template = self.detached(Nsp::unchecked(&name));
        let parent = Parent { rule, template: template.clone() };
        Arc::make_mut(&mut state.parents).push(parent);
        template
    }

    pub(crate) fn on_new(&self, hook: impl Fn(&Namespace) + Send + Sync + 'static) {
        Arc::make_mut(&mut self.write().hooks).push(Arc::new(hook));
    }

    /// Returns the children of a parent.
    pub(crate) fn children(&self, template: &Namespace) -> Vec<Namespace> {
        let state = self.read();
        state.namespaces.values().filter(|it| it.0.is_child_of(template)).cloned().collect()
    }

    /// Enters the requested namespace, if it exists. After entering, the caller must
    /// [leave](Self::leave) it.
    pub(crate) fn enter_namespace(&self, nsp: &Nsp) -> Option<Entry> {
        let state = self.read();
        // Under the lock, so that the namespace is not removed in the meantime.
        state.namespaces.get(nsp).map(|namespace| Entry::of(namespace, &state.parents))
    }

    /// Enters a namespace, unless it was removed in the meantime.
    fn enter_found(&self, namespace: &Namespace) -> bool {
        let state = self.read();
        let listed = state.namespaces.get(namespace.nsp());
        let listed = listed.is_some_and(|it| Arc::ptr_eq(&it.0, &namespace.0));
        if listed {
            namespace.0.add_user();
        }
        listed
    }

    /// Records that a client has left a namespace, or will not enter it. Removes a child when the
    /// last client leaves.
    pub(crate) fn leave(&self, namespace: &Namespace) {
        if !namespace.0.remove_user() || !self.config.cleanup_empty_child_namespaces {
            return;
        }
        let removed = {
            let mut state = self.write();
            let listed = state.namespaces.get(namespace.nsp());
            let listed = listed.is_some_and(|it| Arc::ptr_eq(&it.0, &namespace.0));
            if !listed || !namespace.0.is_idle_child() {
                return;
            }
            state.remove(namespace.nsp())
        };
        drop(removed);
        tracing::debug!(target: "socketio::namespace", nsp = namespace.name(), "an empty child namespace was removed");
        self.retire(namespace);
    }

    /// Makes a removed namespace leave the cluster, even if it is still referenced. It leaves only
    /// after its handlers have finished, because events sent by them also go to the other nodes.
    /// They have twice `linger` for that.
    fn retire(&self, namespace: &Namespace) {
        let Some(membership) = namespace.membership().cloned() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return membership.close() };
        let (namespace, linger) = (namespace.clone(), 2 * settings(&self.config.engine).linger);
        runtime.spawn(async move {
            let _ = tokio::time::timeout(linger, namespace.0.all_sockets_dropped()).await;
            membership.close();
        });
    }

    /// Removes a namespace and disconnects its sockets.
    pub(crate) fn close_namespace(&self, nsp: &Nsp) -> bool {
        let removed = self.write().remove(nsp);
        let Some(namespace) = removed else { return false };
        // A connection that has found the namespace, but is not yet a member, checks this flag
        // afterwards.
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

    /// Enters a namespace that is under construction or has to be accepted by a function, or
    /// creates it as a child of the first parent that covers the name. Afterwards the client has
    /// entered the namespace.
    pub(crate) async fn resolve(
        self: Arc<Self>,
        nsp: Nsp,
        auth: Option<RawJson>,
        conn: Handle,
    ) -> Result<Entered, HandlerError> {
        let request = NamespaceRequest { nsp: nsp.clone(), auth, conn };
        let result = loop {
            let found = self.read().namespaces.get(&nsp).cloned();
            let entered = match found {
                Some(namespace) => self.ask_parents(&namespace, &request).await,
                None => self.find_parent(&request).await,
            };
            // If another task has created or removed the namespace in the meantime, try again.
            if let Some(result) = entered.transpose() {
                break result;
            }
        };
        // An error's message is user code, so it is formatted here, where a panic is caught.
        result.map_err(|error| error.resolved(&self.config.public_errors).formatted())
    }

    /// Asks the functions of the parents declared before a namespace, including its own parent,
    /// until one accepts the client. The result does not depend on clients that entered before.
    /// Returns `None` if the namespace was removed in the meantime.
    async fn ask_parents(
        &self,
        namespace: &Namespace,
        request: &NamespaceRequest,
    ) -> Result<Option<Entered>, HandlerError> {
        namespace.0.gate.opened().await;
        let parents = self.read().parents.clone();
        let deciding = namespace.0.deciding_parents.load(Ordering::Acquire);
        let mut accepted_by = None;
        for parent in parents.iter().take(deciding).filter(|parent| parent.rule.is_function()) {
            if parent.rule.params_for(request).await?.is_some() {
                self.adopt(namespace, parent);
                accepted_by = Some(parent.template.clone());
                break;
            }
            if namespace.0.is_child_of(&parent.template) && !namespace.0.is_declared() {
                return Err(HandlerError::public(UNKNOWN));
            }
        }
        let entered = || Entered { namespace: namespace.clone(), accepted_by };
        Ok(self.enter_found(namespace).then(entered))
    }

    /// Makes a namespace accepted by a parent's function a child of that parent, unless it has a
    /// parent already.
    fn adopt(&self, namespace: &Namespace, parent: &Parent) {
        if namespace.0.child.get().is_some() {
            return;
        }
        // Under the lock, so that a client accepted at the same time finds all of the parent's
        // handlers.
        let _state = self.write();
        if namespace.0.child.get().is_none() {
            namespace.adopt(&parent.template);
        }
    }

    /// Finds the first parent that covers a name, and creates the namespace. Returns `None` if
    /// another task was faster.
    async fn find_parent(
        &self,
        request: &NamespaceRequest,
    ) -> Result<Option<Entered>, HandlerError> {
        let parents = self.read().parents.clone();
        for (at, parent) in parents.iter().enumerate() {
            if let Some(params) = parent.rule.params_for(request).await? {
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
    ) -> Result<Option<Entered>, HandlerError> {
        let limit = self.config.max_dynamic_namespaces;
        let (origin, accepted_by) = match parent.rule.is_function() {
            true => (Origin::DynamicByFunction, Some(parent.template.clone())),
            false => (Origin::DynamicByName, None),
        };
        let child = Namespace::child(&parent.template, nsp.clone(), params, origin, at + 1);
        {
            let mut state = self.write();
            if state.namespaces.contains_key(nsp) {
                return Ok(None);
            }
            if state.dynamic >= limit {
                drop(state);
                tracing::debug!(target: "socketio::namespace", limit, "`max_dynamic_namespaces` namespaces exist already");
                return Err(HandlerError::public("too many namespaces"));
            }
            child.0.add_user();
            state.insert(child.clone());
        }
        Ok(Some(Entered { namespace: self.added((true, child)), accepted_by }))
    }

    /// Calls the listeners for new namespaces, without holding a lock. Afterwards clients may
    /// enter.
    fn added(&self, (added, namespace): (bool, Namespace)) -> Namespace {
        namespace.join_cluster();
        if added && !namespace.nsp().is_root() {
            let hooks = self.read().hooks.clone();
            for hook in hooks.iter() {
                if catch_unwind(AssertUnwindSafe(|| hook(&namespace))).is_err() {
                    tracing::error!(target: "socketio::namespace", "a listener for new namespaces panicked");
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
        read(&self.state)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        write(&self.state)
    }

    /// Marks the server as draining. A connection that the server closes from now on was closed by
    /// the shutdown.
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

    /// Returns all namespaces.
    pub(crate) fn namespaces(&self) -> Vec<Namespace> {
        self.read().namespaces.values().cloned().collect()
    }

    /// Returns the counters, and the numbers of sockets and rooms of the namespaces.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        stats.add_counters(&self.counters);
        for namespace in self.namespaces() {
            stats.namespaces += 1;
            stats.sockets += namespace.hub().len() as u64;
            stats.rooms += namespace.hub().count_rooms() as u64;
            if let Some(size) = namespace.recovery_log().map(RecoveryLog::size) {
                stats.recovery_log.events += size.events as u64;
                stats.recovery_log.bytes += size.bytes as u64;
                stats.recovery_log.sessions += size.sessions as u64;
            }
            let membership = namespace.membership();
            stats.cluster_requests += membership.map_or(0, |it| it.pending()) as u64;
        }
        stats
    }

    /// Waits until the other nodes have been told that this one has left.
    pub(crate) async fn left_cluster(&self) {
        for membership in self.namespaces().iter().filter_map(Namespace::membership) {
            membership.left().await;
        }
    }

    /// Returns whether the server is being drained or was closed.
    pub(crate) fn is_ending(&self) -> bool {
        *self.phase.borrow() != Phase::Open
    }

    /// Waits until the server is closed.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`.
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Closed).await;
    }
}
