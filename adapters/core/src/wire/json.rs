//! Messages as JSON text. Values of users are passed through as text in both directions.

use std::{borrow::Cow, fmt::Write as _};

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;
use socketio_parser::{Args, Nsp, Value, from_checked_json, from_json};

use super::{
    parts::{EVENT, Packet, Parts},
    tree,
};
use crate::{
    adapter::ClusterMember,
    budget::Budget,
    error::MessageError,
    message::{Body, Message},
    selection::{Flags, Room, Selection},
};

impl Message {
    /// Encodes the message as JSON with the fields `type`, `data`, `uid` and `nsp`, and `seq` if
    /// it has a number.
    ///
    /// # Errors
    ///
    /// Returns [`MessageError::BinaryInJson`] if the message contains binary.
    pub fn to_json(&self) -> Result<String, MessageError> {
        let number = self.body.type_number();
        let data = self.body.data_to_json()?;
        let data = data.map(|data| format!(r#""data":{data},"#)).unwrap_or_default();
        let (uid, nsp) = (quoted(self.uid.as_str()), quoted(self.nsp.as_str()));
        let seq = self.seq.map(|seq| format!(r#","seq":{seq}"#)).unwrap_or_default();
        Ok(format!(r#"{{"type":{number},{data}"uid":{uid},"nsp":{nsp}{seq}}}"#))
    }

    /// Returns the number of an event that a node has published for the engine's log, if `json` is
    /// its encoding. Only looks at the end of the text. Returns `None` for volatile events, whose
    /// numbers are others, and for all other messages.
    ///
    /// Serves the back-ends of this workspace.
    #[doc(hidden)]
    pub fn own_event(json: &[u8], member: &ClusterMember) -> Option<u64> {
        let fields = json.strip_suffix(b"}")?;
        let digits = fields.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (fields, number) = fields.split_at(fields.len() - digits);
        let (uid, nsp) = (quoted(member.uid.as_str()), quoted(member.nsp.as_str()));
        let data = fields.strip_suffix(format!(r#","uid":{uid},"nsp":{nsp},"seq":"#).as_bytes())?;
        if Body::is_volatile_json(data)? {
            return None;
        }
        str::from_utf8(number).ok()?.parse().ok()
    }
}

impl Body {
    /// Encodes the data alone as JSON, for back-ends that store the other fields separately.
    /// Returns `None` if there is no data.
    ///
    /// # Errors
    ///
    /// Returns [`MessageError::BinaryInJson`] if the data contains binary.
    pub fn data_to_json(&self) -> Result<Option<String>, MessageError> {
        if self.has_binary() {
            return Err(MessageError::BinaryInJson);
        }
        let mut out = Fields::default();
        match self {
            Body::InitialHeartbeat | Body::Heartbeat | Body::AdapterClose => return Ok(None),
            Body::Broadcast { args, selection, request } => {
                out.put("packet", &format!(r#"{{"type":{EVENT},"data":{}}}"#, event(args)));
                if let Some(request) = request {
                    out.put("requestId", &quoted(request.as_str()));
                }
                out.put("opts", &opts(selection));
            }
            Body::SocketsJoin { selection, rooms } | Body::SocketsLeave { selection, rooms } => {
                out.put("opts", &opts(selection));
                out.put("rooms", &names(rooms));
            }
            Body::DisconnectSockets { selection, close } => {
                out.put("opts", &opts(selection));
                out.put("close", if *close { "true" } else { "false" });
            }
            Body::FetchSockets { selection, request } => {
                out.put("opts", &opts(selection));
                out.put("requestId", &quoted(request.as_str()));
            }
            Body::FetchSocketsResponse { request, sockets } => {
                out.put("requestId", &quoted(request.as_str()));
                let sockets = sockets.iter().map(tree::socket).collect();
                out.put("sockets", &write(&Value::Array(sockets)));
            }
            Body::ServerSideEmit { args, request } => {
                if let Some(request) = request {
                    out.put("requestId", &quoted(request.as_str()));
                }
                out.put("packet", &event(args));
            }
            Body::BroadcastClientCount { request, clients } => {
                out.put("requestId", &quoted(request.as_str()));
                out.put("clientCount", &clients.to_string());
            }
            Body::ServerSideEmitResponse { request, args }
            | Body::BroadcastAck { request, args } => {
                out.put("requestId", &quoted(request.as_str()));
                if let Some(first) = args.iter().next() {
                    out.put("packet", first);
                }
            }
        }
        out.0.push('}');
        Ok(Some(out.0))
    }

    /// Returns whether the data of an event, as [`data_to_json`](Self::data_to_json) encodes them,
    /// say that it is volatile. Only looks at the end of the text. `None` if they do not end like
    /// those of an event.
    ///
    /// Serves the back-ends of this workspace.
    #[doc(hidden)]
    pub fn is_volatile_json(data: &[u8]) -> Option<bool> {
        let flags = data.strip_suffix(b"}}}")?.rsplit(|byte| *byte == b'{').next()?;
        Some(flags.starts_with(br#""volatile":"#))
    }
}

/// Writes the fields of an object, in order.
#[derive(Default)]
struct Fields(String);

impl Fields {
    fn put(&mut self, name: &str, json: &str) {
        let comma = if self.0.is_empty() { "{" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(self.0, r#"{comma}"{name}":{json}"#);
    }
}

fn event(args: &Args) -> String {
    let comma = if args.is_empty() { "" } else { "," };
    format!("[{}{comma}{}]", quoted(args.event()), args.raw())
}

fn opts(selection: &Selection) -> String {
    let Flags { volatile, compress, timeout, .. } = selection.flags;
    let volatile = volatile.then(|| r#""volatile":true"#.to_owned());
    let compress = compress.map(|compress| format!(r#""compress":{compress}"#));
    let timeout = timeout.map(|timeout| format!(r#""timeout":{}"#, tree::millis(timeout)));
    let flags: Vec<_> = [volatile, compress, timeout].into_iter().flatten().collect();
    let (rooms, except) = (names(&selection.rooms), names(&selection.except));
    format!(r#"{{"rooms":{rooms},"except":{except},"flags":{{{}}}}}"#, flags.join(","))
}

fn names(rooms: &[Room]) -> String {
    let names: Vec<_> = rooms.iter().map(|room| quoted(room)).collect();
    format!("[{}]", names.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Encodes a tree. Binary becomes `null`.
pub(super) fn write(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}

pub(super) fn read(text: &str, mut budget: Budget) -> Result<Value, MessageError> {
    check(text)?;
    value(text, &mut budget)
}

/// Parses a tree in a checked text after charging its cost.
fn value(text: &str, budget: &mut Budget) -> Result<Value, MessageError> {
    budget.charge_json(text)?;
    from_checked_json(text).map_err(|_| MessageError::Malformed("invalid JSON"))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    number: u64,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    uid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    nsp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
}

pub(super) fn read_message(
    text: &str,
    otherwise: Option<&Nsp>,
    budget: Budget,
) -> Result<Message, MessageError> {
    check(text)?;
    let envelope: Envelope<'_> =
        from_checked_json(text).map_err(|_| MessageError::Malformed("not an envelope"))?;
    let nsp = envelope.nsp.map(|nsp| Nsp::unchecked(&nsp));
    let nsp = nsp.or_else(|| otherwise.cloned()).ok_or(MessageError::InvalidField("nsp"))?;
    let body = read_data(envelope.number, envelope.data.map_or("{}", RawValue::get), budget)?;
    let uid = tree::sender(envelope.uid.map(Cow::into_owned), &body)?;
    let seq = envelope.seq.and_then(|seq| seq.get().parse().ok());
    Ok(Message { uid, nsp, body, seq })
}

pub(super) fn read_body(number: u64, text: &str, budget: Budget) -> Result<Body, MessageError> {
    check(text)?;
    read_data(number, text, budget)
}

/// Checks once that the text is well-formed and not nested too deeply, for all that is read of it.
fn check(text: &str) -> Result<(), MessageError> {
    let valid = from_json::<IgnoredAny>(text);
    valid.map(drop).map_err(|_| MessageError::Malformed("invalid JSON"))
}

/// The fields of a message's data, each as JSON text. A field that is `null` counts as present.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data<'a> {
    #[serde(borrow, deserialize_with = "present")]
    packet: Option<&'a RawValue>,
    #[serde(borrow)]
    opts: Option<&'a RawValue>,
    #[serde(borrow)]
    rooms: Option<&'a RawValue>,
    #[serde(borrow)]
    close: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    sockets: Option<&'a RawValue>,
    #[serde(borrow)]
    client_count: Option<&'a RawValue>,
}

/// Deserializes `null` as present, because `null` is a valid ack. A plain `Option` would treat it
/// as absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn read_data(number: u64, text: &str, mut budget: Budget) -> Result<Body, MessageError> {
    let data: Data<'_> = from_checked_json(text).map_err(|_| MessageError::InvalidField("data"))?;
    let mut field =
        |raw: Option<&RawValue>| raw.map_or(Ok(Value::Null), |raw| value(raw.get(), &mut budget));
    let parts = Parts {
        packet: data.packet.map(Packet::Raw),
        opts: field(data.opts)?,
        rooms: field(data.rooms)?,
        close: field(data.close)?,
        request_id: field(data.request_id)?,
        sockets: field(data.sockets)?,
        client_count: field(data.client_count)?,
    };
    parts.body(number)
}
