//! What refers to each other in the client. What is done with each stands above, in files of their own.

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
    retries::Retries,
    signal::Signal,
    table::Table,
    url::Target,
    waiter::Waiter,
};

/// One connection to a server, and what is needed to open it again. A clone is another handle of the same connection;
/// when the last one is dropped, sockets included, the connection ends at once. What was emitted before still leaves, if the
/// runtime lives on: within [`close_timeout`](crate::ClientConfig::close_timeout).
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

/// What the handles share: its end stops the connection's task.
pub(crate) struct Owner(pub(crate) Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.signal.stop();
    }
}

/// What the handles and the connection's task share.
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) config: ClientConfig,
    /// Gives handlers their sockets, without keeping the connection.
    pub(crate) owner: Weak<Owner>,
    /// Whether the transport is open, for volatile events.
    open: AtomicBool,
    /// The `maxPayload` of the last server, in bytes; none has told one where this is `usize::MAX`.
    max_sent: AtomicUsize,
    /// The connection's task is no more.
    ended: AtomicBool,
    /// Notified when there is no connection any more.
    pub(crate) closed: Notify,
    listeners: Mutex<Arc<[ManagerListener]>>,
    state: Mutex<ManagerState>,
    /// Lets the connection's task look at what has changed.
    pub(crate) signal: Signal,
}

pub(crate) type ManagerListener = Arc<dyn Fn(&ManagerEvent) + Send + Sync>;

pub(crate) struct ManagerState {
    pub(crate) spaces: Vec<Arc<Space>>,
    pub(crate) reconnection: Reconnection,
    pub(crate) connect_timeout: Option<Duration>,
    /// The connection is to be closed.
    pub(crate) close: bool,
    /// The connection is asked for.
    pub(crate) open: bool,
    /// There is no connection, and none is asked for.
    pub(crate) idle: bool,
    /// The open session's id and transport.
    pub(crate) session: Option<(String, Transport)>,
}

