//! The options of the connection below the sockets.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use engineio_parser::{Revision, Transport};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::dial::{Connector, Proxy, TcpConnector, Tls};

/// The options of the connection to the server: transports, headers, TLS, proxy, limits. The
/// defaults are those of Node's client, unless the option says otherwise.
///
/// ```
/// use socketio_client::{EngineOptions, Transport};
///
/// let options = EngineOptions::new()
///     .transports([Transport::WebSocket])
///     .query("room", "7");
/// ```
#[derive(Clone)]
#[must_use]
pub struct EngineOptions {
    pub(super) transports: Vec<Transport>,
    pub(super) try_all_transports: bool,
    pub(super) upgrade: bool,
    pub(super) remember_upgrade: bool,
    pub(super) path: String,
    pub(super) add_trailing_slash: bool,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) provide_headers: Option<ProvideHeaders>,
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
    pub(super) route: Route,
    pub(super) tls: Option<Tls>,
    pub(super) certificate_hashes: Vec<[u8; 32]>,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) wall_clock: WallClock,
}

/// Returns the time of day. Unlike the monotonic clock, it advances while the machine sleeps.
pub(super) type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

pub(super) type HeadersFuture =
    Pin<Box<dyn Future<Output = Result<HeaderMap, Box<dyn Error + Send + Sync>>> + Send>>;

pub(super) type ProvideHeaders = Arc<dyn Fn() -> HeadersFuture + Send + Sync>;

/// How the client reaches servers: directly or by a proxy.
#[derive(Clone, Debug)]
pub(super) enum Route {
    Direct,
    Through(Proxy),
    /// Follow the environment variables.
    Environment,
}

