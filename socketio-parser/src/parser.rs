//! The encoding of packets, selected by a value.

/// The encoding of packets. Both ends of a connection must use the same one. Arguments and acks are
/// the same values in each.
///
/// ```
/// use socketio_parser::{Nsp, Parser};
///
/// let frames = Parser::Json.encode_event(&Nsp::root(), None, "say", &"hello")?;
/// assert_eq!(frames.iter().next().unwrap().payload(), &br#"42["say","hello"]"#[..]);
/// # Ok::<(), socketio_parser::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parser {
    /// Text, with binary as attachments: Node's default, `socket.io-parser`.
    #[default]
    Json,
    /// One binary message per packet, in the format of `socket.io-msgpack-parser`. Every packet is
    /// translated from and to JSON. This takes more time than [`Json`](Self::Json), and saves bytes
    /// if packets contain many numbers or binary.
    ///
    /// As in Node, `undefined` and dates arrive in the form that JSON gives them: `undefined` as
    /// `null` or not at all, dates as ISO text.
    #[cfg(feature = "msgpack")]
    MsgPack,
}
