//! The options of a connection, and of a socket.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;
use socketio_parser::{Limits, Parser, PublicError, PublicErrors};

use crate::{engine::EngineOptions, error::HandlerError, reconnect::Reconnection};

/// The options of a [`Manager`](crate::Manager), that is of one connection.
///
/// ```
/// use std::time::Duration;
/// use socketio_client::{ClientConfig, Reconnection};
///
/// let config = ClientConfig::default()
///     .reconnection(Reconnection::default().attempts(20))
///     .connect_timeout(Duration::from_secs(5))
///     .socket(|socket| socket.auth(&serde_json::json!({ "token": "abc" })));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    pub(crate) engine: EngineOptions,
    pub(crate) socket: SocketConfig,
    pub(crate) reconnection: Reconnection,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) auto_connect: bool,
    pub(crate) multiplex: bool,
    pub(crate) parser: Parser,
    pub(crate) limits: Limits,
    pub(crate) max_handlers: usize,
    pub(crate) max_inbox_bytes: usize,
    pub(crate) public_errors: PublicErrors,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            engine: EngineOptions::default(),
            socket: SocketConfig::default(),
            reconnection: Reconnection::default(),
            connect_timeout: Some(Duration::from_secs(20)),
            close_timeout: Duration::from_secs(3),
            auto_connect: true,
            multiplex: true,
            parser: Parser::default(),
            limits: Limits::default(),
            max_handlers: 256,
            max_inbox_bytes: 1_000_000,
            public_errors: PublicErrors::default(),
        }
    }
}

impl ClientConfig {
    /// Changes the options of the transports below: which ones, path, headers, query, TLS and so on.
    pub fn engine(mut self, change: impl FnOnce(EngineOptions) -> EngineOptions) -> Self {
        self.engine = change(self.engine);
        self
    }

    /// Changes what holds for each socket that is given no options of its own.
    pub fn socket(mut self, change: impl FnOnce(SocketConfig) -> SocketConfig) -> Self {
        self.socket = change(self.socket);
        self
    }

    /// Whether, how often and after which delays the connection is opened again.
    pub fn reconnection(mut self, reconnection: Reconnection) -> Self {
        self.reconnection = reconnection;
        self
    }

    /// How long opening the connection, being asked for `auth`, and the answer to CONNECT may take, each (default 20 s; Node
    /// waits for the last two without end). `None` waits as long as it takes.
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = timeout.into();
        self
    }

    /// How long what was emitted before a disconnection, [`close`](crate::Manager::close) or the end of the last handle may
    /// take to leave (default 3 s). What is left then is lost.
    ///
    /// The server is told of a disconnection when it has read what precedes it: on a WebSocket the pong to a ping says so,
    /// over polling the answer to the request. Half of the time is spent waiting for that at most.
    ///
    /// The next connection is opened when the last one has ended, or after this time, so that the server gets a socket's
    /// events in order. That costs a round trip. A server that does not respond any more delays the next connection by 2 s
    /// after the last bytes have left, within this time.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Whether sockets connect without being told to (default yes). If not, [`Socket::connect`](crate::Socket::connect) tells
    /// them: handlers that are added before miss nothing, whatever thread the connection is on.
    pub fn auto_connect(mut self, auto_connect: bool) -> Self {
        self.auto_connect = auto_connect;
        self
    }

    /// Whether a [`Client`](crate::Client) uses one connection for several namespaces of a server (default yes; Node's
    /// `multiplex` and, the other way round, `forceNew`).
    pub fn multiplex(mut self, multiplex: bool) -> Self {
        self.multiplex = multiplex;
        self
    }

    /// The syntax of packets (default JSON), which must be the server's. `Parser::MsgPack` (feature `msgpack`) is that of
    /// Node's `socket.io-msgpack-parser`.
    pub fn parser(mut self, parser: Parser) -> Self {
        self.parser = parser;
        self
    }

    /// Limits of what the server may send. The size of a message is limited by
    /// [`EngineOptions::max_payload`](crate::EngineOptions::max_payload), which holds for the attachments of a packet as
    /// well, in place of [`Limits::max_attachment_bytes`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Registers an error type of the application's own whose [`PublicError`] says what the server may read of it. Handlers
    /// return it with plain `?`; of a type that was not registered the server is told "internal error" (the default for
    /// all).
    pub fn public_error<E: PublicError>(mut self) -> Self {
        self.public_errors.add::<E>();
        self
    }

    /// How many handlers may run at the same time, over all namespaces (default 256). Further events wait.
    pub fn max_handlers(mut self, count: usize) -> Self {
        self.max_handlers = count.max(1);
        self
    }

    /// Bytes of the events that wait for a handler, over all namespaces (default 1 000 000). Each event counts with its
    /// bookkeeping, about 500 bytes. Beyond the limit the connection reads at most 64 KiB ahead until half of the events
    /// are handled: pings in these 64 KiB are answered, and the end of the connection is noticed. Acknowledgements may
    /// time out meanwhile. Handlers that are slow for longer than the server's heartbeat allows lose the connection
    /// ("ping timeout").
    pub fn max_inbox_bytes(mut self, bytes: usize) -> Self {
        self.max_inbox_bytes = bytes;
        self
    }
}

