//! The state of a socket: its namespace, its client, its handlers and its data.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{self, Ordering},
    },
};

use bytestring::ByteString;
use engineio_server::{
    Frames,
    internal::{OutgoingMessage, Refusal, Session, count_refused, send_with},
};
use socketio_parser::RawJson;
use tokio::sync::Notify;

use crate::{
    client::Client,
    error::EmitError,
    handlers::table::Table,
    namespace::{Namespace, hub::Member, recovery::Recoverable},
    socket::stored::Stored,
    sync::{Mutex, atomic::AtomicU8, lock, step},
};

pub(crate) struct SocketInner {
    pub(crate) id: ByteString,
    pub(crate) namespace: Namespace,
    pub(crate) client: Arc<Client>,
    /// Boxed, because most clients send none.
    pub(crate) auth: Option<Box<RawJson>>,
    /// Becomes `CONNECTED` under the lock of the session, in the same step as the response to the
    /// CONNECT is queued. Read under this lock before a packet is queued. A DISCONNECT is queued
    /// after the state is `DISCONNECTED`, so no packet of the socket follows it. Always an atomic of
    /// `std`, because the threads of a model must not change under the lock of the session.
    state: atomic::AtomicU8,
    /// The ways of leaving that wait for earlier events.
    leaving: AtomicU8,
    /// Set if the namespace has connection state recovery.
    pub(crate) recoverable: Option<Box<Recoverable>>,
    /// The handlers of this socket. They often hold the socket itself, so they are dropped when its
    /// connection ends.
    handlers: Mutex<Option<Box<Table>>>,
    /// Whether there are handlers. Changes under their lock.
    handlers_state: AtomicU8,
    stored: Mutex<Option<Box<Stored>>>,
    gone: Notify,
}

const CONNECTING: u8 = 0;
const CONNECTED: u8 = 1;
const DISCONNECTED: u8 = 2;

/// The socket has no handlers of its own.
const NO_HANDLERS: u8 = 0;
/// The socket has, or has had, handlers of its own.
const HANDLERS: u8 = 1;
/// The handlers were dropped, and none can be added.
const HANDLERS_DROPPED: u8 = 2;

/// How the server makes a socket leave. Each is a bit of its own.
#[derive(Clone, Copy)]
pub(crate) enum Leave {
    Namespace = 1,
    Connection = 2,
}

impl SocketInner {
    pub(crate) fn new(
        id: ByteString,
        namespace: Namespace,
        client: Arc<Client>,
        auth: Option<RawJson>,
        recoverable: Option<Box<Recoverable>>,
        stored: Option<Box<Stored>>,
    ) -> Self {
        let state = atomic::AtomicU8::new(CONNECTING);
        namespace.0.socket_created();
        Self {
            id,
            namespace,
            client,
            auth: auth.map(Box::new),
            state,
            leaving: AtomicU8::new(0),
            recoverable,
            handlers: Mutex::default(),
            handlers_state: AtomicU8::new(NO_HANDLERS),
            stored: Mutex::new(stored),
            gone: Notify::new(),
        }
    }

    /// Runs an action after all events that were emitted before. Each way of leaving waits only once
    /// per socket, which limits the waiting actions.
    pub(crate) fn leave_after_events(self: &Arc<Self>, way: Leave, act: fn(&Self)) {
        if !self.is_connected() {
            return act(self);
        }
        if self.leaving.fetch_or(way as u8, Ordering::AcqRel) & way as u8 == 0 {
            let socket = self.clone();
            self.namespace.after_events_unlimited(move || act(&socket));
        }
    }

    fn state(&self) -> u8 {
        step();
        let state = self.state.load(Ordering::Acquire);
        step();
        state
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.state() == CONNECTING
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state() == CONNECTED
    }

    pub(crate) fn is_disconnected(&self) -> bool {
        self.state() == DISCONNECTED
    }

    /// Returns whether packets of the socket may be queued. As long as the session is locked, no
    /// DISCONNECT is queued.
    pub(crate) fn may_send(&self, _locked: &Session) -> bool {
        self.state.load(Ordering::Acquire) != DISCONNECTED
    }

    /// Returns whether this is its namespace's current socket with its id. A client that recovers
    /// its session gets another socket with the same id.
    pub(crate) fn is_member(self: &Arc<Self>) -> bool {
        let successor = |it: Arc<Self>| !Arc::ptr_eq(&it, self);
        !self.is_disconnected() || !self.namespace.hub().get(&self.id).is_some_and(successor)
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.recoverable.as_ref().is_some_and(|it| it.from().is_some())
    }

