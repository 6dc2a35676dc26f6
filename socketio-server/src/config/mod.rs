//! Options of a server.

pub(crate) mod client_files;
pub(crate) mod rate_limit;
pub(crate) mod recovery;

use std::{sync::Arc, time::Duration};

use engineio_server::EngineConfig;
use http::Extensions;
use socketio_adapter::{ClusterAdapter, ClusterLimits, internal::bounded_timeout};
use socketio_core::{PublicError, PublicErrors};
use socketio_parser::{Limits, Parser};

use crate::config::{client_files::ClientFiles, rate_limit::RateLimit, recovery::Recovery};

/// The treatment of a client whose queue is full when a broadcast reaches it. See
/// [`ServerConfig::overflow`].
///
/// ```
/// use socketio_server::{Overflow, Server, ServerConfig};
///
/// // Positions of players: a client that lags behind needs only the newest.
/// let io = Server::with_config(ServerConfig::default().overflow(Overflow::Drop));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The client's connection is closed. A client that stays connected therefore misses no
    /// broadcast. This is the default.
    #[default]
    Disconnect,
    /// The client misses this message.
    Drop,
}

/// Options of a [`Server`](crate::Server). The defaults are those of Node's server, unless the
/// option says otherwise. A timeout of less than a millisecond, such as zero, counts as one, as
/// with Node's timers. [`Duration::MAX`] means no limit.
///
/// ```
/// use std::time::Duration;
/// use socketio_server::{Server, ServerConfig};
///
/// let io = Server::with_config(
///     ServerConfig::default()
///         .connect_timeout(Duration::from_secs(10))
///         .engine(|engine| engine.ping_interval(Duration::from_secs(10))),
/// );
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerConfig {
    pub(crate) engine: EngineConfig,
    pub(crate) limits: Arc<Limits>,
    pub(crate) connect_timeout: Duration,
    pub(crate) ack_timeout: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) max_handlers: usize,
    pub(crate) max_inbox_bytes: usize,
    pub(crate) max_rooms: usize,
    pub(crate) max_room_name: usize,
    pub(crate) max_auth_bytes: usize,
    pub(crate) measure_handlers: bool,
    pub(crate) overflow: Overflow,
    pub(crate) state: Extensions,
    pub(crate) public_errors: PublicErrors,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) max_dynamic_namespaces: usize,
    pub(crate) cleanup_empty_child_namespaces: bool,
    pub(crate) parser: Parser,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) adapter: Option<Arc<dyn ClusterAdapter>>,
    pub(crate) cluster: ClusterLimits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            engine: EngineConfig::default().path("/socket.io/"),
            limits: Arc::default(),
            connect_timeout: Duration::from_secs(45),
            ack_timeout: Duration::from_secs(30),
            max_in_flight: 32,
            max_handlers: 256,
            max_inbox_bytes: 1_000_000,
            max_rooms: 1024,
            max_room_name: 1024,
            max_auth_bytes: 256 * 1024,
            measure_handlers: false,
            overflow: Overflow::default(),
            state: Extensions::new(),
            public_errors: PublicErrors::default(),
            rate_limit: None,
            max_dynamic_namespaces: 10_000,
            cleanup_empty_child_namespaces: true,
            parser: Parser::default(),
            recovery: None,
            adapter: None,
            cluster: ClusterLimits::default(),
        }
    }
}

impl ServerConfig {
    /// Changes the options of the Engine.IO server underneath: path (default `/socket.io/`),
    /// transports, heartbeat and limits.
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().engine(|engine| engine.max_payload(5_000_000));
    /// ```
    pub fn engine(mut self, change: impl FnOnce(EngineConfig) -> EngineConfig) -> Self {
        self.engine = change(self.engine);
        self
    }

    /// Sets the path on which requests are served (default `/socket.io/`).
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().path("/live/");
    /// ```
    pub fn path(self, path: &str) -> Self {
        self.engine(|engine| engine.path(path))
    }

    /// Sets the encoding of packets (default JSON). All clients of the server must use the same
    /// encoding. `Parser::MsgPack` (feature `msgpack`) is the one of Node's
    /// `socket.io-msgpack-parser`. Handlers do not depend on the encoding.
    ///
    /// ```
    /// # #[cfg(feature = "msgpack")]
    /// # fn config() {
    /// use socketio_server::{Parser, ServerConfig};
    ///
    /// let config = ServerConfig::default().parser(Parser::MsgPack);
    /// # }
    /// ```
    pub fn parser(mut self, parser: Parser) -> Self {
        self.parser = parser;
        self
    }

    /// Connects the server to the other servers of a cluster (default: none, which costs nothing).
    /// Each namespace joins the cluster when it is first used inside a runtime.
    /// [`Server::joined`](crate::Server::joined) waits until it has joined.
    ///
    /// ```
    /// use socketio_server::{MemoryCluster, Server, ServerConfig};
    ///
    /// let cluster = MemoryCluster::new();
    /// let one = Server::with_config(ServerConfig::default().adapter(cluster.adapter()));
    /// let two = Server::with_config(ServerConfig::default().adapter(cluster.adapter()));
    /// # let _ = (one, two);
    /// ```
    pub fn adapter(mut self, adapter: Arc<dyn ClusterAdapter>) -> Self {
        self.adapter = Some(adapter);
        self
    }

