//! The request that opened a session.

use std::{
    mem,
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts, uri::PathAndQuery,
};
use hyper::upgrade::OnUpgrade;

use crate::proxy::{Client, Proxies};

/// The address of the peer, as a request extension. [`Engine::listen`](crate::Engine::listen) sets
/// it. Behind another HTTP server, insert it into the requests to make it available as
/// [`Handshake::remote_addr`], or read that server's own extension with
/// [`EngineConfig::peer_addr`](crate::EngineConfig::peer_addr).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Marks a request that came over TLS, as a request extension.
/// [`Engine::listen_tls`](crate::Engine) sets it. Behind another HTTP server, insert it into the
/// requests for [`Handshake::secure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secure;

/// Names of headers that are stored as one byte, their index plus 128. Other names are stored as
/// they are, in ASCII. Those that most WebSocket clients send come first, because a name is searched
/// from the beginning.
static SHORT_NAMES: [HeaderName; 24] = [
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::USER_AGENT,
    header::ORIGIN,
    header::COOKIE,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::ACCEPT,
    header::REFERER,
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-site"),
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DNT,
    header::FORWARDED,
    header::SEC_WEBSOCKET_PROTOCOL,
];

/// The request that opened a session.
///
/// The fields are copied, because slices would keep the HTTP connection's read buffer alive as long
/// as the session. All headers share one allocation. An open session keeps at most
/// [`max_kept_head`](crate::EngineConfig::max_kept_head) bytes of them.
#[derive(Debug)]
pub struct Handshake {
    headers: Box<[u8]>,
    uri: Box<str>,
    remote_addr: Option<SocketAddr>,
    client_ip: Option<IpAddr>,
    secure: bool,
    /// The extensions of the request. Empty once the session is open.
    request_extensions: Extensions,
    /// The extensions that the session keeps. One word if there are none.
    extensions: Extensions,
    issued: SystemTime,
}

