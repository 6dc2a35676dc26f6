//! Messages as documents: `type`, `data`, `uid` and `nsp`, as Node's adapter inserts them.

use mongodb::bson::{
    Binary, Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, spec::BinarySubtype,
};
use socketio_adapter::{
    Body, ClusterLimits, Message, MessageError, NodeId, recovery::SavedSession,
};
use socketio_parser::{Nsp, Object, Value};

/// The number of documents that contain a broadcast.
pub(crate) const BROADCAST: i32 = 3;

/// The number of documents that contain a session.
pub(crate) const SESSION: i32 = 13;

/// Maximum nesting of documents and arrays, as in MongoDB. The conversion to [`Document`] takes
/// stack for each level, so a server that allows more could overflow it.
const MAX_DEPTH: usize = 200;

/// Encodes a message. Node's adapter does not write `seq`, and ignores it.
pub(crate) fn encode(message: &Message) -> Document {
    let Message { uid, nsp, body, seq } = message;
    let mut document = new(i32::from(body.type_number()), body.to_value(), uid, nsp);
    document
        .extend(seq.and_then(|seq| i64::try_from(seq).ok()).map(|seq| ("seq".into(), seq.into())));
    document
}

/// Creates a document from the fields that all documents have.
pub(crate) fn new(number: i32, data: Option<Value>, uid: &NodeId, nsp: &Nsp) -> Document {
    let mut document = Document::new();
    document.insert("type", number);
    if let Some(data) = data {
        document.insert("data", to_bson(data));
    }
    document.insert("uid", uid.as_str());
    document.insert("nsp", nsp.as_str());
    document
}

/// Checks whether the nodes accept a document, which must have all of its fields.
pub(crate) fn check(document: &Document, limits: &ClusterLimits) -> Result<(), MessageError> {
    let encoded = RawDocumentBuf::try_from(document);
    let encoded = encoded.map_err(|_| MessageError::Malformed("BSON cannot represent it"))?;
    limits.check_size(encoded.as_bytes().len())
}

/// Decodes a document. Returns `None` if it contains a session.
pub(crate) fn decode(
    document: RawDocumentBuf,
    limits: &ClusterLimits,
) -> Result<Option<Message>, MessageError> {
    let mut document = checked(document, limits)?;
    let number =
        document.get("type").and_then(integer).ok_or(MessageError::InvalidField("type"))?;
    if i32::try_from(number) == Ok(SESSION) {
        return Ok(None);
    }
    let uid = document.get_str("uid").map_err(|_| MessageError::InvalidField("uid"))?.to_owned();
    let nsp = document.get_str("nsp").map_err(|_| MessageError::InvalidField("nsp"))?;
    let nsp = Nsp::unchecked(nsp);
    let data = document.remove("data").map(from_bson).unwrap_or_default();
    let body = Body::from_value(number, data)?;
    let seq = document.get("seq").and_then(integer);
    Ok(Some(Message { uid: uid.into(), nsp, body, seq }))
}

/// Decodes a document that contains a session.
pub(crate) fn decode_session(
    document: RawDocumentBuf,
    limits: &ClusterLimits,
) -> Result<SavedSession, MessageError> {
    let data = checked(document, limits)?.remove("data");
    SavedSession::from_value(data.map(from_bson).unwrap_or_default())
}

/// Returns whether a document contains a broadcast. It may be malformed otherwise.
pub(crate) fn is_broadcast(document: &RawDocument) -> bool {
    let number = document.get("type").ok().flatten();
    let number = match number {
        Some(RawBsonRef::Int32(number)) => number.into(),
        Some(RawBsonRef::Int64(number)) => number,
        _ => return false,
    };
    number == i64::from(BROADCAST)
}

fn checked(document: RawDocumentBuf, limits: &ClusterLimits) -> Result<Document, MessageError> {
    limits.check_size(document.as_bytes().len())?;
    if !fits(&document, MAX_DEPTH) {
        return Err(MessageError::Malformed("nested too deeply"));
    }
    Document::try_from(document).map_err(|_| MessageError::Malformed("not BSON"))
}

/// Returns whether a document has at most `levels` levels. Malformed elements count as none; the
/// conversion refuses them.
fn fits(document: &RawDocument, levels: usize) -> bool {
    levels > 0 && document.into_iter().flatten().all(|(_, value)| value_fits(value, levels - 1))
}

