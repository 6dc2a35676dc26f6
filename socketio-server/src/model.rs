//! The types that refer to each other: a socket to its namespace, a namespace to its sockets and
//! handlers, a handler to the socket it is called for. The methods of each type are in a file of
//! its own.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;
use engineio_server::{Frames, Handle, SendError};
use socketio_parser::{AckId, AckRefused, Args, Connection, Nsp, RawJson};
use tokio::sync::Notify;

use crate::{
    ack_room::{AckRoom, NoRoom},
    cluster::{Clustered, ServerHandlers},
    config::ServerConfig,
    error::{AckError, DisconnectReason, EmitError, HandlerError},
    hub::{Hub, Member},
    recovery::{Recorder, Recoverable},
    rule::Params,
    stats::Counters,
    stored::Stored,
    table::Table,
    waiter::Waiter,
};

/// A client in a namespace. A clone costs one reference count.
///
/// Handlers take it as an argument. It may be stored and used from any task. Sending to a socket
/// that is disconnected fails with [`EmitError::Disconnected`].
///
/// ```
/// use socketio_server::{Data, Server, Socket};
///
/// let io = Server::new();
/// io.on_connection(|socket: Socket| async move {
///     socket.join("lobby")?;
///     socket.to("lobby").emit("joined", socket.id())?; // to the others
///     let name: String = socket.emit_with_ack("name?", &()).await?;
///     socket.on("rename", |socket: Socket, Data(name): Data<String>| async move {
///         socket.emit("renamed", &name)?;
///         Ok(())
///     });
///     socket.emit("welcome", &(name, 1))?;
///     Ok(())
/// });
/// ```
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

pub(crate) struct SocketInner {
    pub(crate) id: ByteString,
    pub(crate) namespace: Namespace,
    pub(crate) client: Arc<Client>,
    pub(crate) auth: Option<RawJson>,
    state: AtomicU8,
    /// Set if the namespace has connection state recovery.
    pub(crate) recoverable: Option<Box<Recoverable>>,
    own: Mutex<SocketHandlers>,
    stored: Mutex<Option<Box<Stored>>>,
    pub(crate) gone: Notify,
}

/// The handlers of one socket. They often hold the socket itself, so they are dropped when its
/// connection ends.
#[derive(Default)]
struct SocketHandlers {
    table: Option<Box<Table<Erased>>>,
    outgoing: Option<Arc<Vec<OutgoingListener>>>,
    closed: bool,
}

const CONNECTING: u8 = 0;
const CONNECTED: u8 = 1;
const DISCONNECTED: u8 = 2;

impl SocketInner {
    pub(crate) fn new(
        id: ByteString,
        namespace: Namespace,
        client: Arc<Client>,
        auth: Option<RawJson>,
        recoverable: Option<Box<Recoverable>>,
        stored: Option<Box<Stored>>,
    ) -> Self {
        let state = AtomicU8::new(CONNECTING);
        namespace.0.sockets.fetch_add(1, Ordering::AcqRel);
        Self {
            id,
            namespace,
            client,
            auth,
            state,
            recoverable,
            own: Mutex::default(),
            stored: stored.into(),
            gone: Notify::new(),
        }
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.state.load(Ordering::Acquire) == CONNECTING
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.load(Ordering::Acquire) == CONNECTED
    }

    pub(crate) fn is_disconnected(&self) -> bool {
        self.state.load(Ordering::Acquire) == DISCONNECTED
    }

    /// Returns whether this is its namespace's current socket with its id. A client that recovers
    /// its session gets another socket with the same id.
    pub(crate) fn is_member(self: &Arc<Self>) -> bool {
        let successor = |it: Arc<Self>| !Arc::ptr_eq(&it, self);
        !self.is_disconnected() || !self.namespace.0.hub.get(&self.id).is_some_and(successor)
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.recoverable.as_ref().is_some_and(|it| it.from.is_some())
    }

