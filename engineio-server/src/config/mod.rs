//! Options of an engine.

mod cookie;
mod cors;
mod hooks;
mod requests;
mod turn;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use engineio_parser::{Frame, Transport, session};
use http::{Response, request::Parts};

pub use self::{
    cookie::{Cookie, InvalidCookie, SameSite},
    cors::Cors,
    turn::TurnLimits,
};
use crate::{handshake::Keep, proxy::Proxies};
use hooks::Hooks;

#[cfg(feature = "compression")]
use crate::{http_compression::HttpCompression, per_message_deflate::PerMessageDeflate};

/// Options of an [`Engine`](crate::Engine), with Node's defaults.
///
/// ```
/// use std::time::Duration;
/// use engineio_server::EngineConfig;
///
/// let config = EngineConfig::default()
///     .path("/realtime")
///     .ping_interval(Duration::from_secs(10))
///     .max_payload(100_000);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EngineConfig {
    pub(crate) path: String,
    add_trailing_slash: bool,
    pub(crate) session: session::Config,
    pub(crate) transports: Vec<Transport>,
    pub(crate) allow_upgrades: bool,
    pub(crate) head_timeout: Duration,
    pub(crate) max_head_size: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) max_fragments: u32,
    pub(crate) linger: Duration,
    pub(crate) turn: TurnLimits,
    #[cfg(feature = "http2")]
    pub(crate) max_concurrent_streams: u32,
    pub(crate) allow_eio3: bool,
    #[cfg(feature = "compression")]
    pub(crate) http_compression: Option<HttpCompression>,
    #[cfg(feature = "compression")]
    pub(crate) per_message_deflate: Option<PerMessageDeflate>,
    pub(crate) cors: Option<Cors>,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) initial_packet: Option<Frame>,
    pub(crate) hooks: Hooks,
    pub(crate) extensions: Vec<Keep>,
    pub(crate) jsonp: bool,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) max_unauthenticated_per_address: Option<usize>,
    pub(crate) max_sessions: usize,
    pub(crate) max_kept_head: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            path: "/engine.io/".to_owned(),
            add_trailing_slash: true,
            session: session::Config::default(),
            transports: vec![Transport::Polling, Transport::WebSocket],
            allow_upgrades: true,
            head_timeout: Duration::from_secs(15),
            max_head_size: 16 * 1024,
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            max_fragments: 1024,
            linger: Duration::from_secs(3),
            turn: TurnLimits::default(),
            #[cfg(feature = "http2")]
            max_concurrent_streams: 128,
            allow_eio3: false,
            #[cfg(feature = "compression")]
            http_compression: Some(HttpCompression::default()),
            #[cfg(feature = "compression")]
            per_message_deflate: None,
            cors: None,
            cookie: None,
            initial_packet: None,
            hooks: Hooks::default(),
            extensions: Vec::new(),
            jsonp: false,
            proxies: None,
            max_unauthenticated_per_address: None,
            max_sessions: 100_000,
            max_kept_head: 8 * 1024,
        }
    }
}

impl EngineConfig {
    /// The path requests are served on (default `/engine.io/`). A missing slash at either end is added.
    /// As in Node, every path that begins with it matches.
    pub fn path(mut self, path: &str) -> Self {
        let middle = path.trim_matches('/');
        let slash = if self.add_trailing_slash && !middle.is_empty() { "/" } else { "" };
        self.path = format!("/{middle}{slash}");
        self
    }

