//! The API of a [`Manager`], one connection to a server.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use engineio_parser::Transport;
use socketio_parser::Nsp;

use crate::{
    config::{ClientConfig, SocketConfig},
    driver::Driver,
    engine::EngineConfig,
    error::{ClientError, ConnectError, DisconnectReason},
    manager_event::ManagerEvent,
    model::{Manager, ManagerListener, NamespaceSlot, Owner, Shared, Socket, Status},
    reconnect::Reconnection,
    url::Target,
};

impl Manager {
    /// Creates a connection to the server of a URL, with the default options. It opens for the
    /// first [`socket`](Self::socket).
    ///
    /// Scheme, host, port and query of the URL are used, the path is not. The default scheme is
    /// `https`. As in Node, user and password in a URL are not sent. Use
    /// [`EngineOptions::header`](crate::EngineOptions::header) for them.
    ///
    /// # Errors
    ///
    /// The URL names no server, or the call is made outside of a tokio runtime.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::with_config(url, ClientConfig::default())
    }

    /// Creates a connection with the given options.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), or the options are invalid.
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

    /// Returns the socket of a namespace, the same socket each time. It connects at once, unless
    /// [`auto_connect`](ClientConfig::auto_connect) is off.
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

    /// Returns the socket of a namespace, created with the given options. An existing socket keeps
    /// its options.
    pub fn socket_with(&self, nsp: &str, config: SocketConfig) -> Socket {
        self.find_or_add(Nsp::new(nsp), config)
    }

    fn find_or_add(&self, nsp: Nsp, config: SocketConfig) -> Socket {
        let shared = &self.0.0;
        let slot = {
            let mut state = shared.state();
            let known = state.slots.iter().find(|slot| slot.nsp == nsp).cloned();
            known.unwrap_or_else(|| {
                let slot = Arc::new(NamespaceSlot::new(nsp, config, shared.config.parser));
                state.slots.push(slot.clone());
                slot
            })
        };
        let socket = Socket { slot, manager: self.clone() };
        if shared.config.auto_connect && !socket.is_active() {
            socket.open();
        }
        socket
    }

    /// Returns whether this namespace has a socket.
    pub(crate) fn has(&self, nsp: &Nsp) -> bool {
        self.0.0.state().slots.iter().any(|slot| slot.nsp == *nsp)
    }

    /// Adds a listener for events of the connection. The connection's task calls it, so it should
    /// be quick. A listener that captures a handle keeps the connection alive until
    /// [`off`](Self::off).
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

    /// Removes all listeners.
    pub fn off(&self) {
        self.0.0.clear_listeners();
    }

    /// Opens the connection, unless it is open or opening. [`Socket::connect`] does so as well.
    pub fn open(&self) {
        {
            let mut state = self.0.0.state();
            state.request.open();
            if matches!(state.status, Status::Idle) {
                state.status = Status::Busy;
            }
        }
        self.0.0.signal.request_made();
    }

    /// Closes the connection. It opens again when a socket connects or [`open`](Self::open) is
    /// called. Its sockets are disconnected ("forced close") but stay active, so they connect again
    /// with the next connection.
    ///
    /// Events that connected sockets emitted before are sent first, within
    /// [`close_timeout`](ClientConfig::close_timeout). Events still unsent after that time are
    /// lost. Events that are emitted after this call wait for the next connection.
    pub fn close(&self) {
        let mut connecting = Vec::new();
        {
            let mut state = self.0.0.state();
            state.request.close();
            // Under the lock, because the connection's task must not handle `close` before all
            // sockets are marked.
            for slot in &state.slots {
                let mut state = slot.state();
                state.end();
                connecting.append(&mut state.connecting);
            }
        }
        // Fails pending `connect` calls here, so that calls from now on wait for the next
        // connection.
        for waiting in connecting {
            let _ = waiting.send(Err(ConnectError::Closed(DisconnectReason::ForcedClose)));
        }
        self.0.0.signal.request_made();
    }

    /// Waits until there is no connection, not even a closing one. By then the events emitted
    /// before a disconnection have been sent, or [`close_timeout`](ClientConfig::close_timeout) has
    /// passed.
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
            if matches!(self.0.0.state().status, Status::Idle) || self.0.0.is_ended() {
                return;
            }
            closed.await;
        }
    }

    /// Returns the namespace named by the path of the URL.
    pub fn nsp(&self) -> &Nsp {
        &self.0.0.target.nsp
    }

    /// Returns whether the connection is open.
    pub fn is_open(&self) -> bool {
        self.0.0.is_open()
    }

    /// Returns the id of the Engine.IO session while the connection is open.
    pub fn engine_id(&self) -> Option<String> {
        match &self.0.0.state().status {
            Status::Open { sid, .. } => Some(sid.clone()),
            Status::Idle | Status::Busy => None,
        }
    }

    /// Returns the transport in use while the connection is open.
    pub fn transport(&self) -> Option<Transport> {
        match self.0.0.state().status {
            Status::Open { transport, .. } => Some(transport),
            Status::Idle | Status::Busy => None,
        }
    }

    /// Returns the reconnection policy.
    pub fn reconnection(&self) -> Reconnection {
        self.0.0.state().reconnection.clone()
    }

    /// Changes the reconnection policy, from the next attempt on.
    pub fn set_reconnection(&self, reconnection: Reconnection) {
        self.0.0.state().reconnection = reconnection;
        self.0.0.signal.request_made();
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

    /// Calls the listeners, which are user code.
    pub(crate) fn notify(&self, event: &ManagerEvent) {
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
