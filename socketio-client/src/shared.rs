//! The state that a connection's handles share with its task.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use engineio_parser::{Frames, Transport};
use socketio_core::{Listener, ListenerId};
use tokio::sync::Notify;

use crate::{
    config::ClientConfig,
    driver::Signal,
    error::EmitError,
    manager::{Manager, WeakManager},
    manager_event::ManagerEvent,
    reconnection::Reconnection,
    request::Request,
    socket::NamespaceSlot,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        lock,
    },
};

pub(crate) struct Shared {
    config: ClientConfig,
    /// Lets the task create sockets for handlers without keeping the connection alive.
    manager: WeakManager,
    /// The `maxPayload` of the last server, in bytes, or `usize::MAX` if no server has announced
    /// one.
    max_sent: AtomicUsize,
    /// Whether the connection's task has ended.
    ended: AtomicBool,
    /// Notified when the connection is closed.
    closed: Notify,
    listeners: Mutex<Arc<Vec<Listener<ManagerListener>>>>,
    state: Mutex<ManagerState>,
    signal: Signal,
}

pub(crate) type ManagerListener = Arc<dyn Fn(&ManagerEvent) + Send + Sync>;

/// The part of the state that changes together.
pub(crate) struct ManagerState {
    pub(crate) slots: Vec<Arc<NamespaceSlot>>,
    /// Whether the application has reported a change of the network.
    pub(crate) network_changed: bool,
    pub(crate) reconnection: Reconnection,
    pub(crate) connect_timeout: Option<Duration>,
    /// Whether the connection should be open.
    pub(crate) request: Request,
    pub(crate) status: Status,
}

/// The state of the connection, as its handles see it.
pub(crate) enum Status {
    /// There is no connection, and none is requested.
    Idle,
    /// The connection is requested, opening, closing, or waiting for the next attempt.
    Busy,
    /// The session is open.
    Open { sid: String, transport: Transport },
}

impl Shared {
    pub(crate) fn new(config: ClientConfig, manager: WeakManager) -> Self {
        let state = ManagerState {
            slots: Vec::new(),
            network_changed: false,
            reconnection: config.reconnection.clone(),
            connect_timeout: config.connect_timeout,
            request: Request::None,
            status: Status::Idle,
        };
        Self {
            config,
            manager,
            max_sent: AtomicUsize::new(usize::MAX),
            ended: AtomicBool::new(false),
            closed: Notify::new(),
            listeners: Mutex::default(),
            state: Mutex::new(state),
            signal: Signal::default(),
        }
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Wakes the connection's task when something has changed.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Returns a handle for handlers, or `None` after the last handle was dropped.
    pub(crate) fn manager(&self) -> Option<Manager> {
        self.manager.upgrade()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, ManagerState> {
        lock(&self.state)
    }

    pub(crate) fn request(&self) -> Request {
        self.state().request
    }

    pub(crate) fn reconnection(&self) -> Reconnection {
        self.state().reconnection.clone()
    }

    /// Records the open session.
    pub(crate) fn session_opened(&self, sid: &str, transport: Transport) {
        self.state().status = Status::Open { sid: sid.to_owned(), transport };
    }

    /// Records that no session is open.
    pub(crate) fn session_ended(&self) {
        let mut state = self.state();
        if matches!(state.status, Status::Open { .. }) {
            state.status = Status::Busy;
        }
    }

    /// Records that there is no connection. Wakes the callers that wait for this, unless another
    /// connection is requested.
    pub(crate) fn note_idle(&self) {
        {
            let mut state = self.state();
            if state.request.is_open() {
                return;
            }
            state.status = Status::Idle;
        }
        self.closed.notify_waiters();
    }

    /// Returns whether there is no connection and none is requested.
    fn is_idle(&self) -> bool {
        matches!(self.state().status, Status::Idle)
    }

    /// Waits until there is no connection and none is requested, or the task has ended.
    pub(crate) async fn closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.is_idle() || self.is_ended() {
                return;
            }
            closed.await;
        }
    }

    /// Waits until there is no connection and none is requested, while `find` returns a value.
    pub(crate) async fn closed_with<R>(&self, find: impl Fn() -> Option<R>) -> R {
        loop {
            let closed = self.closed.notified();
            if let Some(found) = find().filter(|_| self.is_idle()) {
                return found;
            }
            closed.await;
        }
    }

    /// Withdraws the request to open the connection, which has been served.
    pub(crate) fn withdraw_request(&self) {
        let mut state = self.state();
        // If a close is pending, or a socket is to be left then joined again, the request is for
        // the next connection.
        let again = state.slots.iter().any(|slot| slot.request() == Request::Reopen);
        if state.request == Request::Open && !again {
            state.request.withdraw();
        }
    }

    /// Returns whether no socket is active, except one that has `left`. If so, withdraws the
    /// request to open the connection, unless the socket that has left is to connect again.
    pub(crate) fn withdraw_if_idle(&self, left: Option<&Arc<NamespaceSlot>>) -> bool {
        // A socket becomes active before it requests the connection, so both are read under the
        // lock.
        let mut state = self.state();
        let has_left = |slot: &Arc<NamespaceSlot>| left.is_some_and(|left| Arc::ptr_eq(left, slot));
        if state.slots.iter().any(|slot| !has_left(slot) && slot.request().is_open()) {
            return false;
        }
        if !left.is_some_and(|slot| slot.request().is_open()) {
            state.request.withdraw();
        }
        true
    }

    /// Records how large a message the server accepts.
    pub(crate) fn set_max_sent(&self, bytes: usize) {
        self.max_sent.store(bytes, Ordering::Relaxed);
    }

    /// Refuses frames that the server would not accept, and all frames after the end of the task.
    pub(crate) fn check(&self, frames: &Frames) -> Result<(), EmitError> {
        if self.is_ended() {
            return Err(EmitError::Stopped);
        }
        let limit = self.max_sent.load(Ordering::Relaxed);
        if frames.iter().any(|frame| frame.len() > limit) {
            return Err(EmitError::TooLarge { limit });
        }
        Ok(())
    }

    /// Returns whether the transport is open. Volatile events need this.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state().status, Status::Open { .. })
    }

    /// Records that the task has ended, and wakes all waiting callers.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.session_ended();
        let slots = std::mem::take(&mut self.state().slots);
        for slot in slots {
            slot.end();
        }
        self.closed.notify_waiters();
    }

    /// Returns whether the task has ended. A caller that waits must check this after it has
    /// registered.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Changes the listeners. Removed listeners are dropped after the lock is released, because
    /// they are user code.
    pub(crate) fn change_listeners<R>(
        &self,
        change: impl FnOnce(&mut Vec<Listener<ManagerListener>>) -> R,
    ) -> R {
        change(Arc::make_mut(&mut lock(&self.listeners)))
    }

    /// Removes a listener. Returns whether it was still there.
    pub(crate) fn remove_listener(&self, id: ListenerId) -> bool {
        self.change_listeners(|listeners| Listener::remove_from(listeners, id)).is_some()
    }

    /// Calls the listeners, which are user code.
    pub(crate) fn notify(&self, event: &ManagerEvent) {
        tracing::debug!(target: "socketio::client", event = event.name(), "an event of the manager");
        let listeners = lock(&self.listeners).clone();
        for listener in listeners.iter() {
            if catch_unwind(AssertUnwindSafe(|| (listener.handler)(event))).is_err() {
                tracing::error!(target: "socketio::client", "a listener of the manager panicked");
            }
        }
    }
}