    /// Sets the limits on what other nodes can make this one store (see [`ClusterLimits`] for the
    /// defaults).
    ///
    /// ```
    /// use socketio_server::{ClusterLimits, ServerConfig};
    ///
    /// let config = ServerConfig::default()
    ///     .cluster_limits(ClusterLimits::default().max_peers(64));
    /// ```
    pub fn cluster_limits(mut self, limits: ClusterLimits) -> Self {
        self.cluster = limits;
        self
    }

    /// Sets the limits of packets and of the state that a connection may keep open (see [`Limits`]
    /// for the defaults).
    ///
    /// ```
    /// use socketio_server::{Limits, ServerConfig};
    ///
    /// let config = ServerConfig::default().limits(Limits::default().max_attachments(4));
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits.into();
        self
    }

    /// Sets how long a connection may exist without having joined a namespace before it is closed
    /// (default 45 s). The connection is closed even if middlewares are still deciding.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().connect_timeout(Duration::from_secs(10));
    /// ```
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = bounded_timeout(timeout);
        self
    }

    /// Sets how long to wait for an ack if no `timeout` is given (default 30 s; Node waits
    /// forever).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().ack_timeout(Duration::from_secs(5));
    /// ```
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = bounded_timeout(timeout);
        self
    }

    /// Sets how many handlers of one socket run at once (default 32; 0 counts as 1). Handlers are
    /// started in the order in which the events arrived. If the limit is 1, an event is handled
    /// only after the handlers of the event before it have finished. Several handlers of one event
    /// start together, and each of them counts. Further events wait in the inbox. Connection and
    /// disconnection handlers do not count.
    ///
    /// ```
    /// use socketio_server::{Server, ServerConfig};
    ///
    /// // The events of a socket are handled strictly one after another.
    /// let io = Server::with_config(ServerConfig::default().max_in_flight(1));
    /// ```
    pub fn max_in_flight(mut self, handlers: usize) -> Self {
        self.max_in_flight = handlers.max(1);
        self
    }

    /// Sets how many handlers of one connection may run at once (default 256). Connection and
    /// disconnection handlers and those of all namespaces are counted together. The middlewares of
    /// an event count as one handler. At the limit, the server stops reading from the client.
    ///
    /// A handler whose ack waits for room in the outgoing queue counts until the ack was sent. No
    /// event starts while the waiting acks take more than half of
    /// [`max_queued_bytes`](EngineConfig::max_queued_bytes). A client therefore costs at most its
    /// queue and the acks of the handlers that were running when the queue was half full.
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().max_handlers(64);
    /// ```
    pub fn max_handlers(mut self, handlers: usize) -> Self {
        self.max_handlers = handlers.max(1);
        self
    }

    /// Sets how many bytes of events may wait for a free handler, per connection and including
    /// their bookkeeping (default 1 000 000). Beyond it, the server reads nothing from the client
    /// until half of the space is free. The client is still pinged, and its disconnection or
    /// silence is still detected. Acks that a handler awaits cannot be read meanwhile, and may time
    /// out.
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().max_inbox_bytes(64 * 1024);
    /// ```
    pub fn max_inbox_bytes(mut self, bytes: usize) -> Self {
        self.max_inbox_bytes = bytes;
        self
    }

    /// Sets how many rooms one socket may be in (default 1024). The room of its own id does not
    /// count. Beyond it, a join is refused ([`JoinError::TooManyRooms`](crate::JoinError)).
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().max_rooms(50);
    /// ```
    pub fn max_rooms(mut self, rooms: usize) -> Self {
        self.max_rooms = rooms;
        self
    }

    /// Sets the maximum length of the name of a room that a socket may join, in bytes (default
    /// 1024; Node has no limit). If clients choose the names, one socket can make the server store
    /// `max_rooms` names of this length. A longer name is refused
    /// ([`JoinError::NameTooLong`](crate::JoinError)), even if another node makes sockets of this
    /// node join.
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().max_room_name(64);
    /// ```
    pub fn max_room_name(mut self, bytes: usize) -> Self {
        self.max_room_name = bytes;
        self
    }

    /// Sets how many bytes of data a client may send with its CONNECT packets, as JSON (default 256
    /// KiB; Node only limits the size of a message). The limit applies to the sum over all
    /// namespaces that the connection has joined or waits for. The server keeps the data as long as
    /// the sockets. A CONNECT beyond the limit is refused with "auth larger than … bytes".
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().max_auth_bytes(4096);
    /// ```
    pub fn max_auth_bytes(mut self, bytes: usize) -> Self {
        self.max_auth_bytes = bytes;
        self
    }

    /// Sets whether the running time of handlers is added up in [`Stats::handlers`](crate::Stats)
    /// (default `false`). Costs two readings of the clock per handler.
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().measure_handlers(true);
    /// ```
    pub fn measure_handlers(mut self, measure: bool) -> Self {
        self.measure_handlers = measure;
        self
    }

    /// Provides a value that handlers take as [`State<T>`](crate::State). A second value of the
    /// same type replaces the first.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use socketio_server::{Server, ServerConfig, State};
    ///
    /// struct Names(Vec<String>);
    ///
    /// let config = ServerConfig::default().state(Arc::new(Names(Vec::new())));
    /// let io = Server::with_config(config);
    /// io.on("names", |State(names): State<Arc<Names>>| names.0.clone());
    /// ```
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.state.insert(state);
        self
    }

    /// Registers an error type of the application whose [`PublicError`] defines what clients may
    /// read. Handlers and middlewares return the error with plain `?`. For a type that is not
    /// registered, clients get "internal error" (the default for all types). Costs one comparison
    /// per registered type for each handler that fails.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use socketio_server::{
    ///     Data, HandlerError, PublicError, Server, ServerConfig,
    ///     testing::{TestClient, TestError},
    /// };
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// enum ShopError {
    ///     #[error("order {0} is sold out")]
    ///     SoldOut(u32),
    ///     #[error("the database: {0}")]
    ///     Database(#[from] std::io::Error),
    /// }
    ///
    /// impl PublicError for ShopError {
    ///     fn public_message(&self) -> Option<String> {
    ///         matches!(self, Self::SoldOut(_)).then(|| self.to_string())
    ///     }
    /// }
    ///
    /// fn buy(order: u32) -> Result<u32, ShopError> {
    ///     if order == 1 { Err(ShopError::SoldOut(order)) } else { Ok(order) }
    /// }
    ///
    /// let io = Server::with_config(ServerConfig::default().public_error::<ShopError>());
    /// io.on("buy", |Data(order): Data<u32>| async move {
    ///     let receipt = buy(order)?;
    ///     Ok::<_, HandlerError>(receipt)
    /// });
    ///
    /// let client = TestClient::connect(&io, "/", &()).await?;
    /// let refused = client.emit_with_ack::<u32>("buy", &1).await;
    /// assert!(matches!(refused, Err(TestError::AckRefused { message, .. }) if message == "order 1 is sold out"));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    pub fn public_error<E: PublicError>(mut self) -> Self {
        self.public_errors.add::<E>();
        self
    }

    /// Limits how fast each socket may send events (default: no limit).
    ///
    /// ```
    /// use socketio_server::{Rate, RateLimit, ServerConfig};
    ///
    /// let config = ServerConfig::default()
    ///     .rate_limit(RateLimit::default().events(Rate::per_second(20)));
    /// ```
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Sets how many namespaces may exist because clients asked for them (default 10 000; an empty
    /// one costs about half a kilobyte). Beyond it, CONNECT is refused with "too many namespaces".
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().max_dynamic_namespaces(100);
    /// ```
    pub fn max_dynamic_namespaces(mut self, namespaces: usize) -> Self {
        self.max_dynamic_namespaces = namespaces;
        self
    }

    /// Sets whether a namespace created by a parent is removed when its last client has left
    /// (default `true`; in Node `false`). A namespace that the application has declared with
    /// [`of`](crate::Server::of) stays.
    ///
    /// ```
    /// use socketio_server::ServerConfig;
    ///
    /// let config = ServerConfig::default().cleanup_empty_child_namespaces(false);
    /// ```
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.cleanup_empty_child_namespaces = cleanup;
        self
    }

    /// Serves the JavaScript client at the server's path, `/socket.io/socket.io.js` and so on (off
    /// by default; Node serves its own copy). Responses carry the headers of `cors`, and are
    /// compressed if polling responses are.
    ///
    /// ```no_run
    /// use socketio_server::{ClientFiles, Server, ServerConfig};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let files = ClientFiles::from_dir("node_modules/socket.io-client/dist")?;
    /// let io = Server::with_config(ServerConfig::default().serve_client(files));
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve_client(self, files: ClientFiles) -> Self {
        self.engine(|engine| engine.files(move |name, request| files.respond(name, request)))
    }

    /// Turns on connection state recovery (off by default). A client that lost its connection and
    /// returns in time gets back its id, rooms and data, and the events it has missed. This works
    /// on any node if the [adapter](Self::adapter)'s engine keeps a log. See [`Recovery`] for the
    /// costs.
    ///
    /// ```
    /// use socketio_server::{Recovery, ServerConfig};
    ///
    /// let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    /// ```
    pub fn connection_state_recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// Sets the treatment of a client whose queue is full when a broadcast reaches it (default: it
    /// is disconnected).
    ///
    /// ```
    /// use socketio_server::{Overflow, ServerConfig};
    ///
    /// let config = ServerConfig::default().overflow(Overflow::Drop);
    /// ```
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_counts_as_a_millisecond() {
        let config = |timeout| {
            let config = ServerConfig::default().connect_timeout(timeout).ack_timeout(timeout);
            [config.connect_timeout, config.ack_timeout]
        };
        assert_eq!(config(Duration::ZERO), [Duration::from_millis(1); 2]);
        let second = Duration::from_secs(1);
        assert_eq!(config(second), [second; 2]);
    }
}
