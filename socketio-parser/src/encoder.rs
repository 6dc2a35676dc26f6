//! Packets to frames: serialized once, for all recipients.

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
    nsp::Nsp,
    packet::{AckId, Protocol},
    parser::Parser,
};

/// Encodes an EVENT, or a BINARY_EVENT if there is [`Binary`](crate::Binary) in `args`, or another
/// type of bytes.
///
/// `args` is an argument list if it is a tuple, a tuple struct or `[T; N]`, or
/// [`Values`](crate::Values), or received [`Args`](crate::Args), which are passed on as they are.
/// `()` and a unit struct have no arguments, a newtype is what it wraps, and anything else, a `Vec`
/// for instance, is one argument. So is null in every form: `None`, `serde_json::Value::Null`,
/// [`Value::Null`](crate::Value::Null). (A reference to `()`, or a `Box` of it, is null too: to a
/// serializer it is what `Value::Null` is, but for its size.)
///
/// ```
/// use socketio_parser::{Nsp, encode_event};
///
/// let frames = encode_event(&Nsp::new("/chat"), Some(7.into()), "say", &("hello", [1, 2]))?;
/// let text = frames.iter().next().map(|frame| frame.payload());
/// assert_eq!(text.unwrap(), &br#"42/chat,7["say","hello",[1,2]]"#[..]);
/// # Ok::<(), socketio_parser::EncodeError>(())
/// ```
///
/// # Errors
/// If `event` is reserved, or `args` cannot be serialized as JSON.
pub fn encode_event<T: Serialize + ?Sized>(
    nsp: &Nsp,
    id: Option<AckId>,
    event: &str,
    args: &T,
) -> Result<Frames, EncodeError> {
    Parser::Json.encode_event(nsp, id, event, args)
}

/// Encodes an ACK, or a BINARY_ACK: the answer to the event that asked for `id`. `args` as in [`encode_event`].
///
/// # Errors
/// If `args` cannot be serialized as JSON.
pub fn encode_ack<T: Serialize + ?Sized>(
    nsp: &Nsp,
    id: AckId,
    args: &T,
) -> Result<Frames, EncodeError> {
    Parser::Json.encode_ack(nsp, id, args)
}

/// Encodes a CONNECT: the client's request (`payload` is its `auth`) or the server's answer (with its `sid`).
///
/// A `payload` that is null (`()`, `None`) is left out. Protocol v4 has no payload at all.
///
/// # Errors
/// If `payload` is neither an object nor null, or cannot be serialized; there is no binary in it.
pub fn encode_connect<T: Serialize + ?Sized>(
    protocol: Protocol,
    nsp: &Nsp,
    payload: &T,
) -> Result<Frames, EncodeError> {
    Parser::Json.encode_connect(protocol, nsp, payload)
}

/// Encodes a CONNECT_ERROR: the server refuses the namespace.
///
/// `data` says more than `message`; null (`()`, `None`) is left out. A client of protocol v4 gets a bare value, `data`
/// if there is one, else `message`.
///
/// # Errors
/// If `data` cannot be serialized; there is no binary in it.
pub fn encode_connect_error<T: Serialize + ?Sized>(
    protocol: Protocol,
    nsp: &Nsp,
    message: &str,
    data: &T,
) -> Result<Frames, EncodeError> {
    Parser::Json.encode_connect_error(protocol, nsp, message, data)
}

/// Encodes a DISCONNECT: the sender leaves the namespace, the connection stays.
pub fn encode_disconnect(nsp: &Nsp) -> Frames {
    Parser::Json.encode_disconnect(nsp)
}

impl Parser {
    /// See [`encode_event`].
    ///
    /// # Errors
    /// If `event` is reserved, or `args` cannot be serialized.
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

    /// Encodes an event for connection state recovery: `offset` is its last argument. A client that lost its connection
    /// says with it which event it got last. The rest is as in [`encode_event`].
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
    /// If `event` is reserved, or `args` cannot be serialized.
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
    /// If `args` cannot be serialized.
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
    /// If `payload` is neither an object nor null, or cannot be serialized.
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
    /// If `data` cannot be serialized.
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

/// A packet whose payload is JSON without binary.
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

/// What `serde_json` has written.
#[cfg(feature = "msgpack")]
fn text(json: &[u8]) -> &str {
    str::from_utf8(json).unwrap_or_default()
}

thread_local! {
    /// Where arguments are serialized. Only then their length and the number of attachments are known, so that the frame's
    /// buffer is allocated once, to its exact size.
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
    // Taken, not borrowed: a user's code may encode a packet while it is serialized.
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
            let payload = name.len() + items.len() + last.len() + 4;
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
        // `LocalKey::set` would be a longer way.
        SCRATCH.with(|scratch| scratch.set(json));
    }
    Ok(frames)
}

/// Type, number of attachments, namespace and ack id, with room for `payload` bytes behind them.
fn start(
    kind: PacketType,
    nsp: &Nsp,
    id: Option<AckId>,
    attachments: usize,
    payload: usize,
) -> FrameWriter {
    let nsp = if nsp.is_root() { "" } else { nsp.as_str() };
    // Type, comma, a few digits; where it is more, the buffer grows.
    let mut out = FrameWriter::message(payload + nsp.len() + if id.is_some() { 24 } else { 8 });
    match kind {
        _ if attachments == 0 => put_number(&mut out, kind as u64),
        PacketType::Ack => put_number(&mut out, PacketType::BinaryAck as u64),
        _ => put_number(&mut out, PacketType::BinaryEvent as u64),
    }
    if attachments > 0 {
        put_number(&mut out, attachments as u64);
        out.put(b"-");
    }
    if !nsp.is_empty() {
        out.put(nsp.as_bytes());
        out.put(b",");
    }
    match id.map(|id| (id, id.get())) {
        Some((_, Some(exact))) => put_number(&mut out, exact),
        Some((rounded, None)) => out.put(rounded.to_string().as_bytes()),
        None => {}
    }
    out
}

fn put_number(out: &mut FrameWriter, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first -= 1;
        if number == 0 {
            break;
        }
    }
    out.put(digits.get(first..).unwrap_or_default());
}

/// JSON of a value in which binary has no place.
fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, JsFormatter);
    binary::outside(|| value.serialize(&mut serializer))?;
    Ok(json)
}
