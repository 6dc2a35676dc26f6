//! One connection to a server: what can be done with it.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use engineio_parser::Transport;
use socketio_parser::Nsp;

use crate::{
    config::{ClientConfig, SocketConfig},
    driver::Driver,
    engine::EngineConfig,
    error::{ClientError, ConnectError, DisconnectReason},
    manager_event::ManagerEvent,
    model::{Manager, ManagerListener, Owner, Shared, Socket, Space},
    reconnect::Reconnection,
    url::Target,
};

impl Manager {
    /// A connection to the server of a URL, with the default options. It is opened for the first [`socket`](Self::socket).
    ///
    /// Scheme, host, port and query of the URL are looked at, not its path. Without a scheme it is `https`. As in Node, user and
    /// password in a URL are not sent: [`EngineOptions::header`](crate::EngineOptions::header) is for that.
    ///
    /// # Errors
    ///
    /// The URL names no server, or this is not inside a tokio runtime.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::with_config(url, ClientConfig::default())
    }

    /// A connection with options of your own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); or the options do not fit.
    pub fn with_config(url: &str, config: ClientConfig) -> Result<Self, ClientError> {
        Self::open_target(Target::parse(url)?, config)
    }

    pub(crate) fn open_target(target: Target, config: ClientConfig) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ClientError::NoRuntime)?;
        let query = target.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}/{query}", target.origin);
        let engine = EngineConfig::new(&url, &config.engine)
            .map_err(|error| ClientError::Engine(Arc::new(error)))?;
        let owner =
            Arc::new_cyclic(|owner| Owner(Arc::new(Shared::new(target, config, owner.clone()))));
        runtime.spawn(Driver::new(owner.0.clone(), engine));
        Ok(Self(owner))
    }

    /// The socket of a namespace, the same one each time. It connects at once, unless
    /// [`auto_connect`](ClientConfig::auto_connect) says otherwise.
    ///
    /// ```no_run
    /// use socketio_client::{ClientConfig, Data, Manager};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = ClientConfig::default().auto_connect(false);
    /// let manager = Manager::with_config("http://localhost:3000", config)?;
    /// let chat = manager.socket("/chat");
    /// chat.on("said", |Data(text): Data<String>| async move { println!("{text}") });
    /// chat.connect().await?; // nothing that is said from now on is missed
    /// # Ok(()) }
    /// ```
    pub fn socket(&self, nsp: &str) -> Socket {
        self.find_or_add(Nsp::new(nsp), self.0.0.config.socket.clone())
    }

    /// The socket of a namespace, with options of its own. Where there is one already, its options hold.
    pub fn socket_with(&self, nsp: &str, config: SocketConfig) -> Socket {
        self.find_or_add(Nsp::new(nsp), config)
    }

    fn find_or_add(&self, nsp: Nsp, config: SocketConfig) -> Socket {
        let shared = &self.0.0;
        let space = {
            let mut state = shared.state();
            let known = state.spaces.iter().find(|space| space.nsp == nsp).cloned();
            known.unwrap_or_else(|| {
                let space = Arc::new(Space::new(nsp, config, shared.config.parser));
                state.spaces.push(space.clone());
                space
            })
        };
        let socket = Socket { space, manager: self.clone() };
        if shared.config.auto_connect && !socket.is_active() {
            socket.open();
        }
        socket
    }

    /// Whether there is a socket of this namespace.
    pub(crate) fn has(&self, nsp: &Nsp) -> bool {
        self.0.0.state().spaces.iter().any(|space| space.nsp == *nsp)
    }

    /// Adds a listener to what happens to the connection. It is called by the connection's task, so it should be quick. One that
    /// has captured a handle keeps the connection for good, until [`off`](Self::off).
    ///
    /// ```no_run
    /// use socketio_client::{Manager, ManagerEvent};
    ///
    /// # fn main() -> Result<(), socketio_client::ClientError> {
    /// # let manager = Manager::new("http://localhost:3000")?;
    /// manager.on(|event| {
    ///     if let ManagerEvent::ReconnectAttempt(n) = event {
    ///         println!("attempt {n}");
    ///     }
    /// });
    /// # Ok(()) }
    /// ```
    pub fn on(&self, listener: impl Fn(&ManagerEvent) + Send + Sync + 'static) {
        self.0.0.add_listener(Arc::new(listener));
    }

    /// Removes the listeners.
    pub fn off(&self) {
        self.0.0.clear_listeners();
    }

    /// Opens the connection, if it is not open or being opened. [`Socket::connect`] does so as well.
    pub fn open(&self) {
        {
            let mut state = self.0.0.state();
            state.open = true;
            state.idle = false;
        }
        self.0.0.signal.asked();
    }

    /// Closes the connection, and does not open it again before a socket is told to connect, or [`open`](Self::open) is called.
    /// Its sockets are disconnected ("forced close"); they stay active, and come back with the connection.
    ///
    /// What connected sockets emitted before is sent first, within [`close_timeout`](ClientConfig::close_timeout), and what
    /// is left of it then is lost. What is emitted from now on waits for the next connection.
    pub fn close(&self) {
        let spaces = {
            let mut state = self.0.0.state();
            state.close = true;
            state.open = false;
            state.spaces.clone()
        };
        // Told here, so that who calls `connect` from now on waits for the next connection.
        for space in spaces {
            let waiting = {
                let mut state = space.state();
                state.end();
                std::mem::take(&mut state.connecting)
            };
            for waiting in waiting {
                let _ = waiting.send(Err(ConnectError::Closed(DisconnectReason::ForcedClose)));
            }
        }
        self.0.0.signal.asked();
    }

    /// Waits until there is no connection any more, not even one that is being closed: what was emitted before a disconnection
    /// has left by then, or [`close_timeout`](ClientConfig::close_timeout) has passed.
    ///
    /// ```no_run
    /// # async fn run(socket: socketio_client::Socket) -> Result<(), Box<dyn std::error::Error>> {
    /// socket.emit("bye", &())?;
    /// socket.disconnect();
    /// socket.manager().closed().await;
    /// # Ok(()) }
    /// ```
    pub async fn closed(&self) {
        loop {
            let closed = self.0.0.closed.notified();
            if self.0.0.state().idle || self.0.0.is_ended() {
                return;
            }
            closed.await;
        }
    }

    /// The namespace that is the path of the URL.
    pub fn nsp(&self) -> &Nsp {
        &self.0.0.target.nsp
    }

    /// Whether the connection is open.
    pub fn is_open(&self) -> bool {
        self.0.0.is_open()
    }

    /// The id of the Engine.IO session, while the connection is open.
    pub fn engine_id(&self) -> Option<String> {
        self.0.0.state().session.as_ref().map(|(sid, _)| sid.clone())
    }

    /// The transport in use, while the connection is open.
    pub fn transport(&self) -> Option<Transport> {
        self.0.0.state().session.as_ref().map(|(_, transport)| *transport)
    }

    /// How the connection is opened again.
    pub fn reconnection(&self) -> Reconnection {
        self.0.0.state().reconnection.clone()
    }

    /// Changes how the connection is opened again, from the next attempt on.
    pub fn set_reconnection(&self, reconnection: Reconnection) {
        self.0.0.state().reconnection = reconnection;
        self.0.0.signal.asked();
    }

    /// Changes [`connect_timeout`](ClientConfig::connect_timeout), from the next attempt on.
    pub fn set_connect_timeout(&self, timeout: impl Into<Option<Duration>>) {
        self.0.0.state().connect_timeout = timeout.into();
    }
}

impl Shared {
    fn add_listener(&self, listener: ManagerListener) {
        self.change_listeners(|known| known.iter().cloned().chain([listener]).collect());
    }

    fn clear_listeners(&self) {
        self.change_listeners(|_| Arc::new([]));
    }

    /// Tells the listeners, who are user code.
    pub(crate) fn tell(&self, event: &ManagerEvent) {
        tracing::debug!(target: "socketio::client", event = event.name(), "manager");
        for listener in self.listeners().iter() {
            if std::panic::catch_unwind(AssertUnwindSafe(|| listener(event))).is_err() {
                tracing::error!(target: "socketio::client", "a listener of the manager panicked");
            }
        }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("origin", &self.0.0.target.origin)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
