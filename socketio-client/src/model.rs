//! The types of the client that refer to each other. Their methods are in files of their own.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engineio_parser::{Frames, Transport};
use socketio_parser::{AckId, Args, Nsp, Parser};
use tokio::sync::{Notify, oneshot};

use crate::{
    config::{ClientConfig, SocketConfig},
    error::{ConnectError, DisconnectReason, EmitError, HandlerError},
    manager_event::ManagerEvent,
    outbox::Outbox,
    reconnect::Reconnection,
    request::Request,
    retries::Retries,
    signal::Signal,
    table::Table,
    url::Target,
    waiter::Waiter,
};

/// One connection to a server, which reconnects when it is lost. A clone is another handle of the
/// same connection. The connection ends when the last handle is dropped; sockets are handles too.
/// Events emitted before are still sent while the runtime is alive, within
/// [`close_timeout`](crate::ClientConfig::close_timeout).
///
/// ```no_run
/// use socketio_client::Manager;
///
/// # fn main() -> Result<(), socketio_client::ClientError> {
/// let manager = Manager::new("https://example.com")?;
/// let root = manager.socket("/");
/// let admin = manager.socket("/admin"); // over the same connection
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Manager(pub(crate) Arc<Owner>);

/// The part that only handles share. Dropping it stops the connection's task.
pub(crate) struct Owner(pub(crate) Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.signal.stop();
    }
}

/// The state shared by the handles and the connection's task.
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) config: ClientConfig,
    /// Lets the task create sockets for handlers without keeping the connection alive.
    pub(crate) owner: Weak<Owner>,
    /// The `maxPayload` of the last server, in bytes, or `usize::MAX` if no server has announced
    /// one.
    max_sent: AtomicUsize,
    /// Whether the connection's task has ended.
    ended: AtomicBool,
    /// Notified when the connection is closed.
    pub(crate) closed: Notify,
    listeners: Mutex<Arc<[ManagerListener]>>,
    state: Mutex<ManagerState>,
    /// Wakes the connection's task when something has changed.
    pub(crate) signal: Signal,
}

pub(crate) type ManagerListener = Arc<dyn Fn(&ManagerEvent) + Send + Sync>;

