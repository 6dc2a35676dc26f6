//! Decoding of text and binary messages to packets.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

#[cfg(feature = "msgpack")]
use crate::msgpack;
use crate::{
    args::Args,
    binary::Place,
    encoder::Parser,
    error::DecodeError,
    kind::PacketType,
    limits::Limits,
    nsp::Nsp,
    packet::{AckId, Content, Packet, RawJson},
    placeholders, scan,
};

/// Decodes the messages of one connection. It keeps state, because a packet with attachments spans
/// several messages.
///
/// After an error the connection must be closed. The decoder is reset.
///
/// ```
/// use socketio_parser::{Decoder, Limits};
///
/// let mut decoder = Decoder::new(&Limits::default());
/// let text = r#"51-["upload",{"_placeholder":true,"num":0}]"#;
/// assert_eq!(decoder.decode_text(text.into()), Ok(None));
/// assert!(decoder.decode_binary("…".into()).is_ok_and(|packet| packet.is_some()));
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    parser: Parser,
    limits: Arc<Limits>,
    // Boxed, because most connections never get a packet with attachments.
    unfinished: Option<Box<Unfinished>>,
}

/// A packet whose attachments have not all arrived.
#[derive(Clone, Debug)]
struct Unfinished {
    packet: Packet,
    places: Vec<Place>,
    expected: usize,
    attachments: Vec<Bytes>,
    bytes: usize,
}

impl Decoder {
    /// Creates a decoder that refuses packets beyond `limits`.
    pub fn new(limits: &Limits) -> Self {
        Self::with_limits(Arc::new(limits.clone()))
    }

    pub(crate) fn with_limits(limits: Arc<Limits>) -> Self {
        Self { parser: Parser::default(), limits, unfinished: None }
    }

    /// Sets the encoding of the messages (default JSON).
    #[must_use]
    pub fn with_parser(mut self, parser: Parser) -> Self {
        self.parser = parser;
        self
    }

    /// Decodes a text message. Returns `None` if the packet has attachments, which arrive next.
    ///
    /// The packet's arguments are slices of `text`, and keep its buffer alive.
    ///
    /// # Errors
    ///
    /// Returns an error if `text` is not a packet, exceeds a limit, or arrived when an attachment
    /// was expected.
    #[inline]
    pub fn decode_text(&mut self, text: ByteString) -> Result<Option<Packet>, DecodeError> {
        if self.unfinished.take().is_some() || self.parser != Parser::Json {
            return Err(DecodeError::UnexpectedText);
        }
        let (packet, expected) = decode_text(text, &self.limits)?;
        if expected == 0 { Ok(Some(packet)) } else { self.begin(packet, expected).map(|()| None) }
    }

    /// Keeps a packet until its attachments have arrived.
    fn begin(&mut self, packet: Packet, expected: usize) -> Result<(), DecodeError> {
        let (Content::Event { args, .. } | Content::Ack { args, .. }) = &packet.content else {
            return Ok(());
        };
        let places = placeholders::find(args, expected)?;
        let attachments = Vec::with_capacity(expected.min(16));
        self.unfinished =
            Some(Box::new(Unfinished { packet, places, expected, attachments, bytes: 0 }));
        Ok(())
    }

