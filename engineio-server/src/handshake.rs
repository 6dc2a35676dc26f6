//! What is remembered of the request that opened a session.

use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts, uri::PathAndQuery,
};
use hyper::upgrade::OnUpgrade;

use crate::proxy::{Client, Proxies};

/// The address of a request's peer, as a request extension. [`Engine::listen`](crate::Engine::listen) sets it; behind
/// another HTTP server, insert it into the requests to have it in [`Handshake::remote_addr`], or name what that server
/// inserts: [`EngineConfig::peer_addr`](crate::EngineConfig::peer_addr).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// That a request came over TLS, as a request extension. [`Engine::listen_tls`](crate::Engine) sets it; behind another
/// HTTP server, insert it into the requests for [`Handshake::secure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secure;

/// The request that opened a session.
///
/// The fields are copied out of the HTTP connection's read buffer, which could otherwise not be freed while the
/// session lives; all headers lie in one allocation. Once the session is open, at most
/// [`max_kept_head`](crate::EngineConfig::max_kept_head) bytes of them are left.
#[derive(Debug)]
pub struct Handshake {
    headers: Box<[u8]>,
    uri: Box<str>,
    remote_addr: Option<SocketAddr>,
    client_ip: Option<IpAddr>,
    secure: bool,
    /// Those of the request, while the application decides.
    offered: Extensions,
    /// Those that live on. One word where there are none.
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
            for part in [name.as_str().as_bytes(), value] {
                // Neither can hold a line feed.
                headers.extend_from_slice(part);
                headers.push(b'\n');
            }
        };
        for name in parts.headers.keys() {
            let mut values = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes);
            if name == header::COOKIE {
                // HTTP/2 may bring them one by one (RFC 9113 section 8.2.3).
                push(name, &values.collect::<Vec<_>>().join(&b"; "[..]));
            } else {
                values.by_ref().for_each(|value| push(name, value));
            }
        }
        // In HTTP/2 the host is a part of the URI.
        if let (Some(authority), false) =
            (parts.uri.authority(), parts.headers.contains_key(header::HOST))
        {
            push(&header::HOST, authority.as_str().as_bytes());
        }
        let url = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let mut offered = parts.extensions.clone();
        // The connection itself is not the application's.
        offered.remove::<OnUpgrade>();
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
            offered,
            extensions: Extensions::new(),
            issued: SystemTime::now(),
        }
    }

    /// Lets go of what an open session has no use for: extensions but these, and headers beyond so many bytes.
    pub(crate) fn keeping(mut self, wanted: &[Keep], max_head: usize) -> Self {
        for keep in wanted {
            keep(&self.offered, &mut self.extensions);
        }
        self.offered = Extensions::new();
        self.shorten_headers(max_head.saturating_sub(self.uri.len()));
        self
    }

    /// Keeps those headers that fit into so many bytes, in their order.
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

    /// The headers of the request, built from the compact copy at each call. While the session is being opened all of them
    /// are there; afterwards those that fit into [`max_kept_head`](crate::EngineConfig::max_kept_head).
    pub fn headers(&self) -> HeaderMap {
        let mut parts = self.headers.split(|byte| *byte == b'\n');
        let mut map = HeaderMap::new();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                map.append(name, value);
            }
        }
        map
    }

    /// The address of the client: that of the peer, or what the peer says where it is one of the
    /// [`trusted_proxies`](crate::EngineConfig::trusted_proxies). IPv4 addresses are given as such.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// The address of the peer, where the listener knew it (see [`PeerAddr`] and
    /// [`EngineConfig::peer_addr`](crate::EngineConfig::peer_addr)): the client, or the last proxy before us.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// Whether the client came over TLS: what a trusted proxy says, else what the listener knew (see [`Secure`]).
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The path and query of the request.
    pub fn url(&self) -> &str {
        &self.uri
    }

    /// The query parameters, percent-decoded, in the order sent.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.uri.parse::<Uri>().ok();
        let query = query.as_ref().and_then(Uri::query).unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Whether the request came from another page than the server's own: it had an `Origin` header (Node's `xdomain`).
    pub fn is_cross_domain(&self) -> bool {
        self.headers().contains_key(http::header::ORIGIN)
    }

    /// A value that was kept with the session ([`insert_extension`](Self::insert_extension)), or an extension of the
    /// request, as a tower layer in front of the engine inserts it.
    ///
    /// While the session is being opened, every extension of the request is here. Afterwards only those are that
    /// [`EngineConfig::keep_extension`](crate::EngineConfig::keep_extension) names: others may hold on to much, as axum's
    /// `OriginalUri` does to the read buffer of its connection.
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions.get().or_else(|| self.offered.get())
    }

    /// Keeps a value with the session, for [`extension`](Self::extension): in
    /// [`EngineConfig::allow_request`](crate::EngineConfig::allow_request), who the client is.
    pub fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.extensions.insert(value);
    }

    /// When the session was opened.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }
}

/// Finds the peer's address among the extensions of a request.
pub(crate) type FindPeer = dyn Fn(&Extensions) -> Option<SocketAddr> + Send + Sync;

/// Copies an extension of one type, where there is one, and none already.
pub(crate) type Keep = fn(&Extensions, &mut Extensions);

/// The [`Keep`] of a type.
pub(crate) fn keep<T: Clone + Send + Sync + 'static>(from: &Extensions, to: &mut Extensions) {
    if let (Some(value), None) = (from.get::<T>(), to.get::<T>()) {
        to.insert(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_query_survive_the_copy() {
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
    fn only_extensions_that_are_wanted_live_on() {
        let request =
            http::Request::builder().extension("a layer's").extension(1_u8).extension(2_u16);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut handshake = Handshake::new(&parts, None, None);
        assert_eq!(handshake.extension(), Some(&"a layer's"));
        handshake.insert_extension("the application's");
        handshake.insert_extension(4_u32);
        assert_eq!(handshake.extension(), Some(&"the application's"));

        let wanted: [Keep; 3] = [keep::<&str>, keep::<u8>, keep::<i64>];
        let handshake = handshake.keeping(&wanted, 0);
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

        let handshake = handshake.keeping(&[], 100);
        let kept = handshake.headers();
        assert_eq!(
            kept.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["host", "user-agent"]
        );
        assert!(handshake.headers.len() + handshake.uri.len() <= 100);

        let all = Handshake::new(&parts, None, None).keeping(&[], 8 * 1024);
        assert_eq!(all.headers(), parts.headers);
    }

    #[test]
    fn a_proxys_word_for_the_scheme_stands_above_its_own_connection() {
        let nets = vec!["10.0.0.0/8".parse().unwrap()];
        let proxies = Proxies::new(nets, crate::proxy::ProxyHeader::XForwardedFor);
        for (peer, scheme, tls, secure) in [
            ([10, 0, 0, 1], "https", false, true),
            ([10, 0, 0, 1], "http", true, false),
            // One that is silent, or not trusted, is the client as far as is known.
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
