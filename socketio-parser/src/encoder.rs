//! Encoding of packets to frames: serialized once for all recipients.

use std::cell::Cell;

use engineio_parser::{FrameWriter, Frames};
use serde::Serialize;

#[cfg(feature = "msgpack")]
use crate::msgpack;
use crate::{
    binary,
    error::EncodeError,
    event::is_reserved,
    json::JsFormatter,
    kind::PacketType,
    list,
    nsp::{Nsp, NspError},
    packet::{AckId, Protocol},
};

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

/// Encodes an EVENT, or a BINARY_EVENT if `args` contains [`Binary`](crate::Binary) or another type
/// that serializes as bytes.
///
/// `args` is an argument list if it is a tuple, a tuple struct, `[T; N]` or
/// [`Values`](crate::Values), or received [`Args`](crate::Args), which are passed on unchanged.
/// `()` and a unit struct have no arguments. A newtype is encoded as the value it wraps. Any other
/// value, such as a `Vec`, is one argument. Null is one argument in every form: `None`,
/// `serde_json::Value::Null`, [`Value::Null`](crate::Value::Null). (A reference to `()` or a
/// `Box<()>` is null too, because a serializer can distinguish it from `Value::Null` only by its
/// size.)
///
/// ```
/// use socketio_parser::{Nsp, encode_event};
///
/// let frames = encode_event(&Nsp::new("/chat")?, Some(7.into()), "say", &("hello", [1, 2]))?;
/// let text = frames.iter().next().map(|frame| frame.payload());
/// assert_eq!(text.unwrap(), &br#"42/chat,7["say","hello",[1,2]]"#[..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns an error if `event` is reserved, or if `args` cannot be serialized as JSON.
pub fn encode_event<T: Serialize + ?Sized>(
    nsp: &Nsp,
    id: Option<AckId>,
    event: &str,
    args: &T,
) -> Result<Frames, EncodeError> {
    Parser::Json.encode_event(nsp, id, event, args)
}

/// Encodes an ACK or a BINARY_ACK for the event with the ack id `id`. `args` are as in
/// [`encode_event`].
///
/// # Errors
///
/// Returns an error if `args` cannot be serialized as JSON.
pub fn encode_ack<T: Serialize + ?Sized>(
    nsp: &Nsp,
    id: AckId,
    args: &T,
) -> Result<Frames, EncodeError> {
    Parser::Json.encode_ack(nsp, id, args)
}

/// Encodes a CONNECT: the client's request (`payload` is its `auth`) or the server's response (with
/// its `sid`).
///
/// A `payload` that is null (`()`, `None`) is omitted. Protocol v4 has no payload.
///
/// # Errors
///
/// Returns an error if `payload` is neither an object nor null, contains binary, or cannot be
/// serialized.
pub fn encode_connect<T: Serialize + ?Sized>(
    protocol: Protocol,
    nsp: &Nsp,
    payload: &T,
) -> Result<Frames, EncodeError> {
    Parser::Json.encode_connect(protocol, nsp, payload)
}

/// Encodes a CONNECT_ERROR: the server refuses the namespace.
///
/// `data` adds details to `message`. Null (`()`, `None`) is omitted. A client of protocol v4 gets a
/// bare value: `data` if there is any, else `message`.
///
/// # Errors
///
/// Returns an error if `data` contains binary or cannot be serialized.
pub fn encode_connect_error<T: Serialize + ?Sized>(
    protocol: Protocol,
    nsp: &Nsp,
    message: &str,
    data: &T,
) -> Result<Frames, EncodeError> {
    Parser::Json.encode_connect_error(protocol, nsp, message, data)
}

/// Encodes a DISCONNECT: the sender leaves the namespace, and the connection stays open.
pub fn encode_disconnect(nsp: &Nsp) -> Frames {
    Parser::Json.encode_disconnect(nsp)
}

impl Parser {
    /// Creates the name of a namespace that packets of this encoding can carry. Only `MsgPack` can
    /// carry a name with a comma.
    ///
    /// ```
    /// use socketio_parser::Parser;
    ///
    /// assert_eq!(Parser::Json.nsp("chat")?.as_str(), "/chat");
    /// assert!(Parser::Json.nsp("a,b").is_err());
    /// # Ok::<(), socketio_parser::NspError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the name contains a comma that packets cannot carry.
    pub fn nsp(self, name: &str) -> Result<Nsp, NspError> {
        match self {
            Self::Json => Nsp::new(name),
            #[cfg(feature = "msgpack")]
            Self::MsgPack => Ok(Nsp::unchecked(name)),
        }
    }

