//! Classification of HTTP requests.

use std::borrow::Cow;

use engineio_parser::{Revision, Transport};
use http::{HeaderName, HeaderValue, Method, Uri, header, request::Parts, uri::Authority};

use crate::{
    config::{Cors, EngineConfig},
    error::{ErrorContext, Refused, RequestError},
    transport::jsonp::Jsonp,
};

/// A classified request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// A handshake for a new session on this transport. `revision` is `None` if it is not
    /// supported. The request is refused for that only after the application was asked.
    Open { transport: Transport, revision: Option<Revision>, b64: bool, jsonp: Option<Jsonp> },
    /// A request for an existing session.
    Session(SessionRequest<'a>),
}

/// A request that names a session. [`SessionRequest::purpose`] checks whether it fits the session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SessionRequest<'a> {
    pub(crate) sid: Cow<'a, str>,
    transport: Transport,
    revision: Revision,
    websocket: bool,
    pub(crate) b64: bool,
}

/// The purpose of a request that fits its session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A GET of a polling session.
    Poll,
    /// A POST of a polling session.
    Push,
    /// Any other method on a polling session.
    Other,
    /// A WebSocket that wants to take over the session.
    Upgrade,
}

impl SessionRequest<'_> {
    /// Verifies the request against its session in the same order as Node: transport, revision,
    /// kind of request.
    pub(crate) fn purpose(
        &self,
        method: &Method,
        current: Transport,
        revision: Revision,
    ) -> Result<Purpose, Refused> {
        if !self.websocket && self.transport != current {
            return Err(Refused::bad_request(ErrorContext::TransportMismatch));
        }
        if self.revision != revision {
            return Err(Refused::bad_request(ErrorContext::ProtocolMismatch));
        }
        match (self.transport, self.websocket) {
            (Transport::WebSocket, true) => Ok(Purpose::Upgrade),
            (Transport::Polling, false) => Ok(match *method {
                Method::GET => Purpose::Poll,
                Method::POST => Purpose::Push,
                _ => Purpose::Other,
            }),
            _ => Err(Refused::bad_request(ErrorContext::TransportMismatch)),
        }
    }
}

/// Classifies a request. Verifies it in the same order as Node: transport, sid, method, kind of
/// request.
pub(crate) fn classify<'a>(
    parts: &'a Parts,
    config: &EngineConfig,
) -> Result<Request<'a>, Refused> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let transport = query
        .transport
        .as_deref()
        .and_then(Transport::parse)
        // WebTransport sessions do not begin with this kind of request.
        .filter(|transport| *transport != Transport::WebTransport)
        .filter(|transport| config.transports.contains(transport))
        .ok_or(RequestError::UnknownTransport)?;
    let websocket = is_websocket(parts);
    if websocket && config.check_origin && !is_origin_allowed(parts, config.cors.as_ref()) {
        return Err(Refused::foreign_origin());
    }
    // As in Node, every value other than 4 means revision 3.
    let revision = if query.eio.as_deref() == Some("4") { Revision::V4 } else { Revision::V3 };

    if let Some(sid) = query.sid {
        let b64 = query.b64;
        return Ok(Request::Session(SessionRequest { sid, transport, revision, websocket, b64 }));
    }
    if parts.method != Method::GET && !is_extended_connect(parts) {
        return Err(RequestError::BadHandshakeMethod.into());
    }
    if websocket != (transport == Transport::WebSocket) {
        return Err(Refused::bad_request(ErrorContext::TransportHandshakeError));
    }
    let revision = Some(revision).filter(|it| *it == Revision::V4 || config.allow_eio3);
    let jsonp = query.j.filter(|_| config.jsonp && !websocket).map(|j| Jsonp::new(&j));
    Ok(Request::Open { transport, revision, b64: query.b64, jsonp })
}

/// Returns whether the page that sent the request has the server's origin or one that `cors`
/// allows. Programs send no origin.
pub(crate) fn is_origin_allowed(parts: &Parts, cors: Option<&Cors>) -> bool {
    let host = match parts.headers.get(header::HOST) {
        Some(host) => Authority::try_from(host.as_bytes()).ok(),
        None => parts.uri.authority().cloned(),
    };
    parts.headers.get_all(header::ORIGIN).iter().all(|origin| {
        host.as_ref().is_some_and(|host| is_same_origin(origin, host))
            || cors.is_some_and(|cors| cors.allows(origin))
    })
}

/// Returns whether an origin has this host and port. A missing port is that of the origin's scheme.
fn is_same_origin(origin: &HeaderValue, host: &Authority) -> bool {
    let Ok(origin) = Uri::try_from(origin.as_bytes()) else { return false };
    let default = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    origin.authority().is_some_and(|origin| {
        origin.host().eq_ignore_ascii_case(host.host()) && port(origin) == port(host)
    })
}

/// Returns whether this is a WebSocket request (RFC 6455 section 4.2.1, RFC 8441 section 4).
pub(crate) fn is_websocket(parts: &Parts) -> bool {
    is_extended_connect(parts)
        || list_contains(parts, header::UPGRADE, "websocket") && wants_upgrade(parts)
}

