//! Who is spoken to.

use http::Uri;

use super::error::EngineError;
use crate::url::without_credentials;

/// Scheme, host and port of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) secure: bool,
    /// IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// The address in a URL, and the query of the latter.
    pub(super) fn parse(url: &str) -> Result<(Self, Option<String>), EngineError> {
        let invalid = || EngineError::InvalidUrl(without_credentials(url).to_owned());
        // A fragment means nothing to a server.
        let uri: Uri = url.split('#').next().unwrap_or(url).parse().map_err(|_| invalid())?;
        let secure = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(invalid()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok((Self { secure, host, port }, uri.query().map(str::to_owned)))
    }

    /// As the `Host` header wants it: default ports are left out.
    pub(super) fn authority(&self) -> String {
        let default = if self.secure { 443 } else { 80 };
        if self.port == default { self.bracketed() } else { self.host_and_port() }
    }

    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_bracketed_and_default_ports_left_out() {
        for (url, host, authority) in [
            ("http://localhost", "localhost", "localhost"),
            ("ws://localhost:80/", "localhost", "localhost"),
            ("https://a.example:443/admin?x=1#y", "a.example", "a.example"),
            ("wss://a.example:80", "a.example", "a.example:80"),
            ("http://[::1]:3000/", "::1", "[::1]:3000"),
            ("https://[::1]", "::1", "[::1]"),
        ] {
            let (address, _) = Address::parse(url).unwrap();
            assert_eq!((address.host.as_str(), address.authority()), (host, authority.into()));
        }
        assert_eq!(Address::parse("http://a?x=1&y=2#z").unwrap().1.as_deref(), Some("x=1&y=2"));
    }

    #[test]
    fn what_is_no_address_is_an_error_without_secrets() {
        for url in ["", "a", "ftp://a", "http://", "http://a:b:c", "//a", "http://ann:secret@ b"] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
