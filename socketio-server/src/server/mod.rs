//! The server: all namespaces on top of one engine.

pub(crate) mod cluster;
pub(crate) mod stats;

use std::{fmt, sync::Arc, time::Duration};

use engineio_server::{
    Connection, DrainSummary, Engine, EngineLayer, EngineService, Listening, internal::settings,
};
use serde::{Serialize, de::DeserializeOwned};
use socketio_core::typed_emit;
use socketio_parser::{Args, Event, Nsp, NspError};
use tokio::net::ToSocketAddrs;

use crate::{
    config::ServerConfig,
    driver::Driver,
    error::{BroadcastAckError, EmitError, HandlerError, PatternError},
    handlers::{
        ConnectContext, DisconnectContext, EventContext, Failure, Handler, Registration,
        TypedHandler,
    },
    namespace::{
        Namespace,
        broadcast::Broadcast,
        methods::broadcast_methods,
        parent::ParentNamespace,
        registry::Registry,
        rule::{NamespaceRequest, NamespaceVerdict, Rule},
    },
    socket::Socket,
};

/// The longest time that [`Server::ended`] waits for the other nodes to be told that this one
/// leaves.
const LEAVING: Duration = Duration::from_secs(2);

/// A Socket.IO server. Cloning it costs a few reference counts.
///
/// Methods that a [`Namespace`] has too act on the main namespace, `/`.
///
/// The server runs on its own with [`listen`](Self::listen), or inside an application with
/// [`layer`](Self::layer) or [`service`](Self::service):
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use socketio_server::{Server, Socket, serve, tower_layer::Layer as _};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let io = Server::new();
/// io.on("ping", |socket: Socket| async move {
///     socket.emit("pong", &())?;
///     Ok(())
/// });
/// let pages = Router::new().route("/", get(|| async { "hello" }));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// serve(listener, io.layer().layer(pages), io.engine().config()).join().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    registry: Arc<Registry>,
    engine: Engine,
    main: Namespace,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// Creates a server with the default options.
    pub fn new() -> Self {
        Self::with_config(ServerConfig::default())
    }

    /// Creates a server with the given options.
    pub fn with_config(config: ServerConfig) -> Self {
        let engine = config.engine.clone();
        let registry = Arc::new(Registry::new(Arc::new(config)));
        let main = registry.of(Nsp::root());
        let drivers = registry.clone();
        let engine = Engine::new(engine, move |connection: Connection| {
            Driver::new(connection, drivers.clone())
        });
        Self { registry, engine, main }
    }

    /// Returns the namespace with this name, and creates it if necessary. A missing leading slash
    /// is added. If a parent that was declared earlier covers the name, the namespace becomes a
    /// child of that parent, with its handlers and middlewares. See also [`of_fn`](Self::of_fn).
    ///
    /// A client that requests a namespace which was not declared gets a CONNECT_ERROR, "Invalid
    /// namespace".
    ///
    /// Unless the [parser](ServerConfig::parser) is `MsgPack`, packets cannot carry a name with a
    /// comma. Such a name is logged as an error, and the returned namespace does not belong to the
    /// server. Use [`try_of`](Self::try_of) for names that are not literals.
    ///
    /// ```
    /// use socketio_server::{Data, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.of("/chat").on("say", |socket: Socket, Data(text): Data<String>| async move {
    ///     socket.broadcast().emit("said", &text)?;
    ///     Ok(())
    /// });
    /// assert_eq!(io.of("chat").name(), "/chat");
    /// ```
    pub fn of(&self, name: &str) -> Namespace {
        self.try_of(name).unwrap_or_else(|error| {
            tracing::error!(target: "socketio::namespace", %error, "no client can enter a namespace with this name");
            self.registry.detached(Nsp::unchecked(name))
        })
    }

    /// Returns the namespace with this name like [`of`](Self::of), unless no packet can carry the
    /// name.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// assert_eq!(io.try_of("chat")?.name(), "/chat");
    /// assert!(io.try_of("tea, coffee").is_err());
    /// # Ok::<(), socketio_server::NspError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the name contains a comma, unless the [parser](ServerConfig::parser) is
    /// `MsgPack`.
    pub fn try_of(&self, name: &str) -> Result<Namespace, NspError> {
        Ok(self.registry.of(self.registry.config.parser.nsp(name)?))
    }

    /// Declares all namespaces whose name, including the leading slash, matches a regular
    /// expression. The syntax is that of the crate `regex-lite`, in which classes such as `\w` and
    /// `\d` contain ASCII characters only. The expression matches anywhere in the name, so anchor
    /// it with `^` and `$`. Named groups are the [`Params`](crate::Params) of a namespace.
    ///
    /// If several parents cover a name, the one that was declared first gets it. A namespace that
    /// was created with [`of`](Self::of) before the parent was declared is not affected. Clients
    /// choose the names, so keep the expression narrow.
    ///
    /// ```
    /// use socketio_server::{Server, Socket};
    ///
    /// # fn main() -> Result<(), socketio_server::PatternError> {
    /// let io = Server::new();
    /// io.of_regex(r"^/room-(?<number>\d+)$")?.on_connection(|socket: Socket| async move {
    ///     println!("a client enters room {:?}", socket.param("number"));
    /// });
    /// assert!(io.of_regex("(").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if `regex` is not a regular expression.
    pub fn of_regex(&self, regex: &str) -> Result<ParentNamespace, PatternError> {
        self.parent(Rule::regex(regex))
    }

    /// Declares all namespaces whose name follows a pattern. `{name}` stands for the text between
    /// two slashes, or for a piece of it, and is a parameter ([`Socket::param`],
    /// [`Params`](crate::Params)).
    ///
    /// ```
    /// use socketio_server::{Server, Socket};
    ///
    /// # fn main() -> Result<(), socketio_server::PatternError> {
    /// let io = Server::new();
    /// io.of_pattern("/orders/{id}")?.on_connection(|socket: Socket| async move {
    ///     println!("a client looks at order {:?}", socket.param("id"));
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if a brace is not closed, or if a parameter's name occurs twice or is not
    /// an identifier.
    pub fn of_pattern(&self, pattern: &str) -> Result<ParentNamespace, PatternError> {
        self.parent(Rule::pattern(pattern))
    }

    /// Declares all namespaces that an async function accepts. The function is called for every
    /// CONNECT to any namespace except the main one and those that were declared earlier, for
    /// example with [`of`](Self::of). It is called even if the namespace exists by then. Its result
    /// decides:
    ///
    /// - [`Accept`](NamespaceVerdict::Accept): the namespace belongs to this parent, and is created
    ///   if it does not exist. The parent's middlewares decide next. This also applies to a
    ///   namespace that the application declared after this parent: it gets the parent's handlers
    ///   when the first client is accepted.
    /// - [`Pass`](NamespaceVerdict::Pass): the name does not belong to this parent. The parents
    ///   declared after it are asked. A namespace that the application has declared is open to a
    ///   client that all of them pass: only its own middlewares decide then. `Pass` does not refuse
    ///   the client.
    /// - An error or a panic refuses the client, as in a middleware.
    ///
    /// The verdict applies only to the client that sent the CONNECT. A namespace that this parent
    /// has created for one client is closed to other clients that the function does not accept. Let
    /// the name alone decide between `Accept` and `Pass`, because a namespace has the handlers of
    /// one parent.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use socketio_server::{HandlerError, NamespaceRequest, NamespaceVerdict, Server};
    ///
    /// #[derive(Deserialize)]
    /// struct Credentials { token: String }
    ///
    /// let io = Server::new();
    /// let teams = io.of_fn(|request: NamespaceRequest| async move {
    ///     if !request.name().starts_with("/team-") {
    ///         return Ok(NamespaceVerdict::Pass);
    ///     }
    ///     let Credentials { token } = request.auth()?; // otherwise "invalid auth"
    ///     if token != "secret" { // a real server would look the token up
    ///         return Err(HandlerError::public("not authorized"));
    ///     }
    ///     Ok(NamespaceVerdict::Accept)
    /// });
    /// teams.on_connection(|| async {});
    /// ```
    pub fn of_fn<F, Fut>(&self, decide: F) -> ParentNamespace
    where
        F: Fn(NamespaceRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<NamespaceVerdict, HandlerError>> + Send + 'static,
    {
        let rule = Rule::Decides(Box::new(move |request| Box::pin(decide(request))));
        let template = self.registry.add_parent(rule);
        ParentNamespace { template, registry: self.registry.clone() }
    }

    /// Adds a listener that is called for every namespace created after this call, except the main
    /// one (`new_namespace` in Node). No client enters the namespace before the listener has
    /// returned, so middlewares added in it see all clients.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// io.on_new_namespace(|namespace| println!("{} is there", namespace.name()));
    /// ```
    pub fn on_new_namespace(&self, handler: impl Fn(&Namespace) + Send + Sync + 'static) -> &Self {
        self.registry.on_new(handler);
        self
    }

    /// Removes a namespace and disconnects its sockets ("server namespace disconnect"). Returns
    /// whether the namespace existed. The main namespace cannot be removed. Clients that request
    /// the namespace again are refused, unless a parent covers the name.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// io.of("/lobby");
    /// assert!(io.close_namespace("/lobby"));
    /// assert!(!io.close_namespace("/lobby") && !io.close_namespace("/"));
    /// ```
    pub fn close_namespace(&self, name: &str) -> bool {
        let nsp = Nsp::unchecked(name);
        !nsp.is_root() && self.registry.close_namespace(&nsp)
    }

    fn parent(&self, rule: Result<Rule, PatternError>) -> Result<ParentNamespace, PatternError> {
        let template = self.registry.add_parent(rule?);
        Ok(ParentNamespace { template, registry: self.registry.clone() })
    }

    /// Adds a handler that runs after a client has connected. See [`Namespace::on_connection`].
    pub fn on_connection<M>(
        &self,
        handler: impl Handler<ConnectContext, M>,
    ) -> Registration<'_, Self> {
        self.main.on_connection(handler).with_owner(self)
    }

    /// Adds a handler for an event. See [`Namespace::on`].
    pub fn on<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.main.on(event, handler).with_owner(self)
    }

    /// Adds a handler that runs only for the next event of this name. See [`Namespace::once`].
    pub fn once<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.main.once(event, handler).with_owner(self)
    }

    /// Removes the handlers of an event. See [`Namespace::off`].
    pub fn off(&self, event: &str) -> &Self {
        self.main.off(event);
        self
    }

    /// Removes the handlers of all named events. See [`Namespace::remove_all_listeners`].
    pub fn remove_all_listeners(&self) -> &Self {
        self.main.remove_all_listeners();
        self
    }

    /// Adds a handler for a typed event. See [`Namespace::handle`].
    pub fn handle<A, R, K>(
        &self,
        event: Event<A, R>,
        handler: impl TypedHandler<Socket, A, R, K>,
    ) -> Registration<'_, Self>
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.main.handle(event, handler).with_owner(self)
    }

    /// Adds a handler for every event. See [`Namespace::on_any`].
    pub fn on_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.main.on_any(handler).with_owner(self)
    }

    /// Adds a handler for every event, before the existing ones. See [`Namespace::prepend_any`].
    pub fn prepend_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.main.prepend_any(handler).with_owner(self)
    }

    /// Removes the handlers of every event. See [`Namespace::off_any`].
    pub fn off_any(&self) -> &Self {
        self.main.off_any();
        self
    }

    /// Adds a listener for every event that is sent to a socket. See
    /// [`Namespace::on_any_outgoing`].
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Args) + Send + Sync + 'static,
    ) -> Registration<'_, Self> {
        self.main.on_any_outgoing(listener).with_owner(self)
    }

    /// Removes the listeners for outgoing events. See [`Namespace::off_any_outgoing`].
    pub fn off_any_outgoing(&self) -> &Self {
        self.main.off_any_outgoing();
        self
    }

    /// Adds a middleware. See [`Namespace::use_`].
    pub fn use_<M>(&self, middleware: impl Handler<ConnectContext, M>) -> Registration<'_, Self> {
        self.main.use_(middleware).with_owner(self)
    }

    /// Adds a handler that runs when a socket is about to be disconnected. See
    /// [`Namespace::on_disconnecting`].
    pub fn on_disconnecting<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.main.on_disconnecting(handler).with_owner(self)
    }

    /// Adds a handler that runs after a socket was disconnected. See [`Namespace::on_disconnect`].
    pub fn on_disconnect<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.main.on_disconnect(handler).with_owner(self)
    }

    /// Sets the function that is called when a handler fails. See [`Namespace::on_error`].
    pub fn on_error(&self, handler: impl Fn(&Socket, &Failure) + Send + Sync + 'static) -> &Self {
        self.main.on_error(handler);
        self
    }

    /// Broadcasts an event to all sockets of the main namespace.
    ///
    /// ```
    /// use socketio_server::{Server, bytes::Bytes, value};
    ///
    /// # fn main() -> Result<(), socketio_server::EmitError> {
    /// let io = Server::new();
    /// let image = Bytes::from_static(b"\x89PNG");
    /// io.emit("news", &value!({ "title": "hello", "image": image }))?;
    /// io.to("players").except("muted").emit("score", &(3, 4))?; // two arguments
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the event cannot be encoded, or if the queue to the other nodes is full.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.main.broadcast().emit(event, args)
    }

    broadcast_methods!(self => self.main.broadcast(), Broadcast);

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
        self.main.broadcast().emit_with_ack(event, args).await
    }

    /// Sets how long to wait for the acks of the next broadcast (default: the server's
    /// [`ack_timeout`](ServerConfig::ack_timeout), 30 s).
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.main.broadcast().timeout(timeout)
    }

    /// Returns the main namespace, `/` (`io.sockets` in Node).
    pub fn sockets(&self) -> &Namespace {
        &self.main
    }

    /// Returns the path on which requests are served.
    pub fn path(&self) -> &str {
        self.engine.path()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    #[cfg(feature = "admin")]
    pub(crate) fn shared_registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    fn join_cluster(&self) {
        for namespace in self.namespaces() {
            namespace.join_cluster();
        }
    }

    pub(crate) fn namespaces(&self) -> Vec<Namespace> {
        self.registry.namespaces()
    }

    /// Returns the Engine.IO server underneath, with its clients and its service.
    ///
    /// ```
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// assert_eq!(io.engine().clients_count(), 0);
    /// ```
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    #[cfg(feature = "testing")]
    pub(crate) fn parser(&self) -> socketio_parser::Parser {
        self.registry.config.parser
    }

    #[cfg(feature = "testing")]
    pub(crate) fn has_socket(&self, nsp: &Nsp, id: &str) -> bool {
        let namespaces = self.registry.namespaces();
        namespaces.iter().any(|it| it.nsp() == nsp && it.hub().get(id).is_some())
    }

    /// Returns a tower service that serves requests to the configured path and responds with 404 to
    /// all others.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// let app: Router =
    ///     Router::new().route("/", get(|| async { "hello" })).fallback_service(io.service());
    /// ```
    pub fn service(&self) -> EngineService {
        self.engine.service()
    }

    /// Returns a tower layer that serves requests to the configured path and passes all others to
    /// the inner service, for example of axum or tonic.
    pub fn layer(&self) -> EngineLayer {
        self.engine.layer()
    }

    /// Starts to listen, and returns the bound listener.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// let listening = io.bind("127.0.0.1:0").await?;
    /// println!("http://{}{}", listening.local_addr()?, io.path());
    /// io.close();
    /// io.ended().await;
    /// listening.stop();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be resolved or bound.
    pub async fn bind(&self, address: impl ToSocketAddrs) -> std::io::Result<Listening> {
        self.join_cluster();
        self.engine.listen(address).await
    }

    /// Listens until the server is [closed](Self::close) or [drained](Self::drain) and has
    /// [ended](Self::ended).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use socketio_server::Server;
    ///
    /// let io = Server::new();
    /// let closes = io.clone();
    /// tokio::spawn(async move {
    ///     // A program would wait for a signal here: `tokio::signal::ctrl_c().await`.
    ///     closes.close();
    /// });
    /// io.listen("127.0.0.1:0").await?; // returns when all sockets are closed
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be resolved or bound.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> std::io::Result<()> {
        let listening = self.bind(address).await?;
        self.serve(listening).await;
        Ok(())
    }

    /// Starts to listen with TLS, and returns the bound listener. See [`Engine::listen_tls`].
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be resolved or bound.
    #[cfg(feature = "tls")]
    pub async fn bind_tls(
        &self,
        address: impl ToSocketAddrs,
        tls: Arc<engineio_server::rustls::ServerConfig>,
    ) -> std::io::Result<Listening> {
        self.join_cluster();
        self.engine.listen_tls(address, tls).await
    }

    /// Listens like [`listen`](Self::listen), with TLS. Certificates and cryptography come from
    /// `tls`, a configuration of [`rustls`](crate::rustls).
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use socketio_server::{
    ///     Server,
    ///     rustls::{
    ///         ServerConfig,
    ///         pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    ///     },
    /// };
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let chain = CertificateDer::pem_file_iter("fullchain.pem")?.collect::<Result<_, _>>()?;
    /// let key = PrivateKeyDer::from_pem_file("privkey.pem")?;
    /// let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    /// Server::new().listen_tls("0.0.0.0:443", Arc::new(tls)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be resolved or bound.
    #[cfg(feature = "tls")]
    pub async fn listen_tls(
        &self,
        address: impl ToSocketAddrs,
        tls: Arc<engineio_server::rustls::ServerConfig>,
    ) -> std::io::Result<()> {
        let listening = self.bind_tls(address, tls).await?;
        self.serve(listening).await;
        Ok(())
    }

    /// Starts to listen for WebTransport on a UDP port, usually that of
    /// [`listen_tls`](Self::listen_tls), and returns the bound listener. See
    /// [`Engine::listen_webtransport`].
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use socketio_server::{Server, ServerConfig, Transport, rustls};
    ///
    /// # async fn run(tls: rustls::ServerConfig) -> std::io::Result<()> {
    /// let transports = [Transport::Polling, Transport::WebSocket, Transport::WebTransport];
    /// let config = ServerConfig::default().engine(|engine| engine.transports(&transports));
    /// let io = Server::with_config(config);
    /// let tls = Arc::new(tls);
    /// io.bind_webtransport("0.0.0.0:443", tls.clone()).await?;
    /// io.listen_tls("0.0.0.0:443", tls).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be resolved or bound, or `tls` does not fit QUIC.
    #[cfg(feature = "webtransport")]
    pub async fn bind_webtransport(
        &self,
        address: impl ToSocketAddrs,
        tls: Arc<engineio_server::rustls::ServerConfig>,
    ) -> std::io::Result<Listening> {
        self.join_cluster();
        self.engine.listen_webtransport(address, tls).await
    }

    async fn serve(&self, listening: Listening) {
        self.registry.closed().await;
        // Polling clients fetch their last packets with requests, so the listener has to stay until
        // then.
        self.ended().await;
        listening.stop();
        listening.join().await;
    }

    /// Waits until every connection has ended, its handlers have run and its queued data is
    /// written. Call it at the end of a program, after [`close`](Self::close). A client that reads
    /// nothing or a handler that does not return delays this for at most twice
    /// [`EngineConfig::linger`](crate::EngineConfig::linger), which is 6 s by default. With an
    /// adapter, it also waits up to 2 s until the node has left the cluster.
    pub async fn ended(&self) {
        self.connections_ended().await;
        let _ = tokio::time::timeout(LEAVING, self.registry.left_cluster()).await;
    }

    async fn connections_ended(&self) {
        let linger = settings(&self.registry.config.engine).linger;
        let _ = tokio::time::timeout(2 * linger, self.engine.ended()).await;
    }

    /// Must run after the connections have ended, because events sent by their last handlers also
    /// go to the other nodes.
    fn leave_cluster(&self) {
        if self.registry.config.adapter.is_none() {
            return;
        }
        let io = self.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                io.connections_ended().await;
                io.registry.leave_cluster();
            })),
            Err(_) => io.registry.leave_cluster(),
        }
    }

    /// Closes the server. Every connection is closed at once, its sockets see "server shutting
    /// down", and [`listen`](Self::listen) returns. Queued data is sent first, for at most
    /// [`EngineConfig::linger`](crate::EngineConfig::linger). New connections are refused
    /// with 503. A listener that was started with [`bind`](Self::bind) is stopped by
    /// [`Listening::stop`].
    pub fn close(&self) {
        self.registry.close();
        self.engine.close();
        self.leave_cluster();
    }

    /// Closes the server gradually over `duration`, so that its clients do not all reconnect at the
    /// same moment. New connections are refused with 503 and `Retry-After`. Open connections are
    /// closed one after another, and their sockets see "server shutting down". [`Engine::drain`]
    /// describes the order and the time it takes. Then the server is [closed](Self::close), so that
    /// [`listen`](Self::listen) returns.
    ///
    /// If the adapter's engine keeps sessions, those of all connected clients are stored before the
    /// first connection is closed, as with [`crash_safe`](crate::Recovery::crash_safe). Clients
    /// therefore recover them on other nodes even if this node is killed during the drain.
    ///
    /// Returns what happened to the connections. A node that is being replaced drains when it
    /// receives SIGTERM:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use socketio_server::Server;
    /// # async fn run(io: Server, sigterm: impl Future<Output = ()>) -> std::io::Result<()> {
    /// let stop = async {
    ///     sigterm.await; // sent after the load balancer directs new clients to other nodes
    ///     println!("{:?}", io.drain(Duration::from_secs(30)).await);
    /// };
    /// let (listened, ()) = tokio::join!(io.listen("0.0.0.0:3000"), stop);
    /// listened
    /// # }
    /// ```
    pub async fn drain(&self, duration: Duration) -> DrainSummary {
        self.registry.drain();
        for namespace in self.registry.namespaces() {
            namespace.store_sessions().await;
        }
        let drained = self.engine.drain(duration).await;
        self.close();
        drained
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Server {
    typed_emit! {
        /// Broadcasts a typed event to all sockets of the main namespace.
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
