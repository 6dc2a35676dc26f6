//! What a URL says: which server, which namespace, which query.

use http::Uri;
use socketio_parser::Nsp;

/// Why a URL does not name a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is not a URL.
    #[error("not a URL: {0}")]
    Invalid(String),
    /// Its scheme is none of `http`, `https`, `ws` and `wss`.
    #[error("unknown scheme: {0}")]
    Scheme(String),
    /// It names no host: outside of a browser there is nothing that a path could be relative to.
    #[error("no host in the URL: {0}")]
    NoHost(String),
}

/// The parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Scheme, host and port. `ws` and `wss` are `http` and `https` here: the transport is chosen otherwise.
    pub(crate) origin: String,
    /// The path of the URL.
    pub(crate) nsp: Nsp,
    /// The query, undecoded.
    pub(crate) query: Option<String>,
}

impl Target {
    /// Reads a URL. Without a scheme it is `https`, as in Node.
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let url = url.trim();
        let full = match url.split_once("://") {
            _ if url.starts_with("//") => format!("https:{url}"),
            _ if url.starts_with('/') => return Err(UrlError::NoHost(url.into())),
            Some((scheme, _)) if !scheme.contains(['/', '?', '.', ':']) => url.to_owned(),
            _ => format!("https://{url}"),
        };
        let uri: Uri =
            full.parse().map_err(|_| UrlError::Invalid(without_credentials(url).into()))?;
        let (scheme, default) = match uri.scheme_str() {
            Some("http" | "ws") => ("http", 80),
            Some("https" | "wss") => ("https", 443),
            other => return Err(UrlError::Scheme(other.unwrap_or_default().into())),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host
            .ok_or_else(|| UrlError::NoHost(without_credentials(url).into()))?
            .to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(default);
        Ok(Self {
            origin: format!("{scheme}://{host}:{port}"),
            nsp: Nsp::new(uri.path()),
            query: uri.query().filter(|query| !query.is_empty()).map(str::to_owned),
        })
    }
}

/// Errors are logged; a password in a URL is not for the log.
pub(crate) fn without_credentials(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, String, Option<String>) {
        let target = Target::parse(url).unwrap();
        (target.origin, target.nsp.to_string(), target.query)
    }

    #[test]
    fn the_path_is_the_namespace_and_the_query_is_kept() {
        let expected = ("http://localhost:3000".into(), "/chat".into(), Some("a=1&b=2".into()));
        assert_eq!(parts("http://localhost:3000/chat?a=1&b=2"), expected);
        assert_eq!(
            parts("http://localhost:3000/?"),
            ("http://localhost:3000".into(), "/".into(), None)
        );
    }

    #[test]
    fn ports_and_schemes_have_defaults() {
        let origin = |url| parts(url).0;
        assert_eq!(origin("http://woot.com"), "http://woot.com:80");
        assert_eq!(origin("ws://woot.com"), "http://woot.com:80");
        assert_eq!(origin("wss://Woot.com/x"), "https://woot.com:443");
        assert_eq!(origin("woot.com"), "https://woot.com:443");
        assert_eq!(origin("woot.com:8080/x"), "https://woot.com:8080");
        assert_eq!(origin("//woot.com"), "https://woot.com:443");
        assert_eq!(origin("localhost:3000"), "https://localhost:3000");
        assert_eq!(origin("http://[::1]:3000/x"), "http://[::1]:3000");
    }

    #[test]
    fn what_names_no_server_is_refused() {
        assert!(matches!(Target::parse("/chat"), Err(UrlError::NoHost(_))));
        assert!(matches!(Target::parse("ftp://woot.com"), Err(UrlError::Scheme(_))));
        let error = Target::parse("http://ann:secret@ b").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert!(Target::parse("http://").is_err());
        assert!(Target::parse("").is_err());
    }
}
