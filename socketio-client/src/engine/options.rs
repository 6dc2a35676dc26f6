//! What a user may choose about the connection.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use engineio_parser::{Revision, Transport};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    connector::{Connector, TcpConnector},
    proxy::Proxy,
    tls::Tls,
};

/// How the connection to the server is made: transports, headers, TLS, proxy, limits. One value serves any number of
/// connections.
///
/// ```
/// use socketio_client::{EngineOptions, Transport};
///
/// let options = EngineOptions::new()
///     .transports([Transport::WebSocket])
///     .query("room", "7");
/// ```
#[derive(Clone)]
pub struct EngineOptions {
    pub(super) transports: Vec<Transport>,
    pub(super) try_all_transports: bool,
    pub(super) upgrade: bool,
    pub(super) remember_upgrade: bool,
    pub(super) path: String,
    pub(super) add_trailing_slash: bool,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) ask_headers: Option<AskHeaders>,
    pub(super) transport_headers: Vec<(Transport, HeaderName, HeaderValue)>,
    pub(super) protocols: Vec<HeaderValue>,
    pub(super) force_base64: bool,
    pub(super) timestamp_requests: Option<bool>,
    pub(super) timestamp_param: String,
    pub(super) cookies: bool,
    pub(super) request_timeout: Option<Duration>,
    pub(super) upgrade_timeout: Duration,
    pub(super) max_payload: usize,
    pub(super) max_queued_packets: usize,
    pub(super) max_queued_bytes: usize,
    pub(super) revision: Revision,
    pub(super) way: Way,
    pub(super) tls: Option<Tls>,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) wall_clock: WallClock,
}

/// Tells the time of day, which goes on while the machine sleeps.
pub(super) type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

pub(super) type HeadersFuture =
    Pin<Box<dyn Future<Output = Result<HeaderMap, Box<dyn Error + Send + Sync>>> + Send>>;

pub(super) type AskHeaders = Arc<dyn Fn() -> HeadersFuture + Send + Sync>;

/// How servers are reached.
#[derive(Clone, Debug)]
pub(super) enum Way {
    Direct,
    Through(Proxy),
    /// As variables of the environment say.
    Environment,
}

impl EngineOptions {
    /// The defaults, which are said at each method.
    pub fn new() -> Self {
        Self {
            transports: vec![Transport::Polling, Transport::WebSocket],
            try_all_transports: false,
            upgrade: true,
            remember_upgrade: false,
            path: "/socket.io".to_owned(),
            add_trailing_slash: true,
            query: Vec::new(),
            headers: HeaderMap::new(),
            ask_headers: None,
            transport_headers: Vec::new(),
            protocols: Vec::new(),
            force_base64: false,
            timestamp_requests: None,
            timestamp_param: "t".to_owned(),
            cookies: true,
            request_timeout: None,
            upgrade_timeout: Duration::from_secs(10),
            max_payload: 16 << 20,
            max_queued_packets: 8192,
            max_queued_bytes: 8 << 20,
            revision: Revision::V4,
            way: Way::Direct,
            tls: None,
            connector: Arc::new(TcpConnector),
            wall_clock: Arc::new(SystemTime::now),
        }
    }

