//! The state that a connection's handles share with its task.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use engineio_parser::{Frames, Transport};
use socketio_core::{Listener, ListenerId};
use socketio_parser::Nsp;
use tokio::sync::Notify;

use crate::{
    config::{ClientConfig, SocketConfig},
    driver::Signal,
    error::{ConnectError, DisconnectReason, EmitError},
    manager::{Manager, ManagerEvent, WeakManager},
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
struct ManagerState {
    slots: Vec<Arc<NamespaceSlot>>,
    /// Whether the application has reported a change of the network.
    network_changed: bool,
    reconnection: Reconnection,
    connect_timeout: Option<Duration>,
    /// Whether the connection should be open.
    request: Request,
    status: Status,
}

/// The requests of a connection's handles since the last call.
pub(crate) struct ManagerRequests {
    /// Whether the connection is to be closed.
    pub(crate) close: bool,
    pub(crate) network_changed: bool,
    /// The namespaces that were added.
    pub(crate) added: Vec<Arc<NamespaceSlot>>,
}

/// The state of the connection, as its handles see it.
enum Status {
    /// There is no connection, and none is requested.
    Idle,
    /// The connection is requested, opening, closing, or waiting for the next attempt.
    Busy,
    /// The session is open.
    Open { sid: Arc<str>, transport: Transport },
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

    fn state(&self) -> MutexGuard<'_, ManagerState> {
        lock(&self.state)
    }

    /// Returns a namespace, created with the given options if it does not exist.
    pub(crate) fn find_or_add(&self, nsp: Nsp, config: SocketConfig) -> Arc<NamespaceSlot> {
        let mut state = self.state();
        let known = state.slots.iter().find(|slot| *slot.nsp() == nsp).cloned();
        known.unwrap_or_else(|| {
            let slot = Arc::new(NamespaceSlot::new(nsp, config, self.config.parser));
            state.slots.push(slot.clone());
            slot
        })
    }

    pub(crate) fn has(&self, nsp: &Nsp) -> bool {
        self.state().slots.iter().any(|slot| slot.nsp() == nsp)
    }

    pub(crate) fn request(&self) -> Request {
        self.state().request
    }

    /// Requests that the connection is opened.
    pub(crate) fn request_open(&self) {
        {
            let mut state = self.state();
            state.request.open();
            if matches!(state.status, Status::Idle) {
                state.status = Status::Busy;
            }
        }
        self.signal.request_made();
    }

    /// Requests that the connection is closed. Its sockets are disconnected, and callers that wait
    /// for them fail.
    pub(crate) fn request_close(&self) {
        let mut connecting = Vec::new();
        {
            let mut state = self.state();
            state.request.close();
            // Under the lock, because the connection's task must not handle `close` before all
            // sockets are marked.
            for slot in &state.slots {
                connecting.append(&mut slot.disconnect());
            }
        }
        // Fails pending `connect` calls here, so that calls from now on wait for the next
        // connection.
        for waiting in connecting {
            let _ = waiting.send(Err(ConnectError::Closed(DisconnectReason::ForcedClose)));
        }
        self.signal.request_made();
    }

    /// Records that the network has changed.
    pub(crate) fn network_changed(&self) {
        self.state().network_changed = true;
        self.signal.request_made();
    }

    /// Takes the requests of the handles. The first `known` namespaces are not returned.
    pub(crate) fn take_requests(&self, known: usize) -> ManagerRequests {
        let mut state = self.state();
        ManagerRequests {
            close: state.request.take_close(),
            network_changed: std::mem::take(&mut state.network_changed),
            added: state.slots.iter().skip(known).cloned().collect(),
        }
    }

    /// Connects a socket with `connect`, unless the connection is to be closed. The lock is held,
    /// because [`request_close`](Self::request_close) must find the socket either connected or not
    /// granted.
    pub(crate) fn connect_socket<R>(&self, connect: impl FnOnce() -> Option<R>) -> Option<R> {
        let state = self.state();
        if state.request.is_closing() { None } else { connect() }
    }

    pub(crate) fn reconnection(&self) -> Reconnection {
        self.state().reconnection.clone()
    }

    pub(crate) fn set_reconnection(&self, reconnection: Reconnection) {
        self.state().reconnection = reconnection;
        self.signal.request_made();
    }

    pub(crate) fn connect_timeout(&self) -> Option<Duration> {
        self.state().connect_timeout
    }

    pub(crate) fn set_connect_timeout(&self, timeout: Option<Duration>) {
        self.state().connect_timeout = timeout;
    }

    /// Returns the id and the transport of the open session.
    pub(crate) fn open_session(&self) -> Option<(Arc<str>, Transport)> {
        match &self.state().status {
            Status::Open { sid, transport } => Some((sid.clone(), *transport)),
            Status::Idle | Status::Busy => None,
        }
    }

    /// Records the open session, and how large a message its server accepts.
    pub(crate) fn session_opened(&self, sid: &str, transport: Transport, max_sent: usize) {
        self.max_sent.store(max_sent, Ordering::Relaxed);
        self.state().status = Status::Open { sid: sid.into(), transport };
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
