//! Options for single requests.

use std::{error::Error, future::Future, net::SocketAddr, sync::Arc};

use http::{Extensions, HeaderMap, request::Parts};
use ipnet::IpNet;

use super::{EngineConfig, cookie::Cookie, cors::Cors};
use crate::{
    error::{ConnectionError, Refusal},
    handshake::{Handshake, copy_extension},
    proxy::{Proxies, ProxyHeader},
    shared::Message,
};

impl EngineConfig {
    /// Sets which pages of other origins may read responses (default none). Also answers OPTIONS
    /// requests, before anything else is checked.
    ///
    /// ```
    /// use engineio_server::{Cors, EngineConfig};
    ///
    /// let config = EngineConfig::default().cors(Cors::origins(["https://example.com"]));
    /// ```
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// Sets whether WebSocket requests from pages of other origins are refused unless
    /// [`cors`](Self::cors) allows their origin (default `true`). Refused requests get
    /// [`RequestError::Forbidden`](crate::RequestError::Forbidden): 403 and code 4.
    ///
    /// Browsers let a page of any origin open a WebSocket with the visitor's cookies, and send its
    /// origin in `Origin`. Requests without that header come from programs, and are not refused. A
    /// page has the server's origin if host and port of `Origin` are those of the request's `Host`;
    /// the scheme is not compared, because a proxy may have ended TLS. A proxy must pass `Host` on,
    /// or the origin of the page must be in [`cors`](Self::cors).
    ///
    /// Node's server does not check. Turn the check off if a tower layer handles CORS, or if the
    /// server is open to pages of every origin anyway and no cookie authenticates their visitors.
    ///
    /// ```
    /// use engineio_server::{Cors, EngineConfig};
    ///
    /// // Pages of this origin may use polling and WebSocket. Pages of other origins may use neither.
    /// let strict = EngineConfig::default().cors(Cors::origins(["https://example.com"]));
    /// // Pages of every origin may use WebSocket, as with Node's server.
    /// let open = EngineConfig::default().check_origin(false);
    /// ```
    pub fn check_origin(mut self, check: bool) -> Self {
        self.check_origin = check;
        self
    }

    /// Sets a cookie with the session id for the response to a polling handshake (default none).
    ///
    /// ```
    /// use engineio_server::{Cookie, EngineConfig};
    ///
    /// let config = EngineConfig::default().cookie(Cookie::default().secure(true));
    /// ```
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// Sets a message that every session sends together with its open packet, so that the client
    /// receives it first (default none). On polling both are in one response.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().initial_packet("welcome");
    /// ```
    pub fn initial_packet(mut self, message: impl Into<Message>) -> Self {
        self.initial_packet = Some(message.into().0);
        self
    }

    /// Sets whether requests with a `j` parameter get JSONP responses (default `false`). JSONP
    /// responses are scripts, for browsers that cannot send requests to other origins, such as
    /// Internet Explorer 9 (the client option is `forceJSONP`).
    ///
    /// Any page may load a script and post a form, with the cookies of its visitor and without an
    /// `Origin` header. JSONP therefore removes the protection of [`cors`](Self::cors). Node's
    /// server always answers JSONP.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().jsonp(true);
    /// ```
    pub fn jsonp(mut self, allow: bool) -> Self {
        self.jsonp = allow;
        self
    }

    /// Sets the proxies in front of the engine, and the header in which they name the client
    /// (default none). If a request comes from one of these networks, [`Handshake::client_ip`] and
    /// [`Handshake::secure`] are taken from the header.
    ///
    /// The header is read from its right end, hop by hop, up to the first address outside these
    /// networks. Entries that a client has added further left are ignored, and so are all other
    /// headers.
    ///
    /// ```
    /// use engineio_server::{EngineConfig, IpNet, ProxyHeader};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let balancers: [IpNet; 2] = ["10.0.0.0/8".parse()?, "fd00::/8".parse()?];
    /// let config = EngineConfig::default().trusted_proxies(balancers, ProxyHeader::XForwardedFor);
    /// # Ok(())
    /// # }
    /// ```
    pub fn trusted_proxies(
        mut self,
        networks: impl IntoIterator<Item = IpNet>,
        header: ProxyHeader,
    ) -> Self {
        self.proxies = Some(Proxies::new(networks.into_iter().collect(), header));
        self
    }

    /// Sets how to find the peer's address in the extensions of a request without
    /// [`PeerAddr`](crate::PeerAddr), that is, a request of another HTTP server (default: the
    /// address is unknown). It is used for [`Handshake::remote_addr`], [`Handshake::client_ip`] and
    /// the limits per address.
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::extract::ConnectInfo;
    /// use engineio_server::EngineConfig;
    ///
    /// // With `axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())`:
    /// let config = EngineConfig::default()
    ///     .peer_addr(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0));
    /// ```
    pub fn peer_addr(
        mut self,
        find: impl Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.peer_addr = Some(Arc::new(find));
        self
    }

