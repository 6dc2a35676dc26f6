//! A namespace: what is declared once for all its sockets, and sent to all of them.

use std::{
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::IntoRooms;
use socketio_parser::{Event, Nsp};

use crate::{
    broadcast::Broadcast,
    cluster::{Clustered, Membership, ServerHandlers},
    config::ServerConfig,
    dispatch::{Handler, TypedHandler, erase, erase_typed},
    error::{BroadcastAckError, ClusterError, EmitError},
    hub::Hub,
    model::{
        Child, Erased, ErrorHandler, Failure, Gate, Namespace, NamespaceInner, Socket, SocketInner,
    },
    recovery::Recorder,
    rule::Params,
    stats::Counters,
    table::Table,
};

impl Namespace {
    /// A namespace of its own; `asked` parents were declared before it.
    pub(crate) fn new(
        nsp: Nsp,
        config: Arc<ServerConfig>,
        counters: Arc<Counters>,
        asked: usize,
    ) -> Self {
        let this = Self::build(nsp, config, counters);
        this.0.asked.store(asked, Ordering::Release);
        this
    }

    /// A namespace with what the parent's template has now. Its parent is the last one that is `asked`.
    pub(crate) fn child(
        template: &Namespace,
        nsp: Nsp,
        params: Params,
        dynamic: bool,
        asked: usize,
    ) -> Self {
        let (config, counters) = (template.0.config.clone(), template.0.counters.clone());
        let this = Self::new(nsp, config, counters, asked);
        let table = template.table();
        let _ = this.0.child.set(Child {
            parent: template.clone(),
            params,
            dynamic,
            inherited: table.middlewares.len(),
            kept: AtomicBool::new(!dynamic),
            users: AtomicUsize::new(0),
        });
        let table = if table.has_once() { Arc::new(table.renewed()) } else { table };
        *this.0.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        this.0.server_side.copy(&template.0.server_side);
        *this.0.outgoing.write().unwrap_or_else(PoisonError::into_inner) =
            template.0.outgoing.read().unwrap_or_else(PoisonError::into_inner).clone();
        let outgoing = template.0.has_outgoing.load(Ordering::Relaxed);
        this.0.has_outgoing.store(outgoing, Ordering::Relaxed);
        *this.0.on_error.write().unwrap_or_else(PoisonError::into_inner) = template.error_handler();
        this
    }

    /// Makes a namespace that the application named a parent's: it gets the parent's handlers, which come before its own.
    pub(crate) fn adopt(&self, template: &Namespace, asked: usize) {
        self.0.asked.store(asked, Ordering::Release);
        let _ = self.0.child.set(Child {
            parent: template.clone(),
            params: Params::default(),
            dynamic: false,
            inherited: 0,
            kept: AtomicBool::new(true),
            users: AtomicUsize::new(0),
        });
        let first = template.table();
        self.change_with(|table| *table = table.preceded_by(&first));
        self.0.server_side.precede(&template.0.server_side);
        let mut outgoing = self.0.outgoing.write().unwrap_or_else(PoisonError::into_inner);
        let first = template.0.outgoing.read().unwrap_or_else(PoisonError::into_inner).clone();
        *outgoing = first.iter().chain(outgoing.iter()).cloned().collect();
        if template.0.has_outgoing.load(Ordering::Relaxed) {
            self.0.has_outgoing.store(true, Ordering::Relaxed);
        }
        let mut on_error = self.0.on_error.write().unwrap_or_else(PoisonError::into_inner);
        *on_error = on_error.take().or_else(|| template.error_handler());
    }

    /// The middlewares of a CONNECT: those that the parent has now, then the namespace's own.
    pub(crate) fn middlewares(&self) -> Vec<Erased> {
        let table = self.table();
        let Some(child) = self.0.child.get() else { return table.middlewares.clone() };
        let parent = child.parent.table();
        let own = table.middlewares.iter().skip(child.inherited);
        parent.middlewares.iter().chain(own).cloned().collect()
    }

    fn build(nsp: Nsp, config: Arc<ServerConfig>, counters: Arc<Counters>) -> Self {
        let shared = config.adapter.as_ref().is_some_and(|adapter| adapter.keeps_log());
        let recorder = config.recovery.as_ref().map(|it| Recorder::new(it, &config.engine, shared));
        let cluster = config.adapter.clone().map(|adapter| {
            let (limits, counters) = (config.cluster.clone(), counters.clone());
            let recovers = config.recovery.is_some();
            let membership = Membership::new(nsp.clone(), adapter, limits, recovers, counters);
            Clustered(Arc::new(membership))
        });
        Self(Arc::new(NamespaceInner {
            nsp,
            recorder,
            hub: Hub::default(),
            config,
            counters,
            table: RwLock::default(),
            on_error: RwLock::default(),
            outgoing: RwLock::default(),
            has_outgoing: AtomicBool::new(false),
            ack_ids: AtomicU64::new(0),
            child: OnceLock::new(),
            asked: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            gate: Gate::default(),
            cluster,
            sockets: AtomicUsize::new(0),
            deserted: tokio::sync::Notify::new(),
            server_side: ServerHandlers::default(),
        }))
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.0.nsp.as_ref()
    }

    /// The parts of the name that the parent's pattern names; none where it has no such parent.
    pub fn params(&self) -> Params {
        self.0.child.get().map(|child| child.params.clone()).unwrap_or_default()
    }

    pub(crate) fn nsp(&self) -> &Nsp {
        &self.0.nsp
    }

    /// The part in the cluster, if there is an adapter.
    pub(crate) fn membership(&self) -> Option<&Arc<Membership>> {
        self.0.cluster.as_ref().map(|clustered| &clustered.0)
    }

    /// Adds a handler that runs when a client has connected to the namespace.
    ///
    /// Its synchronous part, up to the first await that waits, runs before any event of that socket is looked at: what
    /// is declared there with [`Socket::on`] misses nothing.
    pub fn on_connection<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|table| table.add("connection", erase(handler)))
    }

    /// Adds a handler for an event. Several handlers of one event are started in the order of their declaration; the
    /// first answer is the one that is sent.
    pub fn on<M>(&self, event: &str, handler: impl Handler<M>) -> &Self {
        self.change(|table| table.add(event, erase(handler)))
    }

    /// Adds a handler for a typed event: arguments and answer are those of the contract. `()` answers with no arguments.
    ///
    /// ```
    /// use socketio_server::{Event, Server};
    ///
    /// const ADD: Event<(u32, u32), u32> = Event::new("add");
    ///
    /// let io = Server::new();
    /// io.handle(ADD, |_socket, (a, b)| async move { a + b });
    /// ```
    pub fn handle<A, R>(&self, event: Event<A, R>, handler: impl TypedHandler<A, R>) -> &Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.change(|table| table.add(event.name(), erase_typed(handler)))
    }

    /// Adds a middleware. Middlewares run one after the other before the CONNECT of a client is answered; an error
    /// refuses it, with a CONNECT_ERROR of the error's message and [data](crate::HandlerError::with_data), and so does
    /// [`Socket::disconnect`]. The socket may join rooms already; broadcasts reach it once it is connected. If the
    /// client leaves meanwhile, the middleware is dropped where it waits.
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
    pub fn use_<M>(&self, middleware: impl Handler<M>) -> &Self {
        self.change(|table| table.middlewares.push(erase(middleware)))
    }

    /// Adds a handler that runs when a socket is about to be disconnected. Up to its first await that waits, the
    /// socket is still in its rooms.
    pub fn on_disconnecting<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|table| table.add("disconnecting", erase(handler)))
    }

    /// Adds a handler that runs when a socket was disconnected, and is in no room any more.
    ///
    /// ```
    /// use socketio_server::{DisconnectReason, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on_disconnect(|socket: Socket, reason: DisconnectReason| async move {
    ///     println!("{} left: {reason}", socket.id()); // "transport close", "ping timeout", …
    /// });
    /// ```
    pub fn on_disconnect<M>(&self, handler: impl Handler<M>) -> &Self {
        self.change(|table| table.add("disconnect", erase(handler)))
    }

    /// Sets what is told of handlers that fail. Without it, failures are logged as warnings.
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
            let mut current = self.0.on_error.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, handler)
        };
        // The user's closure ends here, where no lock is held.
        drop(former);
        self
    }

    /// Broadcasts an event to all sockets of the namespace.
    ///
    /// # Errors
    ///
    /// The event cannot be encoded. Slow recipients are dealt with by the [`Overflow`](crate::Overflow) policy.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.broadcast().emit(event, args)
    }

    /// Broadcasts the event `message`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Broadcasts an event and collects everybody's answer.
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

    /// Broadcasts to one room or several; a socket that is in more than one gets the event once, an empty list reaches
    /// nobody. See [`Broadcast::to`].
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Broadcast {
        self.to(rooms)
    }

    /// Broadcasts to everybody but those in `rooms`; an empty list leaves nobody out.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().except(rooms)
    }

    /// Broadcasts on this node only.
    pub fn local(&self) -> Broadcast {
        self.broadcast().local()
    }

    /// The next broadcast is dropped for recipients whose transport is not writable.
    pub fn volatile(&self) -> Broadcast {
        self.broadcast().volatile()
    }

    /// Whether the next broadcast may be compressed. See [`Socket::compress`].
    pub fn compress(&self, compress: bool) -> Broadcast {
        self.broadcast().compress(compress)
    }

    /// Sets how long the answers to the next broadcast may take.
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.broadcast().timeout(timeout)
    }

    /// Makes all sockets join rooms.
    ///
    /// # Errors
    ///
    /// The queue to the other nodes is full.
    pub fn sockets_join(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        self.broadcast().sockets_join(rooms)
    }

    /// Makes all sockets leave rooms.
    ///
    /// # Errors
    ///
    /// The queue to the other nodes is full.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<(), ClusterError> {
        self.broadcast().sockets_leave(rooms)
    }

    /// Disconnects all sockets; with `close`, their whole connections.
    ///
    /// # Errors
    ///
    /// The queue to the other nodes is full.
    pub fn disconnect_sockets(&self, close: bool) -> Result<(), ClusterError> {
        self.broadcast().disconnect_sockets(close)
    }

    /// The socket with this id, if it is connected to this node.
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0.hub.get(id).filter(|socket| socket.is_connected()).map(Socket)
    }

    /// How many sockets the namespace has on this node, those whose middlewares have not decided yet included.
    pub fn sockets_count(&self) -> usize {
        self.0.hub.len()
    }

    pub(crate) fn hub(&self) -> &Hub<Arc<SocketInner>> {
        &self.0.hub
    }

    pub(crate) fn next_ack_id(&self) -> u64 {
        self.0.ack_ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn table(&self) -> Arc<Table<Erased>> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reports a failure, to the user's handler or the log.
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
        self.0.on_error.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn broadcast(&self) -> Broadcast {
        Broadcast::new(self.clone())
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Table<Erased>)) -> &Self {
        self.change_with(change);
        self
    }

    /// What is taken out is to be dropped by the caller, where no lock is held.
    pub(crate) fn change_with<R>(&self, change: impl FnOnce(&mut Table<Erased>) -> R) -> R {
        let mut table = self.0.table.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut table))
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
