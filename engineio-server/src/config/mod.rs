//! Options of an engine.

mod cookie;
mod cors;
mod hooks;
mod requests;
mod turn;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use engineio_parser::{Frame, Transport, session};
#[cfg(feature = "webtransport")]
use http::HeaderValue;
use http::{Response, request::Parts};

pub use self::{
    cookie::{Cookie, InvalidCookie, SameSite},
    cors::Cors,
    turn::TurnLimits,
};
use crate::{handshake::CopyExtension, proxy::Proxies};
use hooks::Hooks;
pub(crate) use hooks::WallClock;

#[cfg(feature = "compression")]
use crate::{http_compression::HttpCompression, per_message_deflate::PerMessageDeflate};

/// The shortest interval and timeout.
const SHORTEST: Duration = Duration::from_millis(1);

/// Options of an [`Engine`](crate::Engine). The defaults are those of Node's server, unless the
/// option says otherwise. Intervals and timeouts of less than a millisecond, such as zero, count as
/// one. A [`linger`](Self::linger) of zero waits for nothing.
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
    allow_upgrades: bool,
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
    pub(crate) check_origin: bool,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) initial_packet: Option<Frame>,
    pub(crate) hooks: Hooks,
    pub(crate) extensions: Vec<CopyExtension>,
    pub(crate) jsonp: bool,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) max_unauthenticated_per_address: Option<usize>,
    pub(crate) max_sessions: usize,
    pub(crate) max_kept_head: usize,
    #[cfg(feature = "webtransport")]
    pub(crate) alt_svc: Option<HeaderValue>,
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
            check_origin: true,
            cookie: None,
            initial_packet: None,
            hooks: Hooks::default(),
            extensions: Vec::new(),
            jsonp: false,
            proxies: None,
            max_unauthenticated_per_address: None,
            max_sessions: 100_000,
            max_kept_head: 8 * 1024,
            #[cfg(feature = "webtransport")]
            alt_svc: None,
        }
    }
}

impl EngineConfig {
    /// Sets the path of requests (default `/engine.io/`). Missing slashes at both ends are added.
    /// Every path that begins with it matches, as in Node.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().path("/live/");
    /// ```
    pub fn path(mut self, path: &str) -> Self {
        let middle = path.trim_matches('/');
        let slash = if self.add_trailing_slash && !middle.is_empty() { "/" } else { "" };
        self.path = format!("/{middle}{slash}");
        self
    }

