//! The address of a server or a proxy.

use crate::{
    engine::error::EngineError,
    url::{Url, UrlError},
};

/// Scheme, host and port of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Address {
    pub(in crate::engine) secure: bool,
    /// The host. IPv6 addresses have no brackets.
    pub(in crate::engine) host: String,
    pub(in crate::engine) port: u16,
}

impl Address {
    /// Parses the address and the query of a URL. The scheme is required.
    pub(in crate::engine) fn parse(url: &str) -> Result<(Self, Option<String>), EngineError> {
        if !url.contains("://") {
            return Err(UrlError::Scheme(String::new()).into());
        }
        let Url { secure, host, port, query, .. } = Url::parse(url)?;
        Ok((Self { secure, host, port }, query.map(str::to_owned)))
    }

    /// Returns the value of the `Host` header, without a default port.
    pub(in crate::engine) fn authority(&self) -> String {
        let default = if self.secure { 443 } else { 80 };
        if self.port == default { self.bracketed() } else { self.host_and_port() }
    }

    pub(in crate::engine) fn host_and_port(&self) -> String {
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
    fn invalid_addresses_are_errors_without_secrets() {
        for url in ["", "a", "ftp://a", "http://", "http://a:b:c", "//a", "http://ann:secret@ b"] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
