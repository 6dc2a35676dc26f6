//! A namespace: handlers declared once for all its sockets, and broadcasts to all of them.

pub(crate) mod broadcast;
mod child;
pub(crate) mod cluster;
pub(crate) mod delivery;
pub(crate) mod hub;
pub(crate) mod methods;
pub(crate) mod parent;
pub(crate) mod recovery;
pub(crate) mod registry;
pub(crate) mod room_change;
pub(crate) mod rule;

use std::{
    fmt,
    pin::pin,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use socketio_core::typed_emit;
use socketio_parser::{Event, Nsp};
use tokio::sync::Notify;

use crate::{
    config::ServerConfig,
    error::{BroadcastAckError, EmitError},
    handlers::{
        ConnectContext, DisconnectContext, ErrorHandler, EventContext, Failure, Handler,
        Registration, TypedHandler, erase, erase_typed,
        table::{Listener, ListenerId, Table},
    },
    namespace::{
        broadcast::Broadcast,
        child::Child,
        cluster::{Membership, ServerHandlers},
        delivery::Delivery,
        hub::Hub,
        methods::broadcast_methods,
    },
    socket::{Socket, inner::SocketInner},
    stats::Counters,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
        read, write,
    },
};

/// A namespace of a server. A clone costs one reference count.
///
/// Handlers added to it apply to all its sockets, including those already connected.
///
/// ```
/// use serde::Deserialize;
/// use socketio_server::{Auth, HandlerError, Server, Socket};
///
/// #[derive(Deserialize)]
/// struct Credentials { token: String }
///
/// let io = Server::new();
/// let admin = io.of("/admin");
/// admin
///     .use_(|Auth(Credentials { token }): Auth<Credentials>| async move {
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

/// A listener for changes of the shared values of sockets.
type SharedListener = Box<dyn Fn(&Socket) + Send + Sync>;

pub(crate) struct NamespaceInner {
    nsp: Nsp,
    hub: Hub<Arc<SocketInner>>,
    config: Arc<ServerConfig>,
    counters: Arc<Counters>,
    /// The listeners. The table is replaced as a whole when it changes, so an event only takes a
    /// reference.
    table: RwLock<Arc<Table>>,
    /// The version of the table, so that a driver need not lock the table to see that it has not
    /// changed.
    table_version: AtomicU64,
    on_error: RwLock<Option<ErrorHandler>>,
    /// Whether the namespace or one of its sockets has, or has had, a listener for outgoing events.
    has_outgoing: AtomicBool,
    /// One counter of ack ids for all sockets, so that a broadcast that requests acks is encoded
    /// once.
    ack_ids: AtomicU64,
    /// Set if the namespace has a parent: from its creation, or since a parent's function has
    /// accepted it.
    child: OnceLock<Child>,
    /// The number of parents whose functions are asked at each CONNECT: those declared before the
    /// namespace, or up to its own parent.
    deciding_parents: AtomicUsize,
    closed: AtomicBool,
    /// Whether the namespace or the server is being closed.
    ending: AtomicBool,
    gate: Gate,
    delivery: Delivery,
    /// Present if there is an adapter.
    membership: Option<Arc<Membership>>,
    /// The number of sockets in existence, connected or not. Their handlers may still be running.
    sockets: AtomicUsize,
    /// Notified when the last socket is dropped.
    all_sockets_dropped: Notify,
    server_side: ServerHandlers,
    /// Called when the shared value of a socket has changed. Set by the Admin UI.
    on_shared: OnceLock<SharedListener>,
}

