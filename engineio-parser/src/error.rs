//! What can be wrong with bytes from a peer, one enum per operation.

/// Why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// There is not even a packet type.
    #[error("empty packet")]
    Empty,
    /// The type is none of the protocol's. Holds the byte found in its place.
    #[error("unknown packet type 0x{0:02x}")]
    UnknownType(u8),
}

/// Why a polling body could not be decoded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The body has no bytes.
    #[error("empty payload")]
    Empty,
    /// The body is binary, which revision 4 does not have.
    #[error("binary payload in protocol revision 4")]
    UnexpectedBinary,
    /// A text packet is not UTF-8.
    #[error("payload is not UTF-8")]
    InvalidUtf8,
    /// Revision 3: the marker of a packet in a binary body is neither text nor binary.
    #[error("unknown packet marker 0x{0:02x}")]
    UnknownMarker(u8),
    /// Revision 3: the length of a packet is missing, unfinished, not a number or has too many digits.
    #[error("invalid packet length")]
    InvalidLength,
    /// Revision 3: a packet's length does not match the body, which ends before it or within a character.
    #[error("packet length does not match the payload")]
    LengthMismatch,
    /// One of the packets is malformed.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

/// Why a WebTransport stream could not be decoded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// A frame announces no bytes at all.
    #[error("empty frame")]
    Empty,
    /// A frame announces more bytes than the limit `max_payload` allows.
    #[error("frame of {len} bytes exceeds max_payload of {max_payload} bytes")]
    TooLong {
        /// What the frame announces, in bytes.
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

/// Why the data of an open packet is not a handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// It is no JSON object, or a value in it is missing, of the wrong type or out of range.
    #[error("invalid handshake: {0}")]
    Json(#[from] serde_json::Error),
}
