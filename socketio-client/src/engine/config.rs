//! The configuration of one server, shared by all connections to it.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use engineio_parser::{Revision, Transport, session};
use form_urlencoded::Serializer;
use http::{HeaderMap, HeaderValue, Uri, header};

#[cfg(feature = "webtransport")]
use super::webtransport::{Quic, quic};
use super::{
    dial::{Address, Proxy, Tls, proxy_for},
    error::EngineError,
    http::Cookies,
    options::{EngineOptions, Route},
};
use crate::sync::{Mutex, lock};

/// The configuration of a server. A clone shares its cookies and its memory of the last transport.
#[derive(Clone)]
pub(crate) struct EngineConfig {
    pub(super) shared: Arc<Shared>,
    /// How long opening a session may take. A transport that may be blocked without a sign leaves
    /// half of this time to those after it.
    pub(crate) timeout: Option<Duration>,
}

pub(super) struct Shared {
    pub(super) address: Address,
    pub(super) options: Arc<EngineOptions>,
    pub(super) tls: Option<Tls>,
    #[cfg(feature = "webtransport")]
    pub(super) quic: Option<Quic>,
    pub(super) proxy: Option<Proxy>,
    pub(super) protocols: Option<HeaderValue>,
    /// The supported ones of the configured transports.
    pub(super) transports: Vec<Transport>,
    pub(super) session: Arc<session::Config>,
    cookies: Cookies,
    /// The headers that the user's function provided last.
    provided_headers: Mutex<HeaderMap>,
    path: String,
    query: Vec<(String, String)>,
    /// Whether the last session used a WebSocket successfully.
    websocket_worked: AtomicBool,
    requests: AtomicU64,
}

impl EngineConfig {
    /// Uses scheme, host, port and query of the URL. The path is ignored, because it names a
    /// namespace.
    pub(crate) fn new(url: &str, options: &Arc<EngineOptions>) -> Result<Self, EngineError> {
        let (address, url_query) = Address::parse(url)?;
        let proxy = match &options.route {
            Route::Direct => None,
            Route::Through(proxy) => Some(proxy.clone()),
            Route::Environment => proxy_for(&address, |name| std::env::var(name).ok())?,
        };
        let mut transports = Vec::new();
        for transport in &options.transports {
            // HTTP proxies forward no UDP, and a direct connection would bypass them.
            let supported = match transport {
                Transport::WebTransport => cfg!(feature = "webtransport") && proxy.is_none(),
                Transport::Polling | Transport::WebSocket => true,
            };
            if supported && !transports.contains(transport) {
                transports.push(*transport);
            }
        }
        if transports.is_empty() {
            return Err(EngineError::NoTransport);
        }
        let webtransport = transports.contains(&Transport::WebTransport);
        let needs_tls = address.secure
            || proxy.as_ref().is_some_and(|it| it.address.secure)
            || webtransport && options.certificate_hashes.is_empty();
        let tls = match &options.tls {
            Some(tls) => Some(tls.clone()),
            None if needs_tls => Some(Tls::from_features()?),
            None => None,
        };
        #[cfg(feature = "webtransport")]
        let quic = match webtransport {
            true => Some(quic(tls.as_ref(), &options.certificate_hashes)?),
            false => None,
        };
        let query = match url_query {
            Some(query) if options.query.is_empty() => query_pairs(&query),
            _ => options.query.clone(),
        };
        let mut session = session::Config::default();
        session.upgrade_timeout = options.upgrade_timeout;
        session.max_queued_packets = options.max_queued_packets;
        session.max_queued_bytes = options.max_queued_bytes;
        let path = path(options)?;
        Ok(Self {
            shared: Arc::new(Shared {
                address,
                tls,
                #[cfg(feature = "webtransport")]
                quic,
                proxy,
                protocols: joined(&options.protocols),
                transports,
                session: Arc::new(session),
                cookies: Cookies::default(),
                provided_headers: Mutex::default(),
                path,
                query,
                websocket_worked: AtomicBool::new(false),
                requests: AtomicU64::new(0),
                options: options.clone(),
            }),
            timeout: None,
        })
    }
}

impl Shared {
    /// Returns the transports that may open a session, in the order of the attempts.
    pub(super) fn order(&self) -> Vec<Transport> {
        let mut order = self.transports.clone();
        if self.options.remember_upgrade
            && self.websocket_worked.load(Ordering::Relaxed)
            && let Some(at) = order.iter().position(|via| *via == Transport::WebSocket)
        {
            let websocket = order.remove(at);
            order.insert(0, websocket);
        }
        if !self.options.try_all_transports {
            order.truncate(1);
        }
        order
    }