fn value_fits(value: RawBsonRef<'_>, levels: usize) -> bool {
    match value {
        RawBsonRef::Document(document) => fits(document, levels),
        RawBsonRef::Array(items) => {
            levels > 0 && items.into_iter().flatten().all(|item| value_fits(item, levels - 1))
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => fits(code.scope, levels),
        _ => true,
    }
}

fn to_bson(value: Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(value),
        // Like Node's driver: an integer of 32 bits, or a double.
        Value::Number(number) => match number.as_i64().map(i32::try_from) {
            Some(Ok(number)) => Bson::Int32(number),
            _ => Bson::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Bson::String(text),
        Value::Binary(bytes) => {
            Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() })
        }
        Value::Array(items) => Bson::Array(items.into_iter().map(to_bson).collect()),
        Value::Object(members) => {
            let mut document = Document::new();
            for (name, value) in members {
                document.insert(name, to_bson(value));
            }
            Bson::Document(document)
        }
    }
}

/// Decodes a value. Values that JSON lacks become what Node's servers send to clients: dates and
/// ids are texts, and other types of MongoDB are `null`.
fn from_bson(bson: Bson) -> Value {
    match bson {
        Bson::Boolean(value) => Value::Bool(value),
        Bson::Int32(number) => number.into(),
        Bson::Int64(number) => number.into(),
        Bson::Double(number) => double(number),
        Bson::String(text) => Value::String(text),
        Bson::Binary(binary) => Value::Binary(binary.bytes.into()),
        Bson::Array(items) => Value::Array(items.into_iter().map(from_bson).collect()),
        Bson::Document(document) => {
            let members = document.into_iter().map(|(name, value)| (name, from_bson(value)));
            Value::Object(members.collect::<Object>())
        }
        Bson::DateTime(date) => date.try_to_rfc3339_string().map_or(Value::Null, Value::String),
        Bson::ObjectId(id) => Value::String(id.to_hex()),
        _ => Value::Null,
    }
}

/// Decodes a double. Node's driver also encodes integers of more than 32 bits as doubles.
fn double(number: f64) -> Value {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    match number.fract() == 0.0 && number.abs() <= MAX_SAFE {
        true => (number as i64).into(),
        false => number.into(),
    }
}