    /// See [`encode_event`].
    ///
    /// # Errors
    ///
    /// Returns an error if `event` is reserved, or if `args` cannot be serialized.
    pub fn encode_event<T: Serialize + ?Sized>(
        self,
        nsp: &Nsp,
        id: Option<AckId>,
        event: &str,
        args: &T,
    ) -> Result<Frames, EncodeError> {
        if is_reserved(event) {
            return Err(EncodeError::ReservedEvent(event.into()));
        }
        encode_list(self, PacketType::Event, nsp, id, Some(event), args, None)
    }

    /// Encodes an event for connection state recovery, with `offset` as an additional last
    /// argument. A client that lost its connection uses it to report the last event it received.
    /// The rest is as in [`encode_event`].
    ///
    /// ```
    /// use socketio_parser::{Nsp, Parser};
    ///
    /// let frames = Parser::Json.encode_event_at(&Nsp::root(), "say", &("hello", 1), "17")?;
    /// let text = frames.iter().next().map(|frame| frame.payload());
    /// assert_eq!(text.unwrap(), &br#"42["say","hello",1,"17"]"#[..]);
    /// # Ok::<(), socketio_parser::EncodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if `event` is reserved, or if `args` cannot be serialized.
    pub fn encode_event_at<T: Serialize + ?Sized>(
        self,
        nsp: &Nsp,
        event: &str,
        args: &T,
        offset: &str,
    ) -> Result<Frames, EncodeError> {
        if is_reserved(event) {
            return Err(EncodeError::ReservedEvent(event.into()));
        }
        let offset = to_json(offset)?;
        encode_list(self, PacketType::Event, nsp, None, Some(event), args, Some(&offset))
    }

    /// See [`encode_ack`].
    ///
    /// # Errors
    ///
    /// Returns an error if `args` cannot be serialized.
    pub fn encode_ack<T: Serialize + ?Sized>(
        self,
        nsp: &Nsp,
        id: AckId,
        args: &T,
    ) -> Result<Frames, EncodeError> {
        encode_list(self, PacketType::Ack, nsp, Some(id), None, args, None)
    }

    /// See [`encode_connect`].
    ///
    /// # Errors
    ///
    /// Returns an error if `payload` is neither an object nor null, or cannot be serialized.
    pub fn encode_connect<T: Serialize + ?Sized>(
        self,
        protocol: Protocol,
        nsp: &Nsp,
        payload: &T,
    ) -> Result<Frames, EncodeError> {
        let mut json = Vec::new();
        if protocol == Protocol::V5 {
            json = to_json(payload)?;
            match json.first() {
                Some(b'{') => {}
                _ if json == b"null" => json.clear(),
                _ => return Err(EncodeError::PayloadNotObject),
            }
        }
        Ok(control(self, PacketType::Connect, nsp, &json))
    }

    /// See [`encode_connect_error`].
    ///
    /// # Errors
    ///
    /// Returns an error if `data` cannot be serialized.
    pub fn encode_connect_error<T: Serialize + ?Sized>(
        self,
        protocol: Protocol,
        nsp: &Nsp,
        message: &str,
        data: &T,
    ) -> Result<Frames, EncodeError> {
        let message = to_json(message)?;
        let data = Some(to_json(data)?).filter(|data| data != b"null");
        let error = match (protocol, data) {
            (Protocol::V4, data) => data.unwrap_or(message),
            (Protocol::V5, None) => [b"{\"message\":", &*message, b"}"].concat(),
            (Protocol::V5, Some(data)) => {
                [b"{\"message\":", &*message, b",\"data\":", &*data, b"}"].concat()
            }
        };
        Ok(control(self, PacketType::ConnectError, nsp, &error))
    }

    /// See [`encode_disconnect`].
    pub fn encode_disconnect(self, nsp: &Nsp) -> Frames {
        control(self, PacketType::Disconnect, nsp, b"")
    }
}

/// Encodes a packet whose payload is JSON without binary.
fn control(parser: Parser, kind: PacketType, nsp: &Nsp, json: &[u8]) -> Frames {
    match parser {
        Parser::Json => {
            let mut out = start(kind, nsp, None, 0, json.len());
            out.put(json);
            out.finish().into()
        }
        #[cfg(feature = "msgpack")]
        Parser::MsgPack => msgpack::encode(kind, nsp, None, text(json), &[]),
    }
}

