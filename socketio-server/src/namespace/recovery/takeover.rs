//! Takeover: a client returns to a session before the server has noticed that its previous
//! connection is lost.
//!
//! ```text
//!       register           leave             hand_over
//! None ─────────► Waiting ───────► Leaving ─────────────► Gone
//!   └──────────────────────────────────────────────────────┘ leave, forfeit
//! ```
//!
//! The claim registers with the socket, and the socket's driver ends the connection. The session
//! goes to the claim after the disconnection handlers have started. A claim that is gone by then
//! leaves the session where a lost connection would have left it.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Instant,
};

use tokio::sync::oneshot;

use crate::{
    client::LINE_LOST,
    namespace::recovery::{log::RecoveryLog, session_transfer::StoreLease, socket::Recoverable},
    socket::inner::SocketInner,
    sync::{Mutex, lock},
};

/// The sockets of a namespace, connected or not, by private id.
#[derive(Default)]
pub(super) struct SocketsByPid(Mutex<HashSet<ByPid>>);

struct ByPid(Arc<SocketInner>);

impl ByPid {
    fn pid(&self) -> &str {
        self.0.recoverable.as_deref().map_or("", |recoverable| recoverable.pid())
    }
}

impl std::borrow::Borrow<str> for ByPid {
    fn borrow(&self) -> &str {
        self.pid()
    }
}

impl Hash for ByPid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pid().hash(state);
    }
}

impl PartialEq for ByPid {
    fn eq(&self, other: &Self) -> bool {
        self.pid() == other.pid()
    }
}

impl Eq for ByPid {}

impl SocketsByPid {
    pub(super) fn insert(&self, socket: &Arc<SocketInner>) {
        let former = lock(&self.0).replace(ByPid(socket.clone()));
        drop(former);
    }

    pub(super) fn remove(&self, socket: &SocketInner) {
        let pid = socket.recoverable.as_deref().map_or("", |recoverable| recoverable.pid());
        let removed = {
            let mut sockets = lock(&self.0);
            let is_this = |it: &ByPid| std::ptr::eq(&raw const *it.0, socket);
            if sockets.get(pid).is_some_and(is_this) { sockets.take(pid) } else { None }
        };
        drop(removed);
    }

    pub(super) fn all(&self) -> Vec<Arc<SocketInner>> {
        lock(&self.0).iter().map(|it| it.0.clone()).collect()
    }

    pub(super) fn get(&self, pid: &str) -> Option<Arc<SocketInner>> {
        lock(&self.0).get(pid).map(|it| it.0.clone())
    }
}

/// Resolves when a socket has left its namespace. Contains its session if an engine keeps sessions.
/// Fails if the session was ended deliberately in the meantime.
pub(crate) type HandedOver = oneshot::Receiver<Option<StoreLease>>;

/// The claim that gets the session of a socket when the socket has left.
#[derive(Default)]
pub(super) enum Successor {
    #[default]
    None,
    Waiting(oneshot::Sender<Option<StoreLease>>),
    Leaving(Box<(oneshot::Sender<Option<StoreLease>>, Option<StoreLease>)>),
    /// The session is no longer the socket's.
    Gone,
}

impl Recoverable {
    /// Registers a claim. Returns `None` if another claim came first or the session has left.
    fn register(&self) -> Option<HandedOver> {
        let mut successor = lock(&self.successor);
        match &*successor {
            Successor::Waiting(other) if !other.is_closed() => return None,
            Successor::None | Successor::Waiting(_) => {}
            Successor::Leaving(_) | Successor::Gone => return None,
        }
        let (sender, handed_over) = oneshot::channel();
        *successor = Successor::Waiting(sender);
        Some(handed_over)
    }

    /// Prepares the session for the claim that waits for it. Returns the session if none does.
    pub(crate) fn leave(&self, session: Option<StoreLease>) -> Option<StoreLease> {
        let mut successor = lock(&self.successor);
        match std::mem::replace(&mut *successor, Successor::Gone) {
            Successor::Waiting(sender) => {
                *successor = Successor::Leaving(Box::new((sender, session)));
                None
            }
            _ => session,
        }
    }

    /// Hands the session to the claim that waits for it. If the claim is gone, the session is
    /// stored.
    pub(crate) fn hand_over(&self) {
        let former = std::mem::replace(&mut *lock(&self.successor), Successor::Gone);
        if let Successor::Leaving(leaving) = former {
            let (sender, session) = *leaving;
            drop(sender.send(session));
        }
    }

    /// Ends the session: a claim that waits for it fails.
    pub(crate) fn forfeit(&self) {
        let former = std::mem::replace(&mut *lock(&self.successor), Successor::Gone);
        drop(former);
    }
}

impl RecoveryLog {
    /// Ends the connection of the socket with this private id, for a client that claimed the
    /// session at `began`. Returns `None` if there is no such socket, or if another claim came
    /// first.
    pub(crate) fn take_over(&self, pid: &str, began: Instant) -> Option<HandedOver> {
        let socket = self.sockets().get(pid)?;
        let recoverable = socket.recoverable.as_deref()?;
        // Two claims at the same time must not take the session from each other in turn.
        if socket.is_connecting() || recoverable.restored_at().is_some_and(|at| at > began) {
            return None;
        }
        let handed_over = recoverable.register()?;
        socket.client.counters.here().recoveries.taken_over.one();
        socket.client.request(LINE_LOST);
        Some(handed_over)
    }
}