/// The options of one [`Socket`](crate::Socket).
#[derive(Clone)]
#[non_exhaustive]
pub struct SocketConfig {
    pub(crate) auth: Auth,
    pub(crate) retries: Option<u32>,
    pub(crate) ack_timeout: Duration,
    pub(crate) max_queued_packets: usize,
    pub(crate) max_queued_bytes: usize,
    pub(crate) max_in_flight: usize,
}

pub(crate) type AuthFuture = Pin<Box<dyn Future<Output = Result<Value, HandlerError>> + Send>>;

/// What the server is told with CONNECT.
#[derive(Clone)]
pub(crate) enum Auth {
    Value(Arc<Value>),
    Asked(Arc<dyn Fn() -> AuthFuture + Send + Sync>),
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            auth: Auth::Value(Arc::new(Value::Null)),
            retries: None,
            ack_timeout: Duration::from_secs(30),
            max_queued_packets: 10_000,
            max_queued_bytes: 10_000_000,
            max_in_flight: 32,
        }
    }
}

impl SocketConfig {
    /// What the server is told with CONNECT (`handshake.auth` there): an object, or nothing (the default). One that cannot be
    /// serialized is told as a `connect_error`.
    pub fn auth<T: Serialize + ?Sized>(mut self, auth: &T) -> Self {
        self.auth = match serde_json::to_value(auth) {
            Ok(value) => Auth::Value(Arc::new(value)),
            Err(error) => {
                let message: Arc<str> = error.to_string().into();
                Auth::Asked(Arc::new(move || {
                    let error = HandlerError::public(&*message);
                    Box::pin(async { Err(error) })
                }))
            }
        };
        self
    }

    /// A function that is asked for [`auth`](Self::auth) anew whenever the socket connects, so that a reconnection never uses
    /// a token that has expired meanwhile. An error is told as a `connect_error`, and the function asked again later.
    ///
    /// ```
    /// use serde_json::json;
    /// use socketio_client::SocketConfig;
    ///
    /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let config = SocketConfig::default().auth_with(|| async {
    ///     let token = fetch_token().await?;
    ///     Ok(json!({ "token": token }))
    /// });
    /// ```
    pub fn auth_with<F, Fut, T>(mut self, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, HandlerError>> + Send + 'static,
        T: Serialize,
    {
        self.auth = Auth::Asked(Arc::new(move || {
            let auth = ask();
            Box::pin(async move { Ok(serde_json::to_value(auth.await?)?) })
        }));
        self
    }

    /// Every event that is not volatile is sent until the server has acknowledged it, `retries + 1` times at most, one after
    /// the other and in order (default: off). The server must answer each of them, and may get one twice. Who waits for an
    /// answer does so through lost connections; the time in which an event cannot be sent counts for nothing.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// How long an answer may take (default 30 s; Node waits without end), from the call of an emit; with
    /// [`retries`](Self::retries) from each time the event is sent.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// How many packets may wait to be sent, while there is no connection or it is slow (default 10 000). Beyond it
    /// [`EmitError::Full`](crate::EmitError::Full) is what an emit gives.
    pub fn max_queued_packets(mut self, count: usize) -> Self {
        self.max_queued_packets = count;
        self
    }

    /// How many bytes may wait to be sent (default 10 000 000), see [`max_queued_packets`](Self::max_queued_packets). One
    /// packet larger than that may wait alone.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// How many handlers of this socket's events may run at the same time (default 32; 1 is one after the other). They are
    /// started in the order of the events.
    pub fn max_in_flight(mut self, count: usize) -> Self {
        self.max_in_flight = count.max(1);
        self
    }
}

impl fmt::Debug for SocketConfig {
    /// What is told to the server may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketConfig")
            .field("retries", &self.retries)
            .field("ack_timeout", &self.ack_timeout)
            .finish_non_exhaustive()
    }
}