    /// Marks the socket as connected, in the same step as the response to its CONNECT is queued. A
    /// client that has the response therefore misses no event. A socket that was disconnected in
    /// the meantime stays disconnected.
    pub(crate) fn set_connected(&self, _locked: &mut Session) {
        let (from, to) = (CONNECTING, CONNECTED);
        let _ = self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Marks the socket as disconnected. Returns whether it was not disconnected before.
    pub(crate) fn set_disconnected(&self) -> bool {
        step();
        let first = self.state.swap(DISCONNECTED, Ordering::AcqRel) != DISCONNECTED;
        step();
        if first {
            self.gone.notify_waiters();
        }
        first
    }

    /// Waits until the socket is disconnected.
    pub(crate) async fn disconnected(&self) {
        let mut gone = pin!(self.gone.notified());
        gone.as_mut().enable();
        if !self.is_disconnected() {
            gone.await;
        }
    }

    pub(crate) fn send(&self, message: OutgoingMessage<'_>) -> Result<(), EmitError> {
        let sent = send_with(&self.client.handle, |session| match self.may_send(session) {
            true => session.send_message(message),
            false => Err(Refusal::Closed),
        });
        sent.map_err(|refusal| match refusal {
            Refusal::Full => {
                count_refused(&self.client.handle);
                self.client.counters.here().events.queue_full.one();
                EmitError::Full
            }
            Refusal::Closed => EmitError::Disconnected,
        })
    }

    /// Sends frames only if they can be written at once. Returns whether they were sent.
    pub(crate) fn send_volatile(&self, frames: Frames) -> Result<bool, EmitError> {
        let sent = send_with(&self.client.handle, |session| {
            self.may_send(session).then(|| session.send_volatile(frames))
        });
        let sent = sent.ok_or(EmitError::Disconnected)?;
        if !sent {
            self.client.counters.here().events.volatile_dropped.one();
        }
        Ok(sent)
    }

    /// Changes the handlers of this socket, unless they were dropped already.
    pub(crate) fn change_handlers<R: Default>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut handlers = lock(&self.handlers);
        if self.handlers_state.load(Ordering::Acquire) == HANDLERS_DROPPED {
            return R::default();
        }
        self.handlers_state.store(HANDLERS, Ordering::Release);
        change(handlers.get_or_insert_default())
    }

    /// Returns whether the socket has, or has had, handlers of its own.
    #[inline]
    pub(crate) fn has_handlers(&self) -> bool {
        self.handlers_state.load(Ordering::Acquire) == HANDLERS
    }

    /// Reads the handlers of this socket.
    #[inline]
    pub(crate) fn with_handlers<R: Default>(&self, read: impl FnOnce(&Table) -> R) -> R {
        if !self.has_handlers() {
            return R::default();
        }
        let handlers = lock(&self.handlers);
        handlers.as_deref().map(read).unwrap_or_default()
    }

    /// Changes the application's data of the socket. The caller must drop the returned value
    /// without holding a lock.
    pub(crate) fn change_stored<R>(&self, change: impl FnOnce(&mut Stored) -> R) -> R {
        let mut stored = lock(&self.stored);
        change(stored.get_or_insert_default())
    }

    /// Reads the application's data of the socket.
    pub(crate) fn with_stored<R>(&self, read: impl FnOnce(&Stored) -> Option<R>) -> Option<R> {
        let stored = lock(&self.stored);
        stored.as_deref().and_then(read)
    }

    /// Copies the application's data of the socket.
    pub(crate) fn copy_stored(&self) -> Option<Box<Stored>> {
        lock(&self.stored).clone()
    }

    /// Drops the handlers of this socket.
    pub(crate) fn drop_handlers(&self) {
        let table = {
            let mut handlers = lock(&self.handlers);
            self.handlers_state.store(HANDLERS_DROPPED, Ordering::Release);
            handlers.take()
        };
        drop(table);
    }
}

impl Drop for SocketInner {
    fn drop(&mut self) {
        self.namespace.0.socket_dropped();
    }
}

impl SocketInner {
    /// Returns whether this is the same socket, not another one with the same id.
    pub(crate) fn is(&self, other: &Arc<Self>) -> bool {
        std::ptr::eq(self, &raw const **other)
    }
}

impl Member for Arc<SocketInner> {
    fn id(&self) -> &ByteString {
        &self.id
    }
}
