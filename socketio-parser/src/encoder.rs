//! Encoding of packets to frames: serialized once for all recipients.

use std::{cell::Cell, mem};

use bytes::Bytes;
use engineio_parser::{FrameWriter, Frames, internal::OutgoingMessage};
use serde::Serialize;

#[cfg(feature = "msgpack")]
use crate::msgpack;
use crate::{
    binary,
    error::EncodeError,
    event::is_reserved,
    json::{write_string, write_u64},
    kind::PacketType,
    list::{self, Json},
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
    /// Creates the name of a namespace that packets of this encoding can carry. Only packets of
    /// `MsgPack` can carry a name with a comma.
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

    /// Encodes an event in this encoding. See [`encode_event`].
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
        self.send_event(nsp, id, event, args, |message| message.into_frames())
    }

    /// Encodes an event and passes it to `send`, whose result it returns. In contrast to
    /// [`encode_event`](Self::encode_event), a text without binary is not copied.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`encode_event`](Self::encode_event).
    #[doc(hidden)]
    pub fn send_event<T: Serialize + ?Sized, R>(
        self,
        nsp: &Nsp,
        id: Option<AckId>,
        event: &str,
        args: &T,
        send: impl FnOnce(OutgoingMessage<'_>) -> R,
    ) -> Result<R, EncodeError> {
        encode_list(self, PacketType::Event, nsp, id, Some(event), args, None, send)
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
        let offset = to_json(offset)?;
        let frames = |message: OutgoingMessage<'_>| message.into_frames();
        encode_list(self, PacketType::Event, nsp, None, Some(event), args, Some(&offset), frames)
    }

    /// Encodes an ack in this encoding. See [`encode_ack`].
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
        self.send_ack(nsp, id, args, |message| message.into_frames())
    }

    /// Encodes an ack and passes it to `send`, whose result it returns. See
    /// [`send_event`](Self::send_event).
    ///
    /// # Errors
    ///
    /// Returns an error if `args` cannot be serialized.
    #[doc(hidden)]
    pub fn send_ack<T: Serialize + ?Sized, R>(
        self,
        nsp: &Nsp,
        id: AckId,
        args: &T,
        send: impl FnOnce(OutgoingMessage<'_>) -> R,
    ) -> Result<R, EncodeError> {
        encode_list(self, PacketType::Ack, nsp, Some(id), None, args, None, send)
    }

    /// Encodes a CONNECT in this encoding. See [`encode_connect`].
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

    /// Encodes a CONNECT_ERROR in this encoding. See [`encode_connect_error`].
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

    /// Encodes a DISCONNECT in this encoding. See [`encode_disconnect`].
    pub fn encode_disconnect(self, nsp: &Nsp) -> Frames {
        control(self, PacketType::Disconnect, nsp, b"")
    }
}

/// Encodes a packet whose payload is JSON without binary.
fn control(parser: Parser, kind: PacketType, nsp: &Nsp, json: &[u8]) -> Frames {
    match parser {
        Parser::Json => {
            let capacity = 32 + nsp.as_str().len() + json.len();
            let mut out = FrameWriter::message(Vec::with_capacity(capacity));
            write_head(&mut out, kind, nsp, None, 0);
            out.buffer().extend_from_slice(json);
            out.copy().into()
        }
        #[cfg(feature = "msgpack")]
        Parser::MsgPack => msgpack::encode(kind, nsp, None, text(json), &[]),
    }
}

/// Converts the output of the serializer to a text.
#[cfg(feature = "msgpack")]
fn text(json: &[u8]) -> &str {
    str::from_utf8(json).unwrap_or_default()
}