impl Namespace {
    /// Creates a namespace. `deciding_parents` is the number of parents that were declared before
    /// it.
    pub(crate) fn new(
        nsp: Nsp,
        config: Arc<ServerConfig>,
        counters: Arc<Counters>,
        deciding_parents: usize,
    ) -> Self {
        let membership = config.adapter.clone().map(|adapter| {
            let (limits, counters) = (config.cluster.clone(), counters.clone());
            let recovers = config.recovery.is_some();
            Arc::new(Membership::new(nsp.clone(), adapter, limits, recovers, counters))
        });
        Self(Arc::new(NamespaceInner {
            nsp,
            delivery: Delivery::new(&config, membership.as_ref()),
            hub: Hub::default(),
            config,
            counters,
            table: RwLock::default(),
            table_version: AtomicU64::new(0),
            on_error: RwLock::default(),
            has_outgoing: AtomicBool::new(false),
            ack_ids: AtomicU64::new(0),
            child: OnceLock::new(),
            deciding_parents: deciding_parents.into(),
            closed: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            gate: Gate::default(),
            membership,
            sockets: AtomicUsize::new(0),
            all_sockets_dropped: Notify::new(),
            on_shared: OnceLock::new(),
            server_side: ServerHandlers::default(),
        }))
    }

    /// Returns the name, with its leading slash.
    pub fn name(&self) -> &str {
        self.0.nsp.as_ref()
    }

    pub(crate) fn nsp(&self) -> &Nsp {
        &self.0.nsp
    }

    /// Returns the namespace's membership in the cluster, if there is an adapter.
    pub(crate) fn membership(&self) -> Option<&Arc<Membership>> {
        self.0.membership.as_ref()
    }

