//! The state of a namespace: its handlers, its sockets, its parent and its life.

use std::{
    pin::pin,
    sync::{
        Arc, OnceLock, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use socketio_parser::Nsp;
use tokio::sync::Notify;

use crate::{
    config::ServerConfig,
    handlers::{ErrorHandler, table::Table},
    namespace::{
        Namespace,
        cluster::{Membership, ServerHandlers},
        delivery::Delivery,
        hub::Hub,
        rule::Params,
    },
    socket::{Socket, inner::SocketInner},
    stats::Counters,
};

/// A listener for changes of the shared values of sockets.
type SharedListener = Box<dyn Fn(&Socket) + Send + Sync>;

pub(crate) struct NamespaceInner {
    pub(crate) nsp: Nsp,
    pub(crate) hub: Hub<Arc<SocketInner>>,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) counters: Arc<Counters>,
    /// The listeners. The table is replaced as a whole when it changes, so an event only takes a
    /// reference.
    pub(crate) table: RwLock<Arc<Table>>,
    /// The version of the table, so that a driver need not lock the table to see that it has not
    /// changed.
    pub(crate) table_version: AtomicU64,
    pub(crate) on_error: RwLock<Option<ErrorHandler>>,
    /// Whether the namespace or one of its sockets has, or has had, a listener for outgoing events.
    pub(crate) has_outgoing: AtomicBool,
    /// One counter of ack ids for all sockets, so that a broadcast that requests acks is encoded
    /// once.
    pub(crate) ack_ids: AtomicU64,
    /// Set if the namespace has a parent: from its creation, or since a parent's function has
    /// accepted it.
    pub(crate) child: OnceLock<Child>,
    /// The number of parents whose functions are asked at each CONNECT: those declared before the
    /// namespace, or up to its own parent.
    pub(crate) deciding_parents: AtomicUsize,
    pub(crate) closed: AtomicBool,
    /// Whether the namespace or the server is being closed.
    pub(crate) ending: AtomicBool,
    pub(crate) gate: Gate,
    pub(crate) delivery: Delivery,
    /// Present if there is an adapter.
    pub(crate) membership: Option<Arc<Membership>>,
    /// The number of sockets in existence, connected or not. Their handlers may still be running.
    pub(crate) sockets: AtomicUsize,
    /// Notified when the last socket is dropped.
    pub(crate) deserted: Notify,
    pub(crate) server_side: ServerHandlers,
    /// Called when the shared value of a socket has changed. Set by the Admin UI.
    pub(crate) on_shared: OnceLock<SharedListener>,
}

/// Keeps clients out of a namespace until the application's listeners for new namespaces have
/// returned.
#[derive(Default)]
pub(crate) struct Gate {
    open: AtomicBool,
    opened: Notify,
}

impl Gate {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.opened.notify_waiters();
    }

    /// Waits until the gate is open.
    pub(crate) async fn opened(&self) {
        let mut opened = pin!(self.opened.notified());
        opened.as_mut().enable();
        if !self.is_open() {
            opened.await;
        }
    }
}

/// The additional state of a namespace with a parent.
pub(crate) struct Child {
    pub(crate) parent: Namespace,
    pub(crate) params: Params,
    pub(crate) origin: Origin,
    /// How many of its middlewares are copies of the parent's. Each CONNECT uses the parent's
    /// current ones instead.
    pub(crate) inherited: usize,
    /// Whether the application has declared it. It is then kept even without sockets.
    pub(crate) declared: AtomicBool,
    /// The number of connections that have entered it or are being decided on.
    pub(crate) users: AtomicUsize,
}

/// How a namespace came to its parent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
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
    pub(crate) fn is_covered_by_name(&self) -> bool {
        matches!(self.origin, Origin::DeclaredByName | Origin::DynamicByName)
    }

    fn is_dynamic(&self) -> bool {
        matches!(self.origin, Origin::DynamicByName | Origin::DynamicByFunction)
    }
}

impl Drop for NamespaceInner {
    /// Leaves the cluster.
    fn drop(&mut self) {
        if let Some(membership) = &self.membership {
            membership.close();
        }
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

    /// Waits until all sockets of the namespace have been dropped.
    pub(crate) async fn deserted(&self) {
        loop {
            let mut gone = pin!(self.deserted.notified());
            gone.as_mut().enable();
            if self.sockets.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    }

    pub(crate) fn is_dynamic(&self) -> bool {
        self.child.get().is_some_and(Child::is_dynamic)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.end();
    }

    /// Marks the namespace as ending. From now on no client can recover a session.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        if let Some(log) = self.delivery.log() {
            log.notify_sessions_changed();
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}