/// Returns whether the request asks to change the protocol of its connection. If `Connection` does
/// not list `Upgrade`, a proxy in between may not know about the change, so the request does not
/// count.
pub(crate) fn wants_upgrade(parts: &Parts) -> bool {
    parts.headers.contains_key(header::UPGRADE)
        && list_contains(parts, header::CONNECTION, "upgrade")
}

/// Returns whether the list in a header contains `wanted`.
fn list_contains(parts: &Parts, name: HeaderName, wanted: &str) -> bool {
    let lines = parts.headers.get_all(name).iter().map(|line| line.as_bytes());
    let mut items = lines.flat_map(|line| line.split(|byte| *byte == b','));
    items.any(|item| item.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Returns whether this is a WebSocket request inside an HTTP/2 connection (RFC 8441).
#[cfg(feature = "http2")]
pub(crate) fn is_extended_connect(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<hyper::ext::Protocol>();
    parts.method == Method::CONNECT
        && protocol.is_some_and(|name| name.as_str().eq_ignore_ascii_case("websocket"))
}

#[cfg(not(feature = "http2"))]
pub(crate) fn is_extended_connect(_: &Parts) -> bool {
    false
}

/// The query parameters of the protocol, percent-decoded. The last value of a repeated key wins, as
/// in Node.
#[derive(Default)]
struct Query<'a> {
    eio: Option<Cow<'a, str>>,
    transport: Option<Cow<'a, str>>,
    sid: Option<Cow<'a, str>>,
    j: Option<Cow<'a, str>>,
    /// The client can only read text: neither binary payloads (revision 3) nor binary frames.
    b64: bool,
}

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Self {
        let mut this = Self::default();
        // Most queries are not encoded. Without an early exit, the compiler makes vector
        // instructions of this search.
        let encoded = query.bytes().fold(false, |found, byte| found | matches!(byte, b'%' | b'+'));
        let mut rest = Some(query);
        while let Some(pairs) = rest {
            let pair;
            (pair, rest) =
                split_once(pairs, b'&').map_or((pairs, None), |(pair, rest)| (pair, Some(rest)));
            let (name, value) = if encoded {
                let decoded = form_urlencoded::parse(pair.as_bytes()).next();
                let Some(decoded) = decoded else { continue };
                decoded
            } else {
                let (name, value) = split_once(pair, b'=').unwrap_or((pair, ""));
                (name.into(), value.into())
            };
            match &*name {
                "EIO" => this.eio = Some(value),
                "b64" => this.b64 = !value.is_empty(),
                "j" => this.j = Some(value),
                "transport" => this.transport = Some(value),
                "sid" => this.sid = Some(value).filter(|sid| !sid.is_empty()),
                _ => {}
            }
        }
        this
    }
}

