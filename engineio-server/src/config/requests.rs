//! The options that concern single requests.

use std::{error::Error, future::Future, net::SocketAddr, sync::Arc};

use http::{Extensions, HeaderMap, request::Parts};
use ipnet::IpNet;

use super::{EngineConfig, cookie::Cookie, cors::Cors};
use crate::{
    error::{ConnectionError, Refusal},
    handshake::{Handshake, keep},
    proxy::{Proxies, ProxyHeader},
    shared::Message,
};

impl EngineConfig {
    /// Which pages of other origins may read the answers (default none). It also answers OPTIONS requests, before
    /// anything else is looked at.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// A cookie with the session id in the answer to a polling handshake (default none).
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// A message that is sent with the open packet of every session: the first that a client receives (default none). On
    /// polling both come in one response.
    pub fn initial_packet(mut self, message: impl Into<Message>) -> Self {
        self.initial_packet = Some(message.into().0);
        self
    }

    /// Whether requests with a `j` parameter are answered as JSONP (default no): by scripts, for browsers that cannot ask
    /// other origins, such as Internet Explorer 9 (clients call it `forceJSONP`).
    ///
    /// Every page may load a script and post a form, with its visitor's cookies and without an `Origin` header: this does
    /// away with the protection that [`cors`](Self::cors) gives. Node's server always answers JSONP.
    pub fn jsonp(mut self, allow: bool) -> Self {
        self.jsonp = allow;
        self
    }

    /// The proxies in front of the engine, and the header in which they write down whom they speak for (default none).
    /// Where a request comes from one of these networks, [`Handshake::client_ip`] and [`Handshake::secure`] tell what it says.
    ///
    /// The header is read from its right end, hop by hop, up to the first that is not one of these networks. What a client
    /// wrote in before is never believed, nor any other header.
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

    /// Finds the peer's address among the extensions of a request that has no [`PeerAddr`](crate::PeerAddr), as one that
    /// comes from another HTTP server (default: it is not known). For [`Handshake::remote_addr`],
    /// [`Handshake::client_ip`] and the limits per address.
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

    /// How many sessions an address may have that [`Handle::authenticated`](crate::Handle::authenticated) was not called
    /// for (default: any number). Beyond it a handshake gets 429 and code 4. An IPv6 network of 64 bits counts as one
    /// address; the address is [`Handshake::client_ip`], and where it is not known nothing is counted. Costs 40 bytes per
    /// session while it is counted.
    ///
    /// The clients of a household or an office may share one address, and so may all that come through a proxy that is not
    /// in [`trusted_proxies`](Self::trusted_proxies): allow for them.
    pub fn max_unauthenticated_per_address(mut self, sessions: usize) -> Self {
        self.max_unauthenticated_per_address = Some(sessions);
        self
    }

    /// Decides whether a client may open a session, and what else its [`Handshake`] holds. Asked for handshakes only,
    /// after the transport and the method and before the protocol revision are looked at; later requests and the upgrade
    /// name a session that was let in. The client waits, and a future that it does not wait for is dropped.
    ///
    /// A refusal is answered with [`RequestError::Forbidden`](crate::RequestError::Forbidden): 403, code 4 and the
    /// message of the [`Refusal`].
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

    /// Keeps the request's extension of this type with the session, for [`Handshake::extension`]: what a tower layer in
    /// front of the engine knows of its client (default: none is kept; while
    /// [`allow_request`](Self::allow_request) and [`generate_id`](Self::generate_id) are asked, all of them are there).
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
        self.extensions.push(keep::<T>);
        self
    }

    /// Makes the ids of sessions (default: 15 random bytes as 20 characters, see
    /// [`generate_sid`](crate::generate_sid)).
    ///
    /// An id is the only proof that a polling request belongs to a session: it must not be guessable. Sticky balancers and
    /// adapters may expect 20 characters. One that is empty, longer than 128 bytes, has other characters than letters,
    /// digits and `-._~`, or belongs to a session that is open, refuses the client like an error does, with code 3.
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

    /// Called with the headers of the response that opens a session, on polling and WebSocket, before
    /// [`headers`](Self::headers).
    pub fn initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.initial_headers = Some(Arc::new(hook));
        self
    }

    /// Called with the headers of every polling response and of every response that accepts a WebSocket; not with those
    /// of refusals.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    /// use http::{HeaderValue, header::SERVER};
    ///
    /// let config = EngineConfig::default().headers(|headers, _request| {
    ///     headers.insert(SERVER, HeaderValue::from_static("mine"));
    /// });
    /// ```
    pub fn headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.headers = Some(Arc::new(hook));
        self
    }

    /// Called when a request is refused with one of the protocol's numbers, to tell why.
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