    /// Adds a handler that runs after a client has connected to the namespace.
    ///
    /// The part of the handler up to its first await that has to wait runs before any event of that
    /// socket is handled. A handler that is added in this part with [`Socket::on`] therefore misses
    /// no event.
    ///
    /// As in Node, the handler finds its own socket in the namespace, so broadcasts reach it. Other
    /// threads may therefore find the socket shortly before its handler runs, and their events may
    /// reach the client before those of the handler. What they need to know of the socket belongs
    /// into a middleware, which runs before others can find it.
    ///
    /// ```
    /// use socketio_server::{Data, JoinError, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.of("/rooms").on_connection(|socket: Socket| async move {
    ///     socket.join("everybody")?;
    ///     socket.on("leave", |socket: Socket, Data(room): Data<String>| async move {
    ///         socket.leave(&*room);
    ///     });
    ///     Ok::<_, socketio_server::HandlerError>(())
    /// });
    /// ```
    pub fn on_connection<M>(
        &self,
        handler: impl Handler<ConnectContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).append_to(&mut table.connection))
    }

    /// Adds a handler for an event. If an event has several handlers, they are started in the order
    /// of their declaration, and the first ack is sent. The ack is the return value; a handler that
    /// returns `()` sends none.
    ///
    /// ```
    /// use socketio_server::{Data, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on("add", |Data((a, b)): Data<(u32, u32)>| async move { a + b }) // the ack
    ///     .on("say", |socket: Socket, Data(text): Data<String>| async move {
    ///         socket.broadcast().emit("said", &text)?;
    ///         Ok(())
    ///     });
    /// ```
    pub fn on<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| table.add(event, Listener::new(erase(handler))))
    }

    /// Adds a handler for a typed event, whose [`Event`] fixes the types of the arguments and of
    /// the ack. A handler that returns `()` sends an ack without arguments.
    ///
    /// ```
    /// use socketio_server::{Event, Server};
    ///
    /// const ADD: Event<(u32, u32), u32> = Event::new("add");
    ///
    /// let io = Server::new();
    /// io.handle(ADD, |_socket, (a, b)| async move { a + b });
    /// ```
    pub fn handle<A, R, K>(
        &self,
        event: Event<A, R>,
        handler: impl TypedHandler<Socket, A, R, K>,
    ) -> Registration<'_, Self>
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.register(|table| table.add(event.name(), Listener::new(erase_typed(handler))))
    }

    /// Adds a middleware. Middlewares run one after another before the server responds to a
    /// client's CONNECT. An error refuses the client with a CONNECT_ERROR that carries the error's
    /// message and [data](crate::HandlerError::with_data). [`Socket::disconnect`] refuses the
    /// client too. A middleware may make the socket join rooms, but broadcasts reach the socket
    /// only once it is connected. If the client leaves in the meantime, the middleware's future is
    /// dropped at its current await.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use socketio_server::{Auth, HandlerError, Server, Socket};
    ///
    /// #[derive(Deserialize)]
    /// struct Credentials { token: String }
    ///
    /// let io = Server::new();
    /// io.use_(|socket: Socket, Auth(credentials): Auth<Credentials>| async move {
    ///     if credentials.token != "secret" {
    ///         return Err(HandlerError::public("not authorized").with_data(&401));
    ///     }
    ///     socket.join("members")?;
    ///     Ok(())
    /// });
    /// ```
    pub fn use_<M>(&self, middleware: impl Handler<ConnectContext, M>) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(middleware)).append_to(&mut table.middlewares))
    }

    /// Adds a handler that runs when a socket is about to be disconnected. The socket stays in its
    /// rooms until the handler's first await that has to wait.
    ///
    /// ```
    /// use socketio_server::{Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on_disconnecting(|socket: Socket| async move {
    ///     for room in socket.rooms() {
    ///         socket.to(room).emit("left", socket.id())?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn on_disconnecting<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).append_to(&mut table.disconnecting))
    }

    /// Adds a handler that runs after a socket was disconnected and has left its rooms.
    ///
    /// ```
    /// use socketio_server::{DisconnectReason, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on_disconnect(|socket: Socket, reason: DisconnectReason| async move {
    ///     println!("{} left: {reason}", socket.id()); // "transport close", "ping timeout", …
    /// });
    /// ```
    pub fn on_disconnect<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|table| Listener::new(erase(handler)).append_to(&mut table.disconnect))
    }

    /// Sets the function that is called when a handler fails. Without it, failures are logged as
    /// warnings.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// io.on_error(|socket, failure| {
    ///     eprintln!("{} {}: {:?}: {}", socket.id(), failure.event, failure.stage, failure.error);
    /// });
    /// ```
    pub fn on_error(&self, handler: impl Fn(&Socket, &Failure) + Send + Sync + 'static) -> &Self {
        let handler = Some(Arc::new(handler) as _);
        let former = {
            let mut current = write(&self.0.on_error);
            std::mem::replace(&mut *current, handler)
        };
        // Dropping the old closure may run user code, so no lock is held here.
        drop(former);
        self
    }

    /// Broadcasts an event to all sockets of the namespace. [`Socket::emit`] describes how a value
    /// becomes arguments.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// # fn main() -> Result<(), socketio_server::EmitError> {
    /// let io = Server::new();
    /// io.of("/prices").emit("price", &("ACME", 12.5))?; // two arguments
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded, or if the queue to the other nodes is full.
    /// The [`Overflow`](crate::Overflow) policy applies to recipients whose queue is full.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.broadcast().emit(event, args)
    }

    broadcast_methods!(self => self.broadcast(), Broadcast);

    /// Broadcasts an event and collects the acks of all recipients. See
    /// [`Broadcast::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// See [`BroadcastAckError`].
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Vec<R>, BroadcastAckError<R>> {
        self.broadcast().emit_with_ack(event, args).await
    }

    /// Sets how long to wait for the acks of the next broadcast (default: the server's
    /// [`ack_timeout`](crate::ServerConfig::ack_timeout), 30 s).
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.broadcast().timeout(timeout)
    }

    /// Returns the socket with this id, if it is connected to this node.
    ///
    /// ```
    /// use socketio_server::{EmitError, Server};
    ///
    /// fn whisper(io: &Server, id: &str, text: &str) -> Result<(), EmitError> {
    ///     match io.sockets().socket(id) {
    ///         Some(socket) => socket.emit("whisper", text),
    ///         None => io.to(id).emit("whisper", text), // it may be connected to another node
    ///     }
    /// }
    /// # whisper(&Server::new(), "id", "hello").unwrap();
    /// ```
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0.hub.get(id).filter(|socket| socket.is_connected()).map(Socket)
    }

    /// Returns the number of sockets on this node, including those whose middlewares have not
    /// decided yet.
    pub fn sockets_count(&self) -> usize {
        self.0.hub.len()
    }

    pub(crate) fn hub(&self) -> &Hub<Arc<SocketInner>> {
        &self.0.hub
    }

    pub(crate) fn next_ack_id(&self) -> u64 {
        self.0.ack_ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        read(&self.0.table).clone()
    }

    /// Passes a failure to the application's error handler, or logs it if there is none.
    pub(crate) fn report(&self, socket: &Socket, failure: Failure) {
        match self.error_handler() {
            Some(handler) => handler(socket, &failure),
            None => tracing::warn!(
                target: "socketio::namespace",
                nsp = self.name(), event = failure.event, stage = ?failure.stage, error = failure.error.for_log(),
                "a handler failed"
            ),
        }
    }

    fn error_handler(&self) -> Option<ErrorHandler> {
        read(&self.0.on_error).clone()
    }

    pub(crate) fn register(
        &self,
        add: impl FnOnce(&mut Table) -> ListenerId,
    ) -> Registration<'_, Self> {
        Registration::in_namespace(self, self.change_with(add))
    }

    /// Sets the function that is called when the shared value of a socket has changed.
    #[cfg(feature = "admin")]
    pub(crate) fn set_shared_listener(&self, listener: impl Fn(&Socket) + Send + Sync + 'static) {
        let _ = self.0.on_shared.set(Box::new(listener));
    }

    /// Calls the listener for changes of shared values, if there is one.
    pub(crate) fn notify_shared(&self, socket: &Socket) {
        if let Some(listener) = self.0.on_shared.get() {
            listener(socket);
        }
    }

    /// Returns whether the namespace or one of its sockets has, or has had, a listener for outgoing
    /// events.
    pub(crate) fn has_outgoing_listeners(&self) -> bool {
        self.0.has_outgoing.load(Ordering::Relaxed)
    }

    /// Records that there is a listener for outgoing events.
    pub(crate) fn set_has_outgoing_listeners(&self) {
        self.0.has_outgoing.store(true, Ordering::Relaxed);
    }

    /// Returns the version of the table of handlers.
    pub(crate) fn table_version(&self) -> u64 {
        self.0.table_version.load(Ordering::Acquire)
    }

    /// Removes a listener. Returns whether it was there.
    pub(crate) fn remove_listener(&self, id: ListenerId) -> bool {
        let removed = self.change_with(|table| table.remove_listener(id));
        !removed.is_empty() || self.0.server_side.remove_listener(id)
    }

    /// Changes the handlers. The caller must drop the returned value without holding a lock.
    pub(crate) fn change_with<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut guard = write(&self.0.table);
        let table = Arc::make_mut(&mut guard);
        let result = change(table);
        table.version = Table::next_version();
        self.0.table_version.store(table.version, Ordering::Release);
        result
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name())
            .field("sockets", &self.sockets_count())
            .finish_non_exhaustive()
    }
}

