//! Finds sockets by URL.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{
    config::ClientConfig,
    error::{ClientError, ConnectError},
    manager::{Manager, WeakManager},
    socket::Socket,
    sync::{Mutex, MutexGuard, lock},
    url::Target,
};

/// Connects to the namespace named by the path of a URL, over a new connection, and waits until the
/// server has accepted the socket. The query of the URL is sent with the request.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let io = socketio_server::Server::new();
/// # io.of("/chat");
/// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
/// let chat = socketio_client::connect(&format!("{url}/chat?room=7")).await?;
/// chat.emit("say", "hello")?;
/// # Ok(()) }
/// ```
///
/// Events that the server sends right away may arrive before the application has added a handler.
/// If that matters, create the socket with [`auto_connect(false)`](ClientConfig::auto_connect), as
/// shown at [`Manager::socket`].
///
/// # Errors
///
/// Returns the error of the first attempt (`connect_error` in Node). This function does not retry.
/// To retry, use a [`Manager`].
pub async fn connect(url: &str) -> Result<Socket, ConnectError> {
    connect_with(url, ClientConfig::default()).await
}

/// Connects like [`connect`], with the given options.
///
/// # Errors
///
/// Returns the errors of [`connect`].
pub async fn connect_with(url: &str, config: ClientConfig) -> Result<Socket, ConnectError> {
    let target = Target::parse(url).map_err(ClientError::from)?;
    let nsp = target.nsp.clone();
    let manager = Manager::open_target(target, config.auto_connect(false))?;
    let socket = manager.socket(nsp.as_str());
    socket.connect().await?;
    Ok(socket)
}

/// Finds or creates sockets by URL. Namespaces of one server share a connection. Node's `io()` uses
/// a cache of the whole process for this; each `Client` has its own cache, which its clones share.
///
/// ```
/// use socketio_client::Client;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let io = socketio_server::Server::new();
/// # io.of("/chat");
/// # io.of("/news");
/// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
/// let client = Client::new();
/// let chat = client.socket(&format!("{url}/chat"))?;
/// let news = client.socket(&format!("{url}/news"))?; // over the same connection
/// chat.connected().await?;
/// news.connected().await?;
/// assert_eq!(chat.manager().engine_id(), news.manager().engine_id());
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Client {
    config: ClientConfig,
    managers: Arc<Mutex<HashMap<String, WeakManager>>>,
}

impl Client {
    /// Creates a client with the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a client with the given options.
    pub fn with_config(config: ClientConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Returns the socket of the namespace named by the path of a URL. It opens a new connection if
    /// there is none to the server yet, if [`multiplex`](ClientConfig::multiplex) is off, or, as in
    /// Node, if the namespace is already in use.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL names no server, the options are invalid, or the call is made
    /// outside of a tokio runtime.
    pub fn socket(&self, url: &str) -> Result<Socket, ClientError> {
        self.find(url, self.config.multiplex)
    }

    /// Returns a socket like [`socket`](Self::socket), but always over a new connection: `forceNew`
    /// in Node.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`socket`](Self::socket).
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
                    self.managers().insert(origin, manager.downgrade());
                }
                manager
            }
        };
        Ok(manager.socket(nsp.as_str()))
    }

    fn known(&self, origin: &str) -> Option<Manager> {
        let mut managers = self.managers();
        managers.retain(|_, manager| manager.is_alive());
        managers.get(origin).and_then(WeakManager::upgrade)
    }

    fn managers(&self) -> MutexGuard<'_, HashMap<String, WeakManager>> {
        lock(&self.managers)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connections", &self.managers().len())
            .finish_non_exhaustive()
    }
}
