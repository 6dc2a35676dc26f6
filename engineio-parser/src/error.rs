//! Decoding errors, one enum per operation.

use crate::websocket::close_code;

/// The reason why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// There are no bytes, so the packet type is missing.
    #[error("empty packet")]
    Empty,
    /// The protocol has no such packet type. Holds the byte found in the place of the type.
    #[error("unknown packet type 0x{0:02x}")]
    UnknownType(u8),
}

/// The reason why a polling body cannot be decoded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The body is empty.
    #[error("empty payload")]
    Empty,
    /// The body is binary. Revision 4 has only text bodies.
    #[error("binary payload in protocol revision 4")]
    UnexpectedBinary,
    /// A text packet is not UTF-8.
    #[error("payload is not UTF-8")]
    InvalidUtf8,
    /// Revision 3: the marker of a packet in a binary body is neither text nor binary.
    #[error("unknown packet marker 0x{0:02x}")]
    UnknownMarker(u8),
    /// Revision 3: the length of a packet is missing, incomplete, not a number or has too many
    /// digits.
    #[error("invalid packet length")]
    InvalidLength,
    /// Revision 3: the length of a packet does not match the body. The body ends too early, or the
    /// packet would end within a character.
    #[error("packet length does not match the payload")]
    LengthMismatch,
    /// A packet is longer than `max_payload` (see [`Reader`](crate::payload::Reader)).
    #[error("max_payload of {max_payload} bytes exceeded")]
    TooLong {
        /// The limit, in bytes.
        max_payload: usize,
    },
    /// One of the packets is malformed.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

/// The reason why a WebTransport stream cannot be decoded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// A frame announces a length of zero.
    #[error("empty frame")]
    Empty,
    /// A frame announces more bytes than `max_payload` allows.
    #[error("frame of {len} bytes exceeds max_payload of {max_payload} bytes")]
    TooLong {
        /// The announced length, in bytes.
        len: u64,
        /// The limit, in bytes.
        max_payload: u64,
    },
    /// A text frame is not UTF-8.
    #[error("text frame is not UTF-8")]
    InvalidUtf8,
    /// The frame does not hold a packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

/// The reason why the frames of a WebSocket cannot be decoded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// A reserved bit is set, or the bit of compressed messages although none is expected.
    #[error("reserved bit in a WebSocket frame")]
    ReservedBits,
    /// The protocol has no such opcode.
    #[error("unknown WebSocket opcode {0}")]
    UnknownOpcode(u8),
    /// A frame of a client is not masked, or a frame of a server is.
    #[error("WebSocket frame with the wrong masking")]
    Mask,
    /// A control frame is not the last of its message.
    #[error("fragmented WebSocket control frame")]
    FragmentedControl,
    /// The payload of a control frame is longer than 125 bytes.
    #[error("WebSocket control frame longer than 125 bytes")]
    LongControl,
    /// A frame continues no message, or begins a message before the last one has ended.
    #[error("WebSocket fragments out of order")]
    Continuation,
    /// The message is longer than `max_payload`.
    #[error("WebSocket message exceeds max_payload of {max_payload} bytes")]
    TooLarge {
        /// The limit, in bytes.
        max_payload: usize,
    },
    /// The message has too many fragments.
    #[error("WebSocket message exceeds max_fragments of {max_fragments} frames")]
    Fragments {
        /// The limit.
        max_fragments: u32,
    },
    /// A text message or the reason of a close frame is not UTF-8.
    #[error("WebSocket text is not UTF-8")]
    InvalidUtf8,
    /// The payload of a close frame has one byte, or its code is not allowed.
    #[error("invalid WebSocket close frame")]
    Close,
}

impl WebSocketError {
    /// Returns the code to close the connection with.
    pub fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 => close_code::INVALID_DATA,
            Self::TooLarge { .. } => close_code::TOO_LARGE,
            Self::Fragments { .. } => close_code::POLICY,
            _ => close_code::PROTOCOL,
        }
    }
}

/// The reason why the data of an open packet is not a handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The data is not a JSON object, or a value is missing, of the wrong type or out of range.
    #[error("invalid handshake: {0}")]
    Json(#[from] serde_json::Error),
}
