//! An HTTP proxy: its address, and the tunnel through it.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Address, BoxStream};
use crate::{
    engine::error::{EngineError, RequestError},
    url::Url,
};

/// The limit of the proxy's response to CONNECT, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// An HTTP proxy. Connections with `https`, `wss` and `ws` use a tunnel (`CONNECT`). Long-polling
/// without TLS sends ordinary requests with the full URL to the proxy.
///
/// ```
/// use socketio_client::{EngineOptions, Proxy};
///
/// let proxy = Proxy::new("http://proxy.example:3128")?.credentials("ann", "secret");
/// let options = EngineOptions::new().proxy(proxy);
/// # Ok::<(), socketio_client::EngineError>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    pub(in crate::engine) address: Address,
    pub(in crate::engine) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Creates a proxy at `http://host:port` or `https://host:port`. For `https`, the client uses
    /// TLS with the proxy as with servers. The URL may contain credentials:
    /// `http://user:password@host:port`.
    ///
    /// # Errors
    ///
    /// Returns [`EngineError::InvalidUrl`] if the URL is invalid or has another scheme.
    pub fn new(url: &str) -> Result<Self, EngineError> {
        let (address, _) = Address::parse(url)?;
        let proxy = Self { address, authorization: None };
        Ok(match Url::parse(url)?.credentials {
            Some(credentials) => {
                let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
                proxy.credentials(&decoded(user), &decoded(password))
            }
            None => proxy,
        })
    }

    /// Sets the credentials, sent as `Proxy-Authorization: Basic`.
    #[must_use]
    pub fn credentials(mut self, user: &str, password: &str) -> Self {
        let token = BASE64_STANDARD.encode(format!("{user}:{password}"));
        // Base64 is always a valid header value.
        self.authorization = HeaderValue::from_str(&format!("Basic {token}")).ok().map(sensitive);
        self
    }

    /// Sets the complete `Proxy-Authorization` header, for schemes other than Basic.
    #[must_use]
    pub fn authorization(mut self, value: HeaderValue) -> Self {
        self.authorization = Some(sensitive(value));
        self
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address.authority()).finish_non_exhaustive()
    }
}

/// Decodes percent escapes. Other characters, such as `+`, keep their meaning.
fn decoded(text: &str) -> String {
    let form = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// Requests a tunnel from the proxy at the other end of the stream.
pub(in crate::engine) async fn tunnel(
    stream: &mut BoxStream,
    proxy: &Proxy,
    target: &Address,
) -> Result<(), RequestError> {
    let host = target.host_and_port();
    let mut request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
    if let Some(value) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    match status(&read_head(stream).await?) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(RequestError::Proxy(status)),
        None => Err(RequestError::ProxyResponse),
    }
}

/// Reads the head of the response and no further byte, because those belong to the tunnel.
async fn read_head(stream: &mut BoxStream) -> Result<Vec<u8>, RequestError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(RequestError::ProxyResponse);
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let (version, rest) = line.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_parsed_or_rejected() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407 \r\n\r\n"), Some(407));
        for garbage in [&b"HTTP/1.1\r\n\r\n"[..], b"\r\n\r\n", b"SSH-2.0 200\r\n\r\n", b"\xff\r\n"]
        {
            assert_eq!(status(garbage), None);
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let proxy = Proxy::new("http://[::1]:3128").unwrap().credentials("ann", "secret");
        assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic YW5uOnNlY3JldA==");
        let url = Proxy::new("http://a%40b:s%3A+&=%C3%A4@proxy:1/").unwrap();
        let by_hand = Proxy::new("http://proxy:1").unwrap().credentials("a@b", "s:+&=ä");
        assert_eq!(url.authorization, by_hand.authorization);
        let shown = format!("{proxy:?}");
        assert!(shown.contains("[::1]:3128") && !shown.contains("YW5"), "{shown}");
    }
}