thread_local! {
    /// The buffer in which packets are written. Only afterwards is their length known, so that the
    /// frame's buffer can be allocated once with its exact size.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A larger buffer is not kept for the next packet.
const MAX_SCRATCH: usize = 64 * 1024;

#[allow(clippy::too_many_arguments, reason = "all parts of a packet")]
fn encode_list<T: Serialize + ?Sized, R>(
    parser: Parser,
    kind: PacketType,
    nsp: &Nsp,
    id: Option<AckId>,
    event: Option<&str>,
    args: &T,
    last: Option<&[u8]>,
    send: impl FnOnce(OutgoingMessage<'_>) -> R,
) -> Result<R, EncodeError> {
    if let Some(event) = event.filter(|event| is_reserved(event)) {
        return Err(EncodeError::ReservedEvent(event.into()));
    }
    let mut list = OpenList::new(parser, kind, nsp, id, event);
    let write = || list::write_args(list.out.buffer(), event.is_some(), args);
    let attachments = binary::encoding(write)?;
    Ok(send(list.finish(attachments, last)))
}

/// A packet whose list of arguments is being written. In contrast to [`encode_list`] its code
/// exists once for all types of arguments.
struct OpenList<'a> {
    parser: Parser,
    kind: PacketType,
    nsp: &'a Nsp,
    id: Option<AckId>,
    out: FrameWriter,
    /// The position of the list.
    list: usize,
}

impl<'a> OpenList<'a> {
    fn new(
        parser: Parser,
        kind: PacketType,
        nsp: &'a Nsp,
        id: Option<AckId>,
        event: Option<&str>,
    ) -> Self {
        // Taken instead of borrowed, because user code may encode another packet during the
        // serialization.
        let mut out = FrameWriter::message(SCRATCH.take());
        write_head(&mut out, kind, nsp, id, 0);
        let json = out.buffer();
        let list = json.len();
        json.push(b'[');
        if let Some(event) = event {
            write_string(json, event);
        }
        Self { parser, kind, nsp, id, out, list }
    }

    /// Writes the rest of the packet.
    #[inline(always)]
    fn finish(&mut self, attachments: Vec<Bytes>, last: Option<&[u8]>) -> OutgoingMessage<'_> {
        if attachments.is_empty() && last.is_none() && self.parser == Parser::Json {
            self.out.buffer().push(b']');
            return (&self.out).into();
        }
        self.finish_with(attachments, last)
    }

    fn finish_with(&mut self, attachments: Vec<Bytes>, last: Option<&[u8]>) -> OutgoingMessage<'_> {
        let Self { parser, kind, nsp, id, list, .. } = *self;
        let json = self.out.buffer();
        if let Some(last) = last {
            if json.last() != Some(&b'[') {
                json.push(b',');
            }
            json.extend_from_slice(last);
        }
        json.push(b']');
        match parser {
            Parser::Json if attachments.is_empty() => (&self.out).into(),
            Parser::Json => {
                let mut counted = FrameWriter::message(Vec::new());
                write_head(&mut counted, kind, nsp, id, attachments.len());
                counted.buffer().extend_from_slice(json.get(list..).unwrap_or_default());
                Frames::new(counted.copy(), attachments).into()
            }
            #[cfg(feature = "msgpack")]
            Parser::MsgPack => {
                let list = text(json.get(list..).unwrap_or_default());
                msgpack::encode(kind, nsp, id, list, &attachments).into()
            }
        }
    }
}

impl Drop for OpenList<'_> {
    /// Gives the buffer to the thread.
    #[inline(always)]
    fn drop(&mut self) {
        let buffer = mem::take(self.out.buffer());
        if buffer.capacity() <= MAX_SCRATCH {
            // `with` instead of `LocalKey::set`, which does more work.
            SCRATCH.with(|scratch| scratch.set(buffer));
        }
    }
}

/// Writes the type, number of attachments, namespace and ack id.
#[inline]
fn write_head(
    out: &mut FrameWriter,
    kind: PacketType,
    nsp: &Nsp,
    id: Option<AckId>,
    attachments: usize,
) {
    let out = out.buffer();
    let kind = match kind {
        _ if attachments == 0 => kind,
        PacketType::Ack => PacketType::BinaryAck,
        _ => PacketType::BinaryEvent,
    };
    out.push(b'0' + kind as u8);
    if attachments > 0 {
        write_u64(out, attachments as u64);
        out.push(b'-');
    }
    if !nsp.is_root() {
        out.extend_from_slice(nsp.as_str().as_bytes());
        out.push(b',');
    }
    match id.map(|id| (id, id.get())) {
        Some((_, Some(exact))) => write_u64(out, exact),
        Some((id, None)) => out.extend_from_slice(id.to_string().as_bytes()),
        None => {}
    }
}

/// Serializes a value that must not contain binary.
fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut json = Vec::with_capacity(64);
    binary::outside(|| value.serialize(Json(&mut json)))?;
    Ok(json)
}