impl Handshake {
    pub(crate) fn new(
        parts: &Parts,
        proxies: Option<&Proxies>,
        find_peer: Option<&FindPeer>,
    ) -> Self {
        let mut headers = Vec::new();
        let mut push = |name: &HeaderName, value: &[u8]| {
            let short = SHORT_NAMES.iter().position(|short| short == name);
            let short = short.map(|index| [0x80 | index as u8]);
            let name = short.as_ref().map_or(name.as_str().as_bytes(), |short| short);
            for part in [name, value] {
                // Names and values cannot contain a line feed.
                headers.extend_from_slice(part);
                headers.push(b'\n');
            }
        };
        let mut has_cookies = false;
        for (name, value) in &parts.headers {
            if name != header::COOKIE {
                push(name, value.as_bytes());
            } else if !mem::replace(&mut has_cookies, true) {
                // HTTP/2 may split cookies into several fields (RFC 9113 section 8.2.3).
                let cookies = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes);
                push(name, &cookies.collect::<Vec<_>>().join(&b"; "[..]));
            }
        }
        // In HTTP/2 the host is part of the URI.
        if let (Some(authority), false) =
            (parts.uri.authority(), parts.headers.contains_key(header::HOST))
        {
            push(&header::HOST, authority.as_str().as_bytes());
        }
        let url = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let mut request_extensions = parts.extensions.clone();
        // The application must not take the connection itself.
        request_extensions.remove::<OnUpgrade>();
        let remote_addr = parts
            .extensions
            .get::<PeerAddr>()
            .map(|peer| peer.0)
            .or_else(|| find_peer?(&parts.extensions));
        let client = remote_addr.map(|peer| match proxies {
            Some(proxies) => proxies.client(peer.ip(), &parts.headers),
            None => Client { ip: peer.ip().to_canonical(), https: None },
        });
        Self {
            headers: headers.into_boxed_slice(),
            uri: url.into(),
            remote_addr,
            client_ip: client.map(|client| client.ip),
            secure: client
                .and_then(|client| client.https)
                .unwrap_or_else(|| parts.extensions.get::<Secure>().is_some()),
            request_extensions,
            extensions: Extensions::new(),
            issued: SystemTime::now(),
        }
    }

    /// Drops what an open session does not keep: extensions other than `wanted`, and headers beyond
    /// `max_head` bytes.
    pub(crate) fn trimmed(mut self, wanted: &[CopyExtension], max_head: usize) -> Self {
        for copy in wanted {
            copy(&self.request_extensions, &mut self.extensions);
        }
        self.request_extensions = Extensions::new();
        self.shorten_headers(max_head.saturating_sub(self.uri.len()));
        self
    }

    /// Keeps the headers that fit into `bytes`, in their order.
    fn shorten_headers(&mut self, bytes: usize) {
        if self.headers.len() <= bytes {
            return;
        }
        let mut kept = Vec::with_capacity(bytes);
        let mut lines = self.headers.split_inclusive(|byte| *byte == b'\n');
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            if name.len() + value.len() <= bytes - kept.len() {
                kept.extend_from_slice(name);
                kept.extend_from_slice(value);
            }
        }
        self.headers = kept.into_boxed_slice();
    }

    /// Returns the headers of the request, built from a compact copy at each call. While the
    /// session is being opened, all headers are available. Afterwards only those within
    /// [`max_kept_head`](crate::EngineConfig::max_kept_head) are.
    pub fn headers(&self) -> HeaderMap {
        let mut parts = self.headers.split(|byte| *byte == b'\n');
        let mut map = HeaderMap::new();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let name = match name {
                [short @ 0x80..=u8::MAX] => SHORT_NAMES.get(usize::from(short & 0x7f)).cloned(),
                name => HeaderName::from_bytes(name).ok(),
            };
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    /// Returns the address of the client. This is the peer's address, or the one that the peer
    /// reports if it is one of the [`trusted_proxies`](crate::EngineConfig::trusted_proxies).
    /// IPv4-mapped addresses are returned as IPv4.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Returns the address of the peer, which is the client or the last proxy. `None` if the
    /// listener does not provide it (see [`PeerAddr`] and
    /// [`EngineConfig::peer_addr`](crate::EngineConfig::peer_addr)).
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// Returns whether the client connected over TLS. A trusted proxy reports it in its header. For
    /// other requests, the listener does (see [`Secure`]).
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// Returns the path and query of the request.
    pub fn url(&self) -> &str {
        &self.uri
    }

    /// Returns the query parameters, percent-decoded, in the order sent.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.uri.parse::<Uri>().ok();
        let query = query.as_ref().and_then(Uri::query).unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Returns whether the request has an `Origin` header (Node's `xdomain`).
    pub fn is_cross_domain(&self) -> bool {
        self.headers().contains_key(http::header::ORIGIN)
    }

    /// Returns a value that was added with [`insert_extension`](Self::insert_extension), or an
    /// extension of the request, such as one added by a tower layer.
    ///
    /// While the session is being opened, all extensions of the request are available. Afterwards
    /// only those named by [`EngineConfig::keep_extension`](crate::EngineConfig::keep_extension)
    /// are, because others may hold much memory. For example, axum's `OriginalUri` keeps the read
    /// buffer of its connection.
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions.get().or_else(|| self.request_extensions.get())
    }

    /// Adds a value to the session, for [`extension`](Self::extension). For example,
    /// [`EngineConfig::allow_request`](crate::EngineConfig::allow_request) can add the identity of
    /// the client.
    pub fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.extensions.insert(value);
    }

    /// Returns the time of the request.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }
}

/// Finds the peer's address among the extensions of a request.
pub(crate) type FindPeer = dyn Fn(&Extensions) -> Option<SocketAddr> + Send + Sync;

/// Copies an extension of one type if it exists, unless the target already has one.
pub(crate) type CopyExtension = fn(&Extensions, &mut Extensions);