    /// Marks the socket as connected. A socket that was disconnected in the meantime stays
    /// disconnected.
    pub(crate) fn set_connected(&self) {
        let (from, to) = (CONNECTING, CONNECTED);
        let _ = self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Marks the socket as disconnected. Returns whether it was not disconnected before.
    pub(crate) fn set_disconnected(&self) -> bool {
        let first = self.state.swap(DISCONNECTED, Ordering::AcqRel) != DISCONNECTED;
        if first {
            self.gone.notify_waiters();
            self.client.ack_room.freed();
        }
        first
    }

    pub(crate) fn send(&self, frames: Frames) -> Result<(), EmitError> {
        if self.is_disconnected() {
            return Err(EmitError::Disconnected);
        }
        self.client.handle.send_frames(frames).map_err(|error| match error {
            SendError::Full(_) => {
                self.client.counters.here().events.queue_full.one();
                EmitError::Full
            }
            _ => EmitError::Disconnected,
        })
    }

    /// Sends frames only if they can be written at once. Returns whether they were sent.
    pub(crate) fn send_volatile(&self, frames: Frames) -> Result<bool, EmitError> {
        if self.is_disconnected() {
            return Err(EmitError::Disconnected);
        }
        let sent = self.client.handle.send_volatile(frames);
        if !sent {
            self.client.counters.here().events.volatile_dropped.one();
        }
        Ok(sent)
    }

    /// Changes the handlers of this socket, unless they were dropped already.
    pub(crate) fn change_own<R: Default>(&self, change: impl FnOnce(&mut Table<Erased>) -> R) -> R {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.closed { R::default() } else { change(own.table.get_or_insert_default()) }
    }

    pub(crate) fn add_outgoing(&self, listener: OutgoingListener) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if !own.closed {
            Arc::make_mut(own.outgoing.get_or_insert_default()).push(listener);
        }
    }

    pub(crate) fn take_outgoing(&self) -> Option<Arc<Vec<OutgoingListener>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).outgoing.take()
    }

    pub(crate) fn own_outgoing(&self) -> Option<Arc<Vec<OutgoingListener>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).outgoing.clone()
    }

    /// Reads the handlers of this socket.
    pub(crate) fn look_at_own<R: Default>(&self, look: impl FnOnce(&Table<Erased>) -> R) -> R {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.table.as_deref().map(look).unwrap_or_default()
    }

    /// Changes the application's data of the socket. The caller must drop the returned value
    /// without holding a lock.
    pub(crate) fn change_stored<R>(&self, change: impl FnOnce(&mut Stored) -> R) -> R {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        change(stored.get_or_insert_default())
    }

    /// Reads the application's data of the socket.
    pub(crate) fn look_at_stored<R>(&self, look: impl FnOnce(&Stored) -> Option<R>) -> Option<R> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.as_deref().and_then(look)
    }

    /// Copies the application's data of the socket.
    pub(crate) fn copy_stored(&self) -> Option<Box<Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops the handlers of this socket.
    pub(crate) fn close_own(&self) {
        let table = {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.closed = true;
            (own.table.take(), own.outgoing.take())
        };
        drop(table);
    }
}

impl Drop for SocketInner {
    fn drop(&mut self) {
        if self.namespace.0.sockets.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.namespace.0.deserted.notify_waiters();
        }
    }
}

impl Member for Arc<SocketInner> {
    fn id(&self) -> &ByteString {
        &self.id
    }
}

/// One connection with all its namespaces.
pub(crate) struct Client {
    pub(crate) handle: Handle,
    machine: Mutex<Connection<Waiter>>,
    /// Requests of other tasks to the driver. They are flags and hold no sockets, because there may
    /// be no driver left to take them out.
    asked: AtomicU8,
    /// Events that wait for room in the state machine's table of acks.
    pub(crate) ack_room: AckRoom,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) counters: Arc<Counters>,
}

/// Writes the beginning of the session's id, for logs. With the whole id, a reader of the log could
/// impersonate the client.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.handle.sid().get(..6).unwrap_or_default())
    }
}

/// The server has disconnected sockets.
pub(crate) const SOCKETS_LEFT: u8 = 1;
/// All sockets have to be disconnected and the connection closed.
pub(crate) const CLOSE: u8 = 2;

impl Client {
    pub(crate) fn new(
        handle: Handle,
        machine: Connection<Waiter>,
        config: Arc<ServerConfig>,
        counters: Arc<Counters>,
    ) -> Self {
        let (machine, asked) = (machine.into(), AtomicU8::new(0));
        Self { handle, machine, asked, ack_room: AckRoom::default(), config, counters }
    }

