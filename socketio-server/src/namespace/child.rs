//! Namespaces with a parent: a rule that covers their name, with handlers for all of them.

use std::sync::{Arc, atomic::Ordering};

use socketio_parser::Nsp;

use crate::{
    handlers::ConnectHandler,
    namespace::{Namespace, NamespaceInner, rule::Params},
    sync::{
        atomic::{AtomicBool, AtomicUsize},
        write,
    },
};

/// The additional state of a namespace with a parent.
pub(super) struct Child {
    parent: Namespace,
    params: Params,
    origin: Origin,
    /// How many of its middlewares are copies of the parent's. Each CONNECT uses the parent's
    /// current ones instead.
    inherited: usize,
    /// Whether the application has declared it. It is then kept even without sockets.
    declared: AtomicBool,
    /// The number of connections that have entered it or are being decided on.
    users: AtomicUsize,
}

/// How a namespace came to its parent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The application declared it, and its name matches the parent's expression.
    DeclaredByName,
    /// The application declared it, and the parent's function has accepted a client since.
    DeclaredByFunction,
    /// A client requested it, and its name matches the parent's expression.
    DynamicByName,
    /// A client requested it, and the parent's function accepted the client.
    DynamicByFunction,
}

impl Child {
    /// Returns whether the parent covers the name for every client. A parent's function decides for
    /// one client at a time.
    fn is_covered_by_name(&self) -> bool {
        matches!(self.origin, Origin::DeclaredByName | Origin::DynamicByName)
    }

    fn is_dynamic(&self) -> bool {
        matches!(self.origin, Origin::DynamicByName | Origin::DynamicByFunction)
    }
}

impl Namespace {
    /// Creates a child with the current handlers of the parent's template. The parent is the last
    /// of the first `deciding_parents` parents.
    pub(super) fn child(
        template: &Namespace,
        nsp: Nsp,
        params: Params,
        origin: Origin,
        deciding_parents: usize,
    ) -> Self {
        let (config, counters) = (template.0.config.clone(), template.0.counters.clone());
        let this = Self::new(nsp, config, counters, deciding_parents);
        let table = template.table();
        let _ = this.0.child.set(Child {
            parent: template.clone(),
            params,
            origin,
            inherited: table.middlewares.len(),
            declared: AtomicBool::new(origin == Origin::DeclaredByName),
            users: AtomicUsize::new(0),
        });
        let table = if table.has_once() { Arc::new(table.renewed()) } else { table };
        this.0.table_version.store(table.version, Ordering::Release);
        *write(&this.0.table) = table;
        this.0.server_side.precede(&template.0.server_side);
        let outgoing = template.0.has_outgoing.load(Ordering::Relaxed);
        this.0.has_outgoing.store(outgoing, Ordering::Relaxed);
        *write(&this.0.on_error) = template.error_handler();
        this
    }

    /// Makes a namespace that the application declared a child of a parent. The parent's handlers
    /// are inserted before its own.
    pub(super) fn adopt(&self, template: &Namespace) {
        let _ = self.0.child.set(Child {
            parent: template.clone(),
            params: Params::default(),
            origin: Origin::DeclaredByFunction,
            inherited: 0,
            declared: AtomicBool::new(true),
            users: AtomicUsize::new(0),
        });
        let first = template.table();
        self.change_with(|table| *table = table.preceded_by(&first));
        self.0.server_side.precede(&template.0.server_side);
        if template.0.has_outgoing.load(Ordering::Relaxed) {
            self.0.has_outgoing.store(true, Ordering::Relaxed);
        }
        let mut on_error = write(&self.0.on_error);
        *on_error = on_error.take().or_else(|| template.error_handler());
    }

    /// Returns the middlewares that decide on a CONNECT: the current ones of the parent whose
    /// function has accepted the client, those of the parent that covers the name, then the
    /// namespace's own.
    pub(crate) fn middlewares(&self, accepted_by: Option<&Namespace>) -> Vec<ConnectHandler> {
        let child = self.0.child.get();
        let by_name = child.filter(|child| child.is_covered_by_name()).map(|child| &child.parent);
        let parents: Vec<_> = accepted_by.into_iter().chain(by_name).map(Self::table).collect();
        let table = self.table();
        let own = table.middlewares.iter().skip(child.map_or(0, |child| child.inherited));
        let inherited = parents.iter().flat_map(|parent| &parent.middlewares);
        inherited.chain(own).map(|middleware| middleware.handler.clone()).collect()
    }

    /// Returns whether the namespace has a parent.
    pub(crate) fn is_child(&self) -> bool {
        self.0.child.get().is_some()
    }

    /// Returns the parameters that the parent's pattern extracts from the name. They are empty if
    /// the namespace has no parent with a pattern.
    pub fn params(&self) -> Params {
        self.0.child.get().map(|child| child.params.clone()).unwrap_or_default()
    }

    /// Returns a parameter that the parent's pattern extracts from the name.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.0.child.get()?.params.get(name)
    }
}

impl NamespaceInner {
    /// Records that the application declares the namespace, after `parents` parents. They decide on
    /// its clients from now on, as if no client had requested it before.
    pub(crate) fn declare(&self, parents: usize) {
        if let Some(child) = self.child.get()
            && !child.declared.swap(true, Ordering::AcqRel)
            && !child.is_covered_by_name()
        {
            self.deciding_parents.store(parents, Ordering::Release);
        }
    }

    pub(crate) fn is_declared(&self) -> bool {
        self.child.get().is_none_or(|child| child.declared.load(Ordering::Acquire))
    }

    /// Counts a client of a child, so that the child is not removed.
    pub(crate) fn add_user(&self) {
        if let Some(child) = self.child.get() {
            child.users.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Records that a client has left. Returns whether the namespace is now an unused child.
    pub(crate) fn remove_user(&self) -> bool {
        let last = |child: &Child| child.users.fetch_sub(1, Ordering::AcqRel) == 1;
        self.child.get().is_some_and(last) && self.is_idle_child()
    }

    pub(crate) fn is_idle_child(&self) -> bool {
        self.child.get().is_some_and(|child| {
            !child.declared.load(Ordering::Acquire) && child.users.load(Ordering::Acquire) == 0
        })
    }

    pub(crate) fn is_child_of(&self, parent: &Namespace) -> bool {
        self.child.get().is_some_and(|child| Arc::ptr_eq(&child.parent.0, &parent.0))
    }

    pub(crate) fn is_dynamic(&self) -> bool {
        self.child.get().is_some_and(Child::is_dynamic)
    }
}