impl Shared {
    pub(crate) fn new(target: Target, config: ClientConfig, owner: Weak<Owner>) -> Self {
        let state = ManagerState {
            spaces: Vec::new(),
            reconnection: config.reconnection.clone(),
            connect_timeout: config.connect_timeout,
            close: false,
            open: false,
            idle: true,
            session: None,
        };
        Self {
            target,
            config,
            owner,
            open: AtomicBool::new(false),
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

    /// Those that are taken out are dropped where no lock is held: they are user code.
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

    /// Notes the open session, or that there is none.
    pub(crate) fn set_session(&self, session: Option<(String, Transport)>) {
        self.open.store(session.is_some(), Ordering::Relaxed);
        self.state().session = session;
    }

    /// Notes how large a message the server takes.
    pub(crate) fn set_max_sent(&self, bytes: usize) {
        self.max_sent.store(bytes, Ordering::Relaxed);
    }

    /// Refuses frames that the server would end the connection for.
    pub(crate) fn check_size(&self, frames: &Frames) -> Result<(), EmitError> {
        let limit = self.max_sent.load(Ordering::Relaxed);
        if frames.iter().any(|frame| frame.len() > limit) {
            return Err(EmitError::TooLarge { limit });
        }
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Notes that nothing happens here any more, and tells those who wait.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.set_session(None);
        let spaces = std::mem::take(&mut self.state().spaces);
        for space in spaces {
            space.end();
        }
        self.closed.notify_waiters();
    }

    /// Whoever begins to wait asks this afterwards.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// One namespace of a connection: emits, handlers, acknowledgements. A clone is another handle of the same socket.
///
/// It lives as long as its [`Manager`] has handles, and a socket is one. A handler should take the `Socket` as an argument:
/// one that has captured it keeps the connection for good.
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
    pub(crate) space: Arc<Space>,
    pub(crate) manager: Manager,
}

/// A namespace, for handles and the connection's task.
pub(crate) struct Space {
    pub(crate) nsp: Nsp,
    pub(crate) config: SocketConfig,
    pub(crate) parser: Parser,
    pub(crate) has_outgoing: AtomicBool,
    /// Notified when there is room in the outgoing queue again.
    pub(crate) room: Notify,
    state: Mutex<SpaceState>,
    table: Mutex<Arc<Table<Erased>>>,
    outgoing: Mutex<Arc<[OutgoingListener]>>,
    next_ack: AtomicU64,
}

pub(crate) type OutgoingListener = Arc<dyn Fn(&Args) + Send + Sync>;

pub(crate) struct SpaceState {
    /// Whether the socket is connected, or is to be.
    pub(crate) active: bool,
    /// [`disconnect`](Socket::disconnect) was called.
    pub(crate) leave: bool,
    /// While it is connected.
    pub(crate) id: Option<Arc<str>>,
    pub(crate) recovered: bool,
    /// Counts the stays in the namespace: answers of an earlier one are not sent.
    pub(crate) stay: u64,
    pub(crate) outbox: Outbox<Waiter>,
    pub(crate) retries: Retries<Waiter>,
    /// Acknowledgements that nobody waits for any more.
    pub(crate) forgotten: Vec<AckId>,
    /// Who waits for the next `connect` or `connect_error`.
    pub(crate) connecting: Vec<oneshot::Sender<Result<(), ConnectError>>>,
}

impl SpaceState {
    /// The socket is to be disconnected. What it has queued by now still belongs to the connection, if it has one.
    pub(crate) fn end(&mut self) {
        if self.id.take().is_some() {
            self.outbox.end();
        }
    }
}

impl Space {
    pub(crate) fn new(nsp: Nsp, config: SocketConfig, parser: Parser) -> Self {
        let (packets, bytes) = (config.max_queued_packets, config.max_queued_bytes);
        let state = SpaceState {
            active: false,
            leave: false,
            id: None,
            recovered: false,
            stay: 0,
            outbox: Outbox::new(packets, bytes),
            retries: Retries::new(packets, bytes),
            forgotten: Vec::new(),
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

    pub(crate) fn state(&self) -> MutexGuard<'_, SpaceState> {
        lock(&self.state)
    }

    /// Tells those who wait that there is nothing to wait for. Handlers go as well: streams of events end with theirs.
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

    /// One after the other, as in Node.
    pub(crate) fn next_ack(&self) -> AckId {
        self.next_ack.fetch_add(1, Ordering::Relaxed).into()
    }

    pub(crate) fn table(&self) -> Arc<Table<Erased>> {
        lock(&self.table).clone()
    }

    /// Changes the handlers. Those that were removed are dropped where no lock is held: they are user code.
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

    /// As with the handlers.
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

/// What an event brings.
#[derive(Clone)]
pub struct Context {
    pub(crate) socket: Socket,
    pub(crate) args: Option<Args>,
    pub(crate) responder: Option<Responder>,
    pub(crate) reason: Option<DisconnectReason>,
    pub(crate) description: Option<Arc<str>>,
    /// Boxed: events, which have none, are moved about a lot.
    pub(crate) error: Option<Box<ConnectError>>,
}

/// Answers an event of the server, once.
#[derive(Clone)]
pub(crate) struct Responder {
    pub(crate) socket: Socket,
    pub(crate) id: AckId,
    pub(crate) stay: u64,
    pub(crate) answered: Arc<AtomicBool>,
}

pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// A handler, whatever it takes and returns.
pub(crate) type Erased = Arc<Callback>;

pub(crate) type Callback = dyn Fn(Context) -> Result<HandlerFuture, HandlerError> + Send + Sync;

/// What a lock guards is consistent at every await and call: one that was poisoned can be used on.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_counted() {
        let space = Space::new(Nsp::root(), SocketConfig::default(), Parser::default());
        let ids: Vec<_> = (0..3).filter_map(|_| space.next_ack().get()).collect();
        assert_eq!(ids, [0, 1, 2]);
    }
}
