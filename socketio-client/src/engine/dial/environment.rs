//! Selects the proxy for a server from environment variables.

use std::net::IpAddr;

use super::{Address, Proxy};
use crate::engine::error::EngineError;

/// Returns the proxy for a server, if any. `variable` reads the environment.
pub(in crate::engine) fn proxy_for(
    server: &Address,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, EngineError> {
    let set =
        |name: &str| variable(name).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
    let either = |name: &str| set(name).or_else(|| set(&name.to_ascii_uppercase()));
    if is_local(&server.host) || either("no_proxy").is_some_and(|list| excludes(&list, server)) {
        return Ok(None);
    }
    let url = if server.secure {
        either("https_proxy")
    } else if set("REQUEST_METHOD").is_some() {
        // In a CGI program, a client can set HTTP_PROXY by sending a `Proxy` header.
        set("http_proxy")
    } else {
        either("http_proxy")
    };
    let Some(url) = url.or_else(|| either("all_proxy")) else { return Ok(None) };
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    Proxy::new(&url).map(Some)
}

fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Returns whether a list of hosts, domains, addresses and networks contains a server.
fn excludes(list: &str, server: &Address) -> bool {
    let host = server.host.to_ascii_lowercase();
    list.split([',', ' ']).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            let (network, bits) = entry.split_once('/').unwrap_or((&entry, "128"));
            let network = network.trim_matches(['[', ']']).parse();
            return network.is_ok_and(|network| contains(network, bits.parse().ok(), address));
        }
        let (name, port) = entry.rsplit_once(':').unwrap_or((&entry, ""));
        let domain = name.trim_start_matches('*').trim_start_matches('.');
        let inside = host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() && !name.starts_with("*.") || rest.ends_with('.'));
        !domain.is_empty() && inside && (port.is_empty() || port.parse() == Ok(server.port))
    })
}

fn contains(network: IpAddr, bits: Option<u32>, address: IpAddr) -> bool {
    let Some(bits) = bits else { return false };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32 - bits.min(32);
            (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128 - bits.min(128);
            (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let (server, _) = Address::parse(url).unwrap();
        let read = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        };
        proxy_for(&server, read).unwrap().map(|proxy| proxy.address.host_and_port())
    }

    #[test]
    fn the_scheme_selects_the_variable() {
        let all = [
            ("HTTP_PROXY", "http://a:1"),
            ("https_proxy", "b:2"),
            ("HTTPS_PROXY", "http://c:3"),
            ("ALL_PROXY", "http://d:4"),
        ];
        assert_eq!(chosen("http://x", &all).as_deref(), Some("a:1"));
        assert_eq!(chosen("ws://x", &all).as_deref(), Some("a:1"));
        assert_eq!(chosen("wss://x", &all).as_deref(), Some("b:2"));
        assert_eq!(chosen("https://x", &all[3..]).as_deref(), Some("d:4"));
        assert_eq!(chosen("https://x", &[("https_proxy", " "), all[2]]).as_deref(), Some("c:3"));
        assert_eq!(chosen("https://x", &all[..1]), None);
        for here in ["http://localhost:3000", "http://127.0.0.2", "http://[::1]:3000"] {
            assert_eq!(chosen(here, &all), None);
        }
    }

    #[test]
    fn callers_of_a_cgi_program_do_not_choose_its_proxy() {
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil:1")];
        assert_eq!(chosen("http://x", &cgi), None);
        let own = [("http_proxy", "http://good:1")];
        assert_eq!(chosen("http://x", &[&cgi[..], &own].concat()).as_deref(), Some("good:1"));
    }

    #[test]
    fn some_servers_are_reached_directly() {
        for (list, url, direct) in [
            ("*", "http://x", true),
            ("a.example", "http://a.example", true),
            ("a.example", "http://A.Example:8080", true),
            ("a.example", "http://b.a.example", true),
            ("a.example", "http://ba.example", false),
            (".a.example", "http://b.a.example", true),
            ("*.a.example", "http://b.a.example", true),
            ("*.a.example", "http://a.example", false),
            ("a.example:80", "http://a.example", true),
            ("a.example:81", "http://a.example", false),
            ("x, y z", "http://z", true),
            ("10.0.0.0/8", "http://10.1.2.3", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("10.0.0.0/x", "http://10.1.2.3", false),
            ("0.0.0.0/0", "http://11.1.2.3", true),
            ("10.1.2.3", "http://10.1.2.3", true),
            ("10.1.2.3", "http://10.1.2.4", false),
            ("fd00::/8", "http://[fd12::1]", true),
            ("[fd12::1]", "http://[fd12::1]:3000", true),
            ("fd00::/8", "http://10.1.2.3", false),
            (",, .,*.", "http://x", false),
        ] {
            let variables = [("no_proxy", list), ("http_proxy", "proxy:1")];
            assert_eq!(chosen(url, &variables).is_none(), direct, "{list} {url}");
        }
    }

    #[test]
    fn an_unsupported_proxy_is_an_error() {
        let (server, _) = Address::parse("http://x").unwrap();
        for url in ["socks5://a:1", "http://"] {
            assert!(proxy_for(&server, |_| Some(url.into())).is_err());
        }
    }
}
