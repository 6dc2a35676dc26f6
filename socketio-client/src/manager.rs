//! One connection to a server.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use engineio_parser::Transport;
use socketio_core::Listener;
use socketio_parser::{Nsp, NspError};

use crate::{
    config::{ClientConfig, SHORTEST, SocketConfig},
    driver::Driver,
    engine::EngineConfig,
    error::{ClientError, ConnectError, DisconnectReason},
    reconnection::Reconnection,
    registration::Registration,
    shared::{ManagerListener, Shared},
    socket::Socket,
    url::Target,
};

/// One connection to a server, which reconnects when it is lost. A clone is another handle of the
/// same connection.
///
/// The connection ends when the last handle is dropped. Sockets are handles too. Events that were
/// emitted before are still sent while the runtime is alive, within
/// [`close_timeout`](crate::ClientConfig::close_timeout).
///
/// ```
/// use socketio_client::Manager;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let io = socketio_server::Server::new();
/// # io.of("/admin");
/// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
/// let manager = Manager::new(&url)?;
/// let root = manager.socket("/");
/// let admin = manager.socket("/admin"); // over the same connection
/// root.connected().await?;
/// admin.connected().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Manager(Arc<Owner>);

/// The part that only handles share. Dropping it stops the connection's task.
struct Owner {
    target: Target,
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.signal().stop();
    }
}

/// A handle that does not keep the connection alive.
#[derive(Clone)]
pub(crate) struct WeakManager(Weak<Owner>);

