//! What refers to each other: a socket to its namespace, a namespace to its sockets and handlers, a handler to the
//! socket it is called for. What can be done with each stands in its own file, above this one.

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
/// Handlers get it as an argument; it may be kept and used from any task. What is sent to a socket that is gone is
/// refused with [`EmitError::Disconnected`].
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
    /// Where the namespace records for connection state recovery.
    pub(crate) recoverable: Option<Box<Recoverable>>,
    own: Mutex<Own>,
    stored: Mutex<Option<Box<Stored>>>,
    pub(crate) gone: Notify,
}

/// Handlers of one socket alone. They often hold the socket itself, so they are given up with its connection.
#[derive(Default)]
struct Own {
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

    /// Whether it is the one that its namespace has under its id: a client that comes back has another socket with the
    /// same id.
    pub(crate) fn is_member(self: &Arc<Self>) -> bool {
        let successor = |it: Arc<Self>| !Arc::ptr_eq(&it, self);
        !self.is_disconnected() || !self.namespace.0.hub.get(&self.id).is_some_and(successor)
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.recoverable.as_ref().is_some_and(|it| it.from.is_some())
    }

    /// The CONNECT was answered. A socket that was disconnected meanwhile stays so.
    pub(crate) fn set_connected(&self) {
        let (from, to) = (CONNECTING, CONNECTED);
        let _ = self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether it was not disconnected before.
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

    /// Sends only what can go out at once; whether it does.
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

    /// Changes the handlers of this socket alone, unless they were given up.
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

    /// Looks into the handlers of this socket alone.
    pub(crate) fn look_at_own<R: Default>(&self, look: impl FnOnce(&Table<Erased>) -> R) -> R {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.table.as_deref().map(look).unwrap_or_default()
    }

    /// Changes what the application keeps with the socket. What it takes out is to be dropped by the caller, where no
    /// lock is held.
    pub(crate) fn change_stored<R>(&self, change: impl FnOnce(&mut Stored) -> R) -> R {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        change(stored.get_or_insert_default())
    }

    /// Looks at what the application keeps with the socket.
    pub(crate) fn look_at_stored<R>(&self, look: impl FnOnce(&Stored) -> Option<R>) -> Option<R> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.as_deref().and_then(look)
    }

    /// A copy of what the application keeps with the socket.
    pub(crate) fn copy_stored(&self) -> Option<Box<Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the handlers of this socket alone up.
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

/// One connection, with all its namespaces.
pub(crate) struct Client {
    pub(crate) handle: Handle,
    machine: Mutex<Connection<Waiter>>,
    /// What others ask of the driver. It holds no sockets: nobody might be left to take them out.
    asked: AtomicU8,
    /// Events that wait for room in the machine's table of acks.
    pub(crate) ack_room: AckRoom,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) counters: Arc<Counters>,
}

/// In logs: the beginning of the session's id. All of it would let a reader speak for the client.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.handle.sid().get(..6).unwrap_or_default())
    }
}

