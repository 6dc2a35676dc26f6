//! Negotiation of WebSocket compression (RFC 7692).

use http::{HeaderMap, HeaderValue, header};

const NAME: &str = "permessage-deflate";

/// The compression of WebSocket messages, for clients that offer `permessage-deflate` (RFC 7692),
/// as browsers do.
///
/// By default neither side keeps a context between messages. A connection then needs no additional
/// memory (each thread of the runtime has one context for each direction, 430 KB in total), and a
/// broadcast is compressed once for all recipients. With contexts, short messages that resemble
/// each other become several times smaller. Each connection then needs the following memory from
/// its first compressed message on:
///
/// | setting | bytes per connection |
/// |---|---|
/// | `server_no_context_takeover(false)`, window of 15 bits | 380 000 |
/// | the same, window of 9 to 14 bits | 251 000 to 315 000 |
/// | `client_no_context_takeover(false)` | 48 000 |
///
/// A compressed message is buffered until it is complete and then inflated. Together this takes at
/// most twice [`max_payload`](crate::EngineConfig::max_payload). Inflating stops at `max_payload`.
///
/// Messages are compressed in the task of their session, which blocks its thread: 25 µs for 2 KB,
/// 90 µs for 10 KB and 14 ms for 1 MB at the default level.
///
/// An attacker who can place text next to a secret in the same message (or, with a context, the
/// same connection), and see the lengths on the wire, can guess the secret letter by letter (the
/// CRIME and BREACH attacks, which TLS does not prevent). Send such messages uncompressed, see
/// [`Frames::compress`](crate::Frames::compress).
///
/// ```
/// use engineio_server::{EngineConfig, PerMessageDeflate};
///
/// let config = EngineConfig::default().per_message_deflate(PerMessageDeflate::default().threshold(512));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PerMessageDeflate {
    threshold: usize,
    level: u32,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: u8,
    client_max_window_bits: u8,
}

impl Default for PerMessageDeflate {
    fn default() -> Self {
        Self {
            threshold: 1024,
            level: 4,
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

impl PerMessageDeflate {
    /// Sets the size in bytes from which a message is compressed (default 1024).
    ///
    /// ```
    /// use engineio_server::PerMessageDeflate;
    ///
    /// let deflate = PerMessageDeflate::default().threshold(4096);
    /// ```
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Sets the level of compression, from 1 (fastest) to 9 (default 4). Node's default is 6, which
    /// takes nearly twice the time and makes messages 4 % smaller.
    ///
    /// ```
    /// use engineio_server::PerMessageDeflate;
    ///
    /// let deflate = PerMessageDeflate::default().level(6);
    /// ```
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// Sets whether the server compresses each message on its own (default `true`; Node: `false`).
    /// With `false`, it does so only if the client asks for it.
    ///
    /// ```
    /// use engineio_server::PerMessageDeflate;
    ///
    /// let deflate = PerMessageDeflate::default().server_no_context_takeover(false);
    /// ```
    pub fn server_no_context_takeover(mut self, yes: bool) -> Self {
        self.server_no_context_takeover = yes;
        self
    }

    /// Sets whether clients must compress each message on its own (default `true`; Node: `false`).
    ///
    /// ```
    /// use engineio_server::PerMessageDeflate;
    ///
    /// let deflate = PerMessageDeflate::default().client_no_context_takeover(false);
    /// ```
    pub fn client_no_context_takeover(mut self, yes: bool) -> Self {
        self.client_no_context_takeover = yes;
        self
    }

    /// Sets the size of the server's window as a power of two, from 9 to 15 (default 15). A client
    /// may ask for a smaller one.
    ///
    /// ```
    /// use engineio_server::PerMessageDeflate;
    ///
    /// let deflate = PerMessageDeflate::default().server_max_window_bits(11);
    /// ```
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = bits.clamp(9, 15);
        self
    }

    /// Sets the size of a client's window as a power of two, from 9 to 15 (default 15). Below 15,
    /// compression is declined if the client does not offer to limit its window.
    ///
    /// ```
    /// use engineio_server::PerMessageDeflate;
    ///
    /// let deflate = PerMessageDeflate::default().client_max_window_bits(11);
    /// ```
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = bits.clamp(9, 15);
        self
    }

    /// Accepts the first acceptable offer. Returns the negotiated parameters and the value of the
    /// response's `Sec-WebSocket-Extensions`.
    pub(crate) fn negotiate(&self, request: &HeaderMap) -> Option<(Parameters, HeaderValue)> {
        let values = request.get_all(header::SEC_WEBSOCKET_EXTENSIONS).into_iter();
        let offers = values.filter_map(|value| value.to_str().ok());
        let offers = offers.flat_map(|value| value.split(',')).filter_map(Offer::parse);
        offers.into_iter().find_map(|offer| self.accept(offer))
    }

    fn accept(&self, offer: Offer) -> Option<(Parameters, HeaderValue)> {
        let client_bits = match offer.client_max_window_bits {
            Some(bits) => bits.min(self.client_max_window_bits),
            None if self.client_max_window_bits < 15 => return None,
            None => 15,
        };
        let server_bits =
            offer.server_max_window_bits.unwrap_or(15).min(self.server_max_window_bits);
        let parameters = Parameters {
            threshold: self.threshold,
            level: self.level,
            server_takeover: !(self.server_no_context_takeover || offer.server_no_context_takeover),
            client_takeover: !(self.client_no_context_takeover || offer.client_no_context_takeover),
            server_bits,
            client_bits,
        };
        let mut answer = NAME.to_owned();
        if !parameters.server_takeover {
            answer.push_str("; server_no_context_takeover");
        }
        if !parameters.client_takeover {
            answer.push_str("; client_no_context_takeover");
        }
        if server_bits < 15 || offer.server_max_window_bits.is_some() {
            answer.push_str(&format!("; server_max_window_bits={server_bits}"));
        }
        if client_bits < 15 {
            answer.push_str(&format!("; client_max_window_bits={client_bits}"));
        }
        Some((parameters, answer.try_into().ok()?))
    }
}

/// The negotiated parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) threshold: usize,
    pub(crate) level: u32,
    /// Whether the server keeps its context between messages.
    pub(crate) server_takeover: bool,
    pub(crate) client_takeover: bool,
    /// From 8 to 15.
    pub(crate) server_bits: u8,
    pub(crate) client_bits: u8,
}

