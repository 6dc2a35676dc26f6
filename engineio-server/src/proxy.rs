//! Finds the client behind trusted proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The header in which trusted proxies report their client. A proxy sets one of the two headers and
/// passes the other one on as the client sent it, so only one can be trusted. See
/// [`EngineConfig::trusted_proxies`](crate::EngineConfig::trusted_proxies).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto` for the scheme.
    XForwardedFor,
    /// `Forwarded` (RFC 7239): its `for` and `proto`.
    Forwarded,
}

/// The trusted proxies and their header.
#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    header: ProxyHeader,
}

/// The client of a request, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) ip: IpAddr,
    /// Whether the scheme is `https`, according to a trusted proxy.
    pub(crate) https: Option<bool>,
}

/// One hop, as reported by the next proxy.
#[derive(Default)]
struct Hop {
    ip: Option<IpAddr>,
    https: Option<bool>,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>, header: ProxyHeader) -> Self {
        Self { trusted, header }
    }

    /// Follows the hops from the peer back to the client, as long as the reporting hop is trusted.
    /// Earlier entries were not written by trusted proxies.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let mut client = Client { ip: peer.to_canonical(), https: None };
        match self.header {
            ProxyHeader::XForwardedFor => {
                let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
                let mut hops = lines.flat_map(list_from_the_right);
                let mut depth = 0;
                while self.trusts(client.ip) {
                    depth += 1;
                    let Some(ip) = hops.next().and_then(address) else { break };
                    client.ip = ip;
                }
                // Either each of these proxies has also added to this header, or only the first
                // has.
                let lines = headers.get_all(X_FORWARDED_PROTO).iter().rev();
                let scheme = lines.flat_map(list_from_the_right).take(depth).last();
                client.https = scheme.map(|scheme| scheme.eq_ignore_ascii_case("https"));
            }
            ProxyHeader::Forwarded => {
                let lines = headers.get_all(header::FORWARDED).iter().rev();
                // A malformed line ends the walk, as an empty hop does.
                let mut hops = lines.flat_map(|line| {
                    let hops = line.to_str().ok().and_then(forwarded);
                    hops.unwrap_or_else(|| vec![Hop::default()]).into_iter().rev()
                });
                while self.trusts(client.ip) {
                    let Some(hop) = hops.next() else { break };
                    client.https = hop.https.or(client.https);
                    let Some(ip) = hop.ip else { break };
                    client.ip = ip;
                }
            }
        }
        client
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&ip))
    }
}

/// Returns the items of a list, the last one first. A line that is not ASCII is a single empty
/// item.
fn list_from_the_right(line: &HeaderValue) -> impl Iterator<Item = &str> {
    line.to_str().unwrap_or_default().rsplit(',').map(str::trim)
}

/// Parses an address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let ip = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| bracketed().map(IpAddr::V6))?;
    Some(ip.to_canonical())
}

/// Parses the hops of a `Forwarded` field (RFC 7239 section 4). Returns `None` if any part is
/// malformed: an unclosed quote from the client must not change what a proxy has added.
fn forwarded(line: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut hop = Hop::default();
    let mut rest = line;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.ip = address(&value),
            "proto" => hop.https = Some(value.eq_ignore_ascii_case("https")),
            name if !name.is_empty() && name.bytes().all(is_token) => {}
            _ => return None,
        }
        let mut after = after.trim_start().chars();
        let separator = after.next();
        rest = after.as_str();
        match separator {
            Some(';') => {}
            Some(',') => hops.push(std::mem::take(&mut hop)),
            Some(_) => return None,
            None => {
                hops.push(hop);
                return Some(hops);
            }
        }
    }
}

/// Parses a token or a quoted string. Returns it with the rest of the text.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Some proxies do not quote ports and brackets, although they should.
        let end = text.find(|c: char| {
            !u8::try_from(c).is_ok_and(|byte| is_token(byte) || b":[]".contains(&byte))
        });
        let (token, rest) = text.split_at(end.unwrap_or(text.len()));
        return (!token.is_empty()).then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            char => value.push(char),
        }
    }
}

pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: &str = "203.0.113.7";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies(header: ProxyHeader) -> Proxies {
        let nets = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        Proxies::new(nets.to_vec(), header)
    }

    fn client(
        header: ProxyHeader,
        peer: &str,
        lines: &[(&'static str, &str)],
    ) -> (String, Option<bool>) {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(*name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let Client { ip, https } = proxies(header).client(ip(peer), &headers);
        (ip.to_string(), https)
    }

    fn by_list(peer: &str, lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        client(ProxyHeader::XForwardedFor, peer, &lines).0
    }

    fn by_forwarded(peer: &str, lines: &[&str]) -> (String, Option<bool>) {
        let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        client(ProxyHeader::Forwarded, peer, &lines)
    }

    #[test]
    fn the_last_hop_that_is_not_a_trusted_proxy_is_the_client() {
        assert_eq!(by_list("10.0.0.1", &[CLIENT]), CLIENT);
        assert_eq!(by_list("10.0.0.1", &["1.1.1.1, 203.0.113.7 , 10.2.2.2"]), CLIENT);
        assert_eq!(by_list("10.0.0.1", &["1.1.1.1", "203.0.113.7", "10.2.2.2"]), CLIENT);
        assert_eq!(by_list("10.0.0.1", &["10.9.9.9, 10.2.2.2"]), "10.9.9.9");
        assert_eq!(by_list("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(by_list("192.0.2.1", &[CLIENT]), "192.0.2.1");
        assert_eq!(by_list("::ffff:10.0.0.1", &["::ffff:203.0.113.7"]), CLIENT);
    }

    #[test]
    fn a_malformed_hop_ends_the_walk() {
        for junk in ["", "unknown", "203.0.113.7, ", "1.2.3", "203.0.113.7 x", "é"] {
            assert_eq!(by_list("10.0.0.1", &[junk]), "10.0.0.1", "{junk}");
        }
        assert_eq!(by_list("10.0.0.1", &["203.0.113.7, -, 10.2.2.2"]), "10.2.2.2");
    }

    #[test]
    fn addresses_may_have_ports_and_brackets() {
        for (text, expected) in [
            ("203.0.113.7:80", CLIENT),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(by_list("fd00::1", &[text]), expected);
        }
    }

    #[test]
    fn the_scheme_comes_from_the_same_hop_as_the_address() {
        let scheme = |peer, hops, schemes| {
            let lines = [("x-forwarded-for", hops), ("x-forwarded-proto", schemes)];
            client(ProxyHeader::XForwardedFor, peer, &lines).1
        };
        assert_eq!(scheme("10.0.0.1", CLIENT, "https"), Some(true));
        assert_eq!(scheme("10.0.0.1", CLIENT, "https, http"), Some(false));
        assert_eq!(scheme("10.0.0.1", "203.0.113.7, 10.2.2.2", "http, HTTPS, http"), Some(true));
        assert_eq!(scheme("10.0.0.1", "203.0.113.7, 10.2.2.2", "https"), Some(true));
        assert_eq!(scheme("192.0.2.1", CLIENT, "https"), None);
    }

    #[test]
    fn forwarded_is_parsed_strictly() {
        let read = |line| by_forwarded("10.0.0.1", &[line]);
        let found = |https| (CLIENT.to_owned(), https);
        assert_eq!(read("for=203.0.113.7"), found(None));
        assert_eq!(read("For=\"203.0.113.7:80\" ; Proto=HTTPS;by=_x"), found(Some(true)));
        assert_eq!(read("for=1.1.1.1;proto=https, for=203.0.113.7;proto=http"), found(Some(false)));
        assert_eq!(read("for=203.0.113.7;proto=https, for=10.2.2.2"), found(Some(true)));
        assert_eq!(read("for=\"[2001:db8::1]:80\"").0, "2001:db8::1");
        assert_eq!(read("x=\"a\\\",b\", for=203.0.113.7"), found(None));
        for line in [
            "",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "203.0.113.7",
            "for=\"203.0.113.7",
            "for=203.0.113.7,",
            "for=203.0.113.7;",
            "for=203.0.113.7 x",
            "é=1, for=203.0.113.7",
            "for=\"a, for=203.0.113.7",
            "=1, for=203.0.113.7",
            "a b=1, for=203.0.113.7",
        ] {
            assert_eq!(read(line), ("10.0.0.1".to_owned(), None), "{line}");
        }
        // Each line is parsed on its own. A quote that the client left open does not affect the
        // proxy's line.
        assert_eq!(by_forwarded("10.0.0.1", &["for=\"", "for=203.0.113.7"]), found(None));
    }

    proptest! {
        #[test]
        fn headers_of_untrusted_peers_are_ignored(line in "[ -~]{0,60}", other in "[ -~]{0,60}") {
            for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
                let lines = [
                    ("x-forwarded-for", &*line), ("forwarded", &*line), ("x-forwarded-proto", &*other),
                ];
                let found = client(header, "192.0.2.1", &lines);
                prop_assert_eq!(found, ("192.0.2.1".to_owned(), None));
            }
        }

        #[test]
        fn entries_of_the_client_itself_are_ignored(
            said in r#"([ -~]|for=1\.1\.1\.1|"|,|;|\\){0,20}"#,
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            prop_assert_eq!(by_list("10.0.0.1", &[&format!("{said}, {CLIENT}")]), CLIENT);
            prop_assert_eq!(by_list("10.0.0.1", &[&said, CLIENT]), CLIENT);
            let own = format!("for={CLIENT};proto=https");
            let found = by_forwarded("10.0.0.1", &[&said, &own]);
            prop_assert_eq!(found, (CLIENT.to_owned(), Some(true)));
            // In a shared line, the client's part can at most make the proxy's part unreadable.
            let (ip, _) = by_forwarded("10.0.0.1", &[&format!("{said}, {own}")]);
            prop_assert!(ip == CLIENT || ip == "10.0.0.1", "{}", ip);
            // Arbitrary bytes do not cause a panic.
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
                    let mut headers = HeaderMap::new();
                    headers.append(X_FORWARDED_FOR, value.clone());
                    headers.append(X_FORWARDED_PROTO, value.clone());
                    headers.append(header::FORWARDED, value.clone());
                    proxies(header).client(ip_of_proxy(), &headers);
                }
            }
        }
    }

    fn ip_of_proxy() -> IpAddr {
        ip("10.0.0.1")
    }
}