    pub(super) fn remember_websocket(&self, worked: bool) {
        self.websocket_worked.store(worked, Ordering::Relaxed);
    }

    /// Returns path and query of a request.
    pub(super) fn target(&self, via: Transport, sid: &str) -> String {
        let options = &self.options;
        let revision = match options.revision {
            Revision::V3 => "3",
            Revision::V4 => "4",
        };
        let path = format!("{}?", self.path);
        let start = path.len();
        let mut query = Serializer::for_suffix(path, start);
        let reserved = ["EIO", "transport", "sid"];
        query.extend_pairs(self.query.iter().filter(|(key, _)| !reserved.contains(&&**key)));
        query.append_pair("EIO", revision).append_pair("transport", via.as_str());
        if options.timestamp_requests.unwrap_or(via == Transport::Polling) {
            // Unique among requests, and among clients started at different times.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let count = self.requests.fetch_add(1, Ordering::Relaxed);
            let timestamp = format!("{:x}.{count:x}", now & 0xffff_ffff);
            query.append_pair(&options.timestamp_param, &timestamp);
        }
        let opening = sid.is_empty() && via == Transport::Polling;
        if options.force_base64 && (opening || via == Transport::WebSocket) {
            query.append_pair("b64", "1");
        }
        if !sid.is_empty() {
            query.append_pair("sid", sid);
        }
        query.finish()
    }

    /// Returns the headers of a request, without those of the transport itself.
    pub(super) fn headers(&self, via: Transport) -> HeaderMap {
        let mut headers = self.options.headers.clone();
        for (_, name, value) in self.options.transport_headers.iter().filter(|(of, ..)| *of == via)
        {
            headers.insert(name, value.clone());
        }
        let provided = lock(&self.provided_headers);
        for name in provided.keys() {
            headers.remove(name);
        }
        for (name, value) in provided.iter() {
            headers.append(name, value.clone());
        }
        drop(provided);
        if !headers.contains_key(header::HOST)
            && let Ok(host) = HeaderValue::from_str(&self.address.authority())
        {
            headers.insert(header::HOST, host);
        }
        if self.options.cookies
            && let Some(cookies) =
                self.cookies.header(SystemTime::now(), headers.get_all(header::COOKIE))
        {
            headers.insert(header::COOKIE, cookies);
        }
        headers
    }

    /// Calls the user's function for headers.
    pub(super) async fn refresh_headers(&self) -> Result<(), EngineError> {
        let Some(provide) = &self.options.provide_headers else { return Ok(()) };
        let panicked = |_| EngineError::Headers("the function panicked".into());
        let mut headers = catch_unwind(AssertUnwindSafe(|| provide())).map_err(panicked)?;
        let answer = poll_fn(|cx| {
            match catch_unwind(AssertUnwindSafe(|| headers.as_mut().poll(cx))).map_err(panicked) {
                Ok(poll) => poll.map_err(EngineError::Headers),
                Err(error) => Poll::Ready(Err(error)),
            }
        });
        let answer = answer.await?;
        *lock(&self.provided_headers) = answer;
        Ok(())
    }

    /// Stores the cookies of a response.
    pub(super) fn keep_cookies(&self, headers: &HeaderMap) {
        if self.options.cookies {
            let now = SystemTime::now();
            for value in headers.get_all(header::SET_COOKIE) {
                self.cookies.set(now, value);
            }
        }
    }

    /// Returns the time of the wall clock since 1970.
    pub(super) fn wall_time(&self) -> Duration {
        (self.options.wall_clock)().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// Decodes the query of a URL as Node's client does: `+` stays a plus sign.
pub(crate) fn query_pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.replace('+', "%2B").as_bytes()).into_owned().collect()
}

fn joined(protocols: &[HeaderValue]) -> Option<HeaderValue> {
    let list: Vec<_> = protocols.iter().map(HeaderValue::as_bytes).collect();
    // Joined header values are a valid header value.
    if list.is_empty() { None } else { HeaderValue::from_bytes(&list.join(&b", "[..])).ok() }
}