fn integer(bson: &Bson) -> Option<u64> {
    match bson {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{doc, oid::ObjectId};
    use socketio_adapter::{Selection, event_args};
    use socketio_parser::{Binary as Bytes, value};

    use super::*;

    fn message(args: &impl serde::Serialize) -> Message {
        let args = event_args("x", args).unwrap();
        let body = Body::Broadcast { args, selection: Selection::default(), request: None };
        Message { uid: "0a785282676f06c9".into(), nsp: Nsp::root(), body, seq: None }
    }

    fn raw(document: &Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).unwrap()
    }

    #[test]
    fn a_message_is_the_document_of_nodes_adapter() {
        let limits = ClusterLimits::default();
        let message = message(&(1, 1_099_511_627_776_u64, 1.5, Bytes(vec![1, 2].into())));
        let bytes = Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2] };
        let node = doc! {
            "type": 3,
            "data": {
                "packet": { "type": 2, "data": ["x", 1, 1_099_511_627_776.0, 1.5, bytes] },
                "opts": { "rooms": [], "except": [], "flags": {} },
            },
            "uid": "0a785282676f06c9",
            "nsp": "/",
        };
        let document = encode(&message);
        assert_eq!(document, node);
        assert_eq!(decode(raw(&document), &limits).unwrap(), Some(message));
    }

    #[test]
    fn values_of_mongodb_reach_clients_as_from_nodes_servers() {
        let id = ObjectId::parse_str("6b0cce06f85d6c83ff703abb").unwrap();
        let date = mongodb::bson::DateTime::from_millis(1500);
        let decoded = from_bson(Bson::Array(vec![id.into(), date.into(), Bson::Undefined]));
        let expected = value!(["6b0cce06f85d6c83ff703abb", "1970-01-01T00:00:01.5Z", null]);
        assert_eq!(decoded, expected);
    }

    #[test]
    fn malformed_documents_are_refused_and_sessions_are_skipped() {
        let limits = ClusterLimits::default();
        for bad in [
            doc! {},
            doc! { "type": "3", "uid": "u", "nsp": "/" },
            doc! { "type": -1, "uid": "u", "nsp": "/" },
            doc! { "type": 99, "uid": "u", "nsp": "/" },
            doc! { "type": 2, "nsp": "/" },
            doc! { "type": 2, "uid": "u" },
            doc! { "type": 3, "uid": "u", "nsp": "/", "data": { "packet": 1 } },
        ] {
            assert!(decode(raw(&bad), &limits).is_err(), "{bad}");
        }
        let session = doc! { "type": 13, "uid": "u", "nsp": "/", "data": { "pid": "p" } };
        assert_eq!(decode(raw(&session), &limits).unwrap(), None);
        let small = ClusterLimits::default().max_message_bytes(100);
        assert!(matches!(
            check(&encode(&message(&"x".repeat(100))), &small),
            Err(MessageError::TooLarge { .. })
        ));
        assert!(matches!(
            decode(raw(&doc! { "x": "x".repeat(100) }), &small),
            Err(MessageError::TooLarge { .. })
        ));
    }

    /// Mutated documents. A message that is accepted is still accepted after it was encoded again.
    #[test]
    fn mongodb_wire() {
        let limits = ClusterLimits::default();
        let mut seeds: Vec<_> = [
            message(&(1, 1.5, Bytes(vec![1, 2].into()), "x")),
            message(&value!({ "a": [null, true, { "b": "c" }] })),
        ]
        .iter()
        .map(|message| raw(&encode(message)).into_bytes())
        .collect();
        let rooms = doc! { "rooms": ["a"], "except": [], "flags": { "timeout": 1 } };
        let data = doc! { "opts": rooms, "rooms": ["b"], "requestId": "1", "close": true };
        for number in 1..13 {
            let document = doc! { "type": number, "uid": "u", "nsp": "/", "data": data.clone() };
            seeds.push(raw(&document).into_bytes());
        }
        fuzz::run("mongodb_wire", 5000, &seeds, |input| {
            let Ok(document) = RawDocumentBuf::from_bytes(input.to_vec()) else { return };
            if let Ok(Some(message)) = decode(document, &limits) {
                // BSON cannot represent names that contain a zero byte, which JSON can.
                let document = encode(&message);
                if check(&document, &limits).is_err() {
                    return;
                }
                assert!(matches!(decode(raw(&document), &limits), Ok(Some(_))), "{message:?}");
            }
        });
    }

    /// Mutated documents of sessions.
    #[test]
    fn mongodb_session() {
        let limits = ClusterLimits::default();
        let session = doc! {
            "sid": "s", "pid": "p", "rooms": ["s", "r"], "data": { "n": [1, 1.5, Bson::Null] },
            "nsp": "/n", "owner": "node", "epoch": 7_i64,
        };
        let node = doc! { "sid": "s", "pid": "p", "rooms": [], "data": {} };
        let seeds = [session, node].map(|data| {
            raw(&doc! { "type": SESSION, "uid": "u", "nsp": "/n", "data": data }).into_bytes()
        });
        fuzz::run("mongodb_session", 5000, &seeds, |input| {
            let Ok(document) = RawDocumentBuf::from_bytes(input.to_vec()) else { return };
            if let Ok(session) = decode_session(document, &limits) {
                let (uid, nsp) = ("u".into(), Nsp::unchecked("/n"));
                let document = new(SESSION, Some(session.to_value()), &uid, &nsp);
                // BSON cannot represent names that contain a zero byte.
                if check(&document, &limits).is_ok() {
                    let again = decode_session(raw(&document), &limits);
                    assert!(again.is_ok_and(|again| again.pid == session.pid), "{session:?}");
                }
            }
        });
    }

    #[test]
    fn a_deeply_nested_document_is_refused() {
        let nested = |levels: usize| {
            let mut document = raw(&doc! { "x": 1 }).into_bytes();
            for level in 2..=levels {
                // A document and an array in turn, each the only element `0` of the next.
                let kind = 3 + (level % 2) as u8;
                let length = (document.len() + 8) as u32;
                document = [&length.to_le_bytes(), &[kind, b'0', 0][..], &document, &[0]].concat();
            }
            RawDocumentBuf::from_bytes(document).unwrap()
        };
        let limits = ClusterLimits::default();
        let refusal = |levels| decode(nested(levels), &limits).unwrap_err();
        assert!(matches!(refusal(MAX_DEPTH), MessageError::InvalidField("type")));
        for levels in [MAX_DEPTH + 1, 20_000] {
            assert!(matches!(refusal(levels), MessageError::Malformed("nested too deeply")));
        }
    }
}