pub(crate) struct ManagerState {
    pub(crate) slots: Vec<Arc<NamespaceSlot>>,
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
    pub(crate) fn new(target: Target, config: ClientConfig, owner: Weak<Owner>) -> Self {
        let state = ManagerState {
            slots: Vec::new(),
            reconnection: config.reconnection.clone(),
            connect_timeout: config.connect_timeout,
            request: Request::None,
            status: Status::Idle,
        };
        Self {
            target,
            config,
            owner,
            max_sent: AtomicUsize::new(usize::MAX),
            ended: AtomicBool::new(false),
            closed: Notify::new(),
            listeners: Mutex::new(Arc::new([])),
            state: Mutex::new(state),
            signal: Signal::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, ManagerState> {
        lock(&self.state)
    }

    pub(crate) fn listeners(&self) -> Arc<[ManagerListener]> {
        lock(&self.listeners).clone()
    }

    /// Changes the listeners. Removed listeners are dropped after the lock is released, because
    /// they are user code.
    pub(crate) fn change_listeners(
        &self,
        change: impl FnOnce(&[ManagerListener]) -> Arc<[ManagerListener]>,
    ) {
        let former = {
            let mut listeners = lock(&self.listeners);
            let changed = change(&listeners);
            std::mem::replace(&mut *listeners, changed)
        };
        drop(former);
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

    /// Records how large a message the server accepts.
    pub(crate) fn set_max_sent(&self, bytes: usize) {
        self.max_sent.store(bytes, Ordering::Relaxed);
    }

    /// Refuses frames that are too large for the server.
    pub(crate) fn check_size(&self, frames: &Frames) -> Result<(), EmitError> {
        let limit = self.max_sent.load(Ordering::Relaxed);
        if frames.iter().any(|frame| frame.len() > limit) {
            return Err(EmitError::TooLarge { limit });
        }
        Ok(())
    }

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
}

/// One namespace of a connection, with its events, handlers and acks. A clone is another handle of
/// the same socket.
///
/// The socket lives as long as its [`Manager`] has handles, and a socket is such a handle. A
/// handler should take the `Socket` as an argument. A handler that captures it keeps the connection
/// alive forever.
///
/// ```no_run
/// use socketio_client::{Data, Socket};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = socketio_client::connect("http://localhost:3000/chat").await?;
/// socket.on("said", |Data(text): Data<String>| async move { println!("{text}") });
/// socket.on("ping?", |socket: Socket| async move { socket.id().unwrap_or_default() }); // answers
/// socket.emit("say", "hello")?;
/// let users: Vec<String> = socket.emit_with_ack("users?", &()).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Socket {
    pub(crate) slot: Arc<NamespaceSlot>,
    pub(crate) manager: Manager,
}

/// The state of one namespace, shared by the handles and the connection's task.
pub(crate) struct NamespaceSlot {
    pub(crate) nsp: Nsp,
    pub(crate) config: SocketConfig,
    pub(crate) parser: Parser,
    pub(crate) has_outgoing: AtomicBool,
    /// Notified when the outgoing queue has room again.
    pub(crate) room: Notify,
    state: Mutex<NamespaceState>,
    table: Mutex<Arc<Table<Erased>>>,
    outgoing: Mutex<Arc<[OutgoingListener]>>,
    next_ack: AtomicU64,
}

pub(crate) type OutgoingListener = Arc<dyn Fn(&Args) + Send + Sync>;

pub(crate) struct NamespaceState {
    /// Whether the namespace should be joined.
    pub(crate) request: Request,
    /// The socket's id while it is connected.
    pub(crate) id: Option<Arc<str>>,
    pub(crate) recovered: bool,
    /// Counts the joins of the namespace. Acks of an earlier join are not sent.
    pub(crate) epoch: u64,
    pub(crate) outbox: Outbox<Waiter>,
    pub(crate) retries: Retries<Waiter>,
    /// Acks that nobody waits for any more.
    pub(crate) abandoned_acks: Vec<AckId>,
    /// Callers that wait for the next `connect` or `connect_error`.
    pub(crate) connecting: Vec<oneshot::Sender<Result<(), ConnectError>>>,
}

impl NamespaceState {
    /// Marks the socket as disconnecting. Queued packets still belong to the current connection, if
    /// there is one.
    pub(crate) fn end(&mut self) {
        if self.id.take().is_some() {
            self.outbox.end();
        }
    }
}

impl NamespaceSlot {
    pub(crate) fn new(nsp: Nsp, config: SocketConfig, parser: Parser) -> Self {
        let (packets, bytes) = (config.max_queued_packets, config.max_queued_bytes);
        let state = NamespaceState {
            request: Request::None,
            id: None,
            recovered: false,
            epoch: 0,
            outbox: Outbox::new(packets, bytes),
            retries: Retries::new(packets, bytes),
            abandoned_acks: Vec::new(),
            connecting: Vec::new(),
        };
        Self {
            nsp,
            config,
            parser,
            has_outgoing: AtomicBool::new(false),
            room: Notify::new(),
            state: Mutex::new(state),
            table: Mutex::default(),
            outgoing: Mutex::new(Arc::new([])),
            next_ack: AtomicU64::new(0),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, NamespaceState> {
        lock(&self.state)
    }

    /// Fails all waiting callers, and removes the handlers, which also ends the event streams.
    fn end(&self) {
        let waiting = {
            let mut state = self.state();
            state.id = None;
            std::mem::take(&mut state.connecting)
        };
        for waiting in waiting {
            let _ = waiting.send(Err(ConnectError::Stopped));
        }
        self.change_table(|table| *table = Table::default());
        self.room.notify_waiters();
    }

    /// Returns the next ack id. As in Node, ids count up.
    pub(crate) fn next_ack(&self) -> AckId {
        self.next_ack.fetch_add(1, Ordering::Relaxed).into()
    }

    pub(crate) fn table(&self) -> Arc<Table<Erased>> {
        lock(&self.table).clone()
    }

    /// Changes the handlers. Removed handlers are dropped after the lock is released, because they
    /// are user code.
    pub(crate) fn change_table(&self, change: impl FnOnce(&mut Table<Erased>)) {
        let former = {
            let mut table = lock(&self.table);
            let mut changed = Table::clone(&table);
            change(&mut changed);
            std::mem::replace(&mut *table, Arc::new(changed))
        };
        drop(former);
    }

    pub(crate) fn outgoing(&self) -> Arc<[OutgoingListener]> {
        lock(&self.outgoing).clone()
    }

    /// Changes the outgoing listeners. Removed listeners are dropped after the lock is released.
    pub(crate) fn change_outgoing(
        &self,
        change: impl FnOnce(&[OutgoingListener]) -> Arc<[OutgoingListener]>,
    ) {
        let former = {
            let mut listeners = lock(&self.outgoing);
            let changed = change(&listeners);
            self.has_outgoing.store(!changed.is_empty(), Ordering::Relaxed);
            std::mem::replace(&mut *listeners, changed)
        };
        drop(former);
    }
}

/// The data of an event, from which extractors take their arguments.
#[derive(Clone)]
pub struct Context {
    pub(crate) socket: Socket,
    pub(crate) args: Option<Args>,
    pub(crate) responder: Option<Responder>,
    pub(crate) reason: Option<DisconnectReason>,
    pub(crate) description: Option<Arc<str>>,
    /// Boxed, because events are moved often and have no error.
    pub(crate) error: Option<Box<ConnectError>>,
}

/// Sends the ack of an event to the server, once.
#[derive(Clone)]
pub(crate) struct Responder {
    pub(crate) socket: Socket,
    pub(crate) id: AckId,
    pub(crate) epoch: u64,
    pub(crate) answered: Arc<AtomicBool>,
}

pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// A handler of any type, erased.
pub(crate) type Erased = Arc<Callback>;

pub(crate) type Callback = dyn Fn(Context) -> Result<HandlerFuture, HandlerError> + Send + Sync;

/// Locks a mutex and ignores poisoning. The guarded data is consistent at every await and call.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ack_ids_count_up() {
        let slot = NamespaceSlot::new(Nsp::root(), SocketConfig::default(), Parser::default());
        let ids: Vec<_> = (0..3).filter_map(|_| slot.next_ack().get()).collect();
        assert_eq!(ids, [0, 1, 2]);
    }
}
