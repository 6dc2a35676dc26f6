//! Options of a server.

use std::{sync::Arc, time::Duration};

use engineio_server::EngineConfig;
use http::Extensions;
use socketio_adapter::{ClusterAdapter, ClusterLimits};
use socketio_parser::{Limits, Parser, PublicError, PublicErrors};

use crate::{client_files::ClientFiles, recovery::Recovery};

use crate::rate::RateLimit;

/// What happens to a client whose queue is full when a broadcast reaches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is disconnected: an ordered stream with a hole is worse than none.
    #[default]
    Disconnect,
    /// It misses this message.
    Drop,
}

/// Options of a [`Server`](crate::Server), with Node's defaults where Node has them.
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
    pub(crate) limits: Limits,
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
            limits: Limits::default(),
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
    /// Changes the options of the engine below: path (default `/socket.io/`), transports, heartbeat, limits.
    pub fn engine(mut self, change: impl FnOnce(EngineConfig) -> EngineConfig) -> Self {
        self.engine = change(self.engine);
        self
    }

    /// The path requests are served on (default `/socket.io/`).
    pub fn path(self, path: &str) -> Self {
        self.engine(|engine| engine.path(path))
    }

    /// The syntax of packets (default JSON). All clients of the server must use the same: `Parser::MsgPack` (feature
    /// `msgpack`) is that of Node's `socket.io-msgpack-parser`. Handlers take and return the same in each.
    pub fn parser(mut self, parser: Parser) -> Self {
        self.parser = parser;
        self
    }

    /// Joins the server to others (default: it is alone, which costs nothing). Each namespace joins when it is first
    /// used inside a runtime; [`Server::joined`](crate::Server::joined) waits for it.
    ///
    /// ```
    /// use socketio_adapter::MemoryCluster;
    /// use socketio_server::{Server, ServerConfig};
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

    /// What other nodes may make this one keep (see [`ClusterLimits`] for each default).
    pub fn cluster_limits(mut self, limits: ClusterLimits) -> Self {
        self.cluster = limits;
        self
    }

    /// Limits of packets and of what a connection may keep open (see [`Limits`] for each default).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a connection may exist without having joined a namespace before it is closed (default 45 s).
    /// Middlewares that are still undecided then do not keep it.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an awaited acknowledgement may take where no `timeout` is given (default 30 s; Node waits for ever).
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// How many handlers of one socket run at once (default 32, at least 1). Handlers are started in the order in
    /// which the events arrived; with 1 an event is looked at once the handlers of the one before have ended. Several
    /// handlers of one event start together and count each. Further events wait in the inbox. Handlers of a connection
    /// or disconnection do not count.
    pub fn max_in_flight(mut self, handlers: usize) -> Self {
        self.max_in_flight = handlers.max(1);
        self
    }

    /// How many handlers of one connection may be at work, those of connections, disconnections and all its namespaces
    /// counted together (default 256). At the limit, reading from that client pauses.
    pub fn max_handlers(mut self, handlers: usize) -> Self {
        self.max_handlers = handlers.max(1);
        self
    }

    /// Bytes of events that may wait for a free handler, per connection, their bookkeeping included (default
    /// 1 000 000). When more wait, nothing is read from that client until half of it is free. The client is still pinged
    /// and watched: its end and its silence are noticed. Answers that a handler awaits cannot be read, and may time out.
    pub fn max_inbox_bytes(mut self, bytes: usize) -> Self {
        self.max_inbox_bytes = bytes;
        self
    }

    /// Rooms that one socket may be in (default 1024).
    pub fn max_rooms(mut self, rooms: usize) -> Self {
        self.max_rooms = rooms;
        self
    }

    /// Bytes of the name of a room that a socket may join (default 1024; Node has no limit). Where clients name rooms, one
    /// socket can make the server keep `max_rooms` names of this length. A longer name is refused
    /// ([`JoinError::NameTooLong`](crate::JoinError)), also where another node lets sockets of this one join.
    pub fn max_room_name(mut self, bytes: usize) -> Self {
        self.max_room_name = bytes;
        self
    }

    /// Bytes of what a client sends with its CONNECT packets, as JSON, over all namespaces of the connection that it is in or
    /// waits for (default 256 KiB; Node has no limit but that of a message). The server keeps them as long as the
    /// sockets. A CONNECT beyond it is refused with "auth larger than … bytes".
    pub fn max_auth_bytes(mut self, bytes: usize) -> Self {
        self.max_auth_bytes = bytes;
        self
    }

    /// Whether the time that handlers take is added up in [`Stats::handlers`](crate::Stats) (off by default). Costs two
    /// looks at the clock for each handler.
    pub fn measure_handlers(mut self, measure: bool) -> Self {
        self.measure_handlers = measure;
        self
    }

    /// Gives the server a value that its handlers take as [`State<T>`](crate::State); one of each type. The default is
    /// none.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.state.insert(state);
        self
    }

    /// Registers an error type of the application's own whose [`PublicError`] says what clients may read of it. Handlers and
    /// middlewares return it with plain `?`; of a type that was not registered clients are told "internal error" (the
    /// default for all). Looking costs a comparison per registered type and failed handler.
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

    /// How fast each socket may send events (default: no limit).
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Namespaces that exist because clients asked for them (default 10 000; an empty one costs about half a
    /// kilobyte). Beyond it, CONNECT is refused with "too many namespaces".
    pub fn max_dynamic_namespaces(mut self, namespaces: usize) -> Self {
        self.max_dynamic_namespaces = namespaces;
        self
    }

    /// Whether a namespace that a parent made is removed when its last client has left (default `true`; in Node
    /// `false`). One that the application has named with [`of`](crate::Server::of) stays.
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.cleanup_empty_child_namespaces = cleanup;
        self
    }

    /// Serves the JavaScript client at the server's path, `/socket.io/socket.io.js` and so on (off by default; Node has a
    /// copy of its own and serves that). Compressed where polling responses are, with the headers of `cors`.
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
        self.engine(|engine| engine.files(move |name, request| files.answer(name, request)))
    }

    /// Turns connection state recovery on (off by default): a client that lost its connection and comes back in time gets
    /// its id, rooms and data again, and the events it has missed; on any node, where the [adapter](Self::adapter)'s engine
    /// keeps a log. See [`Recovery`] for what that costs.
    pub fn connection_state_recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// What happens to a client whose queue is full when a broadcast reaches it (default: it is disconnected).
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }
}
