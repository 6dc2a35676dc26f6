//! One Engine.IO packet: its type, its data, and its codec.
//!
//! A packet is one message of a message transport (WebSocket, a WebTransport frame) or one element
//! of a polling [`payload`](crate::payload). A text packet is a digit and the data. A binary
//! message has no type in revision 4 and a type byte in revision 3. Where only text can travel,
//! binary is `b` and base64.
//!
//! ```
//! use engineio_parser::{Packet, PacketError, PacketType, Revision};
//!
//! let packet = Packet::decode_text("2probe".into(), Revision::V4)?;
//! assert_eq!(packet, Packet::text(PacketType::Ping, "probe"));
//! # Ok::<(), PacketError>(())
//! ```

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{error::PacketError, lenient_base64};

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The type.
    pub kind: PacketType,
    /// The data. In revision 4 only messages carry binary data.
    pub data: PacketData,
}

impl Packet {
    /// Creates a packet.
    pub fn new(kind: PacketType, data: PacketData) -> Self {
        Self { kind, data }
    }

    /// Creates a packet that carries text, which may be empty.
    pub fn text(kind: PacketType, text: impl Into<ByteString>) -> Self {
        Self::new(kind, PacketData::Text(text.into()))
    }

    /// Creates a text message.
    pub fn message(text: impl Into<ByteString>) -> Self {
        Self::text(PacketType::Message, text)
    }

    /// Creates a binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::new(PacketType::Message, PacketData::Binary(data.into()))
    }

    /// Decodes a WebSocket text message or an element of a text payload. The data is a slice of
    /// `text`.
    ///
    /// Base64 is decoded as leniently as in Node: bytes outside the alphabet are skipped, the URL
    /// alphabet is accepted, padding is optional and ends the data.
    ///
    /// # Errors
    ///
    /// Returns [`PacketError`] if the type is missing or unknown.
    ///
    /// ```
    /// use engineio_parser::{Packet, PacketError, Revision};
    ///
    /// assert_eq!(Packet::decode_text("bAQI=".into(), Revision::V4)?, Packet::binary(vec![1, 2]));
    /// assert_eq!(Packet::decode_text("b4AQI=".into(), Revision::V3)?, Packet::binary(vec![1, 2]));
    /// assert_eq!(Packet::decode_text("".into(), Revision::V4), Err(PacketError::Empty));
    /// # Ok::<(), PacketError>(())
    /// ```
    pub fn decode_text(text: ByteString, revision: Revision) -> Result<Self, PacketError> {
        match (text.as_bytes().split_first(), revision) {
            (None, _) => Err(PacketError::Empty),
            (Some((b'b', base64)), Revision::V4) => {
                Ok(Self::binary(lenient_base64::decode(base64)))
            }
            (Some((b'b', rest)), Revision::V3) => {
                let (&digit, base64) = rest.split_first().ok_or(PacketError::Empty)?;
                let kind = PacketType::from_digit(digit).ok_or(PacketError::UnknownType(digit))?;
                Ok(Self::new(kind, PacketData::Binary(lenient_base64::decode(base64).into())))
            }
            (Some((&digit, _)), _) => {
                let kind = PacketType::from_digit(digit).ok_or(PacketError::UnknownType(digit))?;
                // A digit is one byte, so this is a character boundary.
                Ok(Self::text(kind, text.slice_ref(&text[1..])))
            }
        }
    }

    /// Decodes a borrowed text like [`decode_text`](Self::decode_text). The data is a copy of
    /// exactly its own size.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`decode_text`](Self::decode_text).
    #[inline]
    pub fn decode_str(text: &str, revision: Revision) -> Result<Self, PacketError> {
        match text.as_bytes().first().and_then(|digit| PacketType::from_digit(*digit)) {
            // A digit is one byte, so this is a character boundary.
            Some(kind) => Ok(Self::text(kind, ByteString::from(&text[1..]))),
            None => Self::decode_text(text.into(), revision),
        }
    }

    /// Decodes a binary message of a message transport, or an element of a binary payload of
    /// revision 3. The data is a slice of `bytes`.
    ///
    /// # Errors
    ///
    /// Returns [`PacketError`] in revision 3, if the type byte is missing or unknown. Never returns
    /// an error in revision 4, where all bytes are the data of a message.
    pub fn decode_binary(bytes: Bytes, revision: Revision) -> Result<Self, PacketError> {
        match revision {
            Revision::V4 => Ok(Self::binary(bytes)),
            Revision::V3 => {
                let &byte = bytes.first().ok_or(PacketError::Empty)?;
                let kind = PacketType::from_byte(byte).ok_or(PacketError::UnknownType(byte))?;
                Ok(Self::new(kind, PacketData::Binary(bytes.slice(1..))))
            }
        }
    }
}

