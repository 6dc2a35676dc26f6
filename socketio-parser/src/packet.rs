//! A decoded Socket.IO packet.

use std::fmt;

use bytestring::ByteString;
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};

use crate::{
    args::Args,
    deserializer::JsonDeserializer,
    error::{ArgsError, DecodeError},
    json,
    kind::PacketType,
    nsp::Nsp,
    scan,
};

/// The protocol of a connection. It is a value and not a crate feature, because one process serves
/// both protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// The protocol of Socket.IO v2 clients, over Engine.IO revision 3. `/` is connected from the
    /// start. CONNECT has no payload in either direction (the namespace's query replaces it), and a
    /// refusal is a bare value.
    V4,
    /// The protocol of Socket.IO v3 and v4 clients, over Engine.IO revision 4.
    #[default]
    V5,
}

/// A decoded packet. Its arguments are validated, but not yet decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The namespace of the packet.
    pub nsp: Nsp,
    /// The content of the packet.
    pub content: Content,
}

/// The content of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// CONNECT: the client's `auth`, or the server's response with `sid`. An object if it is
    /// present.
    Connect(Option<RawJson>),
    /// DISCONNECT.
    Disconnect,
    /// EVENT or BINARY_EVENT.
    Event {
        /// Set if the sender waits for an ack.
        id: Option<AckId>,
        /// The name and the arguments.
        args: Args,
    },
    /// ACK or BINARY_ACK.
    Ack {
        /// The id of the acknowledged event. A peer may omit it, and the ack then has no effect.
        id: Option<AckId>,
        /// The arguments.
        args: Args,
    },
    /// CONNECT_ERROR (ERROR in protocol v4): an object or a string. `{}` if the packet has no
    /// payload.
    ConnectError(RawJson),
}

impl Content {
    /// Returns the type of the packet, without regard to attachments.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Disconnect => PacketType::Disconnect,
            Self::Event { .. } => PacketType::Event,
            Self::Ack { .. } => PacketType::Ack,
            Self::ConnectError(_) => PacketType::ConnectError,
        }
    }
}

/// One JSON value as received: validated but not decoded. A clone costs one reference count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawJson(ByteString);

impl RawJson {
    /// Validates JSON from another source.
    ///
    /// # Errors
    ///
    /// Returns an error if `text` is not one JSON value, or is nested 128 levels deep.
    pub fn new(text: impl Into<ByteString>) -> Result<Self, DecodeError> {
        let text = text.into();
        scan::validate(&text, 128)?;
        Ok(Self(text))
    }

    pub(crate) fn from_validated(text: ByteString) -> Self {
        Self(text)
    }

    /// Returns the text.
    pub fn get(&self) -> &str {
        &self.0
    }

    /// Decodes the value. U+FFFD replaces an unpaired surrogate. The value contains no binary,
    /// because only events and acks carry attachments.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is of another type.
    pub fn decode<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ArgsError> {
        from_checked_json(&self.0)
    }
}

/// Decodes JSON from another source like [`RawJson::new`] and [`RawJson::decode`], without a copy.
///
/// ```
/// let text: String = socketio_parser::from_json(r#""cut \ud83d""#)?;
/// assert_eq!(text, "cut \u{fffd}");
/// # Ok::<(), socketio_parser::ArgsError>(())
/// ```
///
/// # Errors
///
/// Returns an error if `text` is not one JSON value, is nested 128 levels deep, or is of another
/// type.
pub fn from_json<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, ArgsError> {
    scan::validate(text, 128)
        .map_err(|error| ArgsError::from(<serde_json::Error as serde::de::Error>::custom(error)))?;
    from_checked_json(text)
}

/// Decodes like [`from_json`] a text that it has accepted, or a value in such a text.
#[doc(hidden)]
pub fn from_checked_json<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, ArgsError> {
    Ok(T::deserialize(&mut JsonDeserializer::new(text, 0, None))?)
}

/// Only for JSON: a format other than `serde_json`'s gets that crate's serialization of a
/// `RawValue`.
impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &serde_json::value::RawValue =
            serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number that connects an ack to its event.
///
/// It is a JavaScript number: exact up to 2^53, rounded as JavaScript rounds it beyond that, and
/// written in exponent form from 1e21 on. A JavaScript peer therefore recognizes its own id.
///
/// ```
/// use socketio_parser::AckId;
///
/// assert_eq!(AckId::from(7).to_string(), "7");
/// assert_eq!(AckId::from(u64::MAX).to_string(), "18446744073709552000");
/// ```
// An integer up to 2^53; above that the bits of an f64, which as an integer are greater than 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckId(u64);

const MAX_EXACT: u64 = 1 << 53;

impl AckId {
    /// Returns the value if it is exact, which means at most 2^53.
    pub fn get(self) -> Option<u64> {
        (self.0 <= MAX_EXACT).then_some(self.0)
    }

    /// Converts a JavaScript number that is a non-negative integer.
    #[cfg(feature = "msgpack")]
    pub(crate) fn from_f64(id: f64) -> Self {
        if id <= MAX_EXACT as f64 { Self(id as u64) } else { Self(id.to_bits()) }
    }

    /// Returns the number as JavaScript has it.
    #[cfg(feature = "msgpack")]
    pub(crate) fn to_f64(self) -> f64 {
        self.get().map_or(f64::from_bits(self.0), |exact| exact as f64)
    }

    /// Parses decimal digits. Returns `None` if there are none, or if JavaScript would convert them
    /// to Infinity.
    pub(crate) fn from_digits(digits: &str) -> Option<Self> {
        match digits.parse::<u64>() {
            Ok(id) => Some(Self::from(id)),
            Err(_) => {
                let id: f64 = digits.parse().ok()?;
                id.is_finite().then_some(Self(id.to_bits()))
            }
        }
    }
}

impl From<u64> for AckId {
    fn from(id: u64) -> Self {
        match id as f64 {
            _ if id <= MAX_EXACT => Self(id),
            // 2^53 + 1 rounds to an exact one.
            rounded if rounded == MAX_EXACT as f64 => Self(MAX_EXACT),
            rounded => Self(rounded.to_bits()),
        }
    }
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(id) => write!(f, "{id}"),
            None => f.write_str(&json::js_number(f64::from_bits(self.0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ack_ids_round_as_javascript_does() {
        let echoed = |digits| AckId::from_digits(digits).unwrap().to_string();
        assert_eq!(echoed("0"), "0");
        assert_eq!(echoed("007"), "7");
        assert_eq!(echoed("9007199254740993"), "9007199254740992");
        assert_eq!(echoed("99999999999999999999"), "100000000000000000000");
        assert_eq!(echoed("1000000000000000000000"), "1e+21");
        assert_eq!(AckId::from_digits(&"9".repeat(400)), None);
        assert_eq!(AckId::from_digits("9007199254740993"), AckId::from_digits("9007199254740992"));
    }
}
