//! Entries of a stream, in the format of `@socket.io/redis-streams-adapter`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use redis::{Cmd, Value, cmd};
use socketio_adapter::{
    Body, ClusterLimits, Format, Message, MessageError, NodeId,
    internal::{is_event, is_logged},
};
use socketio_parser::{Nsp, Value as Data};

/// The id of an entry: a time in milliseconds and a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId {
    ms: u64,
    number: u64,
}

impl StreamId {
    /// Parses an offset from a client. Accepts only digits, because `$`, `-` and `+` have special
    /// meanings in Redis.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse().ok() } else { None }
        };
        let (ms, count) = text.split_once('-')?;
        Some(Self { ms: number(ms)?, number: number(count)? })
    }

    /// Returns the smallest id after this one.
    pub(super) fn next(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self { number, ..self },
            None => Self { ms: self.ms.saturating_add(1), number: 0 },
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

/// An entry as Redis returned it. Its fields are parsed on demand.
pub(super) struct Entry {
    pub(super) id: StreamId,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// Returns the entries in a response to XRANGE or XREVRANGE. Skips malformed ones.
    pub(super) fn list(response: Value) -> Vec<Self> {
        match response {
            Value::Array(entries) => entries.into_iter().filter_map(Self::new).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the entries in a response to XREAD of one stream.
    pub(super) fn of_one_stream(response: Value) -> Vec<Self> {
        match response {
            Value::Map(streams) => {
                streams.into_iter().next().map_or_else(Vec::new, |(_, entries)| Self::list(entries))
            }
            Value::Array(streams) => match streams.into_iter().next() {
                Some(Value::Array(mut stream)) => stream.pop().map_or_else(Vec::new, Self::list),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn new(entry: Value) -> Option<Self> {
        let Value::Array(entry) = entry else { return None };
        let mut entry = entry.into_iter();
        let id = bytes(entry.next()?)?;
        let id = StreamId::parse(str::from_utf8(&id).ok()?)?;
        let mut values = match entry.next()? {
            Value::Array(values) => values.into_iter(),
            _ => Vec::new().into_iter(),
        };
        let mut fields = Vec::new();
        while let (Some(name), Some(value)) = (values.next(), values.next()) {
            fields.extend(bytes(name).zip(bytes(value)));
        }
        Some(Self { id, fields })
    }

    /// Returns a field if it is UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.field(name)?).ok()
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(field, _)| field == name.as_bytes());
        found.map(|(_, value)| &value[..])
    }

    /// Returns the approximate size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Returns the number of the entry if it is an event of this node, and not volatile.
    pub(super) fn own_event(&self, uid: &NodeId) -> Option<u64> {
        let is_own = self.text("uid") == Some(uid.as_str())
            && self.text("type") == Some("3")
            && Body::is_volatile_json(self.field("data")?) == Some(false);
        if is_own { self.text("seq")?.parse().ok() } else { None }
    }

    pub(super) fn message(&self, limits: &ClusterLimits) -> Result<Message, MessageError> {
        limits.check_size(self.bytes())?;
        let uid = self.text("uid").ok_or(MessageError::InvalidField("uid"))?;
        let nsp = self.text("nsp").ok_or(MessageError::InvalidField("nsp"))?;
        let number = self.text("type").and_then(|number| number.parse().ok());
        let number = number.ok_or(MessageError::InvalidField("type"))?;
        let body = match self.field("data") {
            None => Body::decode(number, None, limits)?,
            Some(json) if Format::of(json) == Format::Json => {
                Body::decode(number, Some((Format::Json, json)), limits)?
            }
            Some(base64) => {
                let data = STANDARD.decode(base64);
                let data = data.map_err(|_| MessageError::Malformed("neither JSON nor base64"))?;
                Body::decode(number, Some((Format::MsgPack, &data)), limits)?
            }
        };
        let seq = self.text("seq").and_then(|seq| seq.parse().ok());
        Ok(Message { uid: uid.to_owned().into(), nsp: Nsp::unchecked(nsp), body, seq })
    }
}

/// Returns whether a message goes into the stream. Requests and replies do not.
pub(super) fn is_entry(body: &Body) -> bool {
    is_event(body) || is_logged(body)
}

/// Returns the command that appends a message. The data of a message with binary is msgpack in
/// base64. With `only_plaintext`, the message is not searched for binary, and any binary in it
/// becomes `null`. Node's adapters do not write `seq`, and ignore it.
///
/// Fails if the fields take more than `max_message_bytes`, because readers refuse such an entry.
pub(super) fn append(
    stream: &str,
    max_len: u64,
    only_plaintext: bool,
    message: &Message,
    limits: &ClusterLimits,
) -> Result<Cmd, MessageError> {
    let number = message.body.type_number().to_string();
    let (data, seq) = (data(only_plaintext, message), message.seq.map(|seq| seq.to_string()));
    let fields = [
        ("uid", Some(message.uid.as_str())),
        ("nsp", Some(message.nsp.as_str())),
        ("type", Some(&number)),
        ("data", data.as_deref()),
        ("seq", seq.as_deref()),
    ];
    let mut xadd = cmd("XADD");
    xadd.arg(stream).arg("MAXLEN").arg("~").arg(max_len).arg("*");
    let mut bytes = 0;
    for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        xadd.arg(name).arg(value);
        bytes += name.len() + value.len();
    }
    limits.check_size(bytes)?;
    Ok(xadd)
}

pub(super) fn data(only_plaintext: bool, message: &Message) -> Option<String> {
    match message.body.data_to_json() {
        Ok(json) => json,
        Err(_) if only_plaintext => {
            let data = message.body.to_value().map(without_binary);
            let json = data.map(|data| Format::Json.write(&data));
            json.map(|json| String::from_utf8_lossy(&json).into_owned())
        }
        Err(_) => message.body.data_to_msgpack().map(|data| STANDARD.encode(data)),
    }
}

/// Replaces binary by `null`.
fn without_binary(data: Data) -> Data {
    match data {
        Data::Binary(_) => Data::Null,
        Data::Array(items) => Data::Array(items.into_iter().map(without_binary).collect()),
        Data::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (name, without_binary(value)));
            Data::Object(members.collect())
        }
        other => other,
    }
}

/// Returns the stream of a namespace, chosen as Node's servers do. If the hash is negative, so is
/// the number of the stream, and Node's servers never read it.
pub(super) fn stream_for(name: &str, count: u16, nsp: &str) -> String {
    if count == 1 {
        return name.to_owned();
    }
    let hash = nsp
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    format!("{name}-{}", hash % i32::from(count.max(1)))
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_numerically_and_other_texts_are_refused() {
        let id = |text| StreamId::parse(text).unwrap();
        assert!(id("9-1") < id("10-0"));
        assert!(id("10-9") < id("10-10"));
        assert_eq!(id("10-9").next(), id("10-10"));
        assert_eq!(id("1-18446744073709551615").next(), id("2-0"));
        assert_eq!(id("0010-1").to_string(), "10-1");
        for other in ["$", "-", "+", "", "1", "1-", "-1", "1-*", "(1-1", "+1-1", "1-1-1", " 1-1"] {
            assert_eq!(StreamId::parse(other), None, "{other}");
        }
        assert_eq!(StreamId::parse("18446744073709551616-0"), None);
    }

    #[test]
    fn the_stream_of_a_namespace_is_the_one_that_nodes_servers_choose() {
        assert_eq!(stream_for("socket.io", 1, "/my-namespace"), "socket.io");
        for (nsp, number) in
            [("/", "3"), ("/foo", "3"), ("/admin", "0"), ("/chat", "3"), ("/my-namespace", "-3")]
        {
            assert_eq!(stream_for("socket.io", 4, nsp), format!("socket.io-{number}"), "{nsp}");
        }
    }

    #[test]
    fn malformed_entries_are_skipped() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let entry =
            |id: &str, fields: Vec<Value>| Value::Array(vec![text(id), Value::Array(fields)]);
        let list = Value::Array(vec![
            Value::Nil,
            Value::Array(vec![]),
            entry("x", vec![]),
            entry("1-1", vec![text("uid"), text("u"), text("odd")]),
            Value::Array(vec![text("1-2"), Value::Nil]),
        ]);
        let entries = Entry::list(list);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].text("uid"), Some("u"));
        for entry in entries {
            assert!(entry.message(&ClusterLimits::default()).is_err());
        }
    }

    #[test]
    fn entries_equal_those_of_nodes_servers() {
        use socketio_adapter::{Selection, event_args};
        use socketio_parser::Binary;

        let of = |args| Message {
            uid: "0a785282676f06c9".into(),
            nsp: Nsp::root(),
            body: Body::Broadcast { args, selection: Selection::default(), request: None },
            seq: None,
        };
        let text = of(event_args("x", &1).unwrap());
        let json =
            r#"{"packet":{"type":2,"data":["x",1]},"opts":{"rooms":[],"except":[],"flags":{}}}"#;
        let binary = of(event_args("b", &Binary(vec![1, 2].into())).unwrap());
        let base64 = "gqZwYWNrZXSCpHR5cGUCpGRhdGGSoWLEAgECpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA==";
        for (message, data) in [(text, json), (binary, base64)] {
            let fields = ["*", "uid", "0a785282676f06c9", "nsp", "/", "type", "3", "data", data];
            let mut expected = cmd("XADD");
            expected.arg("socket.io").arg("MAXLEN").arg("~").arg(10_000).arg(&fields);
            let append = |limits| append("socket.io", 10_000, false, &message, &limits);
            let written = append(ClusterLimits::default()).unwrap();
            assert_eq!(written.get_packed_command(), expected.get_packed_command());

            let value = |text: &&str| Value::BulkString(text.as_bytes().to_vec());
            let fields = fields[1..].iter().map(value).collect();
            let entry = Value::Array(vec![value(&"1-1"), Value::Array(fields)]);
            let entry = Entry::new(entry).unwrap();
            assert_eq!(entry.message(&ClusterLimits::default()).unwrap(), message);
            // An entry is written if and only if it can be read.
            let few = |bytes| ClusterLimits::default().max_message_bytes(bytes);
            assert!(append(few(entry.bytes())).is_ok());
            assert!(entry.message(&few(entry.bytes())).is_ok());
            let less = few(entry.bytes() - 1);
            assert!(matches!(entry.message(&less), Err(MessageError::TooLarge { .. })));
            assert!(matches!(append(less), Err(MessageError::TooLarge { .. })));
        }
    }

    #[test]
    fn binary_becomes_null_in_an_entry_of_plain_text() {
        use socketio_adapter::{Selection, event_args};
        use socketio_parser::Binary;

        let args = event_args("x", &(1, Binary(vec![1, 2].into()))).unwrap();
        let body = Body::Broadcast { args, selection: Selection::default(), request: None };
        let message = Message { uid: "u".into(), nsp: Nsp::root(), body, seq: None };
        let json = r#"{"packet":{"type":2,"data":["x",1,null]},"opts":{"rooms":[],"except":[],"flags":{}}}"#;
        assert_eq!(data(true, &message).as_deref(), Some(json));
    }

    /// Mutated entries. Each piece of an input is a field: the byte before it selects the name. A
    /// message that is accepted is still accepted after it was appended and read again.
    #[test]
    fn redis_entry() {
        const NAMES: [&str; 5] = ["uid", "nsp", "type", "data", "seq"];
        let limits = ClusterLimits::default();
        let text = |text: &[u8]| Value::BulkString(text.to_vec());
        let entry = |fields: Vec<Value>| {
            let entry = Value::Array(vec![text(b"1-1"), Value::Array(fields)]);
            Entry::list(Value::Array(vec![entry])).pop().unwrap()
        };
        let opts = r#""opts":{"rooms":["r"],"except":[],"flags":{}}"#;
        let bodies = [
            (3, format!(r#"{{"packet":{{"type":2,"data":["x",1]}},{opts}}}"#)),
            (
                3,
                "gqZwYWNrZXSCpHR5cGUCpGRhdGGSoWLEAgECpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA=="
                    .into(),
            ),
            (4, format!(r#"{{{opts},"rooms":["a"]}}"#)),
            (5, format!(r#"{{{opts},"rooms":["a"]}}"#)),
            (6, format!(r#"{{{opts},"close":true}}"#)),
            (9, r#"{"requestId":"1","packet":["x"]}"#.into()),
        ];
        let seeds = bodies.map(|(number, data)| {
            let number = number.to_string();
            let fields = ["u", "/", &number, &data, "7"].into_iter().zip([0, 1, 2, 3, 4]);
            fields
                .flat_map(|(value, name)| [&[0xfe, name], value.as_bytes()].concat())
                .collect::<Vec<_>>()
        });
        // An offset of a client.
        let seeds = [&seeds[..], &[b"1526919030474-55".to_vec()]].concat();
        fuzz::run("redis_entry", 5000, &seeds, |input| {
            let fields = fuzz::pieces(input).flat_map(|(kind, piece)| {
                let name = NAMES.get(usize::from(kind)).map_or("other", |name| name);
                [text(name.as_bytes()), text(piece)]
            });
            if let Some(id) = str::from_utf8(input).ok().and_then(StreamId::parse) {
                assert_eq!(StreamId::parse(&id.to_string()), Some(id));
            }
            let Ok(message) = entry(fields.collect()).message(&limits) else { return };
            for only_plaintext in [false, true] {
                let written = append("s", 10, only_plaintext, &message, &limits).unwrap();
                let args = written.args_iter().skip(6).filter_map(|arg| match arg {
                    redis::Arg::Simple(arg) => Some(text(arg)),
                    _ => None,
                });
                let again = entry(args.collect()).message(&limits).unwrap();
                assert_eq!(again.seq, message.seq, "{only_plaintext} {message:?}");
            }
        });
    }
}
