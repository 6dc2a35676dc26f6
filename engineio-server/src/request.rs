//! From an HTTP request to what it asks for.

use engineio_parser::{Revision, Transport};
use http::{Method, header, request::Parts};

use crate::{
    config::EngineConfig,
    error::{ErrorContext, Refused, RequestError},
    transport::jsonp::Jsonp,
};

/// What a request asks of the engine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A handshake: a new session on this transport. The revision, if it is served, is looked at after the application
    /// was asked.
    Open { transport: Transport, revision: Option<Revision>, b64: bool, jsonp: Option<Jsonp> },
    /// A GET of a polling session.
    Poll { sid: String },
    /// A POST of a polling session.
    Push { sid: String },
    /// Any other method on a polling session.
    Other { sid: String },
    /// A WebSocket for an existing session.
    Upgrade { sid: String, b64: bool },
}

/// Reads a request in the order in which Node verifies it: transport, sid, method, kind of request.
pub(crate) fn classify(parts: &Parts, config: &EngineConfig) -> Result<Request, Refused> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let transport = query
        .transport
        .and_then(Transport::parse)
        .filter(|transport| config.transports.contains(transport))
        .ok_or(RequestError::UnknownTransport)?;
    let websocket = is_websocket(parts);

    if let Some(sid) = query.sid.map(str::to_owned) {
        return match (transport, websocket) {
            (Transport::WebSocket, true) => Ok(Request::Upgrade { sid, b64: query.b64 }),
            (Transport::Polling, false) => Ok(match parts.method {
                Method::GET => Request::Poll { sid },
                Method::POST => Request::Push { sid },
                _ => Request::Other { sid },
            }),
            _ => Err(Refused::bad_request(ErrorContext::TransportMismatch)),
        };
    }
    if parts.method != Method::GET && !is_extended_connect(parts) {
        return Err(RequestError::BadHandshakeMethod.into());
    }
    if websocket != (transport == Transport::WebSocket) {
        return Err(Refused::bad_request(ErrorContext::TransportHandshakeError));
    }
    let revision = match query.eio {
        Some("4") => Some(Revision::V4),
        Some("3") if config.allow_eio3 => Some(Revision::V3),
        _ => None,
    };
    let jsonp = query.j.filter(|_| config.jsonp && !websocket).map(Jsonp::new);
    Ok(Request::Open { transport, revision, b64: query.b64, jsonp })
}

/// Whether the request wants to become a WebSocket (RFC 6455 section 4.2.1, RFC 8441 section 4). Where `Connection` does not
/// name `Upgrade`, a proxy in between may not know that the connection changes hands.
pub(crate) fn is_websocket(parts: &Parts) -> bool {
    let names = |name, wanted: &str| {
        let lines = parts.headers.get_all(name).iter().map(|line| line.as_bytes());
        let mut items = lines.flat_map(|line| line.split(|byte| *byte == b','));
        items.any(|item| item.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    };
    is_extended_connect(parts)
        || names(header::UPGRADE, "websocket") && names(header::CONNECTION, "upgrade")
}

/// Whether the request wants to become a WebSocket inside an HTTP/2 connection (RFC 8441).
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

/// The query parameters of the protocol; the last value of a repeated key wins, as in Node.
#[derive(Default)]
struct Query<'a> {
    eio: Option<&'a str>,
    transport: Option<&'a str>,
    sid: Option<&'a str>,
    j: Option<&'a str>,
    /// The client takes text only: no binary payloads (revision 3) and no binary frames.
    b64: bool,
}

impl<'a> Query<'a> {
    /// No value of the protocol's needs percent-decoding: one that has escapes matches nothing.
    fn parse(query: &'a str) -> Self {
        let mut this = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("EIO", value) => this.eio = Some(value),
                ("b64", value) => this.b64 = !value.is_empty(),
                ("j", value) => this.j = Some(value),
                ("transport", value) => this.transport = Some(value),
                ("sid", value) if !value.is_empty() => this.sid = Some(value),
                _ => {}
            }
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, uri: &str, websocket: bool) -> Result<Request, RequestError> {
        verify(method, uri, websocket).map_err(|refused| refused.error)
    }

    fn verify(method: Method, uri: &str, websocket: bool) -> Result<Request, Refused> {
        let mut request = http::Request::builder().method(method).uri(uri);
        if websocket {
            request = request.header("upgrade", "WebSocket").header("connection", "close, Upgrade");
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        classify(&parts, &EngineConfig::default())
    }

    #[test]
    fn errors_come_in_nodes_order() {
        let ask = |uri| ask(Method::POST, uri, false);
        assert_eq!(ask("/?EIO=9"), Err(RequestError::UnknownTransport));
        assert_eq!(ask("/?transport=webtransport&EIO=4"), Err(RequestError::UnknownTransport));
        assert_eq!(ask("/?transport=polling"), Err(RequestError::BadHandshakeMethod));
        assert_eq!(ask("/?transport=websocket&sid=x"), Err(RequestError::BadRequest));
    }

    #[test]
    fn only_known_revisions_are_served() {
        for eio in ["", "&EIO=", "&EIO=abc", "&EIO=5", "&EIO=3"] {
            let uri = format!("/?transport=polling{eio}");
            let transport = Transport::Polling;
            let open = Request::Open { transport, revision: None, b64: false, jsonp: None };
            assert_eq!(ask(Method::GET, &uri, false), Ok(open));
        }
    }

    #[test]
    fn the_last_of_repeated_parameters_wins() {
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
    fn a_websocket_is_asked_for_by_two_headers() {
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
    fn a_websocket_transport_needs_a_websocket_request() {
        for (uri, websocket, context) in [
            ("/?transport=websocket&EIO=4", false, ErrorContext::TransportHandshakeError),
            ("/?transport=polling&EIO=4", true, ErrorContext::TransportHandshakeError),
            ("/?transport=websocket&EIO=4&sid=x", false, ErrorContext::TransportMismatch),
            ("/?transport=polling&EIO=4&sid=x", true, ErrorContext::TransportMismatch),
        ] {
            let refused = verify(Method::GET, uri, websocket).unwrap_err();
            assert_eq!(refused, Refused::bad_request(context));
        }
    }
}