    pub(crate) fn machine(&self) -> MutexGuard<'_, Connection<Waiter>> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests an action of the driver.
    pub(crate) fn ask(&self, what: u8) {
        self.asked.fetch_or(what, Ordering::AcqRel);
        // The driver registers its waker before it reads the requests, so it either sees this one
        // or is woken.
        self.handle.wake();
    }

    pub(crate) fn take_asked(&self) -> u8 {
        match self.asked.load(Ordering::Acquire) {
            0 => 0,
            _ => self.asked.swap(0, Ordering::AcqRel),
        }
    }

    /// Registers an ack, whose deadline the driver watches. Must be called before the event is
    /// sent, so that the ack cannot arrive before it is registered.
    pub(crate) fn expect_ack(
        &self,
        nsp: &Nsp,
        id: AckId,
        patience: Duration,
        waiter: Waiter,
    ) -> Result<(), AckError> {
        // A refused waiter is dropped here, where no lock is held.
        let result = self.try_expect_ack(nsp, id, patience, waiter);
        result.map_err(|(refused, _waiter)| match refused {
            AckRefused::NotConnected => AckError::Emit(EmitError::Disconnected),
            _ => self.too_many_acks(),
        })
    }

    /// Registers an ack like [`expect_ack`](Self::expect_ack), but waits for room in the table,
    /// behind earlier calls.
    pub(crate) async fn expect_ack_in_turn(
        &self,
        nsp: &Nsp,
        id: AckId,
        patience: Duration,
        waiter: Waiter,
    ) -> Result<(), AckError> {
        let (limit, _) = self.config.engine.get_max_queued();
        let began = tokio::time::Instant::now();
        let mut waiter = Some(waiter);
        let attempt = || {
            let left = patience.saturating_sub(began.elapsed());
            match self.try_expect_ack(nsp, id, left, waiter.take()?) {
                Ok(()) => Some(Ok(())),
                Err((AckRefused::TooMany, refused)) => {
                    waiter = Some(refused);
                    None
                }
                Err(_) => Some(Err(AckError::Emit(EmitError::Disconnected))),
            }
        };
        match self.ack_room.enter(limit, patience, attempt).await {
            Ok(result) => result,
            Err(NoRoom::Late) => Err(AckError::Timeout),
            Err(NoRoom::Full) => Err(self.too_many_acks()),
        }
    }

    fn too_many_acks(&self) -> AckError {
        self.counters.here().acks.refused.one();
        AckError::TooManyPending
    }

    fn try_expect_ack(
        &self,
        nsp: &Nsp,
        id: AckId,
        patience: Duration,
        waiter: Waiter,
    ) -> Result<(), (AckRefused, Waiter)> {
        let now = tokio::time::Instant::now().into_std();
        let (result, earlier) = {
            let mut machine = self.machine();
            let before = machine.poll_timeout();
            let result = machine.expect_ack(now, nsp, id, patience, waiter);
            (result, machine.poll_timeout() != before)
        };
        if earlier {
            self.handle.wake();
        }
        result.map(|()| self.counters.here().acks.asked.one())
    }

    /// Removes an ack from the table.
    pub(crate) fn forget(&self, nsp: &Nsp, id: AckId) {
        let waiter = self.machine().forget_ack(nsp, id);
        if waiter.is_some() {
            self.counters.here().acks.abandoned.one();
            self.ack_room.freed();
        }
        drop(waiter);
    }
}

/// A namespace of a server. A clone costs one reference count.
///
/// Handlers added to it apply to all its sockets, including those already connected.
///
/// ```
/// use socketio_server::{Auth, HandlerError, Server, Socket};
///
/// let io = Server::new();
/// let admin = io.of("/admin");
/// admin
///     .use_(|Auth(token): Auth<String>| async move {
///         if token == "secret" { Ok(()) } else { Err(HandlerError::public("not authorized")) }
///     })
///     .on_connection(|socket: Socket| async move {
///         socket.emit("hello", &"admin")?;
///         Ok(())
///     });
/// assert_eq!(admin.name(), "/admin");
/// ```
#[derive(Clone)]
pub struct Namespace(pub(crate) Arc<NamespaceInner>);