    /// Whether the path ends with a slash (default yes); then `/engine.io` without it is not the engine's. With `false`,
    /// as in Node, `/engine.io` also answers for what goes on otherwise, such as `/engine.io.js`.
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.add_trailing_slash = add;
        let path = std::mem::take(&mut self.path);
        self.path(&path)
    }

    /// Time from the handshake, or from the last pong, to the next ping (default 25 s).
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.session.ping_interval = interval;
        self
    }

    /// How long a client may take to answer a ping before it is closed with "ping timeout" (default 20 s).
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.session.ping_timeout = timeout;
        self
    }

    /// How long a client is believed to be there while the application reads nothing from it
    /// ([`Connection::set_reading`](crate::Connection::set_reading)) and more has arrived than is looked at, so that neither
    /// its pongs nor its end can be seen (default 10 min). Then it is closed with "ping timeout".
    pub fn pause_timeout(mut self, timeout: Duration) -> Self {
        self.session.pause_timeout = timeout;
        self
    }

    /// What a connection may do before others get their turn (see [`TurnLimits`] for each default).
    pub fn turn(mut self, limits: TurnLimits) -> Self {
        self.turn = limits;
        self
    }

    /// What a connection may do in one turn, see [`turn`](Self::turn).
    pub fn get_turn(&self) -> TurnLimits {
        self.turn
    }

    /// How long an upgrade may stay unfinished; then only its probe is closed (default 10 s).
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.session.upgrade_timeout = timeout;
        self
    }

    /// Bytes of one message, and of one polling body (default 1 000 000). More ends the session: with HTTP 413 on polling,
    /// with close code 1009 on WebSocket. Advertised to clients as `maxPayload`.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.session.max_payload = bytes;
        self
    }

    /// Packets that may wait for one client (default 8192, for at most half a MiB of bookkeeping). A full
    /// queue refuses more.
    pub fn max_queued_packets(mut self, packets: usize) -> Self {
        self.session.max_queued_packets = packets;
        self
    }

    /// Bytes that may wait for one client (default 8 MiB): what a client that does not read can cost. An empty
    /// queue takes any one message.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.session.max_queued_bytes = bytes;
        self
    }

    /// The transports offered (default polling and WebSocket). Others get error 0, "Transport unknown".
    pub fn transports(mut self, transports: &[Transport]) -> Self {
        self.transports = transports.to_vec();
        self
    }

    /// Whether the handshake advertises the upgrade to WebSocket (default yes). As in Node this only hides it: a
    /// client that upgrades all the same is served.
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.allow_upgrades = allow;
        self
    }

    /// How long the head of a request may take to arrive at [`Engine::listen`](crate::Engine::listen) (default 15 s), and
    /// so may a TLS handshake. On HTTP/2 it is also how long a connection may leave a ping unanswered, which an unfinished
    /// head keeps it from answering.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = timeout;
        self
    }

    /// Bytes of a request's head at [`Engine::listen`](crate::Engine::listen) (default 16 KiB, at least 8 KiB).
    /// It is also the read buffer that one HTTP connection may hold.
    pub fn max_head_size(mut self, bytes: usize) -> Self {
        self.max_head_size = bytes.max(8 * 1024);
        self
    }

    /// How long the body of a POST may take to arrive (default 30 s); then it gets HTTP 408, and the session is closed.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// How long a client may take nothing of an HTTP response at [`Engine::listen`](crate::Engine::listen) before its
    /// connection is dropped (default 30 s): it could keep the response's bytes in memory for ever otherwise.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Frames that one WebSocket message may be split into (default 1024); more closes with 1008. Their bytes count
    /// towards `max_payload` in any case.
    pub fn max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = frames;
        self
    }

    /// How long a closed WebSocket may take to read what was queued and to answer the close frame (default 3 s). For as
    /// long the rest of a body that was refused is read and dropped, so that its client gets to read the refusal.
    pub fn linger(mut self, duration: Duration) -> Self {
        self.linger = duration;
        self
    }

    /// How many sessions there may be (default 100 000). More handshakes get 503 with `Retry-After` and
    /// [`RequestError::SessionLimit`](crate::RequestError::SessionLimit).
    ///
    /// A session that was only opened costs about 1.5 KiB here and as much in a Socket.IO server, besides what is kept of its
    /// request ([`max_kept_head`](Self::max_kept_head)) and the operating system's part of its connection: with the default
    /// some 300 MB. Whoever has more clients, and the memory for them, raises it.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Bytes that a session keeps of its handshake's URL and headers (default 8 KiB). Headers that do not fit are left out
    /// once the session is open: they are there in [`allow_request`](Self::allow_request) only. A URL that does not fit gets
    /// status 414 and [`ErrorContext::UrlTooLong`](crate::ErrorContext::UrlTooLong).
    pub fn max_kept_head(mut self, bytes: usize) -> Self {
        self.max_kept_head = bytes;
        self
    }

    /// Requests, polling and WebSockets that one HTTP/2 connection may have open at once (default 128) at
    /// [`Engine::listen`](crate::Engine::listen). More are refused with a reset; a client waits or opens another connection.
    #[cfg(feature = "http2")]
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = streams;
        self
    }

    /// How long a closed WebSocket may take, see [`linger`](Self::linger).
    pub fn get_linger(&self) -> Duration {
        self.linger
    }

    /// Whether clients of protocol revision 3 (Socket.IO v2) are served (default no). As in Node they are all those whose
    /// `EIO` is not `4`: some send none.
    ///
    /// A Socket.IO v2 client takes its session's id for its socket's: whoever is told the one can speak for it on polling.
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.allow_eio3 = allow;
        self
    }

    /// Whether polling responses are compressed, and how (default yes, as [`HttpCompression::default`] does it). `None` turns
    /// it off. Without the feature `compression` nothing is compressed.
    #[cfg(feature = "compression")]
    pub fn http_compression(mut self, compression: impl Into<Option<HttpCompression>>) -> Self {
        self.http_compression = compression.into();
        self
    }

    /// Sets what answers requests below the path before the protocol does (default: nothing): it gets the rest of the path
    /// and the request, and answers or leaves it to the protocol. `cors` and `http_compression` are applied to what it
    /// answers.
    pub fn files(
        mut self,
        files: impl Fn(&str, &Parts) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.files = Some(Arc::new(files));
        self
    }

    /// Packets and bytes that may wait to be sent to one client.
    pub fn get_max_queued(&self) -> (usize, usize) {
        (self.session.max_queued_packets, self.session.max_queued_bytes)
    }

    /// How long it takes at most until a client that vanished is noticed: `ping_interval` and `ping_timeout`.
    pub fn get_heartbeat(&self) -> Duration {
        self.session.ping_interval + self.session.ping_timeout
    }

    /// Whether WebSocket messages are compressed with clients that offer it, and how (default no, as in Node). It costs
    /// time, and memory where contexts are kept: see [`PerMessageDeflate`].
    #[cfg(feature = "compression")]
    pub fn per_message_deflate(mut self, deflate: impl Into<Option<PerMessageDeflate>>) -> Self {
        self.per_message_deflate = deflate.into();
        self
    }

    /// Whether WebSocket messages may be compressed; then frames for many recipients are better
    /// [shared](crate::Frames::share).
    pub fn compresses_messages(&self) -> bool {
        #[cfg(feature = "compression")]
        return self.per_message_deflate.is_some();
        #[cfg(not(feature = "compression"))]
        false
    }

    /// The configured path, with a slash at both ends (see [`add_trailing_slash`](Self::add_trailing_slash)).
    pub fn get_path(&self) -> &str {
        &self.path
    }

    pub(crate) fn session(&self) -> Arc<session::Config> {
        let mut session = self.session.clone();
        let offered = self.allow_upgrades && self.transports.contains(&Transport::WebSocket);
        session.upgrades = offered.then_some(Transport::WebSocket).into_iter().collect();
        Arc::new(session)
    }
}
