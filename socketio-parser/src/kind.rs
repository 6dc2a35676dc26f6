//! The types of packets.

/// The type of a packet, in the order of its digit on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// `0`: the client requests a namespace, or the server accepts the client in it.
    Connect = 0,
    /// `1`: the sender leaves the namespace.
    Disconnect = 1,
    /// `2`: an event without attachments.
    Event = 2,
    /// `3`: an acknowledgement without attachments.
    Ack = 3,
    /// `4`: the server refuses the namespace.
    ConnectError = 4,
    /// `5`: an event with attachments.
    BinaryEvent = 5,
    /// `6`: an acknowledgement with attachments.
    BinaryAck = 6,
}

impl PacketType {
    /// Returns the type with this digit.
    pub fn from_digit(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Connect,
            b'1' => Self::Disconnect,
            b'2' => Self::Event,
            b'3' => Self::Ack,
            b'4' => Self::ConnectError,
            b'5' => Self::BinaryEvent,
            b'6' => Self::BinaryAck,
            _ => return None,
        })
    }
}
