//! How a WebSocket is accepted.

use http::{HeaderMap, Method, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    config::EngineConfig,
    error::{ErrorContext, Refused},
    request::is_extended_connect,
    response::{ResponseBody, empty},
    transport::websocket::Parameters,
};

/// A WebSocket that is accepted, once its response has gone out.
pub(crate) struct Accepted {
    pub(crate) response: Response<ResponseBody>,
    pub(crate) upgrade: OnUpgrade,
    pub(crate) compression: Option<Parameters>,
}

/// Accepts a WebSocket (RFC 6455 section 4.2.2, RFC 8441 section 5), if the request asks for one properly.
pub(crate) fn accept(parts: &mut Parts, config: &EngineConfig) -> Result<Accepted, Refused> {
    let refused = || Refused::bad_request(ErrorContext::TransportHandshakeError);
    accepted(parts, config).ok_or_else(refused)
}

fn accepted(parts: &mut Parts, config: &EngineConfig) -> Option<Accepted> {
    let version = parts.headers.get(header::SEC_WEBSOCKET_VERSION)?;
    if version.as_bytes() != b"13" {
        return None;
    }
    let mut response = if is_extended_connect(parts) {
        empty(StatusCode::OK)
    } else {
        switching_protocols(parts)?
    };
    // A browser that offers sub-protocols insists on one of them; like Node's server this one takes the first.
    let protocol = parts.headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(first_of_list);
    if let Some(protocol) = protocol {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let upgrade = parts.extensions.remove::<OnUpgrade>()?;
    let compression = negotiate(config, parts, response.headers_mut());
    Some(Accepted { response, upgrade, compression })
}

/// Agrees with the client on compression, if both want it.
#[cfg(feature = "compression")]
fn negotiate(
    config: &EngineConfig,
    request: &Parts,
    response: &mut HeaderMap,
) -> Option<Parameters> {
    let own = config.per_message_deflate.as_ref()?;
    let (parameters, answer) = own.negotiate(&request.headers)?;
    response.insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
    Some(parameters)
}

#[cfg(not(feature = "compression"))]
fn negotiate(_: &EngineConfig, _: &Parts, _: &mut HeaderMap) -> Option<Parameters> {
    None
}

fn switching_protocols(parts: &Parts) -> Option<Response<ResponseBody>> {
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY)?;
    if parts.method != Method::GET {
        return None;
    }
    let accept = header::HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()?;
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
}

fn first_of_list(value: &header::HeaderValue) -> Option<header::HeaderValue> {
    let first = value.as_bytes().split(|byte| *byte == b',').next()?.trim_ascii();
    header::HeaderValue::from_bytes(first).ok().filter(|first| !first.is_empty())
}