/// One offer of a client (RFC 7692 section 7.1).
#[derive(Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// 15 if the client leaves the value to the server.
    client_max_window_bits: Option<u8>,
}

impl Offer {
    /// Parses an offer. Returns `None` if it is for another extension or malformed: it has an
    /// unknown parameter, a repeated one, or a value out of range.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        if parts.next() != Some(NAME) {
            return None;
        }
        let mut offer = Self::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (part, None),
            };
            let twice = match (name, value) {
                ("server_no_context_takeover", None) => {
                    std::mem::replace(&mut offer.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    std::mem::replace(&mut offer.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    offer.server_max_window_bits.replace(window_bits(value)?).is_some()
                }
                ("client_max_window_bits", value) => {
                    let bits = value.map_or(Some(15), window_bits)?;
                    offer.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if twice {
                return None;
            }
        }
        Some(offer)
    }
}

/// Parses a number from 8 to 15, with or without quotes.
fn window_bits(value: &str) -> Option<u8> {
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (8..=15).find(|bits: &u8| bits.to_string() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(config: &PerMessageDeflate, offers: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            let value = HeaderValue::from_static(offer);
            headers.append(header::SEC_WEBSOCKET_EXTENSIONS, value);
        }
        let (_, answer) = config.negotiate(&headers)?;
        Some(answer.to_str().unwrap().strip_prefix(NAME).unwrap().to_owned())
    }

    #[test]
    fn no_context_is_kept_by_default() {
        let config = PerMessageDeflate::default();
        let none = "; server_no_context_takeover; client_no_context_takeover";
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;server_no_context_takeover ; client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate",
        ] {
            assert_eq!(answer(&config, &[offer]).as_deref(), Some(none), "{offer}");
        }
        let config = config.server_no_context_takeover(false).client_no_context_takeover(false);
        assert_eq!(answer(&config, &["permessage-deflate"]).as_deref(), Some(""));
        assert_eq!(
            answer(&config, &["permessage-deflate; server_no_context_takeover"]).as_deref(),
            Some("; server_no_context_takeover")
        );
        assert_eq!(
            answer(&config, &["permessage-deflate; client_no_context_takeover"]).as_deref(),
            Some("; client_no_context_takeover")
        );
    }

    #[test]
    fn the_smaller_window_is_negotiated() {
        let config = PerMessageDeflate::default()
            .server_no_context_takeover(false)
            .client_no_context_takeover(false);
        let small = config.clone().server_max_window_bits(10).client_max_window_bits(11);
        for (config, offer, expected) in [
            (&config, "; server_max_window_bits=8", Some("; server_max_window_bits=8")),
            (&config, "; server_max_window_bits=\"12\"", Some("; server_max_window_bits=12")),
            (&config, "; server_max_window_bits=15", Some("; server_max_window_bits=15")),
            (&config, "; client_max_window_bits", Some("")),
            (&config, "; client_max_window_bits=9", Some("; client_max_window_bits=9")),
            (
                &small,
                "; server_max_window_bits=12; client_max_window_bits",
                Some("; server_max_window_bits=10; client_max_window_bits=11"),
            ),
            (
                &small,
                "; server_max_window_bits=9; client_max_window_bits=9",
                Some("; server_max_window_bits=9; client_max_window_bits=9"),
            ),
            (&small, "", None),
        ] {
            let offer: &'static str = format!("permessage-deflate{offer}").leak();
            assert_eq!(answer(config, &[offer]).as_deref(), expected, "{offer}");
        }
    }

    #[test]
    fn a_malformed_offer_is_declined_and_the_next_one_tried() {
        let config = PerMessageDeflate::default().client_no_context_takeover(false);
        for bad in [
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=\"9",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
            "permessage-deflate;",
            "permessage-deflated",
            "; ;=,,;",
            "",
        ] {
            assert_eq!(answer(&config, &[bad]), None, "{bad}");
            let next = "permessage-deflate; client_no_context_takeover";
            let both: &'static str = format!("{bad}, {next}").leak();
            let expected = Some("; server_no_context_takeover; client_no_context_takeover");
            assert_eq!(answer(&config, &[both]).as_deref(), expected, "{both}");
            assert_eq!(answer(&config, &[bad, next]).as_deref(), expected, "{bad}");
        }
        assert_eq!(answer(&config, &[]), None);
    }
}