impl EngineOptions {
    /// Creates the default options. Each method documents its default.
    ///
    /// ```
    /// let options = socketio_client::EngineOptions::new();
    /// ```
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
            provide_headers: None,
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
            route: Route::Direct,
            tls: None,
            certificate_hashes: Vec::new(),
            connector: Arc::new(TcpConnector),
            wall_clock: Arc::new(SystemTime::now),
        }
    }

    /// Sets the transports, in order of preference (default polling, then WebSocket). The first
    /// transport opens the session. A polling session is upgraded to one of the other listed
    /// transports.
    ///
    /// WebTransport needs the feature `webtransport`, rustls or
    /// [`certificate_hashes`](Self::certificate_hashes), and a server that offers it on the UDP
    /// port with the number of the URL's port. It is encrypted even if the URL is `http`. It uses
    /// no [`Connector`]. Without the feature, or with a proxy, it is ignored. If a session can be
    /// upgraded to WebTransport and WebSocket, the client tries WebSocket as well when WebTransport
    /// has not connected after 200 ms, and probes the first that connects.
    ///
    /// ```
    /// use socketio_client::{EngineOptions, Transport};
    ///
    /// let options = EngineOptions::new().transports([Transport::WebSocket]);
    /// ```
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.transports = transports.into_iter().collect();
        self
    }

    /// Sets whether the client tries the next of the [`transports`](Self::transports) if one cannot
    /// open the session (default `false`).
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().try_all_transports(true);
    /// ```
    pub fn try_all_transports(mut self, try_all: bool) -> Self {
        self.try_all_transports = try_all;
        self
    }

    /// Sets whether a polling session is upgraded to another of the
    /// [`transports`](Self::transports) (default `true`).
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().upgrade(false);
    /// ```
    pub fn upgrade(mut self, upgrade: bool) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// Sets whether a connection starts with WebSocket if the previous connection used it
    /// successfully (default `false`). After a failure, the order of
    /// [`transports`](Self::transports) applies again.
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().remember_upgrade(true);
    /// ```
    pub fn remember_upgrade(mut self, remember: bool) -> Self {
        self.remember_upgrade = remember;
        self
    }

    /// Sets the path of the server's endpoint (default `/socket.io`).
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().path("/live/");
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets whether the path ends with a slash (default `true`, as Node's servers expect).
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().add_trailing_slash(false);
    /// ```
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.add_trailing_slash = add;
        self
    }

    /// Adds a parameter to the query of every request. If at least one parameter is added, the
    /// query of the URL is not used.
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().query("token", "abc");
    /// ```
    pub fn query(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((key.into(), value.into()));
        self
    }

    /// Sets a header of every request. It replaces an earlier header of the same name.
    ///
    /// ```
    /// use http::{HeaderValue, header::AUTHORIZATION};
    /// use socketio_client::EngineOptions;
    ///
    /// let token = HeaderValue::from_static("Bearer abc");
    /// let options = EngineOptions::new().header(AUTHORIZATION, token);
    /// ```
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Replaces all extra headers.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
    /// use socketio_client::EngineOptions;
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
    /// let options = EngineOptions::new().headers(headers);
    /// ```
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Sets a function that provides headers. The client calls it each time it opens the
    /// connection, so that a reconnection never uses an expired token. The headers replace others
    /// of the same names. If the function fails, the attempt fails with [`EngineError::Headers`].
    /// To provide a value for each namespace, use
    /// [`SocketConfig::auth_with`](crate::SocketConfig::auth_with).
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
    pub fn headers_with<F, Fut>(mut self, provide: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HeaderMap, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.provide_headers = Some(Arc::new(move || Box::pin(provide())));
        self
    }

    /// Sets a header for the requests of one transport. It replaces a header of the same name for
    /// all requests. Node uses `transportOptions` for this.
    ///
    /// ```
    /// use http::{HeaderValue, header};
    /// use socketio_client::{EngineOptions, Transport};
    ///
    /// let origin = HeaderValue::from_static("https://example.com");
    /// let options =
    ///     EngineOptions::new().transport_header(Transport::WebSocket, header::ORIGIN, origin);
    /// ```
    pub fn transport_header(
        mut self,
        transport: Transport,
        name: HeaderName,
        value: HeaderValue,
    ) -> Self {
        self.transport_headers.push((transport, name, value));
        self
    }

    /// Sets the subprotocols offered with a WebSocket (`Sec-WebSocket-Protocol`, default none), for
    /// servers and gateways that require one. If the server selects none of the offered protocols,
    /// the connection fails, as in browsers and in Node.
    ///
    /// ```
    /// use http::HeaderValue;
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().protocols([HeaderValue::from_static("chat")]);
    /// ```
    pub fn protocols(mut self, names: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.protocols = names.into_iter().collect();
        self
    }

    /// Sets whether binary data is sent as base64 over WebSocket too (default `false`). Use it for
    /// servers and proxies that accept only text.
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().force_base64(true);
    /// ```
    pub fn force_base64(mut self, force: bool) -> Self {
        self.force_base64 = force;
        self
    }

    /// Sets whether each request has a unique query parameter, so that no cache responds to it. By
    /// default, as in Node, polling requests have the parameter and WebSocket requests do not.
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().timestamp_requests(true);
    /// ```
    pub fn timestamp_requests(mut self, timestamps: bool) -> Self {
        self.timestamp_requests = Some(timestamps);
        self
    }

    /// Sets the name of the unique parameter (default `t`).
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().timestamp_param("time");
    /// ```
    pub fn timestamp_param(mut self, name: impl Into<String>) -> Self {
        self.timestamp_param = name.into();
        self
    }

    /// Sets whether the client returns the server's cookies (default `true`, because load balancers
    /// with sticky sessions need it; Node's client does so only with `withCredentials`). Cookies
    /// are kept by name across reconnections until they expire. At most 64 cookies of at most 4096
    /// bytes are kept; others are ignored. They are sent only to this server.
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().cookies(false);
    /// ```
    pub fn cookies(mut self, cookies: bool) -> Self {
        self.cookies = cookies;
        self
    }

    /// Sets how long a polling request may take, including the connection (default no limit). A GET
    /// that waits for packets takes up to the server's `pingInterval`, so a shorter limit breaks
    /// idle sessions.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().request_timeout(Duration::from_secs(10));
    /// ```
    pub fn request_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.request_timeout = timeout.into();
        self
    }

    /// Sets the time limit of each step of an upgrade: connecting the other transport, and probing
    /// it (default 10 s). After that, the session continues with polling. The limit also applies to
    /// a WebTransport connection that opens a session, because a network that blocks UDP gives no
    /// sign of it. If [another transport](Self::try_all_transports) follows, at most half of the
    /// time for opening the connection is spent on WebTransport.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().upgrade_timeout(Duration::from_secs(5));
    /// ```
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.upgrade_timeout = timeout;
        self
    }

    /// Sets the limit, in bytes, of one message from the server, and of one packet with all its
    /// attachments (default 16 MiB, which is the memory that a server can make this client hold).
    /// The limit is the same over polling and WebSocket. A polling body may contain any number of
    /// messages. A larger message ends the session before it is buffered, with
    /// [`RequestError::TooLarge`](crate::RequestError::TooLarge).
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().max_payload(5_000_000);
    /// ```
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    pub(crate) fn max_message(&self) -> usize {
        self.max_payload
    }

    /// Sets how many packets a session may queue (default 8192). Further packets wait in the queues
    /// of their sockets
    /// ([`SocketConfig::max_queued_packets`](crate::SocketConfig::max_queued_packets)).
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().max_queued_packets(1000);
    /// ```
    pub fn max_queued_packets(mut self, packets: usize) -> Self {
        self.max_queued_packets = packets;
        self
    }

    /// Sets how many bytes of packets a session may queue (default 8 MiB). If at least half of the
    /// queue is free, it accepts one packet of any size.
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().max_queued_bytes(1024 * 1024);
    /// ```
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// Sets the revision of the protocol. Not public, because sockets speak a protocol that
    /// requires revision 4.
    #[cfg(test)]
    pub(super) fn revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Sets the clock that detects a sleep of the machine (default the system clock).
    #[cfg(test)]
    pub(crate) fn wall_clock(
        mut self,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        self.wall_clock = Arc::new(clock);
        self
    }

    /// Connects through an HTTP proxy (default none). See [`Proxy`] for an example.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.route = Route::Through(proxy);
        self
    }

    /// Connects through the proxy named by environment variables, or directly if there is none. The
    /// client reads the variables when the [`Manager`](crate::Manager) is created. Without this
    /// option it does not read them.
    ///
    /// The variables are `https_proxy` (for `https` and `wss`), `http_proxy`, `all_proxy` for both,
    /// and `no_proxy`: a list of domains, `host:port`, IP addresses and networks (`10.0.0.0/8`)
    /// that are reached directly, or `*`. Names in upper case work as well, except `HTTP_PROXY` in
    /// a CGI program. `localhost` and loopback addresses never use a proxy. A proxy with another
    /// scheme than `http` or `https` is an error of the manager.
    ///
    /// ```
    /// use socketio_client::EngineOptions;
    ///
    /// let options = EngineOptions::new().proxy_from_env();
    /// ```
    pub fn proxy_from_env(mut self) -> Self {
        self.route = Route::Environment;
        self
    }

    /// Sets the TLS library and its configuration (default: depends on the features, see [`Tls`]).
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Accepts a server's certificate over WebTransport by the SHA-256 hash of its DER form
    /// (default none). For development with a certificate that no authority has signed. With a
    /// hash, [`tls`](Self::tls) has no effect on WebTransport.
    ///
    /// The server proves that it owns the key of the certificate. In contrast to
    /// `serverCertificateHashes` in browsers, the period of validity does not matter.
    ///
    /// ```
    /// use socketio_client::{EngineOptions, Transport};
    ///
    /// # let hash = [0; 32];
    /// let options = EngineOptions::new()
    ///     .transports([Transport::Polling, Transport::WebSocket, Transport::WebTransport])
    ///     .certificate_hashes([hash]);
    /// ```
    #[cfg(feature = "webtransport")]
    pub fn certificate_hashes(mut self, hashes: impl IntoIterator<Item = [u8; 32]>) -> Self {
        self.certificate_hashes = hashes.into_iter().collect();
        self
    }

    /// Sets the connector to the server or the proxy (default [`TcpConnector`]).
    ///
    /// ```
    /// use socketio_client::{EngineOptions, TcpConnector};
    ///
    /// let options = EngineOptions::new().connector(TcpConnector);
    /// ```
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
        // Leaves out query and headers, because they may contain secrets.
        f.debug_struct("EngineOptions")
            .field("transports", &self.transports)
            .field("path", &self.path)
            .field("route", &self.route)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
