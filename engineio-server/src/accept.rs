//! Accepts WebSocket requests.

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

/// The only supported version of the WebSocket protocol.
pub(crate) const WEBSOCKET_VERSION: &str = "13";

/// An accepted WebSocket request. `upgrade` resolves after `response` is sent.
pub(crate) struct Accepted {
    pub(crate) response: Response<ResponseBody>,
    pub(crate) upgrade: OnUpgrade,
    pub(crate) compression: Option<Parameters>,
}

/// Accepts a WebSocket request (RFC 6455 section 4.2.2, RFC 8441 section 5). Refuses it if it is
/// malformed.
pub(crate) fn accept(parts: &mut Parts, config: &EngineConfig) -> Result<Accepted, Refused> {
    let refused = || Refused::bad_request(ErrorContext::TransportHandshakeError);
    try_accept(parts, config).ok_or_else(refused)
}

fn try_accept(parts: &mut Parts, config: &EngineConfig) -> Option<Accepted> {
    if !has_supported_version(&parts.headers) {
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

/// Negotiates compression with the client. Returns `None` if one of the two does not want it.
#[cfg(feature = "compression")]
fn negotiate(
    config: &EngineConfig,
    request: &Parts,
    response: &mut HeaderMap,
) -> Option<Parameters> {
    let options = config.per_message_deflate.as_ref()?;
    let (parameters, answer) = options.negotiate(&request.headers)?;
    response.insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
    Some(parameters)
}

#[cfg(not(feature = "compression"))]
fn negotiate(_: &EngineConfig, _: &Parts, _: &mut HeaderMap) -> Option<Parameters> {
    None
}

fn switching_protocols(parts: &Parts) -> Option<Response<ResponseBody>> {
    let key = single_value(&parts.headers, &header::SEC_WEBSOCKET_KEY)?;
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

/// Returns whether the request names the supported version of the protocol (RFC 6455 section
/// 4.2.1).
pub(crate) fn has_supported_version(headers: &HeaderMap) -> bool {
    single_value(headers, &header::SEC_WEBSOCKET_VERSION)
        .is_some_and(|version| version == WEBSOCKET_VERSION)
}

/// Returns the value of a header, if it occurs exactly once.
fn single_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns whether `key` is 16 bytes in base64 (RFC 6455 section 4.1).
fn is_key(key: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    matches!(key.split_last_chunk(), Some((value, b"==")) if value.len() == 22 && value.iter().all(plain))
}

/// Selects the first sub-protocol, as Node's server does, because a browser that offers some
/// requires one of them. Returns an error if the list is malformed (RFC 6455 section 4.1: distinct
/// tokens).
fn sub_protocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, ()> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().map(HeaderValue::as_bytes);
    let items: Vec<_> =
        lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect();
    let is_token = |item: &[u8]| !item.is_empty() && item.iter().copied().all(is_token_byte);
    // Sorted, because a head has room for thousands of items.
    let mut sorted = items.clone();
    sorted.sort_unstable();
    let twice = sorted.windows(2).any(|pair| pair.first() == pair.last());
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
    fn the_first_of_distinct_sub_protocol_tokens_is_selected() {
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
            (&["chat, a, b", "chat"], Err(())),
            (&["chat, b, a"], Ok(Some("chat"))),
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
