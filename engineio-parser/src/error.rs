//! Decoding errors, one enum per operation.

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

/// The reason why the data of an open packet is not a handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The data is not a JSON object, or a value is missing, of the wrong type or out of range.
    #[error("invalid handshake: {0}")]
    Json(#[from] serde_json::Error),
}
