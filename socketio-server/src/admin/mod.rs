//! The server side of the Admin UI, the web page of the npm package `@socket.io/admin-ui`.

mod authentication;
mod commands;
mod observer;
mod server_stats;

use std::{
    fmt, process,
    sync::{Arc, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use socketio_parser::{Value, javascript_date, value};

use self::{authentication::Authentication, observer::observe, server_stats::ServerStats};
use crate::{
    namespace::{Namespace, NamespaceInner, registry::Registry},
    server::Server,
    socket::Socket,
};

/// The interval at which a server reports its statistics.
const STATS_INTERVAL: Duration = Duration::from_secs(2);

/// Connects a server to the Admin UI, the page of the npm package `@socket.io/admin-ui` 0.5. It
/// shows the servers of a cluster with their clients, sockets, rooms and events. Its user can emit
/// events, disconnect sockets, and make sockets join and leave rooms.
///
/// The page has another origin than the server and sends credentials, so [`EngineConfig::cors`]
/// must allow that origin with credentials. The page connects to the namespace `/admin` at the path
/// of the server.
///
/// In production mode, the default, the server sends only counts to the page, every two seconds. In
/// [development mode](Self::development) it also sends each event with its payload, each connection
/// and each change of a room. This costs one more message per event, and discloses the data of your
/// users to the page.
///
/// ```no_run
/// use socketio_server::{Admin, Cors, Server, ServerConfig};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cors = Cors::origins(["https://admin.socket.io"]).credentials(true);
/// let io = Server::with_config(ServerConfig::default().engine(|engine| engine.cors(cors)));
/// // The hash is that of `htpasswd -nbBC 10 admin "$PASSWORD"`, without the name.
/// let hash = std::env::var("ADMIN_PASSWORD_HASH")?;
/// Admin::with_password("admin", &hash)?.instrument(&io)?;
/// io.listen(("127.0.0.1", 3000)).await?;
/// # Ok(()) }
/// ```
///
/// [`EngineConfig::cors`]: crate::EngineConfig::cors
#[derive(Debug)]
#[must_use]
pub struct Admin {
    namespace: String,
    authentication: Authentication,
    read_only: bool,
    development: bool,
    server_id: Option<String>,
}

/// An error in the configuration of the [Admin UI](Admin).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The hash of the password is not a bcrypt hash.
    #[error("the password of the Admin UI must be given as a bcrypt hash")]
    InvalidHash,
    /// [`Admin::instrument`] was called outside a tokio runtime.
    #[error("`Admin::instrument` must be called inside a tokio runtime")]
    NoRuntime,
}

impl Admin {
    /// Requires a name and a password, given by its bcrypt hash. Passwords are checked one after
    /// another on a thread for blocking work, which takes about 50 ms each at cost 10. At most 16
    /// checks run or wait. A page beyond that is refused. After a check the page gets the id of a
    /// session, with which it connects again. The server stores the latest 1000 sessions.
    ///
    /// # Errors
    ///
    /// Returns [`AdminError::InvalidHash`] if the hash is not a bcrypt hash.
    pub fn with_password(username: &str, hash: &str) -> Result<Self, AdminError> {
        Authentication::password(username, hash).map(Self::new)
    }

    /// Requires no password, so that anyone who can reach the server controls it. Logs a warning.
    /// For development only.
    pub fn without_authentication() -> Self {
        Self::new(Authentication::None)
    }

    fn new(authentication: Authentication) -> Self {
        Self {
            namespace: "/admin".to_owned(),
            authentication,
            read_only: false,
            development: false,
            server_id: None,
        }
    }

    /// Sets the namespace of the page (default `/admin`).
    pub fn namespace(mut self, name: &str) -> Self {
        name.clone_into(&mut self.namespace);
        self
    }

    /// Sets whether the server ignores commands of the page: events to emit, rooms to join or
    /// leave, sockets to disconnect (default `false`).
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets whether the server sends every socket, room and event to the page (default `false`). A
    /// page that does not read fast enough is disconnected or misses events, according to
    /// [`Overflow`](crate::Overflow).
    pub fn development(mut self, development: bool) -> Self {
        self.development = development;
        self
    }

    /// Sets the name under which the page lists this server (default: the name of the host, a `#`
    /// and the process id). It must be unique in the cluster.
    pub fn server_id(mut self, id: &str) -> Self {
        self.server_id = Some(id.to_owned());
        self
    }

    /// Declares the namespace of the page and starts to observe the server. Call it before adding
    /// the application's listeners, so that the page gets a connection before the events that the
    /// listeners emit.
    ///
    /// # Errors
    ///
    /// Returns [`AdminError::NoRuntime`] outside a tokio runtime.
    pub fn instrument(self, io: &Server) -> Result<(), AdminError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| AdminError::NoRuntime)?;
        let namespace = io.of(&self.namespace);
        let page = Arc::new(Page {
            namespace: Arc::downgrade(&namespace.0),
            registry: Arc::downgrade(io.shared_registry()),
            features: self.features(),
            development: self.development,
        });
        if matches!(self.authentication, Authentication::None) {
            tracing::warn!(
                target: "socketio::admin",
                "the Admin UI requires no password; use `Admin::with_password`"
            );
        }
        self.authentication.guard(&namespace);
        if !self.read_only {
            commands::declare(&page, &namespace);
        }
        let welcomed = page.clone();
        namespace.on_connection(move |socket: Socket| {
            let page = welcomed.clone();
            async move { page.welcome(&socket).await }
        });
        if self.development {
            for namespace in io.namespaces() {
                observe(&page, &namespace, &runtime);
            }
            let (page, runtime) = (page.clone(), runtime.clone());
            io.on_new_namespace(move |namespace| observe(&page, namespace, &runtime));
        }
        let mut stats = ServerStats::new(self.server_id, io.engine());
        runtime.spawn(async move {
            let mut ticks = tokio::time::interval(STATS_INTERVAL);
            loop {
                ticks.tick().await;
                let Some(registry) = page.registry.upgrade() else { return };
                let Some(report) = stats.next(&registry).filter(|_| !registry.is_ending()) else {
                    return;
                };
                page.emit("server_stats", &report);
            }
        });
        Ok(())
    }

    fn features(&self) -> Vec<&'static str> {
        let mut features = Vec::new();
        if !self.read_only {
            features.extend(["EMIT", "JOIN", "LEAVE", "DISCONNECT"]);
            features.extend(["MJOIN", "MLEAVE", "MDISCONNECT"]);
        }
        features.push("AGGREGATED_EVENTS");
        if self.development {
            features.push("ALL_EVENTS");
        }
        features
    }
}

