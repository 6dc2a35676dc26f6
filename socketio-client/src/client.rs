//! Sockets by URL.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::{
    config::ClientConfig,
    error::{ClientError, ConnectError},
    model::{Manager, Owner, Socket},
    url::Target,
};

/// Connects to the namespace that is the path of a URL, over a connection of its own, and waits until the server has granted
/// it.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let chat = socketio_client::connect("http://localhost:3000/chat?room=7").await?;
/// chat.emit("say", "hello")?;
/// # Ok(()) }
/// ```
///
/// What the server sends right after that may arrive before a handler is added to the socket: where that matters, make the
/// socket with [`auto_connect(false)`](ClientConfig::auto_connect), as [`Manager::socket`] shows.
///
/// # Errors
///
/// The first `connect_error`, and nothing is tried again then. To go on trying, use a [`Manager`].
pub async fn connect(url: &str) -> Result<Socket, ConnectError> {
    connect_with(url, ClientConfig::default()).await
}

/// As [`connect`], with options of your own.
///
/// # Errors
///
/// As [`connect`].
pub async fn connect_with(url: &str, config: ClientConfig) -> Result<Socket, ConnectError> {
    let target = Target::parse(url).map_err(ClientError::from)?;
    let nsp = target.nsp.clone();
    let manager = Manager::open_target(target, config.auto_connect(false))?;
    let socket = manager.socket(nsp.as_str());
    socket.connect().await?;
    Ok(socket)
}

/// Sockets by URL. Namespaces of one server share a connection: what Node's `io()` does with a cache of the whole process, this
/// does with one of its own. A clone shares it.
///
/// ```no_run
/// use socketio_client::Client;
///
/// # fn main() -> Result<(), socketio_client::ClientError> {
/// let client = Client::new();
/// let chat = client.socket("http://localhost:3000/chat")?;
/// let news = client.socket("http://localhost:3000/news")?; // over the same connection
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Client {
    config: ClientConfig,
    managers: Arc<Mutex<HashMap<String, Weak<Owner>>>>,
}

impl Client {
    /// A client with the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client with options of your own.
    pub fn with_config(config: ClientConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// The socket of the namespace that is the path of a URL. A connection of its own is made for it where the server has none
    /// yet, where [`multiplex`](ClientConfig::multiplex) is off, and, as in Node, where the namespace is in use already.
    ///
    /// # Errors
    ///
    /// The URL names no server, the options do not fit, or this is not inside a tokio runtime.
    pub fn socket(&self, url: &str) -> Result<Socket, ClientError> {
        self.find(url, self.config.multiplex)
    }

    /// As [`socket`](Self::socket), over a connection of its own in any case: Node's `forceNew`.
    ///
    /// # Errors
    ///
    /// As [`socket`](Self::socket).
    pub fn new_socket(&self, url: &str) -> Result<Socket, ClientError> {
        self.find(url, false)
    }

    fn find(&self, url: &str, multiplex: bool) -> Result<Socket, ClientError> {
        let target = Target::parse(url)?;
        let nsp = target.nsp.clone();
        if !multiplex {
            return Ok(Manager::open_target(target, self.config.clone())?.socket(nsp.as_str()));
        }
        let known = self.known(&target.origin).filter(|manager| !manager.has(&nsp));
        let manager = match known {
            Some(manager) => manager,
            None => {
                let origin = target.origin.clone();
                let manager = Manager::open_target(target, self.config.clone())?;
                if self.known(&origin).is_none() {
                    self.managers().insert(origin, Arc::downgrade(&manager.0));
                }
                manager
            }
        };
        Ok(manager.socket(nsp.as_str()))
    }

    fn known(&self, origin: &str) -> Option<Manager> {
        let mut managers = self.managers();
        managers.retain(|_, owner| owner.strong_count() > 0);
        managers.get(origin).and_then(Weak::upgrade).map(Manager)
    }

    fn managers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Weak<Owner>>> {
        self.managers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connections", &self.managers().len())
            .finish_non_exhaustive()
    }
}