/// Converts the output of `serde_json` to a text.
#[cfg(feature = "msgpack")]
fn text(json: &[u8]) -> &str {
    str::from_utf8(json).unwrap_or_default()
}

thread_local! {
    /// The buffer for serialized arguments. Only after serialization are their length and the
    /// number of attachments known, so the frame's buffer can then be allocated once with its exact
    /// size.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A larger buffer is not kept for the next packet.
const MAX_SCRATCH: usize = 64 * 1024;

fn encode_list<T: Serialize + ?Sized>(
    parser: Parser,
    kind: PacketType,
    nsp: &Nsp,
    id: Option<AckId>,
    event: Option<&str>,
    args: &T,
    last: Option<&[u8]>,
) -> Result<Frames, EncodeError> {
    // Taken instead of borrowed, because user code may encode another packet during the
    // serialization.
    let mut json = SCRATCH.take();
    json.clear();
    if let Some(event) = event {
        serde_json::to_writer(&mut json, event)?;
    }
    let name_len = json.len();
    let (is_list, encoded) = binary::encoding(|| list::write_args(&mut json, args))?;
    let (name, mut items) = json.split_at(name_len);
    if is_list {
        items = items.get(1..items.len().saturating_sub(1)).unwrap_or_default();
    }
    if let Some(raw) = &encoded.raw {
        items = raw.as_bytes();
    }
    let attachments = encoded.attachments;
    let comma: &[u8] = if name.is_empty() || items.is_empty() { b"" } else { b"," };
    let last = last.unwrap_or_default();
    let before_last: &[u8] = if last.is_empty() { b"" } else { b"," };
    let list = [b"[", name, comma, items, before_last, last, b"]"];
    let frames = match parser {
        Parser::Json => {
            let payload = list.iter().map(|part| part.len()).sum();
            let mut out = start(kind, nsp, id, attachments.len(), payload);
            list.into_iter().for_each(|part| out.put(part));
            match attachments.is_empty() {
                true => out.finish().into(),
                false => Frames::new(out.finish(), attachments),
            }
        }
        #[cfg(feature = "msgpack")]
        Parser::MsgPack => msgpack::encode(kind, nsp, id, text(&list.concat()), &attachments),
    };
    if json.capacity() <= MAX_SCRATCH {
        // `with` instead of `LocalKey::set`, which does more work.
        SCRATCH.with(|scratch| scratch.set(json));
    }
    Ok(frames)
}

/// Writes the type, number of attachments, namespace and ack id, and reserves `payload` bytes.
fn start(
    kind: PacketType,
    nsp: &Nsp,
    id: Option<AckId>,
    attachments: usize,
    payload: usize,
) -> FrameWriter {
    let kind = match kind {
        _ if attachments == 0 => kind,
        PacketType::Ack => PacketType::BinaryAck,
        _ => PacketType::BinaryEvent,
    };
    let (mut count, mut digits) = ([0; 20], [0; 20]);
    let count = if attachments > 0 { decimal(&mut count, attachments as u64) } else { b"" };
    let dash: &[u8] = if count.is_empty() { b"" } else { b"-" };
    let (nsp, comma): (_, &[u8]) = if nsp.is_root() { ("", b"") } else { (nsp.as_str(), b",") };
    let rounded;
    let id = match id.map(|id| (id, id.get())) {
        Some((_, Some(exact))) => decimal(&mut digits, exact),
        Some((id, None)) => {
            rounded = id.to_string();
            rounded.as_bytes()
        }
        None => b"",
    };
    let head = count.len() + dash.len() + nsp.len() + comma.len() + id.len();
    let mut out = FrameWriter::message(1 + head + payload);
    out.put(&[b'0' + kind as u8]);
    if head > 0 {
        [count, dash, nsp.as_bytes(), comma, id].into_iter().for_each(|part| out.put(part));
    }
    out
}

/// Returns the decimal digits of a number.
fn decimal(digits: &mut [u8; 20], mut number: u64) -> &[u8] {
    let mut first = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first -= 1;
        if number == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}

/// Serializes a value that must not contain binary.
fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, JsFormatter);
    binary::outside(|| value.serialize(&mut serializer))?;
    Ok(json)
}