/// Sockets were disconnected from this side.
pub(crate) const SOCKETS_LEFT: u8 = 1;
/// All sockets are to be disconnected, and the connection closed.
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

    /// Asks something of the driver.
    pub(crate) fn ask(&self, what: u8) {
        self.asked.fetch_or(what, Ordering::AcqRel);
        // The driver looks after it has told where to be woken, so that it either sees this or is woken.
        self.handle.wake();
    }

    pub(crate) fn take_asked(&self) -> u8 {
        match self.asked.load(Ordering::Acquire) {
            0 => 0,
            _ => self.asked.swap(0, Ordering::AcqRel),
        }
    }

    /// Registers an acknowledgement, whose deadline the driver watches. To be done before the event is sent: the
    /// answer cannot come too early then.
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

    /// As [`expect_ack`](Self::expect_ack), but waits for room in the table, behind earlier calls.
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

    /// Takes an acknowledgement out of the table.
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
/// Handlers declared here are shared by all sockets of the namespace, those connected already too.
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
    /// Replaced as a whole when a handler is added, so that events only take a reference.
    pub(crate) table: RwLock<Arc<Table<Erased>>>,
    pub(crate) on_error: RwLock<Option<ErrorHandler>>,
    pub(crate) outgoing: RwLock<Arc<[OutgoingListener]>>,
    /// Whether the namespace or one of its sockets has, or has had, a listener to what goes out.
    pub(crate) has_outgoing: AtomicBool,
    /// One counter for all sockets, so that a broadcast that asks for answers is one encoding.
    pub(crate) ack_ids: AtomicU64,
    /// Set where the namespace is a parent's: from its beginning, or once a parent's function has accepted it.
    pub(crate) child: OnceLock<Child>,
    /// How many of the parents were declared before it, or up to its own: the functions of these are asked at each CONNECT.
    pub(crate) asked: AtomicUsize,
    pub(crate) closed: AtomicBool,
    /// It, or the server, is being closed.
    pub(crate) ending: AtomicBool,
    pub(crate) gate: Gate,
    /// Where connection state recovery is on.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) cluster: Option<Clustered>,
    /// Sockets that somebody has, connected or not: their handlers may not have ended.
    pub(crate) sockets: AtomicUsize,
    /// The last of them is gone.
    pub(crate) deserted: Notify,
    pub(crate) server_side: ServerHandlers,
}

/// Keeps clients out of a namespace until the application has been told of it, and has added what it wants to add.
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

    /// Waits until it is open.
    pub(crate) async fn opened(&self) {
        let mut opened = pin!(self.opened.notified());
        opened.as_mut().enable();
        if !self.is_open() {
            opened.await;
        }
    }
}

/// What a namespace has that a parent made.
pub(crate) struct Child {
    pub(crate) parent: Namespace,
    pub(crate) params: Params,
    /// Made because a client asked for it, not because the application named it.
    pub(crate) dynamic: bool,
    /// How many of its middlewares are copies of the parent's, which are looked up at each CONNECT.
    pub(crate) inherited: usize,
    /// The application has named it since: it stays, with or without sockets.
    pub(crate) kept: AtomicBool,
    /// Connections that are in it, or on their way in.
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

    /// Whether this leaves a child that nobody needs.
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

    /// Waits until nobody has a socket of it any more.
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

    /// From now on nobody comes back.
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

/// Is told of an event that goes out.
pub(crate) type OutgoingListener = Arc<dyn Fn(&Socket, &Args) + Send + Sync>;

pub(crate) type ErrorHandler = Arc<dyn Fn(&Socket, &Failure) + Send + Sync>;

/// What went wrong in a handler. See [`Namespace::on_error`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The event, or `connection`, `disconnecting`, `disconnect`; of a middleware `connect`.
    pub event: String,
    /// At which point.
    pub stage: Stage,
    /// The error; of a panic, its message.
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
    /// The handler panicked. Only this socket is concerned.
    Panic,
    /// A middleware failed with an error that was not made for the client. (Those that were are refusals, no failures.)
    Middleware,
    /// The socket sends faster than it may ([`RateLimit`](crate::RateLimit)); its event was dropped.
    RateLimit,
}

/// A handler, its types erased: one allocation per call.
pub(crate) type Erased = Arc<dyn Fn(Context) -> Result<HandlerFuture, HandlerError> + Send + Sync>;

/// A handler's running future.
pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// What a handler's arguments are extracted from.
#[derive(Clone)]
pub struct Context {
    pub(crate) socket: Socket,
    pub(crate) args: Option<Args>,
    pub(crate) responder: Option<Responder>,
    pub(crate) reason: Option<DisconnectReason>,
    pub(crate) description: Option<Arc<str>>,
    /// The event, where it may be changed.
    pub(crate) rewrite: Option<Arc<Mutex<Args>>>,
}

/// The answer a client asked for. Several parties may hold it; the first one answers.
#[derive(Clone)]
pub(crate) struct Responder {
    pub(crate) socket: Socket,
    pub(crate) id: AckId,
    pub(crate) answered: Arc<AtomicBool>,
}