    /// Sets how many sessions one address may have for which
    /// [`Handle::authenticated`](crate::Handle::authenticated) was not called (default: unlimited).
    /// Further handshakes get 429 and code 4. An IPv6 /64 network counts as one address. The
    /// address is [`Handshake::client_ip`]; if it is unknown, nothing is counted. Costs 40 bytes
    /// per counted session.
    ///
    /// The clients of a household or an office may share one address, and so do all clients behind
    /// a proxy that is not in [`trusted_proxies`](Self::trusted_proxies). Choose the limit
    /// accordingly.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().max_unauthenticated_per_address(10);
    /// ```
    pub fn max_unauthenticated_per_address(mut self, sessions: usize) -> Self {
        self.max_unauthenticated_per_address = Some(sessions);
        self
    }

    /// Sets a hook that decides whether a client may open a session, and that may add values to its
    /// [`Handshake`]. It is called for handshakes only, after the transport and the method have
    /// been checked and before the protocol revision. Later requests and upgrades refer to the open
    /// session. If the client does not wait for the hook, its future is dropped.
    ///
    /// A refused client gets [`RequestError::Forbidden`](crate::RequestError::Forbidden): 403, code
    /// 4 and the message of the [`Refusal`].
    ///
    /// ```
    /// use engineio_server::{EngineConfig, Handshake, Refusal};
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let config = EngineConfig::default().allow_request(|mut handshake: Handshake| async move {
    ///     let query = handshake.query();
    ///     let user = query.iter().find(|(name, _)| name == "user");
    ///     let Some((_, name)) = user else {
    ///         return Err(Refusal::new("who are you?"));
    ///     };
    ///     handshake.insert_extension(User(name.clone()));
    ///     Ok(handshake)
    /// });
    /// ```
    pub fn allow_request<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Handshake, Refusal>> + Send + 'static,
    {
        self.hooks.allow_request(hook);
        self
    }

    /// Keeps the request's extension of this type with the session, so that
    /// [`Handshake::extension`] returns what a tower layer knows about the client (default: none
    /// are kept). During [`allow_request`](Self::allow_request) and
    /// [`generate_id`](Self::generate_id) all extensions are available.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let config = EngineConfig::default().keep_extension::<User>();
    /// ```
    pub fn keep_extension<T: Clone + Send + Sync + 'static>(mut self) -> Self {
        self.extensions.push(copy_extension::<T>);
        self
    }

    /// Sets how session ids are generated (default: 15 random bytes as 20 characters, see
    /// [`generate_sid`](crate::generate_sid)).
    ///
    /// An id is the only proof that a polling request belongs to a session, so it must be
    /// unguessable. Sticky load balancers and adapters may expect 20 characters. An id must have 1
    /// to 128 letters, digits and `-._~`, and must not be in use. Otherwise, and on an error, the
    /// client is refused with code 3.
    ///
    /// ```
    /// use engineio_server::{EngineConfig, Handshake, generate_sid};
    ///
    /// let config = EngineConfig::default().generate_id(|_: &Handshake| async {
    ///     Ok::<_, std::io::Error>(format!("eu1-{}", generate_sid()?))
    /// });
    /// ```
    pub fn generate_id<F, Fut, E>(mut self, hook: F) -> Self
    where
        F: Fn(&Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.hooks.generate_id(hook);
        self
    }

    /// Sets a hook for the headers of the response that opens a session, on polling and WebSocket.
    /// It is called before [`headers`](Self::headers).
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    /// use http::{HeaderValue, header::SERVER};
    ///
    /// let config = EngineConfig::default().initial_headers(|headers, _request| {
    ///     headers.insert(SERVER, HeaderValue::from_static("chat"));
    /// });
    /// ```
    pub fn initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.initial_headers = Some(Arc::new(hook));
        self
    }

    /// Sets a hook for the headers of every polling response and of every response that accepts a
    /// WebSocket. It is not called for refusals.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    /// use http::{HeaderValue, header::SERVER};
    ///
    /// let config = EngineConfig::default().headers(|headers, _request| {
    ///     headers.insert(SERVER, HeaderValue::from_static("chat"));
    /// });
    /// ```
    pub fn headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.headers = Some(Arc::new(hook));
        self
    }

    /// Sets a hook that is called when a request is refused with an error code of the protocol.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().connection_error(|error| {
    ///     eprintln!("{} {}: {} {}", error.request.uri, error.code, error.message, error.context.name());
    /// });
    /// ```
    pub fn connection_error(
        mut self,
        hook: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.connection_error = Some(Arc::new(hook));
        self
    }
}
