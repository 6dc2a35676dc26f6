//! Listeners that can be removed.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Weak},
};

use socketio_core::ListenerId;

use crate::{
    manager::{Manager, WeakManager},
    socket::{NamespaceSlot, Socket},
};

/// A listener that has just been added. Returned by `on`, `once`, `on_any` and similar methods.
///
/// It dereferences to the socket or manager that the listener was added to, so that calls can be
/// chained. It may be ignored. Dropping it does not remove the listener.
///
/// ```
/// use socketio_client::{ClientConfig, Manager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), socketio_client::ClientError> {
/// let config = ClientConfig::default().auto_connect(false);
/// let socket = Manager::with_config("http://localhost:3000", config)?.socket("/");
/// socket.on("ping", || async { "pong" }).on("echo", || async { "echo" });
///
/// let listener = socket.on("news", || async {}).listener();
/// assert!(listener.remove());
/// # Ok(()) }
/// ```
pub struct Registration<'a, T> {
    owner: &'a T,
    listener: ListenerHandle,
}

impl<'a> Registration<'a, Socket> {
    pub(crate) fn in_socket(socket: &'a Socket, slot: &Arc<NamespaceSlot>, id: ListenerId) -> Self {
        let place = Place::Socket(Arc::downgrade(slot));
        Self { owner: socket, listener: ListenerHandle { place, id } }
    }
}

impl<'a> Registration<'a, Manager> {
    pub(crate) fn in_manager(manager: &'a Manager, id: ListenerId) -> Self {
        let place = Place::Manager(manager.downgrade());
        Self { owner: manager, listener: ListenerHandle { place, id } }
    }
}

impl<T> Registration<'_, T> {
    /// Returns a handle that removes the listener.
    pub fn listener(&self) -> ListenerHandle {
        self.listener.clone()
    }
}

impl<T> Deref for Registration<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.owner
    }
}

impl<T> fmt::Debug for Registration<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// A handle that removes one listener, whatever its kind. Created by [`Registration::listener`].
///
/// It does not keep the listener or the connection alive, and dropping it does not remove the
/// listener. To remove all listeners of an event, call [`off`](crate::Socket::off) instead.
#[derive(Clone)]
pub struct ListenerHandle {
    place: Place,
    id: ListenerId,
}

/// The holder of a listener.
#[derive(Clone)]
enum Place {
    Socket(Weak<NamespaceSlot>),
    Manager(WeakManager),
}

impl ListenerHandle {
    /// Removes the listener. A run that has started finishes. Returns `false` if there was nothing
    /// to remove: the listener was removed before, was added with `once` and has run, or its
    /// connection was dropped.
    pub fn remove(&self) -> bool {
        match &self.place {
            Place::Socket(slot) => slot.upgrade().is_some_and(|slot| slot.remove_listener(self.id)),
            Place::Manager(manager) => {
                manager.upgrade().is_some_and(|it| it.shared().remove_listener(self.id))
            }
        }
    }
}

impl fmt::Debug for ListenerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListenerHandle").field(&self.id).finish()
    }
}