pub(crate) struct NamespaceInner {
    pub(crate) nsp: Nsp,
    pub(crate) hub: Hub<Arc<SocketInner>>,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) counters: Arc<Counters>,
    /// The handlers. The table is replaced as a whole when a handler is added, so an event only
    /// takes a reference.
    pub(crate) table: RwLock<Arc<Table<Erased>>>,
    pub(crate) on_error: RwLock<Option<ErrorHandler>>,
    pub(crate) outgoing: RwLock<Arc<[OutgoingListener]>>,
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
    pub(crate) asked: AtomicUsize,
    pub(crate) closed: AtomicBool,
    /// Whether the namespace or the server is being closed.
    pub(crate) ending: AtomicBool,
    pub(crate) gate: Gate,
    /// Set if connection state recovery is on.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) cluster: Option<Clustered>,
    /// The number of sockets in existence, connected or not. Their handlers may still be running.
    pub(crate) sockets: AtomicUsize,
    /// Notified when the last socket is dropped.
    pub(crate) deserted: Notify,
    pub(crate) server_side: ServerHandlers,
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
    /// Whether it was created because a client requested it, not by the application.
    pub(crate) dynamic: bool,
    /// How many of its middlewares are copies of the parent's. Each CONNECT uses the parent's
    /// current ones instead.
    pub(crate) inherited: usize,
    /// Whether the application has declared it since. It is then kept even without sockets.
    pub(crate) kept: AtomicBool,
    /// The number of connections that have entered it or are being decided on.
    pub(crate) users: AtomicUsize,
}

impl NamespaceInner {
    pub(crate) fn keep(&self) {
        if let Some(child) = self.child.get() {
            child.kept.store(true, Ordering::Release);
        }
    }

    pub(crate) fn enter(&self) {
        if let Some(child) = self.child.get() {
            child.users.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Records that a client has left. Returns whether the namespace is now an unused child.
    pub(crate) fn leave(&self) -> bool {
        let last = |child: &Child| child.users.fetch_sub(1, Ordering::AcqRel) == 1;
        self.child.get().is_some_and(last) && self.is_idle_child()
    }

    pub(crate) fn is_idle_child(&self) -> bool {
        self.child.get().is_some_and(|child| {
            !child.kept.load(Ordering::Acquire) && child.users.load(Ordering::Acquire) == 0
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
        self.child.get().is_some_and(|child| child.dynamic)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.end();
    }

    /// Marks the namespace as ending. From now on no client can recover a session.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        if let Some(recorder) = &self.recorder {
            recorder.moved.notify_waiters();
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// A listener for outgoing events.
pub(crate) type OutgoingListener = Arc<dyn Fn(&Socket, &Args) + Send + Sync>;

pub(crate) type ErrorHandler = Arc<dyn Fn(&Socket, &Failure) + Send + Sync>;

/// A failure in a handler. See [`Namespace::on_error`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The name of the event, or `connection`, `disconnecting` or `disconnect`. For a middleware,
    /// `connect`.
    pub event: String,
    /// The point of the failure.
    pub stage: Stage,
    /// The error, or the message of a panic.
    pub error: HandlerError,
}

/// The point at which a handler failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// An argument could not be extracted; the handler did not run.
    Extract,
    /// The handler returned an error.
    Handler,
    /// The handler panicked. Other sockets are not affected.
    Panic,
    /// A middleware failed with an error that was not made for the client. (A public error is a
    /// refusal and not a failure.)
    Middleware,
    /// The socket exceeded its rate limit ([`RateLimit`](crate::RateLimit)), and its event was
    /// dropped.
    RateLimit,
}

/// A handler with its types erased. Costs one allocation per call.
pub(crate) type Erased = Arc<dyn Fn(Context) -> Result<HandlerFuture, HandlerError> + Send + Sync>;

/// A handler's running future.
pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// The context from which a handler's arguments are extracted.
#[derive(Clone)]
pub struct Context {
    pub(crate) socket: Socket,
    pub(crate) args: Option<Args>,
    pub(crate) responder: Option<Responder>,
    pub(crate) reason: Option<DisconnectReason>,
    pub(crate) description: Option<Arc<str>>,
    /// The event, if it may be changed.
    pub(crate) rewrite: Option<Arc<Mutex<Args>>>,
}

/// The ack that a client has requested. It may be held in several places. The first ack is sent.
#[derive(Clone)]
pub(crate) struct Responder {
    pub(crate) socket: Socket,
    pub(crate) id: AckId,
    pub(crate) answered: Arc<AtomicBool>,
}