    /// Returns the bytes of the packet whose attachments have not all arrived: its text and the
    /// attachments so far.
    pub fn unfinished_bytes(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| {
            unfinished.bytes
                + match &unfinished.packet.content {
                    Content::Event { args, .. } | Content::Ack { args, .. } => args.heap_bytes(),
                    _ => 0,
                }
        })
    }

    /// Decodes a binary message: an attachment, or with msgpack a packet. Returns `None` if further
    /// attachments are expected.
    ///
    /// # Errors
    ///
    /// Returns an error if no attachment was expected or all of them together are too large. With
    /// msgpack, returns an error if `data` is not a packet or exceeds a limit.
    pub fn decode_binary(&mut self, data: Bytes) -> Result<Option<Packet>, DecodeError> {
        #[cfg(feature = "msgpack")]
        if self.parser == Parser::MsgPack {
            return msgpack::decode(&data, &self.limits).map(Some);
        }
        let mut unfinished = self.unfinished.take().ok_or(DecodeError::UnexpectedBinary)?;
        unfinished.bytes = unfinished.bytes.saturating_add(data.len());
        let limit = self.limits.max_attachment_bytes;
        if unfinished.bytes > limit {
            return Err(DecodeError::AttachmentsTooLarge { limit });
        }
        unfinished.attachments.push(data);
        if unfinished.attachments.len() < unfinished.expected {
            self.unfinished = Some(unfinished);
            return Ok(None);
        }
        let Unfinished { mut packet, attachments, places, .. } = *unfinished;
        placeholders::check_expansion(&places, &attachments, limit)?;
        if let Content::Event { args, .. } | Content::Ack { args, .. } = &mut packet.content {
            args.attach(attachments, places);
        }
        Ok(Some(packet))
    }

    /// Returns whether attachments are expected.
    pub fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Drops an incomplete packet.
    pub fn reset(&mut self) {
        self.unfinished = None;
    }
}

/// Returns whether [`decode_event`] decodes a message: the packet is an event without attachments.
#[doc(hidden)]
#[inline]
pub fn is_event(text: &str) -> bool {
    text.as_bytes().first() == Some(&b'2')
}

/// Decodes an event without attachments, for which no state is necessary. For a shell that knows
/// the namespaces of a connection and so needs not its state machine.
///
/// # Errors
///
/// Returns an error if `text` is not an event, or exceeds a limit.
#[doc(hidden)]
pub fn decode_event(
    text: ByteString,
    limits: &Limits,
) -> Result<(Nsp, Option<AckId>, Args), DecodeError> {
    let mut pos = 1;
    let nsp = match text.as_bytes().get(pos) {
        Some(b'/') => namespace(&text, &mut pos, limits)?,
        _ => Nsp::root(),
    };
    let id = ack_id(&text, &mut pos)?;
    let args = if pos >= text.len() { Args::none() } else { Args::read(text, pos, true, limits)? };
    Ok((nsp, id, args))
}

/// Decodes a packet, except its attachments. Returns it with their number.
#[inline]
fn decode_text(text: ByteString, limits: &Limits) -> Result<(Packet, usize), DecodeError> {
    let kind = text.as_bytes().first().and_then(|digit| PacketType::from_digit(*digit));
    let kind = kind.ok_or_else(|| DecodeError::UnknownPacketType(text.chars().next()))?;
    let mut pos = 1;
    let binary = matches!(kind, PacketType::BinaryEvent | PacketType::BinaryAck);
    let attachments = if binary { attachment_count(&text, &mut pos, limits)? } else { 0 };
    let nsp = namespace(&text, &mut pos, limits)?;
    let id = ack_id(&text, &mut pos)?;
    Ok((Packet { nsp, content: content(kind, text, pos, id, limits)? }, attachments))
}

/// Parses `<n>-`, in which n is any text that JavaScript's `Number` converts to a positive integer
/// (`1e0`).
fn attachment_count(text: &str, pos: &mut usize, limits: &Limits) -> Result<usize, DecodeError> {
    let rest = text.get(*pos..).unwrap_or_default();
    let (count, _) = rest.split_once('-').ok_or(DecodeError::IllegalAttachmentCount)?;
    *pos += count.len() + 1;
    let decimal = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+');
    let count = count.trim_ascii();
    let count: f64 = match count.parse() {
        Ok(number) if count.bytes().all(decimal) => number,
        _ => return Err(DecodeError::IllegalAttachmentCount),
    };
    if count.fract() != 0.0 || count < 1.0 || !count.is_finite() {
        return Err(DecodeError::IllegalAttachmentCount);
    }
    if count > limits.max_attachments as f64 {
        return Err(DecodeError::TooManyAttachments);
    }
    Ok(count as usize)
}