impl WeakManager {
    /// Returns a handle, or `None` after the last handle was dropped.
    pub(crate) fn upgrade(&self) -> Option<Manager> {
        self.0.upgrade().map(Manager)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Manager {
    /// Creates a manager for the server of a URL, with the default options. Its connection opens
    /// when the first [`socket`](Self::socket) connects.
    ///
    /// Scheme, host, port and query of the URL are used, the path is not. The default scheme is
    /// `https`. As in Node, user and password in a URL are not sent. Use
    /// [`EngineOptions::header`](crate::EngineOptions::header) for them.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL names no server, or the call is made outside of a tokio runtime.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::with_config(url, ClientConfig::default())
    }

    /// Creates a manager with the given options.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`new`](Self::new), and an error if the options are invalid.
    pub fn with_config(url: &str, config: ClientConfig) -> Result<Self, ClientError> {
        Self::open_target(Target::parse(url)?, config)
    }

    pub(crate) fn open_target(target: Target, config: ClientConfig) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ClientError::NoRuntime)?;
        let query = target.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}/{query}", target.origin);
        let engine = EngineConfig::new(&url, &config.engine)
            .map_err(|error| ClientError::Engine(Arc::new(error)))?;
        let owner = Arc::new_cyclic(|owner| {
            let shared = Arc::new(Shared::new(config, WeakManager(owner.clone())));
            Owner { target, shared }
        });
        runtime.spawn(Driver::new(owner.shared.clone(), engine));
        Ok(Self(owner))
    }

    pub(crate) fn downgrade(&self) -> WeakManager {
        WeakManager(Arc::downgrade(&self.0))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Returns the socket of a namespace. Further calls return the same socket. The socket connects
    /// at once, unless [`auto_connect`](ClientConfig::auto_connect) is off.
    ///
    /// A name with a comma needs the parser [`MsgPack`](crate::Parser). With another parser the
    /// socket is not connected: `connect_error` reports
    /// [`Namespace`](crate::ConnectError::Namespace), and the socket becomes inactive. Use
    /// [`try_socket`](Self::try_socket) for names that are not literals.
    ///
    /// ```
    /// use socketio_client::{ClientConfig, Data, Manager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let io = socketio_server::Server::new();
    /// # io.of("/chat");
    /// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
    /// let config = ClientConfig::default().auto_connect(false);
    /// let manager = Manager::with_config(&url, config)?;
    /// let chat = manager.socket("/chat");
    /// chat.on("said", |Data(text): Data<String>| async move { println!("{text}") });
    /// chat.connect().await?; // the handler misses no event
    /// # Ok(()) }
    /// ```
    pub fn socket(&self, nsp: &str) -> Socket {
        self.find_or_add(Nsp::unchecked(nsp), self.shared().config().socket.clone())
    }

    /// Returns the socket of a namespace like [`socket`](Self::socket), unless no packet can carry
    /// the name.
    ///
    /// ```
    /// use socketio_client::{ClientConfig, Manager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = ClientConfig::default().auto_connect(false);
    /// let manager = Manager::with_config("http://localhost:3000", config)?;
    /// assert_eq!(manager.try_socket("chat")?.nsp().as_str(), "/chat");
    /// assert!(manager.try_socket("tea, coffee").is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the name contains a comma, unless the parser is `MsgPack`.
    pub fn try_socket(&self, nsp: &str) -> Result<Socket, NspError> {
        let config = self.shared().config();
        Ok(self.find_or_add(config.parser.nsp(nsp)?, config.socket.clone()))
    }

    /// Returns the socket of a namespace, created with the given options. An existing socket keeps
    /// its options.
    pub fn socket_with(&self, nsp: &str, config: SocketConfig) -> Socket {
        self.find_or_add(Nsp::unchecked(nsp), config)
    }

    fn find_or_add(&self, nsp: Nsp, config: SocketConfig) -> Socket {
        let shared = self.shared();
        let socket = Socket::new(shared.find_or_add(nsp, config), self.clone());
        if shared.config().auto_connect && !socket.is_active() {
            socket.open();
        }
        socket
    }

    /// Returns whether this namespace has a socket.
    pub(crate) fn has(&self, nsp: &Nsp) -> bool {
        self.shared().has(nsp)
    }

    /// Adds a listener for events of the connection. The connection's task calls it, so it should
    /// be quick. A listener that captures a handle keeps the connection alive until
    /// [`off`](Self::off).
    ///
    /// ```
    /// use socketio_client::{Manager, ManagerEvent};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), socketio_client::ClientError> {
    /// let manager = Manager::new("http://localhost:3000")?;
    /// manager.on(|event| {
    ///     if let ManagerEvent::ReconnectAttempt(n) = event {
    ///         println!("attempt {n}");
    ///     }
    /// });
    /// # Ok(()) }
    /// ```
    pub fn on(
        &self,
        listener: impl Fn(&ManagerEvent) + Send + Sync + 'static,
    ) -> Registration<'_, Self> {
        let listener: Listener<ManagerListener> = Listener::new(Arc::new(listener));
        let id = self.shared().change_listeners(|listeners| listener.append_to(listeners));
        Registration::in_manager(self, id)
    }

    /// Removes all listeners.
    pub fn off(&self) -> &Self {
        drop(self.shared().change_listeners(std::mem::take));
        self
    }

    /// Opens the connection, unless it is open or opening. [`Socket::connect`] does so as well.
    pub fn open(&self) {
        self.shared().request_open();
    }

    /// Closes the connection. The connection opens again when a socket connects or
    /// [`open`](Self::open) is called. Its sockets are disconnected ("forced close") but stay
    /// active, so they connect again with the next connection.
    ///
    /// Events that connected sockets emitted before are sent first, within
    /// [`close_timeout`](ClientConfig::close_timeout). Events still unsent after that time are
    /// lost. Events that are emitted after this call wait for the next connection.
    pub fn close(&self) {
        self.shared().request_close();
    }

    /// Tells the client that the network has changed, for example because a phone left the Wi-Fi.
    /// The connection is then lost, although the operating system does not report it. The client
    /// ends the connection at once with "transport close", without a packet to the server, and
    /// reconnects as after any loss. Without this call, the client notices the loss when a ping is
    /// overdue. A connection that is being opened is opened again, as part of the same attempt.
    /// Does nothing if there is no connection. Node's client ends its connection too when the
    /// browser goes offline.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let io = socketio_server::Server::new();
    /// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
    /// use socketio_client::{ClientConfig, Manager, Reconnection};
    ///
    /// let at_once = Reconnection::default().immediate(true);
    /// let manager = Manager::with_config(&url, ClientConfig::default().reconnection(at_once))?;
    /// let socket = manager.socket("/");
    /// socket.connect().await?;
    /// manager.network_changed(); // the system has reported another network
    /// socket.connected().await?;
    /// # Ok(()) }
    /// ```
    pub fn network_changed(&self) {
        self.shared().network_changed();
    }

    /// Waits until there is no connection, not even a closing one. By then the events emitted
    /// before a disconnection have been sent, or [`close_timeout`](ClientConfig::close_timeout) has
    /// passed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let io = socketio_server::Server::new();
    /// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
    /// let socket = socketio_client::connect(&url).await?;
    /// socket.emit("bye", &())?;
    /// socket.disconnect();
    /// socket.manager().closed().await;
    /// # Ok(()) }
    /// ```
    pub async fn closed(&self) {
        self.shared().closed().await;
    }

    /// Returns the namespace named by the path of the URL.
    pub fn nsp(&self) -> &Nsp {
        &self.0.target.nsp
    }

    /// Returns whether the connection is open.
    pub fn is_open(&self) -> bool {
        self.shared().is_open()
    }

    /// Returns the id of the Engine.IO session while the connection is open.
    pub fn engine_id(&self) -> Option<String> {
        self.shared().open_session().map(|(sid, _)| sid.to_string())
    }

    /// Returns the transport in use while the connection is open.
    pub fn transport(&self) -> Option<Transport> {
        self.shared().open_session().map(|(_, transport)| transport)
    }

    /// Returns the reconnection policy.
    pub fn reconnection(&self) -> Reconnection {
        self.shared().reconnection()
    }

    /// Changes the reconnection policy, from the next attempt on.
    pub fn set_reconnection(&self, reconnection: Reconnection) {
        self.shared().set_reconnection(reconnection);
    }

    /// Changes [`connect_timeout`](ClientConfig::connect_timeout), from the next attempt on.
    pub fn set_connect_timeout(&self, timeout: impl Into<Option<Duration>>) {
        let timeout = timeout.into().map(|timeout| timeout.max(SHORTEST));
        self.shared().set_connect_timeout(timeout);
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("origin", &self.0.target.origin)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// An event of a connection, independent of its namespaces. See
/// [`Manager::on`](crate::Manager::on).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// The connection is open. The client now connects its namespaces.
    Open,
    /// The connection could not be opened.
    Error(ConnectError),
    /// The server's ping has arrived, and the client has sent the pong.
    Ping,
    /// The session switched to another transport.
    Upgrade(Transport),
    /// The connection has ended.
    Close {
        /// The reason.
        reason: DisconnectReason,
        /// Further details, if known.
        description: Option<String>,
    },
    /// The client will reconnect after a delay.
    Reconnecting {
        /// The delay before the next attempt.
        delay: Duration,
    },
    /// The client starts its nth attempt to reconnect.
    ReconnectAttempt(u32),
    /// The nth attempt has reconnected the client.
    Reconnect(u32),
    /// An attempt has failed.
    ReconnectError(ConnectError),
    /// The client gives up reconnecting. As in Node, this event comes before the
    /// [`ReconnectError`](Self::ReconnectError) of the last attempt.
    ReconnectFailed,
}

impl ManagerEvent {
    /// Returns the name of the event in Node. Only `reconnecting` does not exist in Node.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Error(_) => "error",
            Self::Ping => "ping",
            Self::Upgrade(_) => "upgrade",
            Self::Close { .. } => "close",
            Self::Reconnecting { .. } => "reconnecting",
            Self::ReconnectAttempt(_) => "reconnect_attempt",
            Self::Reconnect(_) => "reconnect",
            Self::ReconnectError(_) => "reconnect_error",
            Self::ReconnectFailed => "reconnect_failed",
        }
    }
}