/// The [`CopyExtension`] function of type `T`.
pub(crate) fn copy_extension<T: Clone + Send + Sync + 'static>(
    from: &Extensions,
    to: &mut Extensions,
) {
    if let (Some(value), None) = (from.get::<T>(), to.get::<T>()) {
        to.insert(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_copies_headers_and_query() {
        let (parts, ()) = http::Request::builder()
            .uri("/socket.io/?EIO=4&name=J%C3%BCrgen+M%2&x")
            .header("cookie", "a=1")
            .header("x-two", "1")
            .header("x-two", "2")
            .extension(PeerAddr(([127, 0, 0, 1], 9).into()))
            .body(())
            .unwrap()
            .into_parts();
        let handshake = Handshake::new(&parts, None, None);
        assert_eq!(handshake.headers(), parts.headers);
        assert_eq!(handshake.remote_addr(), Some(([127, 0, 0, 1], 9).into()));
        let query = handshake.query();
        assert_eq!(query[1], ("name".to_owned(), "Jürgen M%2".to_owned()));
        assert_eq!(query[2], ("x".to_owned(), String::new()));
    }

    #[test]
    fn a_session_keeps_only_the_wanted_extensions() {
        let request =
            http::Request::builder().extension("a layer's").extension(1_u8).extension(2_u16);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut handshake = Handshake::new(&parts, None, None);
        assert_eq!(handshake.extension(), Some(&"a layer's"));
        handshake.insert_extension("the application's");
        handshake.insert_extension(4_u32);
        assert_eq!(handshake.extension(), Some(&"the application's"));

        let wanted: [CopyExtension; 3] =
            [copy_extension::<&str>, copy_extension::<u8>, copy_extension::<i64>];
        let handshake = handshake.trimmed(&wanted, 0);
        assert_eq!(handshake.extension(), Some(&"the application's"));
        assert_eq!(handshake.extension(), Some(&1_u8));
        assert_eq!(handshake.extension(), Some(&4_u32));
        assert_eq!(handshake.extension::<u16>(), None);
    }

    #[test]
    fn an_open_session_keeps_the_headers_that_fit() {
        let request = http::Request::builder()
            .uri("/engine.io/")
            .header("host", "a.test")
            .header("cookie", "c".repeat(500))
            .header("user-agent", "u".repeat(30));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let handshake = Handshake::new(&parts, None, None);
        assert_eq!(handshake.headers(), parts.headers);

        let handshake = handshake.trimmed(&[], 100);
        let kept = handshake.headers();
        assert_eq!(
            kept.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["host", "user-agent"]
        );
        assert!(handshake.headers.len() + handshake.uri.len() <= 100);

        let all = Handshake::new(&parts, None, None).trimmed(&[], 8 * 1024);
        assert_eq!(all.headers(), parts.headers);
    }

    #[test]
    fn the_scheme_that_a_trusted_proxy_reports_overrides_that_of_its_connection() {
        let nets = vec!["10.0.0.0/8".parse().unwrap()];
        let proxies = Proxies::new(nets, crate::proxy::ProxyHeader::XForwardedFor);
        for (peer, scheme, tls, secure) in [
            ([10, 0, 0, 1], "https", false, true),
            ([10, 0, 0, 1], "http", true, false),
            // A trusted proxy that reports no scheme, and a peer that is not trusted, count as the
            // client.
            ([10, 0, 0, 1], "", true, true),
            ([192, 0, 2, 1], "https", false, false),
            ([192, 0, 2, 1], "http", true, true),
        ] {
            let mut request = http::Request::builder().extension(PeerAddr((peer, 9).into()));
            if !scheme.is_empty() {
                request = request.header("x-forwarded-proto", scheme);
            }
            if tls {
                request = request.extension(Secure);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let handshake = Handshake::new(&parts, Some(&proxies), None);
            assert_eq!(handshake.secure(), secure, "{peer:?} {scheme} {tls}");
        }
    }
}
