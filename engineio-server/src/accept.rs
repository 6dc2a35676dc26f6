//! How a WebSocket is accepted.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    config::EngineConfig,
    error::{ErrorContext, Refused},
    proxy::is_token as is_token_byte,
    request::is_extended_connect,
    response::{ResponseBody, empty},
    transport::websocket::Parameters,
};

/// The one version that is spoken.
pub(crate) const WEBSOCKET_VERSION: &str = "13";

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
    if !names_version(&parts.headers) {
        return None;
    }
    let protocol = sub_protocol(&parts.headers).ok()?;
    let mut response = if is_extended_connect(parts) {
        empty(StatusCode::OK)
    } else {
        switching_protocols(parts)?
    };
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
    let key = only(&parts.headers, &header::SEC_WEBSOCKET_KEY)?;
    if parts.method != Method::GET || !is_key(key.as_bytes()) {
        return None;
    }
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()?;
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
}

/// Whether the request names the one version of the protocol that is spoken here (RFC 6455 section 4.2.1).
pub(crate) fn names_version(headers: &HeaderMap) -> bool {
    only(headers, &header::SEC_WEBSOCKET_VERSION)
        .is_some_and(|version| version == WEBSOCKET_VERSION)
}

/// The value of a header that must come once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether these are 16 bytes in base64 (RFC 6455 section 4.1).
fn is_key(key: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    matches!(key.split_last_chunk(), Some((value, b"==")) if value.len() == 22 && value.iter().all(plain))
}

/// The sub-protocol that is agreed on. A browser that offers some insists on one of them; like Node's server this one takes
/// the first. An error where the list is malformed (RFC 6455 section 4.1: tokens, each once).
fn sub_protocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, ()> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().map(HeaderValue::as_bytes);
    let items: Vec<_> =
        lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect();
    let is_token = |item: &[u8]| !item.is_empty() && item.iter().copied().all(is_token_byte);
    let twice = (1..items.len()).any(|at| items[..at].contains(&items[at]));
    if twice || !items.iter().all(|item| is_token(item)) {
        return Err(());
    }
    items.first().map(|first| HeaderValue::from_bytes(first).map_err(drop)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_16_bytes_in_base64() {
        assert!(is_key(b"AAAAAAAAAAAAAAAAAAAAA+=="));
        for key in [
            "",
            "==",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAA-==",
        ] {
            assert!(!is_key(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn sub_protocols_are_tokens_of_which_the_first_is_taken() {
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&["chat"], Ok(Some("chat"))),
            (&["chat , superchat"], Ok(Some("chat"))),
            (&["chat", "superchat"], Ok(Some("chat"))),
            (&[""], Err(())),
            (&["chat,"], Err(())),
            (&[",chat"], Err(())),
            (&["a b"], Err(())),
            (&["\"chat\""], Err(())),
            (&["chat, (x)"], Err(())),
            (&["chat, chat"], Err(())),
            (&["chat", "chat"], Err(())),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, line.parse().unwrap());
            }
            let expected =
                expected.map(|name: Option<&str>| name.map(|name| name.parse().unwrap()));
            assert_eq!(sub_protocol(&headers), expected, "{lines:?}");
        }
    }
}
