//! Parses URLs into server, namespace and query.
//!
//! Path and query are used as written, as by Node's client. They name a namespace, so they are
//! neither resolved nor escaped. Scheme, host and port are checked as in the URL standard.

use std::net::Ipv6Addr;

use socketio_parser::{Nsp, NspError};

/// The reason why a URL does not name a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The scheme is not `http`, `https`, `ws` or `wss`.
    #[error("unknown scheme {0:?} in the URL: use http, https, ws or wss")]
    Scheme(String),
    /// The URL has no host. Unlike in a browser, a path alone is not a URL.
    #[error("no host in the URL")]
    NoHost,
    /// The host is neither an ASCII name (other names need their `xn--` form) nor an IP address
    /// (IPv6 in brackets).
    #[error("invalid host: {0:?}")]
    Host(String),
    /// The port is not a number up to 65535.
    #[error("invalid port: {0:?}")]
    Port(String),
    /// The path is not the name of a namespace.
    #[error(transparent)]
    Namespace(#[from] NspError),
}

/// The parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    /// Whether the scheme is `https` or `wss`.
    pub(crate) secure: bool,
    /// User and password, not decoded.
    pub(crate) credentials: Option<&'a str>,
    /// In lower case, IPv6 without brackets.
    pub(crate) host: String,
    /// The port, or the default of the scheme.
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// Parses a URL. The default scheme is `https`, as in Node.
    pub(crate) fn parse(url: &'a str) -> Result<Self, UrlError> {
        let url = url.trim();
        let (secure, rest) = match url.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (secure(scheme)?, rest),
            _ => (true, url.strip_prefix("//").unwrap_or(url)),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query).filter(|query| !query.is_empty())),
            None => (rest, None),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, server) = match authority.rsplit_once('@') {
            Some((credentials, server)) => (Some(credentials), server),
            None => (None, authority),
        };
        let (host, port) = split_port(server)?;
        let host = checked_host(host)?;
        let port = match port {
            "" if secure => 443,
            "" => 80,
            port => checked_port(port)?,
        };
        Ok(Self { secure, credentials, host, port, path, query })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn secure(scheme: &str) -> Result<bool, UrlError> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => Ok(false),
        "https" | "wss" => Ok(true),
        other => Err(UrlError::Scheme(other.to_owned())),
    }
}

/// Splits host and port. The port is empty if there is none.
fn split_port(server: &str) -> Result<(&str, &str), UrlError> {
    let invalid = || UrlError::Host(server.to_owned());
    if server.starts_with('[') {
        let (host, rest) = server.split_at(server.find(']').ok_or_else(invalid)? + 1);
        let port = if rest.is_empty() { Some("") } else { rest.strip_prefix(':') };
        return Ok((host, port.ok_or_else(invalid)?));
    }
    Ok(server.split_once(':').unwrap_or((server, "")))
}

fn checked_host(host: &str) -> Result<String, UrlError> {
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match inside {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            host.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&it))
        }
    };
    if !valid {
        return Err(UrlError::Host(host.to_owned()));
    }
    Ok(inside.unwrap_or(host).to_ascii_lowercase())
}

fn checked_port(port: &str) -> Result<u16, UrlError> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|_| digits).ok_or_else(|| UrlError::Port(port.to_owned()))
}