/// The data of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacketData {
    /// Text.
    Text(ByteString),
    /// Binary.
    Binary(Bytes),
}

impl PacketData {
    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }

    /// Returns whether the data is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The type of a packet. The value is its digit on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// `0`: the server's handshake.
    Open = 0,
    /// `1`: the sender closes the session.
    Close = 1,
    /// `2`: heartbeat, or the probe of an upgrade (`2probe`).
    Ping = 2,
    /// `3`: the reply to a ping, or to a probe (`3probe`).
    Pong = 3,
    /// `4`: data of the application.
    Message = 4,
    /// `5`: the client switches to the probed transport.
    Upgrade = 5,
    /// `6`: no content; ends a waiting poll.
    Noop = 6,
}

impl PacketType {
    /// Returns the ASCII digit of this type in text.
    pub fn digit(self) -> u8 {
        b'0' + self as u8
    }

    /// Returns the type for an ASCII digit.
    pub fn from_digit(digit: u8) -> Option<Self> {
        Self::from_byte(digit.wrapping_sub(b'0'))
    }

    /// Returns the type for a type byte of revision 3.
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Open,
            1 => Self::Close,
            2 => Self::Ping,
            3 => Self::Pong,
            4 => Self::Message,
            5 => Self::Upgrade,
            6 => Self::Noop,
            _ => return None,
        })
    }
}

/// The protocol revision of a session (the `EIO` query parameter). Sessions of both revisions can
/// live in one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Revision {
    /// `EIO=3`, used by Socket.IO v2 clients.
    V3,
    /// `EIO=4`, used by Socket.IO v3 and v4 clients.
    #[default]
    V4,
}

/// The kind of connection that carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
    /// WebTransport (HTTP/3).
    WebTransport,
}

impl Transport {
    /// Returns the name in the `transport` query parameter and in the `upgrades` of the handshake.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::WebTransport => "webtransport",
        }
    }

    /// Returns the transport with this name. Names are case-sensitive.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Polling, Self::WebSocket, Self::WebTransport]
            .into_iter()
            .find(|transport| transport.as_str() == name)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_digit_maps_to_one_type() {
        for digit in 0..=u8::MAX {
            match PacketType::from_digit(digit) {
                Some(kind) => assert_eq!(kind.digit(), digit),
                None => assert!(!(b'0'..=b'6').contains(&digit)),
            }
        }
    }

    #[test]
    fn transport_names_are_exact() {
        for transport in [Transport::Polling, Transport::WebSocket, Transport::WebTransport] {
            assert_eq!(Transport::parse(&transport.to_string()), Some(transport));
        }
        assert_eq!(Transport::parse("WebSocket"), None);
        assert_eq!(Transport::parse("__proto__"), None);
    }

    #[test]
    fn decoded_text_shares_the_input_buffer() {
        let input = ByteString::from("4hello");
        let packet = Packet::decode_text(input.clone(), Revision::V4).unwrap();
        let PacketData::Text(data) = packet.data else { panic!("text expected") };
        assert_eq!(data.as_ptr(), input[1..].as_ptr());
    }

    #[test]
    fn a_single_b_is_an_empty_binary_message_in_v4_and_an_error_in_v3() {
        assert_eq!(Packet::decode_text("b".into(), Revision::V4), Ok(Packet::binary("")));
        assert_eq!(Packet::decode_text("b".into(), Revision::V3), Err(PacketError::Empty));
    }

    #[test]
    fn the_type_byte_of_v3_is_not_a_digit() {
        let ping = Packet::new(PacketType::Ping, PacketData::Binary(Bytes::from_static(b"x")));
        assert_eq!(Packet::decode_binary(Bytes::from_static(b"\x02x"), Revision::V3), Ok(ping));
        assert_eq!(
            Packet::decode_binary(Bytes::from_static(b"2x"), Revision::V3),
            Err(PacketError::UnknownType(b'2'))
        );
        assert_eq!(Packet::decode_binary(Bytes::new(), Revision::V3), Err(PacketError::Empty));
    }
}