    /// Sets whether the path ends with a slash (default `true`), so that `/engine.io` does not
    /// match. With `false`, every path that begins with `/engine.io` matches, such as
    /// `/engine.io.js`, as in Node.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().add_trailing_slash(false);
    /// ```
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.add_trailing_slash = add;
        let path = std::mem::take(&mut self.path);
        self.path(&path)
    }

    /// Sets the time from the handshake or the last pong to the next ping (default 25 s).
    ///
    /// Time in which the machine sleeps counts. The engine notices a sleep within 5 s of waking and
    /// sends the pings that are due. A client that has disappeared in the meantime is therefore
    /// noticed one [`ping_timeout`](Self::ping_timeout) later. Clients of revision 3 send the pings
    /// themselves, and the engine waits for them as long as without a sleep.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().ping_interval(Duration::from_secs(10));
    /// ```
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.session.ping_interval = interval.max(SHORTEST);
        self
    }

    /// Sets how long a client may take to reply to a ping before the session is closed with "ping
    /// timeout" (default 20 s).
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().ping_timeout(Duration::from_secs(5));
    /// ```
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.session.ping_timeout = timeout.max(SHORTEST);
        self
    }

    /// Sets how long a client counts as connected while [reading is
    /// paused](crate::Connection::pause_reading) and the receive buffers are full (default 10 min).
    /// The server then sees neither pongs nor a close. After this time, the session is closed with
    /// "ping timeout".
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().pause_timeout(Duration::from_secs(60));
    /// ```
    pub fn pause_timeout(mut self, timeout: Duration) -> Self {
        self.session.pause_timeout = timeout.max(SHORTEST);
        self
    }

    /// Sets how much work a connection may do in one turn (see [`TurnLimits`] for the defaults).
    ///
    /// ```
    /// use engineio_server::{EngineConfig, TurnLimits};
    ///
    /// let mut turn = TurnLimits::default();
    /// turn.packets = 64;
    ///
    /// let config = EngineConfig::default().turn(turn);
    /// ```
    pub fn turn(mut self, limits: TurnLimits) -> Self {
        self.turn = limits;
        self
    }

    /// Sets how long an upgrade may take before its probe is closed (default 10 s). The session
    /// continues. A client that closes its probe after the server has answered it has as long to make
    /// another request. Otherwise the session ends with "transport close", because the page was
    /// reloaded.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().upgrade_timeout(Duration::from_secs(5));
    /// ```
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.session.upgrade_timeout = timeout.max(SHORTEST);
        self
    }

    /// Sets the maximum size of a message, and of a polling body, in bytes (default 1 000 000).
    /// Larger ones end the session, with HTTP 413 on polling and close code 1009 on WebSocket.
    /// Advertised to clients as `maxPayload`.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_payload(5_000_000);
    /// ```
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.session.max_payload = bytes;
        self
    }

    /// Sets how many packets may wait to be sent to one client (default 8192, which takes at most
    /// half a MiB of bookkeeping; at least 1). A full queue refuses further packets.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_queued_packets(1000);
    /// ```
    pub fn max_queued_packets(mut self, packets: usize) -> Self {
        self.session.max_queued_packets = packets.max(1);
        self
    }

    /// Sets how many bytes may wait to be sent to one client (default 8 MiB, at least 1). This
    /// limits the cost of a client that does not read. If at least half of the queue is free, it
    /// accepts one message of any size. A queue may therefore hold half of the limit plus one large
    /// message.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_queued_bytes(1024 * 1024);
    /// ```
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.session.max_queued_bytes = bytes.max(1);
        self
    }

    /// Sets the offered transports (default polling and WebSocket). Other transports get error 0,
    /// "Transport unknown". WebTransport requires the feature `webtransport` and a listener for it,
    /// `Engine::listen_webtransport`.
    ///
    /// ```
    /// use engineio_server::{EngineConfig, Transport};
    ///
    /// let config = EngineConfig::default().transports(&[Transport::WebSocket]);
    /// ```
    pub fn transports(mut self, transports: &[Transport]) -> Self {
        self.transports = transports.to_vec();
        self
    }

    /// Sets whether the handshake advertises the upgrades to WebSocket and WebTransport (default
    /// `true`). As in Node, `false` only hides the upgrades: a client that upgrades anyway is
    /// served.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().allow_upgrades(false);
    /// ```
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.allow_upgrades = allow;
        self
    }

    /// Sets how long a request head, or a TLS handshake, may take to arrive at
    /// [`Engine::listen`](crate::Engine::listen) (default 15 s). On HTTP/2, it also limits how long
    /// the client may take to reply to a ping, because a client cannot reply while its request head
    /// is incomplete.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().head_timeout(Duration::from_secs(5));
    /// ```
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = timeout.max(SHORTEST);
        self
    }

    /// Sets the maximum size of a request head in bytes at
    /// [`Engine::listen`](crate::Engine::listen) (default 16 KiB, at least 8 KiB). This is also the
    /// size of the read buffer of an HTTP connection.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_head_size(32 * 1024);
    /// ```
    pub fn max_head_size(mut self, bytes: usize) -> Self {
        self.max_head_size = bytes.max(8 * 1024);
        self
    }

    /// Sets how long the body of a POST may take to arrive (default 30 s). Then the client gets
    /// HTTP 408, and the session is closed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().body_timeout(Duration::from_secs(10));
    /// ```
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout.max(SHORTEST);
        self
    }

    /// Sets how long a client may read nothing of an HTTP response at
    /// [`Engine::listen`](crate::Engine::listen) before its connection is dropped (default 30 s).
    /// Without this limit, the client could keep the response in the server's memory forever.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().write_timeout(Duration::from_secs(10));
    /// ```
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout.max(SHORTEST);
        self
    }

    /// Sets into how many frames one WebSocket message may be split (default 1024). A message of
    /// more frames closes the WebSocket with code 1008. The sum of the bytes of all frames counts
    /// towards `max_payload`.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_fragments(64);
    /// ```
    pub fn max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = frames;
        self
    }

    /// Sets how long [`Engine::close`](crate::Engine::close) and
    /// [`drain`](crate::Engine::drain) wait for a session to send its queue, and how long the
    /// WebSocket of a closed session may take to read the rest and to reply to the close frame
    /// (default 3 s for each). For the same time, the rest of a refused body is read and dropped,
    /// so that the client can read the error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().linger(Duration::from_secs(1));
    /// ```
    pub fn linger(mut self, duration: Duration) -> Self {
        self.linger = duration;
        self
    }

    /// Sets the maximum number of sessions (default 100 000; Node has no limit). Further handshakes
    /// get 503 with `Retry-After` and
    /// [`RequestError::SessionLimit`](crate::RequestError::SessionLimit).
    ///
    /// A new session costs about 2 KiB, including its part in a Socket.IO server, in addition to
    /// the stored part of its request ([`max_kept_head`](Self::max_kept_head)) and the resources of
    /// the operating system for its connection. This is about 200 MB with the default limit. Raise
    /// the limit if you have more clients and the memory for them.
    ///
    /// The memory of ended sessions is free for new ones. glibc's allocator returns little of it to
    /// the operating system; with jemalloc or mimalloc, the process shrinks after a wave of
    /// clients.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_sessions(1_000_000);
    /// ```
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sets how many bytes of its handshake's URL and headers a session keeps (default 8 KiB).
    /// Headers that do not fit are dropped once the session is open; only
    /// [`allow_request`](Self::allow_request) sees them. A URL that does not fit gets status 414
    /// and [`ErrorContext::UrlTooLong`](crate::ErrorContext::UrlTooLong).
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_kept_head(2048);
    /// ```
    pub fn max_kept_head(mut self, bytes: usize) -> Self {
        self.max_kept_head = bytes;
        self
    }

    /// Announces the UDP port of [`listen_webtransport`](crate::Engine::listen_webtransport), for
    /// `max_age`, in an `Alt-Svc` header of every response over TCP (default: no announcement,
    /// which browsers do not need for WebTransport).
    ///
    /// Browsers then also try to load pages and to poll over HTTP/3. The listener answers these
    /// requests with 421 (Misdirected Request), after which browsers repeat them over TCP. That
    /// costs a round trip each, so announce the port only to clients that require it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().alt_svc(443, Duration::from_secs(3600));
    /// ```
    #[cfg(feature = "webtransport")]
    pub fn alt_svc(mut self, port: u16, max_age: Duration) -> Self {
        let value = format!("h3=\":{port}\"; ma={}", max_age.as_secs());
        self.alt_svc = HeaderValue::try_from(value).ok();
        self
    }

    /// Sets how many requests, polling and WebSocket together, one HTTP/2 connection may have open
    /// at [`Engine::listen`](crate::Engine::listen) (default 128). Further ones are reset; the
    /// client waits or opens another connection.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_concurrent_streams(32);
    /// ```
    #[cfg(feature = "http2")]
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = streams;
        self
    }

    /// Sets whether clients of protocol revision 3 (Socket.IO v2) are served (default `false`). As
    /// in Node, these are all clients whose `EIO` is not `4`, including those without one.
    ///
    /// The session id of a Socket.IO v2 client is also its socket id. Anyone who learns the socket
    /// id can send requests in the client's name over polling.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().allow_eio3(true);
    /// ```
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.allow_eio3 = allow;
        self
    }

    /// Sets whether and how polling responses are compressed (default: with
    /// [`HttpCompression::default`]). `None` disables compression.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().http_compression(None);
    /// ```
    #[cfg(feature = "compression")]
    pub fn http_compression(mut self, compression: impl Into<Option<HttpCompression>>) -> Self {
        self.http_compression = compression.into();
        self
    }

    /// Sets a callback that may answer requests below the path before the protocol does (default
    /// none). It gets the rest of the path and the request. If it returns `None`, the protocol
    /// answers. `cors` and `http_compression` apply to its responses.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use engineio_server::EngineConfig;
    /// use http::Response;
    ///
    /// let config = EngineConfig::default().files(|name, _request| {
    ///     (name == "health").then(|| Response::new(Bytes::from_static(b"ok")))
    /// });
    /// ```
    pub fn files(
        mut self,
        files: impl Fn(&str, &Parts) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.files = Some(Arc::new(files));
        self
    }

    /// Sets the wall clock by which the engine notices that the machine slept (default the
    /// system's). For tests.
    #[doc(hidden)]
    pub fn wall_clock(
        mut self,
        clock: impl Fn() -> std::time::SystemTime + Send + Sync + 'static,
    ) -> Self {
        self.hooks.wall_clock = Some(Arc::new(clock));
        self
    }

    /// Sets whether and how WebSocket messages are compressed with clients that offer it (default
    /// `None`: they are not, as in Node). This costs CPU time, and memory if contexts are kept; see
    /// [`PerMessageDeflate`].
    ///
    /// ```
    /// use engineio_server::{EngineConfig, PerMessageDeflate};
    ///
    /// let config = EngineConfig::default().per_message_deflate(PerMessageDeflate::default());
    /// ```
    #[cfg(feature = "compression")]
    pub fn per_message_deflate(mut self, deflate: impl Into<Option<PerMessageDeflate>>) -> Self {
        self.per_message_deflate = deflate.into();
        self
    }

    pub(crate) fn session(&self) -> Arc<session::Config> {
        let mut session = self.session.clone();
        let is_offered = |transport: &Transport| {
            let exists = *transport != Transport::WebTransport || cfg!(feature = "webtransport");
            self.allow_upgrades && exists && self.transports.contains(transport)
        };
        let upgrades = [Transport::WebSocket, Transport::WebTransport];
        session.upgrades = upgrades.into_iter().filter(is_offered).collect();
        Arc::new(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_or_timeout_of_zero_counts_as_a_millisecond() {
        let zero = Duration::ZERO;
        let config = EngineConfig::default()
            .ping_interval(zero)
            .ping_timeout(zero)
            .pause_timeout(zero)
            .upgrade_timeout(zero)
            .head_timeout(zero)
            .body_timeout(zero)
            .write_timeout(zero)
            .linger(zero);
        let session::Config { ping_interval, ping_timeout, .. } = config.session;
        let session::Config { pause_timeout, upgrade_timeout, .. } = config.session;
        let EngineConfig { head_timeout, body_timeout, write_timeout, .. } = config;
        let session = [ping_interval, ping_timeout, pause_timeout, upgrade_timeout];
        assert_eq!(session, [SHORTEST; 4]);
        assert_eq!([head_timeout, body_timeout, write_timeout], [SHORTEST; 3]);
        assert_eq!(config.linger, zero);
    }
}