/// Parses `/nsp,`, or `/nsp` at the end of the packet. Without either, the namespace is the main
/// one.
fn namespace(text: &ByteString, pos: &mut usize, limits: &Limits) -> Result<Nsp, DecodeError> {
    let rest = text.get(*pos..).unwrap_or_default();
    if !rest.starts_with('/') {
        return Ok(Nsp::root());
    }
    let name = rest.split_once(',').map_or(rest, |(name, _)| name);
    if name.len() > limits.max_namespace {
        return Err(DecodeError::NamespaceTooLong { limit: limits.max_namespace });
    }
    *pos = (*pos + name.len() + 1).min(text.len());
    Ok(Nsp::from_slice(text, name))
}

/// Parses the digits before the payload. (Node takes white space for an id, because JavaScript's
/// `Number` converts it to zero. Here white space belongs to the payload.)
fn ack_id(text: &str, pos: &mut usize) -> Result<Option<AckId>, DecodeError> {
    let rest = text.get(*pos..).unwrap_or_default();
    let len = rest.bytes().take_while(u8::is_ascii_digit).count();
    if len == 0 {
        return Ok(None);
    }
    *pos += len;
    match rest.get(..len) {
        None => Ok(None),
        Some(digits) => AckId::from_digits(digits).map(Some).ok_or(DecodeError::InvalidPayload),
    }
}

#[inline]
fn content(
    kind: PacketType,
    text: ByteString,
    pos: usize,
    id: Option<AckId>,
    limits: &Limits,
) -> Result<Content, DecodeError> {
    let absent = pos >= text.len();
    Ok(match kind {
        PacketType::Event if absent => Content::Event { id, args: Args::none() },
        PacketType::Ack if absent => Content::Ack { id, args: Args::none() },
        PacketType::Event | PacketType::BinaryEvent => {
            Content::Event { id, args: Args::read(text, pos, true, limits)? }
        }
        PacketType::Ack | PacketType::BinaryAck => {
            Content::Ack { id, args: Args::read(text, pos, false, limits)? }
        }
        PacketType::Connect if absent => Content::Connect(None),
        PacketType::Connect => Content::Connect(Some(payload(&text, pos, b"{", limits)?)),
        PacketType::ConnectError if absent => {
            Content::ConnectError(RawJson::from_validated(ByteString::from_static("{}")))
        }
        PacketType::ConnectError => Content::ConnectError(payload(&text, pos, b"{\"", limits)?),
        PacketType::Disconnect if absent => Content::Disconnect,
        PacketType::Disconnect => return Err(DecodeError::InvalidPayload),
    })
}

/// Parses one JSON value that begins with one of `first`.
fn payload(
    text: &ByteString,
    pos: usize,
    first: &[u8],
    limits: &Limits,
) -> Result<RawJson, DecodeError> {
    let json = text.get(pos..).unwrap_or_default().trim_matches([' ', '\t', '\n', '\r']);
    if !json.as_bytes().first().is_some_and(|byte| first.contains(byte)) {
        return Err(DecodeError::InvalidPayload);
    }
    scan::validate(json, limits.max_depth)?;
    Ok(RawJson::from_validated(text.slice_ref(json)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_decoded_alike_with_and_without_a_decoder() {
        let limits = Limits::default();
        for text in [
            r#"2["a",{"b":1}]"#,
            r#"2/x,7["a"]"#,
            r#"217 [ "a" , 1 ] "#,
            "2",
            "2/x",
            r#"2["connect"]"#,
            r#"2["a",}]"#,
            r#"299999999999999999999999["a"]"#,
            "2{}",
        ] {
            assert!(is_event(text));
            let expected = Decoder::new(&limits).decode_text(text.into());
            let decoded = decode_event(text.into(), &limits);
            let packet =
                |(nsp, id, args)| Some(Packet { nsp, content: Content::Event { id, args } });
            assert_eq!(decoded.map(packet), expected, "{text}");
        }
        assert!(!is_event(r#"51-["a",{"_placeholder":true,"num":0}]"#) && !is_event(""));
    }
}