/// The parts of a URL that define a connection and its first socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Scheme, host and port. `ws` and `wss` become `http` and `https`, because options select the
    /// transport.
    pub(crate) origin: String,
    /// The path of the URL.
    pub(crate) nsp: Nsp,
    /// The query, not decoded.
    pub(crate) query: Option<String>,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let Url { secure, host, port, path, query, .. } = Url::parse(url)?;
        let scheme = if secure { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Ok(Self {
            origin: format!("{scheme}://{host}:{port}"),
            nsp: Nsp::new(path)?,
            query: query.map(str::to_owned),
        })
    }
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
    fn an_invalid_part_is_named() {
        let error = |url: &str| Target::parse(url).unwrap_err().to_string();
        for url in ["http://h:99999", "http://[::1]:99999", "http://h:99999/x?y"] {
            assert_eq!(error(url), "invalid port: \"99999\"");
        }
        assert_eq!(error("http://h:abc"), "invalid port: \"abc\"");
        assert_eq!(error("http://h:0x50"), "invalid port: \"0x50\"");
        assert_eq!(error("http://a b"), "invalid host: \"a b\"");
        let scheme = "unknown scheme \"ftp\" in the URL: use http, https, ws or wss";
        assert_eq!(error("ftp://woot.com"), scheme);
        for url in ["/chat", "", "http://", "http:///x", "http://:80", "http://ann:secret@"] {
            assert_eq!(error(url), "no host in the URL");
        }
    }

    #[test]
    fn errors_hold_no_secrets() {
        for url in ["http://ann:secret@ b", "http://ann:secret@h:x", "http://ann:secret@[::1"] {
            let error = Target::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    /// URLs for which Node's client connects to another server or to none, and why this client
    /// differs.
    const UNLIKE_NODE: [(&str, &[&str]); 8] = [
        // Only a page has a default scheme. Node connects to a host named "undefined", or
        // to `localhost`.
        (
            "scheme",
            &[
                "HTTP://h",
                "Https://h",
                "WS://h/x",
                "ftp://h",
                "http:h",
                "http:/h",
                "://h",
                "//h",
                "//h:3000/x",
                "h",
                "h:3000",
                "h:3000/chat",
                "localhost:3000",
                "/chat",
                "",
                " ",
                " http://h ",
                "http ://h",
                "file:///h",
                "javascript:1",
                "a+b://h",
            ],
        ),
        (
            "no host",
            &[
                "http:///h",
                "http://",
                "http:///",
                "http://[]",
                "http://ann:secret@",
                "http://ann:secret@:80",
            ],
        ),
        // Node treats the text after the digits as the namespace, and connects to port 80.
        (
            "port",
            &[
                "http://h:65536",
                "http://h:99999",
                "http://h:184467440737095516160",
                "http://h:abc",
                "http://h:0x50",
                "http://h:-1",
                "http://h:+80",
                "http://h:8 0",
                "http://h: 80",
                "http://h:80a",
                "http://h:80:80",
                "http://h:8.0",
                "http://h:８０",
                "http://[::1]:99999",
                "http://[::1]:x",
                "http://::1",
                "http://ann:sec:ret@h",
            ],
        ),
        ("IPv6", &["http://[g::1]", "http://[::1]x", "http://[v1.a]"]),
        // Node connects to the part before the character.
        (
            "host",
            &[
                "http://a b",
                "http://a%20b",
                "http://a%41",
                "http://a<b",
                "http://a|b",
                "http://a\\b",
                "http://a\tb",
                "http://a\nb",
                "http://a;b",
            ],
        ),
        // Support for it needs tables as large as this crate.
        ("a name outside of ASCII", &["http://bücher.example"]),
        // This client sends all values of a name, and no empty pairs.
        ("query", &["http://h/?a=1&a=2", "http://h/?&&a=1&"]),
        // Node throws an error.
        ("escape", &["http://h/?a=%zz"]),
    ];

    /// URLs that the standard parses differently.
    const UNLIKE_THE_STANDARD: [(&str, &[&str]); 4] = [
        // This client accepts no relative URLs, and removes no characters.
        (
            "form",
            &[
                "h",
                "h:3000",
                "h:3000/chat",
                "localhost:3000",
                "//h",
                "//h:3000/x",
                "javascript:1",
                "http:h",
                "http:/h",
                "http:///h",
                "http://a\tb",
                "http://a\nb",
                "http://a\\b",
            ],
        ),
        // The resolver decides, as in Node.
        (
            "numbers",
            &[
                "http://127.1",
                "http://0x7f.1",
                "http://2130706433",
                "http://256.256.256.256",
                "http://1.2.3.4.5",
            ],
        ),
        ("names", &["http://bücher.example", "http://a%41", "http://[::ffff:127.0.0.1]"]),
        ("the last @", &[]),
    ];

    fn golden() -> Vec<serde_json::Value> {
        let golden = include_str!("../tests/golden/client.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        golden["urls"].as_array().unwrap().clone()
    }

    fn is_in(list: &[(&str, &[&str])], url: &str) -> bool {
        list.iter().any(|(_, urls)| urls.contains(&url))
    }

    #[test]
    fn urls_are_parsed_as_by_nodes_client() {
        let mut wrong = Vec::new();
        for case in golden() {
            let text = case["url"].as_str().unwrap();
            let node = case["nsp"].as_str().map(|nsp| {
                let part = |name: &str| case[name].as_str().unwrap().to_owned();
                let query: Vec<(String, String)> =
                    serde_json::from_value(case["query"].clone()).unwrap();
                (case["secure"] == true, part("host"), part("port"), nsp.to_owned(), query)
            });
            let here = Url::parse(text).ok().map(|url| {
                let nsp = Nsp::unchecked(url.path).to_string();
                let mut query = crate::engine::query_pairs(url.query.unwrap_or_default());
                query.retain(|(key, _)| !["EIO", "transport", "sid"].contains(&&**key));
                (url.secure, url.host, url.port.to_string(), nsp, query)
            });
            if (here == node) == is_in(&UNLIKE_NODE, text) {
                wrong.push(format!("{text}: {here:?}, Node {node:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn servers_are_parsed_as_by_the_url_standard() {
        let mut wrong = Vec::new();
        for case in golden() {
            let text = case["url"].as_str().unwrap();
            let standard = url::Url::parse(text).ok().and_then(|url| {
                let secure = ["https", "wss"].contains(&url.scheme());
                let known = secure || ["http", "ws"].contains(&url.scheme());
                let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
                known.then_some((secure, host, url.port_or_known_default()?))
            });
            let here = Url::parse(text).ok().map(|url| (url.secure, url.host, url.port));
            if (here == standard) == is_in(&UNLIKE_THE_STANDARD, text) {
                wrong.push(format!("{text}: {here:?}, the standard {standard:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
