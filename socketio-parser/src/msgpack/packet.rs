//! Encoding and decoding of whole packets.

use bytes::Bytes;
use bytestring::ByteString;
use engineio_parser::{Frame, Frames};

use super::{
    format::{self, Head},
    from_json,
    to_json::{Json, Translator},
};
use crate::{
    args::Args,
    error::DecodeError,
    kind::PacketType,
    limits::Limits,
    nsp::Nsp,
    packet::{AckId, Content, Packet, RawJson},
    placeholders,
};

/// Encodes a packet whose data is valid JSON, or empty if it has no data. The keys have the order
/// in which Node's server writes them.
pub(crate) fn encode(
    kind: PacketType,
    nsp: &Nsp,
    id: Option<AckId>,
    data: &str,
    attachments: &[Bytes],
) -> Frames {
    let bytes: usize = attachments.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(data.len() + bytes + nsp.as_str().len() + 32);
    format::map(&mut out, 2 + usize::from(id.is_some()) + usize::from(!data.is_empty()));
    if kind == PacketType::Ack {
        put_id(&mut out, id);
    }
    format::string(&mut out, "type");
    format::unsigned(&mut out, kind as u64);
    if !data.is_empty() {
        format::string(&mut out, "data");
        let written = from_json::write(&mut out, data, attachments);
        debug_assert!(written.is_some(), "not JSON: {data}");
    }
    if kind != PacketType::Ack {
        put_id(&mut out, id);
    }
    format::string(&mut out, "nsp");
    format::string(&mut out, nsp.as_str());
    Frame::binary(out.into()).into()
}

fn put_id(out: &mut Vec<u8>, id: Option<AckId>) {
    let Some(id) = id else { return };
    format::string(out, "id");
    match id.get() {
        Some(exact) => format::unsigned(out, exact),
        None => format::float(out, id.to_f64()),
    }
}

/// Decodes a packet. Binary in its arguments is a slice of `message`.
pub(crate) fn decode(message: &Bytes, limits: &Limits) -> Result<Packet, DecodeError> {
    let mut translator = Translator::new(message, limits);
    let Head::Map(len) = translator.reader.head()? else {
        return Err(DecodeError::InvalidPayload);
    };
    let mut fields = Fields::default();
    for _ in 0..len {
        fields.read(&mut translator, limits)?;
    }
    if translator.reader.remaining() > 0 {
        return Err(DecodeError::MalformedMsgPack);
    }
    fields.packet(limits)
}

/// The members of a packet. An absent member and `undefined` are equivalent.
#[derive(Default)]
struct Fields {
    kind: Option<f64>,
    nsp: Option<Nsp>,
    id: Option<AckId>,
    data: Option<Json>,
}

impl Fields {
    fn read(
        &mut self,
        translator: &mut Translator<'_>,
        limits: &Limits,
    ) -> Result<(), DecodeError> {
        let reader = &mut translator.reader;
        let Head::Text(len) = reader.head()? else {
            return Err(DecodeError::InvalidPayload);
        };
        let key = reader.text(len)?;
        match (&*key, reader.head()?) {
            ("type", head) => self.kind = Some(integer(&head)?),
            ("nsp", Head::Text(len)) => self.nsp = Some(namespace(&reader.text(len)?, limits)?),
            ("nsp", _) => return Err(DecodeError::InvalidPayload),
            ("id", Head::Undefined) => self.id = None,
            ("id", head) => self.id = Some(ack_id(&head)?),
            ("data", Head::Undefined) => self.data = None,
            ("data", head) => {
                let mut json = Json::default();
                translator.value(head, 0, &mut json)?;
                self.data = Some(json);
            }
            // Flags that only concern the sender.
            (_, head) => translator.value(head, 0, &mut Json::default())?,
        }
        Ok(())
    }

    fn packet(self, limits: &Limits) -> Result<Packet, DecodeError> {
        let kind = self.kind.filter(|kind| (0.0..=4.0).contains(kind));
        let kind = kind.and_then(|kind| PacketType::from_digit(b'0' + kind as u8));
        let kind = kind.ok_or(DecodeError::UnknownPacketType(None))?;
        let nsp = self.nsp.ok_or(DecodeError::InvalidPayload)?;
        let content = match (kind, self.data) {
            (PacketType::Event, Some(data)) => {
                Content::Event { id: self.id, args: args(data, true, limits)? }
            }
            (PacketType::Ack, Some(data)) => {
                Content::Ack { id: self.id, args: args(data, false, limits)? }
            }
            (PacketType::Connect, None) => Content::Connect(None),
            (PacketType::Connect, Some(data)) => Content::Connect(Some(payload(data, b"{")?)),
            (PacketType::ConnectError, Some(data)) => Content::ConnectError(payload(data, b"{\"")?),
            (PacketType::Disconnect, None) => Content::Disconnect,
            _ => return Err(DecodeError::InvalidPayload),
        };
        Ok(Packet { nsp, content })
    }
}

fn args(data: Json, event: bool, limits: &Limits) -> Result<Args, DecodeError> {
    let Json { text, binary } = data;
    let mut args = Args::read(utf8(text)?, 0, event, limits)?;
    if !binary.is_empty() {
        let places = placeholders::find(&args, binary.len())?;
        placeholders::check_expansion(&places, &binary, limits.max_attachment_bytes)?;
        args.attach(binary, places);
    }
    Ok(args)
}

/// Returns the value if it begins with one of `first`. It cannot contain binary, as in JSON.
fn payload(data: Json, first: &[u8]) -> Result<RawJson, DecodeError> {
    let kind = data.text.first().is_some_and(|byte| first.contains(byte));
    if !kind || !data.binary.is_empty() {
        return Err(DecodeError::InvalidPayload);
    }
    Ok(RawJson::from_validated(utf8(data.text)?))
}

fn utf8(text: Vec<u8>) -> Result<ByteString, DecodeError> {
    ByteString::try_from(Bytes::from(text)).map_err(|_| DecodeError::MalformedMsgPack)
}

fn namespace(name: &str, limits: &Limits) -> Result<Nsp, DecodeError> {
    if name.len() > limits.max_namespace {
        return Err(DecodeError::NamespaceTooLong { limit: limits.max_namespace });
    }
    if !name.starts_with('/') {
        return Err(DecodeError::InvalidPayload);
    }
    Ok(Nsp::unchecked(name))
}

fn ack_id(head: &Head) -> Result<AckId, DecodeError> {
    if let Head::Unsigned(id) = head {
        return Ok(AckId::from(*id));
    }
    let id = integer(head)?;
    if id < 0.0 {
        return Err(DecodeError::InvalidPayload);
    }
    Ok(AckId::from_f64(id))
}

/// Reads any number that is an integer, because JavaScript does not distinguish the types of
/// numbers.
fn integer(head: &Head) -> Result<f64, DecodeError> {
    match *head {
        Head::Unsigned(number) => Ok(number as f64),
        Head::Signed(number) => Ok(number as f64),
        Head::Float(number) if number.is_finite() && number.fract() == 0.0 => Ok(number),
        _ => Err(DecodeError::InvalidPayload),
    }
}