    /// The transports, in the order of preference (default polling, then WebSocket). The first one opens the session; it
    /// is upgraded to WebSocket where both are listed. WebTransport is not spoken, and left out.
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.transports = transports.into_iter().collect();
        self
    }

    /// Whether the next transport is tried where one cannot open the session (default no).
    #[must_use]
    pub fn try_all_transports(mut self, try_all: bool) -> Self {
        self.try_all_transports = try_all;
        self
    }

    /// Whether a polling session is upgraded (default yes).
    #[must_use]
    pub fn upgrade(mut self, upgrade: bool) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// Whether a connection begins with WebSocket where the last one came to use it (default no). The order of
    /// [`transports`](Self::transports) holds again once that has failed.
    #[must_use]
    pub fn remember_upgrade(mut self, remember: bool) -> Self {
        self.remember_upgrade = remember;
        self
    }

    /// The path of the server's endpoint (default `/socket.io`).
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Whether the path is sent with a slash at its end (default yes, as servers of Node expect it).
    #[must_use]
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.add_trailing_slash = add;
        self
    }

    /// Adds a parameter to the query of every request. Where there is one at all, the query of the URL is not used.
    #[must_use]
    pub fn query(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((key.into(), value.into()));
        self
    }

    /// Adds a header to every request, instead of one of this name that was there.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Replaces all extra headers.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// A function that is asked for headers anew whenever the connection is opened, so that a reconnection never uses a token that
    /// has expired meanwhile. They stand instead of others of the same names. An error, [`EngineError::Headers`], is a failed
    /// attempt. What is asked for with each namespace is [`SocketConfig::auth_with`](crate::SocketConfig::auth_with).
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue, header};
    /// use socketio_client::EngineOptions;
    ///
    /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let options = EngineOptions::new().headers_with(|| async {
    ///     let token = HeaderValue::try_from(format!("Bearer {}", fetch_token().await?))?;
    ///     Ok(HeaderMap::from_iter([(header::AUTHORIZATION, token)]))
    /// });
    /// ```
    ///
    /// [`EngineError::Headers`]: crate::EngineError::Headers
    #[must_use]
    pub fn headers_with<F, Fut>(mut self, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HeaderMap, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.ask_headers = Some(Arc::new(move || Box::pin(ask())));
        self
    }

    /// Adds a header to the requests of one transport, instead of one of this name that all requests have: what Node's
    /// `transportOptions` are used for.
    ///
    /// ```
    /// use http::{HeaderValue, header};
    /// use socketio_client::{EngineOptions, Transport};
    ///
    /// let origin = HeaderValue::from_static("https://example.com");
    /// let options =
    ///     EngineOptions::new().transport_header(Transport::WebSocket, header::ORIGIN, origin);
    /// ```
    #[must_use]
    pub fn transport_header(
        mut self,
        transport: Transport,
        name: HeaderName,
        value: HeaderValue,
    ) -> Self {
        self.transport_headers.push((transport, name, value));
        self
    }

    /// The sub-protocols that are offered with a WebSocket (`Sec-WebSocket-Protocol`, default none), for servers and gateways
    /// that ask for one. Where some are offered, one that takes none of them is refused, as by browsers and Node.
    #[must_use]
    pub fn protocols(mut self, names: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.protocols = names.into_iter().collect();
        self
    }

    /// Whether binary travels as base64, on WebSockets too (default no). For servers and proxies that take text only.
    #[must_use]
    pub fn force_base64(mut self, force: bool) -> Self {
        self.force_base64 = force;
        self
    }

    /// Whether each request has a parameter that no other one has, so that no cache answers it. The default, as in Node:
    /// polling requests do, WebSockets do not.
    #[must_use]
    pub fn timestamp_requests(mut self, timestamps: bool) -> Self {
        self.timestamp_requests = Some(timestamps);
        self
    }

    /// The name of that parameter (default `t`).
    #[must_use]
    pub fn timestamp_param(mut self, name: impl Into<String>) -> Self {
        self.timestamp_param = name.into();
        self
    }

    /// Whether the server's cookies are sent back to it (default yes: balancers with sticky sessions need it; Node's
    /// client does so only with `withCredentials`). Cookies are kept across reconnections, by name, until they expire; 64
    /// cookies of at most 4096 bytes, others are ignored. They are sent to this server only.
    #[must_use]
    pub fn cookies(mut self, cookies: bool) -> Self {
        self.cookies = cookies;
        self
    }

    /// How long a request of polling may take, connecting included (default: as long as it likes). A GET that waits for
    /// packets takes as long as the server's `pingInterval`, so anything below that breaks quiet sessions.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long an upgrade may take: to connect the WebSocket, and again to probe it (default 10 s each). Then the session
    /// stays with polling.
    #[must_use]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.upgrade_timeout = timeout;
        self
    }

    /// The limit, in bytes, of one message from the server, and of one packet with all its attachments (default 16 MiB,
    /// which a server can make this client hold). The limit is the same over polling and WebSocket: a polling body may
    /// hold any number of messages. A larger message ends the session before it is buffered, with
    /// [`RequestError::TooLarge`](crate::RequestError::TooLarge).
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    pub(crate) fn max_message(&self) -> usize {
        self.max_payload
    }

    /// Packets that may wait to be sent (default 8192).
    #[must_use]
    pub fn max_queued_packets(mut self, packets: usize) -> Self {
        self.max_queued_packets = packets;
        self
    }

    /// Bytes that may wait to be sent (default 8 MiB). An empty queue takes any one packet.
    #[must_use]
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// The revision of the protocol. Not public: sockets speak the protocol that came with revision 4, so that of the servers
    /// below it they could use none.
    #[cfg(test)]
    pub(super) fn revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// The clock by which a sleep of the machine is noticed (default the system's).
    #[cfg(test)]
    pub(crate) fn wall_clock(
        mut self,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        self.wall_clock = Arc::new(clock);
        self
    }

    /// Goes through an HTTP proxy (default none).
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.way = Way::Through(proxy);
        self
    }

    /// Goes through the proxy that variables of the environment name, as they are when the [`Manager`](crate::Manager) is made;
    /// directly if there is none. Without this they are not read.
    ///
    /// These are `https_proxy` (for `https` and `wss`), `http_proxy`, `all_proxy` for both, and `no_proxy`: a list of domains,
    /// `host:port`, IP addresses and networks (`10.0.0.0/8`) that are reached directly, or `*`. In capitals they are read as
    /// well, but `HTTP_PROXY` not in a CGI program. `localhost` and loopback addresses have no proxy. Proxies that are not
    /// `http` or `https` are an error of the manager.
    #[must_use]
    pub fn proxy_from_env(mut self) -> Self {
        self.way = Way::Environment;
        self
    }

    /// How TLS is spoken (default: what the features give, see [`Tls`]).
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What connects to the server, or to the proxy (default [`TcpConnector`]).
    #[must_use]
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Arc::new(connector);
        self
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Queries and headers may hold secrets.
        f.debug_struct("EngineOptions")
            .field("transports", &self.transports)
            .field("path", &self.path)
            .field("way", &self.way)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