/// Splits a text as [`str::split_once`] does. Takes less time if the text is short.
fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, uri: &str, websocket: bool) -> Result<Request<'static>, RequestError> {
        verify(method, uri, websocket).map_err(|refused| refused.error)
    }

    fn verify(method: Method, uri: &str, websocket: bool) -> Result<Request<'static>, Refused> {
        let mut request = http::Request::builder().method(method).uri(uri);
        if websocket {
            request = request.header("upgrade", "WebSocket").header("connection", "close, Upgrade");
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        classify(Box::leak(Box::new(parts)), &EngineConfig::default())
    }

    #[test]
    fn requests_are_verified_in_the_order_of_node() {
        let ask = |uri| ask(Method::POST, uri, false);
        assert_eq!(ask("/?EIO=9"), Err(RequestError::UnknownTransport));
        assert_eq!(ask("/?transport=webtransport&EIO=4"), Err(RequestError::UnknownTransport));
        assert_eq!(ask("/?transport=polling"), Err(RequestError::BadHandshakeMethod));
    }

    /// Returns the revision of a handshake with `eio` in its query.
    fn revision(config: &EngineConfig, eio: &str) -> Option<Revision> {
        let request = http::Request::builder().uri(format!("/?transport=polling{eio}"));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        match classify(&parts, config).unwrap() {
            Request::Open { revision, .. } => revision,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_eio_other_than_4_is_revision_3_if_allowed() {
        let strict = EngineConfig::default();
        let lenient = EngineConfig::default().allow_eio3(true);
        for eio in ["", "&EIO=", "&EIO=abc", "&EIO=5", "&EIO=3", "&EIO=4%20"] {
            assert_eq!(revision(&strict, eio), None, "{eio}");
            assert_eq!(revision(&lenient, eio), Some(Revision::V3), "{eio}");
        }
        assert_eq!(revision(&strict, "&EIO=%34"), Some(Revision::V4));
        assert_eq!(revision(&lenient, "&EIO=4"), Some(Revision::V4));
    }

    #[test]
    fn names_and_values_are_percent_decoded() {
        let query = "tr%61nsport=p%6Flling&EIO=4&sid=a%2D%5Fb";
        let Ok(Request::Session(request)) = verify(Method::GET, &format!("/?{query}"), false)
        else {
            panic!("not a request for a session")
        };
        assert_eq!(request.sid, "a-_b");
        assert_eq!(
            request.purpose(&Method::GET, Transport::Polling, Revision::V4),
            Ok(Purpose::Poll)
        );
    }

    #[test]
    fn an_empty_last_sid_opens_a_session() {
        let request = verify(Method::GET, "/?transport=polling&EIO=4&sid=x&sid=", false);
        assert!(matches!(request, Ok(Request::Open { .. })), "{request:?}");
    }

    #[test]
    fn a_request_must_name_the_revision_of_its_session() {
        for (eio, revision, fits) in [
            ("&EIO=4", Revision::V4, true),
            ("&EIO=3", Revision::V4, false),
            ("", Revision::V4, false),
            ("&EIO=4", Revision::V3, false),
            ("&EIO=3", Revision::V3, true),
            ("", Revision::V3, true),
        ] {
            for (transport, websocket) in [("polling", false), ("websocket", true)] {
                let uri = format!("/?transport={transport}&sid=x{eio}");
                let Ok(Request::Session(request)) = verify(Method::GET, &uri, websocket) else {
                    panic!("not a request for a session")
                };
                let purpose = request.purpose(&Method::GET, Transport::Polling, revision);
                let mismatch = Err(Refused::bad_request(ErrorContext::ProtocolMismatch));
                assert_eq!(purpose.is_ok(), fits, "{uri}");
                assert!(fits || purpose == mismatch, "{uri}");
            }
        }
    }

    #[test]
    fn the_last_value_of_a_repeated_parameter_wins() {
        assert_eq!(
            ask(Method::GET, "/?transport=x&EIO=4&transport=websocket", true),
            Ok(Request::Open {
                transport: Transport::WebSocket,
                revision: Some(Revision::V4),
                b64: false,
                jsonp: None
            })
        );
    }

    #[test]
    fn a_websocket_request_needs_two_headers() {
        for (upgrade, connection, expected) in [
            ("websocket", "Upgrade", true),
            ("WebSocket", "keep-alive, upgrade", true),
            ("websocket", "keep-alive", false),
            ("websocket", "", false),
            ("h2c", "upgrade", false),
        ] {
            let request = http::Request::builder()
                .header("upgrade", upgrade)
                .header("connection", "close")
                .header("connection", connection);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_websocket(&parts), expected, "{upgrade}, {connection}");
        }
    }

    #[test]
    fn an_origin_is_compared_with_the_host_of_its_request() {
        for (origin, host, expected) in [
            ("https://example.com", "example.com", true),
            ("https://example.com", "EXAMPLE.com:443", true),
            ("http://example.com:80", "example.com", true),
            ("http://127.0.0.1:3000", "127.0.0.1:3000", true),
            ("http://[::1]:3000", "[::1]:3000", true),
            ("https://example.com", "example.com:3000", false),
            ("http://localhost:5173", "localhost:3000", false),
            ("https://example.com.evil", "example.com", false),
            ("https://evil.example.com", "example.com", false),
            ("example.com", "example.com", false),
            ("null", "null", false),
            ("file://", "example.com", false),
            ("", "example.com", false),
            ("https://example.com", "", false),
        ] {
            let request = http::Request::builder().header("host", host).header("origin", origin);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_origin_allowed(&parts, None), expected, "{origin} {host}");
        }
    }

    #[test]
    fn each_of_several_origins_must_be_allowed() {
        let request = http::Request::builder()
            .header("host", "example.com")
            .header("origin", "https://example.com")
            .header("origin", "https://evil.example");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert!(!is_origin_allowed(&parts, None));
        assert!(is_origin_allowed(&parts, Some(&Cors::any_origin())));
    }

    #[test]
    fn a_websocket_transport_needs_a_websocket_request() {
        for (uri, websocket) in
            [("/?transport=websocket&EIO=4", false), ("/?transport=polling&EIO=4", true)]
        {
            let refused = verify(Method::GET, uri, websocket).unwrap_err();
            assert_eq!(refused, Refused::bad_request(ErrorContext::TransportHandshakeError));
        }
        for (uri, websocket, current) in [
            ("/?transport=websocket&EIO=4&sid=x", false, Transport::Polling),
            ("/?transport=websocket&EIO=4&sid=x", false, Transport::WebSocket),
            ("/?transport=polling&EIO=4&sid=x", false, Transport::WebSocket),
            ("/?transport=polling&EIO=4&sid=x", true, Transport::Polling),
        ] {
            let Ok(Request::Session(request)) = verify(Method::GET, uri, websocket) else {
                panic!("not a request for a session")
            };
            let refused = request.purpose(&Method::GET, current, Revision::V4).unwrap_err();
            assert_eq!(refused, Refused::bad_request(ErrorContext::TransportMismatch));
        }
    }
}