/// The connection between a server and its pages. It holds the server weakly, because the server's
/// listeners hold it.
struct Page {
    namespace: Weak<NamespaceInner>,
    registry: Weak<Registry>,
    features: Vec<&'static str>,
    development: bool,
}

impl Page {
    /// Returns the namespace of the pages if there may be a page, on this node or on another one.
    fn watched(&self) -> Option<Namespace> {
        let namespace = Namespace(self.namespace.upgrade()?);
        let watched = namespace.sockets_count() > 0 || namespace.join_cluster().is_some();
        watched.then_some(namespace)
    }

    fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) {
        if let Some(namespace) = self.watched() {
            let _ = namespace.emit(event, args);
        }
    }

    fn is_own(&self, namespace: &Namespace) -> bool {
        std::ptr::eq(Weak::as_ptr(&self.namespace), Arc::as_ptr(&namespace.0))
    }

    async fn welcome(&self, socket: &Socket) -> Result<(), crate::HandlerError> {
        authentication::announce(socket)?;
        socket.emit("config", &value!({ "supportedFeatures": self.features.clone() }))?;
        if !self.development {
            return Ok(());
        }
        let namespaces = self.registry.upgrade().map(|it| it.namespaces()).unwrap_or_default();
        let mut sockets = Vec::new();
        for namespace in namespaces {
            sockets.extend(observer::fetch(&namespace).await);
        }
        socket.emit("all_sockets", &(sockets,))?;
        Ok(())
    }

    fn namespace_named(&self, name: &str) -> Option<Namespace> {
        let registry = self.registry.upgrade()?;
        registry.namespaces().into_iter().find(|namespace| namespace.name() == name)
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("features", &self.features).finish_non_exhaustive()
    }
}

/// Returns milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the time as JavaScript writes it in JSON.
fn timestamp() -> Value {
    i64::try_from(now()).ok().and_then(javascript_date).map_or(Value::Null, Value::from)
}

/// Returns the name of the host and of the process.
fn default_server_id(hostname: &str) -> String {
    format!("{hostname}#{}", process::id())
}
