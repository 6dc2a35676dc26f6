//! The framing of a WebSocket (RFC 6455 section 5), for both ends.
//!
//! [`Decoder`] assembles the messages of a peer from bytes in pieces of any size. [`header`] and
//! [`encode`] build frames. The caller does the HTTP handshake, moves the bytes, and closes the
//! connection after an error.

mod decoder;
mod header;

use std::borrow::Cow;

use bytestring::ByteString;

pub(crate) use self::header::{header_len, read_length, write_header, write_length};
pub use self::{
    decoder::{Decoded, Decoder},
    header::{
        BINARY, CLOSE, COMPRESSED, Header, HeaderBytes, MAX_HEADER, Opcode, PING, PONG, TEXT,
    },
    header::{apply_mask, encode, header},
};
use crate::{
    error::{PacketError, WebSocketError},
    packet::{Packet, Revision},
};

/// Status codes of close frames (RFC 6455 section 7.4.1).
pub mod close_code {
    /// The connection has fulfilled its purpose.
    pub const NORMAL: u16 = 1000;
    /// The peer has violated the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// The data of a message does not fit its type, as text that is not UTF-8.
    pub const INVALID_DATA: u16 = 1007;
    /// The peer has violated a rule of this endpoint.
    pub const POLICY: u16 = 1008;
    /// A message is too large.
    pub const TOO_LARGE: u16 = 1009;

    /// Returns whether a close frame may contain this code.
    pub const fn is_allowed(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999)
    }
}

/// A message or control frame of a peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A complete message.
    Message(Message<'a>),
    /// A complete compressed message (RFC 7692). The caller decompresses it, and passes the result
    /// to [`Message::new`].
    Compressed {
        /// The opcode of its first frame: text or binary.
        opcode: Opcode,
        /// The compressed data, without the four bytes that each message omits.
        payload: Cow<'a, [u8]>,
    },
    /// A ping, with the payload of its pong.
    Ping(Cow<'a, [u8]>),
    /// A pong, with the payload of its ping.
    Pong(Cow<'a, [u8]>),
    /// A close frame with its code, which need not be [allowed](close_code::is_allowed).
    Close(Option<u16>),
}

#[cfg(any(test, feature = "fuzzing"))]
impl Incoming<'_> {
    pub(crate) fn into_owned(self) -> Incoming<'static> {
        let bytes = |payload: Cow<'_, [u8]>| Cow::Owned(payload.into_owned());
        match self {
            Self::Message(Message::Text(text)) => {
                Incoming::Message(Message::Text(text.into_owned().into()))
            }
            Self::Message(Message::Binary(data)) => Incoming::Message(Message::Binary(bytes(data))),
            Self::Compressed { opcode, payload } => {
                Incoming::Compressed { opcode, payload: bytes(payload) }
            }
            Self::Ping(payload) => Incoming::Ping(bytes(payload)),
            Self::Pong(payload) => Incoming::Pong(bytes(payload)),
            Self::Close(code) => Incoming::Close(code),
        }
    }
}

/// A complete message. It borrows the input if it arrived in one piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Binary.
    Binary(Cow<'a, [u8]>),
}

impl<'a> Message<'a> {
    /// Creates the message of a first frame with this opcode. An owned payload is shrunk to its
    /// content, because the application may keep the message.
    ///
    /// # Errors
    ///
    /// Returns [`WebSocketError::InvalidUtf8`] if a text is not UTF-8.
    #[inline]
    pub fn new(opcode: Opcode, payload: Cow<'a, [u8]>) -> Result<Self, WebSocketError> {
        let payload = match payload {
            Cow::Owned(payload) => Cow::Owned(payload.into_boxed_slice().into_vec()),
            borrowed => borrowed,
        };
        if opcode != Opcode::Text {
            return Ok(Self::Binary(payload));
        }
        let text = match payload {
            Cow::Borrowed(payload) => std::str::from_utf8(payload).map(Cow::Borrowed),
            Cow::Owned(payload) => {
                String::from_utf8(payload).map(Cow::Owned).map_err(|error| error.utf8_error())
            }
        };
        text.map(Self::Text).map_err(|_| WebSocketError::InvalidUtf8)
    }

    /// Creates a text message.
    ///
    /// # Errors
    ///
    /// Returns [`WebSocketError::InvalidUtf8`] if the payload is not UTF-8.
    #[doc(hidden)]
    #[inline]
    pub fn text(payload: &'a [u8]) -> Result<Self, WebSocketError> {
        match std::str::from_utf8(payload) {
            Ok(text) => Ok(Self::Text(text.into())),
            Err(_) => Err(WebSocketError::InvalidUtf8),
        }
    }

    /// Decodes the packet. The data of a borrowed message is copied to a buffer of exactly its
    /// size.
    ///
    /// # Errors
    ///
    /// Returns [`PacketError`] if the message is not a packet.
    #[inline]
    pub fn to_packet(self, revision: Revision) -> Result<Packet, PacketError> {
        match self {
            Self::Text(Cow::Borrowed(text)) => Packet::decode_str(text, revision),
            Self::Text(Cow::Owned(text)) => Packet::decode_text(ByteString::from(text), revision),
            Self::Binary(data) => Packet::decode_binary(data.into_owned().into(), revision),
        }
    }
}