impl Namespace {
    typed_emit! {
        /// Broadcasts a typed event to all sockets of the namespace. See [`emit`](Self::emit).
        ///
        /// # Errors
        ///
        /// Returns the errors of [`emit`](Self::emit).
        fn emit_event(&self) -> Result<(), EmitError>;

        /// Broadcasts a typed event and collects the acks of all recipients.
        ///
        /// # Errors
        ///
        /// See [`BroadcastAckError`].
        async fn emit_event_with_ack() -> Result<Vec<R>, BroadcastAckError<R>>;
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
    /// Counts a socket until [`socket_dropped`](Self::socket_dropped) is called.
    pub(crate) fn socket_created(&self) {
        self.sockets.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn socket_dropped(&self) {
        if self.sockets.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all_sockets_dropped.notify_waiters();
        }
    }

    /// Waits until all sockets of the namespace have been dropped.
    pub(crate) async fn all_sockets_dropped(&self) {
        loop {
            let mut gone = pin!(self.all_sockets_dropped.notified());
            gone.as_mut().enable();
            if self.sockets.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
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

/// Keeps clients out of a namespace until the application's listeners for new namespaces have
/// returned.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    opened: Notify,
}

impl Gate {
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.opened.notify_waiters();
    }

    /// Waits until the gate is open.
    async fn opened(&self) {
        let mut opened = pin!(self.opened.notified());
        opened.as_mut().enable();
        if !self.is_open() {
            opened.await;
        }
    }
}
