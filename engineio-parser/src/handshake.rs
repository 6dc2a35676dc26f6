//! The handshake: the JSON in the data of the open packet.

use std::{borrow::Cow, time::Duration};

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::{
    error::HandshakeError,
    frame::Frame,
    packet::{PacketType, Transport},
};

/// The data of the open packet, which the server sends when a session opens.
///
/// ```
/// use engineio_parser::{HandshakeError, OpenPacket, Transport};
///
/// let json = r#"{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
/// let open = OpenPacket::decode(json)?;
/// assert_eq!(open.upgrades, [Transport::WebSocket]);
/// assert_eq!(open.to_json(), json);
/// # Ok::<(), HandshakeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPacket {
    /// The session id.
    pub sid: ByteString,
    /// Transports that the session may be upgraded to.
    pub upgrades: Vec<Transport>,
    /// Time between two pings, in whole milliseconds. At most `u32::MAX` milliseconds, about 49
    /// days.
    pub ping_interval: Duration,
    /// How long the peer may take to answer a ping. Same unit and range as `ping_interval`.
    pub ping_timeout: Duration,
    /// The largest polling body that the server accepts, in bytes. `None` if the server does not
    /// announce it.
    pub max_payload: Option<u64>,
}

impl OpenPacket {
    /// Returns the JSON text, with the keys in the order that Node uses. Longer durations are cut
    /// to the maximum.
    pub fn to_json(&self) -> String {
        let wire = Wire {
            sid: Cow::Borrowed(&self.sid),
            upgrades: self.upgrades.iter().map(|transport| transport.as_str().into()).collect(),
            ping_interval: millis(self.ping_interval),
            ping_timeout: millis(self.ping_timeout),
            max_payload: self.max_payload,
        };
        // Serializing strings and integers cannot fail.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Returns the open packet in wire form.
    pub fn encode(&self) -> Frame {
        Frame::text(PacketType::Open, &self.to_json())
    }

    /// Parses the data of an open packet. Ignores unknown keys and unknown transports.
    ///
    /// # Errors
    ///
    /// Returns [`HandshakeError`] if `json` is not an object, or if a value is missing, of the
    /// wrong type or out of range.
    pub fn decode(json: &str) -> Result<Self, HandshakeError> {
        let wire: Wire<'_> = serde_json::from_str(json)?;
        Ok(Self {
            sid: wire.sid.into_owned().into(),
            upgrades: wire.upgrades.iter().filter_map(|name| Transport::parse(name)).collect(),
            ping_interval: Duration::from_millis(wire.ping_interval.into()),
            ping_timeout: Duration::from_millis(wire.ping_timeout.into()),
            max_payload: wire.max_payload,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    sid: Cow<'a, str>,
    #[serde(default)]
    upgrades: Vec<Cow<'a, str>>,
    // 32 bits keep the sum of a time and such a duration far from overflow.
    ping_interval: u32,
    ping_timeout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_payload: Option<u64>,
}

fn millis(duration: Duration) -> u32 {
    duration.as_millis().try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> OpenPacket {
        OpenPacket {
            sid: "lv_VI97HAXpY6yYWAAAC".into(),
            upgrades: vec![Transport::WebSocket, Transport::WebTransport],
            ping_interval: Duration::from_millis(25000),
            ping_timeout: Duration::from_millis(20000),
            max_payload: Some(1_000_000),
        }
    }

    #[test]
    fn keys_have_the_order_that_node_uses() {
        assert_eq!(
            open().encode().payload(),
            concat!(
                r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket","webtransport"],"#,
                r#""pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
            )
        );
    }

    #[test]
    fn an_open_packet_survives_a_round_trip() {
        for max_payload in [None, Some(0), Some(u64::MAX)] {
            let open = OpenPacket { max_payload, sid: "\"\u{1f600}\n".into(), ..open() };
            assert_eq!(OpenPacket::decode(&open.to_json()).unwrap(), open);
        }
    }

    #[test]
    fn durations_beyond_the_range_are_cut_to_the_maximum() {
        let longest = OpenPacket { ping_interval: Duration::MAX, ..open() };
        let decoded = OpenPacket::decode(&longest.to_json()).unwrap();
        assert_eq!(decoded.ping_interval, Duration::from_millis(u32::MAX.into()));
    }

    #[test]
    fn unknown_keys_and_transports_are_ignored() {
        let json = r#"{"sid":"a","upgrades":["carrier-pigeon","websocket"],"x":[{}],"pingInterval":1,"pingTimeout":2}"#;
        let open = OpenPacket::decode(json).unwrap();
        assert_eq!(open.upgrades, [Transport::WebSocket]);
        assert_eq!(open.max_payload, None);
    }

    #[test]
    fn hostile_values_are_errors() {
        for value in ["-1", "1e400", "4294967296", "1.5", "NaN", "null", "\"1\"", "[]"] {
            for key in ["pingInterval", "pingTimeout"] {
                let json = open()
                    .to_json()
                    .replace(&format!("\"{key}\":2"), &format!("\"{key}\":{value},\"x\":2"));
                assert!(json.contains(value));
                assert!(OpenPacket::decode(&json).is_err(), "{json}");
            }
        }
        for value in ["-1", "18446744073709551616", "\"1\""] {
            let json = open().to_json().replace("1000000", value);
            assert!(OpenPacket::decode(&json).is_err(), "{json}");
        }
        for json in ["", "null", "[]", "{}", "{\"sid\":1}", &"[".repeat(100_000)] {
            assert!(OpenPacket::decode(json).is_err());
        }
    }
}