fn path(options: &EngineOptions) -> Result<String, EngineError> {
    let path = options.path.trim_end_matches('/');
    let slash = if options.add_trailing_slash || path.is_empty() { "/" } else { "" };
    let start = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
    let path = format!("{start}{path}{slash}");
    match path.parse::<Uri>() {
        Ok(uri) if uri.path() == path => Ok(path),
        _ => Err(EngineError::InvalidPath(path)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn shared(url: &str, options: EngineOptions) -> Arc<Shared> {
        EngineConfig::new(url, &Arc::new(options)).unwrap().shared
    }

    #[test]
    fn a_request_target_has_the_parameters_of_node() {
        let options = EngineOptions::new().timestamp_requests(false);
        let shared = shared("http://a/chat?x=1&sid=2&y=%20", options.clone());
        let target = shared.target(Transport::Polling, "abc");
        assert_eq!(target, "/socket.io/?x=1&y=+&EIO=4&transport=polling&sid=abc");

        let options =
            options.query("q", "&").force_base64(true).path("my/").add_trailing_slash(false);
        let shared = self::shared("http://a/?x=1", options.revision(Revision::V3));
        let target = shared.target(Transport::Polling, "");
        assert_eq!(target, "/my?q=%26&EIO=3&transport=polling&b64=1");
        assert_eq!(
            shared.target(Transport::Polling, "a"),
            "/my?q=%26&EIO=3&transport=polling&sid=a"
        );
        let target = shared.target(Transport::WebSocket, "a");
        assert_eq!(target, "/my?q=%26&EIO=3&transport=websocket&b64=1&sid=a");
    }

    #[test]
    fn polling_requests_differ() {
        let shared = shared("http://a", EngineOptions::new());
        let [one, two] = [0; 2].map(|_| shared.target(Transport::Polling, ""));
        assert_ne!(one, two);
        assert!(one.contains("&t="));
        let options = EngineOptions::new().timestamp_requests(true).timestamp_param("x");
        let named = self::shared("http://a", options);
        for via in [Transport::Polling, Transport::WebSocket] {
            assert!(named.target(via, "").contains("&x="));
        }
        assert!(!shared.target(Transport::WebSocket, "").contains("&t="));
    }

    #[test]
    fn a_working_websocket_is_remembered_until_it_fails() {
        let options = EngineOptions::new().remember_upgrade(true).try_all_transports(true);
        let shared = shared("http://a", options);
        assert_eq!(shared.order(), [Transport::Polling, Transport::WebSocket]);
        shared.remember_websocket(true);
        assert_eq!(shared.order(), [Transport::WebSocket, Transport::Polling]);
        shared.remember_websocket(false);
        assert_eq!(shared.order(), [Transport::Polling, Transport::WebSocket]);
    }

    #[tokio::test]
    async fn all_values_of_a_header_are_sent() {
        let pair = |name: &'static str, value| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(value))
        };
        let all = |headers: HeaderMap, name: &str| -> Vec<String> {
            headers.get_all(name).iter().map(|it| it.to_str().unwrap().to_owned()).collect()
        };
        let mut given = HeaderMap::new();
        for (name, value) in [pair("cookie", "a=1"), pair("cookie", "b=2"), pair("x-1", "0")] {
            given.append(name, value);
        }
        let provide = || async {
            let mut provided = HeaderMap::new();
            for value in ["1", "2"] {
                provided.append("x-1", HeaderValue::from_static(value));
            }
            Ok(provided)
        };
        let shared = shared("http://a", EngineOptions::new().headers(given).headers_with(provide));
        let mut stored = HeaderMap::new();
        stored.insert(header::SET_COOKIE, HeaderValue::from_static("c=3"));
        shared.keep_cookies(&stored);
        shared.refresh_headers().await.unwrap();
        let headers = shared.headers(Transport::Polling);
        assert_eq!(all(headers.clone(), "cookie"), ["a=1; b=2; c=3"]);
        assert_eq!(all(headers, "x-1"), ["1", "2"]);
    }

    #[test]
    fn unsupported_options_are_errors() {
        let proxy = Proxy::new("http://proxy").unwrap();
        for none in [
            EngineOptions::new().transports([]),
            EngineOptions::new().transports([Transport::WebTransport]).proxy(proxy),
            #[cfg(not(feature = "webtransport"))]
            EngineOptions::new().transports([Transport::WebTransport]),
        ] {
            let error = EngineConfig::new("http://a", &Arc::new(none)).err();
            assert!(matches!(error, Some(EngineError::NoTransport)));
        }
        let path = EngineOptions::new().path("a b");
        assert!(matches!(
            EngineConfig::new("http://a", &Arc::new(path)).err(),
            Some(EngineError::InvalidPath(_))
        ));
    }

    #[cfg(not(any(feature = "native-tls", feature = "native-roots", feature = "webpki-roots")))]
    #[test]
    fn a_missing_tls_library_is_an_error() {
        let error = EngineConfig::new("https://a", &Arc::default()).err();
        assert!(matches!(error, Some(EngineError::TlsUnavailable)));
    }
}
