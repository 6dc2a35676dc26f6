//! The syntax of packets, chosen by a value.

/// How packets are written: both ends of a connection must use the same. Arguments and answers are the same values in each.
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
    /// One binary message per packet, as `socket.io-msgpack-parser` writes it. Every packet is translated from and to JSON: it
    /// costs more time than [`Json`](Self::Json), and saves bytes where there are many numbers or binary.
    ///
    /// As in Node, `undefined` and dates arrive as JSON has them: as `null` or not at all, and as ISO text.
    #[cfg(feature = "msgpack")]
    MsgPack,
}
