//! Compression of WebSocket messages (RFC 7692): what is offered, and what a client's offer makes of it.

use http::{HeaderMap, HeaderValue, header};

const NAME: &str = "permessage-deflate";

/// How WebSocket messages are compressed, with clients that offer `permessage-deflate` (RFC 7692), as browsers do.
///
/// By default neither side keeps a context between messages. A connection then costs no more memory than one without
/// compression (each of the runtime's threads has one context of either kind, 430 KB), and a broadcast is compressed once for all its recipients. A context makes short messages that resemble each
/// other several times smaller, and costs, per connection, from its first compressed message on:
///
/// | what is allowed | bytes per connection |
/// |---|---|
/// | `server_no_context_takeover(false)`, window of 15 bits | 380 000 |
/// | the same, window of 9 to 14 bits | 251 000 to 315 000 |
/// | `client_no_context_takeover(false)` | 48 000 |
///
/// While a compressed message arrives it is held besides what it is inflated to: twice
/// [`max_payload`](crate::EngineConfig::max_payload) in the worst case. Inflating stops at `max_payload`.
///
/// Messages are compressed in the task of their session: 25 µs for 2 KB, 90 µs for 10 KB, 14 ms for 1 MB at the default
/// level. Nothing else runs on that thread meanwhile.
///
/// Whoever can put text of his own beside a secret into one message (or, with a context, into one connection), and see the
/// lengths on the wire, can guess the secret letter by letter (the attacks named CRIME and BREACH, which TLS does not
/// prevent). Send such messages uncompressed, see [`Frames::compress`](crate::Frames::compress).
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
    /// Bytes of a message below which it is sent as it is (default 1024).
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The level of compression, from 1, the fastest, to 9 (default 4; Node's is 6, which takes nearly twice the time for
    /// 4 %).
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// Whether this server compresses each message on its own (default yes; Node: no). If not, it does so only where the
    /// client asks for it.
    pub fn server_no_context_takeover(mut self, yes: bool) -> Self {
        self.server_no_context_takeover = yes;
        self
    }

    /// Whether clients must compress each message on its own (default yes; Node: no).
    pub fn client_no_context_takeover(mut self, yes: bool) -> Self {
        self.client_no_context_takeover = yes;
        self
    }

    /// Size of this server's window as a power of two, from 9 to 15 (default 15). A client may ask for a smaller one.
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = bits.clamp(9, 15);
        self
    }

    /// Size of a client's window as a power of two, from 9 to 15 (default 15). Below 15, compression is declined where
    /// the client does not offer to limit its window.
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = bits.clamp(9, 15);
        self
    }

    /// Accepts the first offer that can be accepted: what it comes to, and the response's `Sec-WebSocket-Extensions`.
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

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) threshold: usize,
    pub(crate) level: u32,
    /// Whether the server's context lives on from message to message.
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
    /// 15 where the client leaves it to the server.
    client_max_window_bits: Option<u8>,
}

impl Offer {
    /// Nothing where it offers something else, or is malformed: an unknown parameter, one given twice, or a value that is
    /// out of range.
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

/// A number from 8 to 15, perhaps in quotes.
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
    fn no_context_is_kept_unless_asked_for() {
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
    fn the_smaller_window_is_agreed_on() {
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
    fn what_is_malformed_is_declined_and_the_next_offer_tried() {
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
