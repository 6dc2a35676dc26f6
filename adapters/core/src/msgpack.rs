//! msgpack of dynamic values, as Node's adapters write it (notepack.io 3 and @msgpack/msgpack 2.8).
//!
//! The code is our own and not a library. The encoding is simple, but there are four dialects of
//! dates, `undefined` and binary. A general library refuses these, or returns values that cannot be
//! sent to a client.

use bytes::Bytes;
use socketio_parser::{
    Object, Value, javascript_date,
    msgpack::{Head, Malformed, Reader, array, binary, float, map, signed, string, unsigned},
};

use crate::{
    budget::{ALLOCATION, ATTACHMENT, Budget, ITEM, LONG_NUMBER, MEMBER},
    error::MessageError,
    limits::ClusterLimits,
};

/// Maximum nesting of arrays and objects.
const MAX_DEPTH: usize = 128;

impl From<Malformed> for MessageError {
    fn from(_: Malformed) -> Self {
        Self::Malformed("incomplete or invalid msgpack")
    }
}

/// Encodes a value, each part in its smallest form.
pub(crate) fn to_bytes(value: &Value) -> Bytes {
    let mut out = Vec::new();
    write(&mut out, value);
    out.into()
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => unsigned(out, number),
            (_, Some(number), _) => signed(out, number),
            (.., number) => float(out, number.unwrap_or_default()),
        },
        Value::String(text) => string(out, text),
        Value::Binary(bytes) => binary(out, bytes),
        Value::Array(items) => {
            array(out, items.len());
            items.iter().for_each(|item| write(out, item));
        }
        Value::Object(members) => {
            map(out, members.len());
            for (key, value) in members {
                string(out, key);
                write(out, value);
            }
        }
    }
}

/// Decodes exactly one value.
pub(crate) fn from_bytes(bytes: &[u8], limits: &ClusterLimits) -> Result<Value, MessageError> {
    let mut decoder = Decoder { reader: Reader::new(bytes), budget: Budget::new(limits) };
    let head = decoder.reader.head()?;
    let value = decoder.value(head, 0)?;
    if decoder.reader.remaining() == 0 {
        Ok(value)
    } else {
        Err(MessageError::Malformed("more than one value"))
    }
}

struct Decoder<'a> {
    reader: Reader<'a>,
    budget: Budget,
}

impl Decoder<'_> {
    fn value(&mut self, head: Head, depth: usize) -> Result<Value, MessageError> {
        if depth > MAX_DEPTH {
            return Err(MessageError::Malformed("nested too deeply"));
        }
        Ok(match head {
            Head::Nil | Head::Undefined => Value::Null,
            Head::Bool(value) => value.into(),
            Head::Unsigned(number) => {
                self.budget.charge(usize::from(number > u16::MAX.into()), LONG_NUMBER)?;
                number.into()
            }
            Head::Signed(number) => {
                self.budget.charge(usize::from(i16::try_from(number).is_err()), LONG_NUMBER)?;
                number.into()
            }
            Head::Float(number) => {
                self.budget.charge(1, LONG_NUMBER)?;
                number.into()
            }
            Head::Text(len) => self.text(len)?.into(),
            Head::Binary(len) => {
                let bytes = self.reader.bytes(len)?;
                self.budget.charge(1, ATTACHMENT + len)?;
                Value::Binary(Bytes::copy_from_slice(bytes))
            }
            Head::Array(len) => self.array(len, depth)?,
            Head::Map(len) => self.map(len, depth)?,
            Head::Date(ms) => self.date(ms)?,
            Head::Extension(-1, len) => self.timestamp(len)?,
            Head::Extension(..) => {
                return Err(MessageError::Malformed("an extension of unknown type"));
            }
        })
    }

    /// Decodes an array. Its length is not trusted: every item takes at least one byte, and is
    /// charged before memory is reserved.
    fn array(&mut self, len: usize, depth: usize) -> Result<Value, MessageError> {
        self.announced(len)?;
        self.budget.charge(1, ALLOCATION)?;
        self.budget.charge(len, ITEM)?;
        let mut items = Vec::with_capacity(len);
        for _ in 0..len {
            let head = self.reader.head()?;
            items.push(self.value(head, depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value, MessageError> {
        self.announced(len.saturating_mul(2))?;
        self.budget.charge(usize::from(len > 0), 4 * ALLOCATION)?;
        self.budget.charge(len, MEMBER)?;
        let mut members = Object::with_capacity(len);
        for _ in 0..len {
            let key = match self.reader.head()? {
                Head::Text(len) => self.text(len)?,
                // JavaScript rounds a large number before it becomes text.
                Head::Unsigned(key) => (key as f64).to_string(),
                Head::Signed(key) => (key as f64).to_string(),
                _ => return Err(MessageError::Malformed("a key that is not text")),
            };
            let head = self.reader.head()?;
            members.insert(key, self.value(head, depth + 1)?);
        }
        Ok(Value::Object(members))
    }

    /// Checks that at least one byte is left for each announced value.
    fn announced(&self, values: usize) -> Result<(), MessageError> {
        if values > self.reader.remaining() { Err(Malformed.into()) } else { Ok(()) }
    }

    fn text(&mut self, len: usize) -> Result<String, MessageError> {
        let bytes = self.reader.bytes(len)?;
        self.budget.charge_text(bytes)?;
        if let Ok(text) = str::from_utf8(bytes) {
            return Ok(text.to_owned());
        }
        // Each invalid byte may become three.
        self.budget.charge_text(bytes)?;
        self.budget.charge_text(bytes)?;
        Ok(replaced(bytes))
    }

    /// Dates become JSON text, because that is what clients get.
    fn date(&mut self, ms: i64) -> Result<Value, MessageError> {
        self.budget.charge(1, 2 * LONG_NUMBER)?;
        Ok(javascript_date(ms).map_or(Value::Null, Value::String))
    }

    /// Decodes the extension for times, which has three forms.
    fn timestamp(&mut self, len: usize) -> Result<Value, MessageError> {
        let (seconds, nanos) = match *self.reader.bytes(len)? {
            [a, b, c, d] => (i64::from(u32::from_be_bytes([a, b, c, d])), 0),
            [a, b, c, d, e, f, g, h] => {
                let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                ((both & 0x3_ffff_ffff) as i64, both >> 34)
            }
            [n0, n1, n2, n3, a, b, c, d, e, f, g, h] => {
                let nanos = u32::from_be_bytes([n0, n1, n2, n3]);
                (i64::from_be_bytes([a, b, c, d, e, f, g, h]), nanos.into())
            }
            _ => return Err(MessageError::Malformed("an extension of unknown type")),
        };
        self.date(seconds.saturating_mul(1000).saturating_add((nanos / 1_000_000) as i64))
    }
}

/// Decodes text and replaces invalid UTF-8 by U+FFFD. Node's servers encode half a surrogate pair
/// in the three bytes that UTF-8 would use for it. It is replaced by one character.
fn replaced(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let half = |bytes: &[u8]| matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf]);
    while let Some(at) = bytes.windows(3).position(half) {
        text.push_str(&String::from_utf8_lossy(bytes.get(..at).unwrap_or_default()));
        text.push(char::REPLACEMENT_CHARACTER);
        bytes = bytes.get(at + 3..).unwrap_or_default();
    }
    text.push_str(&String::from_utf8_lossy(bytes));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Number;
    use socketio_parser::value;

    use super::*;

    fn from_bytes(bytes: &[u8]) -> Result<Value, MessageError> {
        super::from_bytes(bytes, &ClusterLimits::default())
    }

    fn read(bytes: &[u8]) -> Value {
        from_bytes(bytes).unwrap()
    }

    #[test]
    fn dialects_of_dates_undefined_and_binary_are_read() {
        assert_eq!(read(&[0xd4, 0, 0]), Value::Null);
        let expected = value!("1970-01-01T00:00:01.500Z");
        assert_eq!(read(&[0xd7, 0, 0, 0, 0, 0, 0, 0, 0x05, 0xdc]), expected);
        assert_eq!(read(&[0xd7, 0xff, 0x77, 0x35, 0x94, 0, 0, 0, 0, 1]), expected);
        assert_eq!(read(&[0xd6, 0xff, 0, 0, 0, 0]), value!("1970-01-01T00:00:00.000Z"));
        let mut old = vec![0xc7, 12, 0xff, 0, 0, 0, 0];
        old.extend((-1_i64).to_be_bytes());
        assert_eq!(read(&old), value!("1969-12-31T23:59:59.000Z"));
        assert_eq!(read(&[0xc7, 2, 0, 1, 2]), Value::Binary(Bytes::from_static(&[1, 2])));
        assert_eq!(read(&[0xc4, 2, 1, 2]), Value::Binary(Bytes::from_static(&[1, 2])));
        assert!(from_bytes(&[0xd4, 7, 0]).is_err());
    }

    #[test]
    fn a_large_number_as_a_key_is_rounded() {
        let key = 12_066_114_688_839_426_670_u64.to_be_bytes();
        let message = [&[0x81, 0xcf][..], &key, &[1]].concat();
        assert_eq!(read(&message), value!({ "12066114688839426000": 1 }));
    }

    #[test]
    fn announced_lengths_and_depths_are_not_trusted() {
        for lie in [
            &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
            &[0xdf, 0xff, 0xff, 0xff, 0xff],
            &[0xc6, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert!(from_bytes(lie).is_err());
        }
        assert!(from_bytes(&vec![0x91; 1_000_000]).is_err());
        let mut deep = vec![0x91; MAX_DEPTH];
        deep.push(0xc0);
        assert!(from_bytes(&deep).is_ok());
        assert!(from_bytes(&[0xc0, 0xc0]).is_err());
        assert!(from_bytes(&[]).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1000.0..1000.0_f64)
                .prop_filter("a fraction", |it| it.fract() != 0.0)
                .prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..300)
                .prop_map(|bytes| Value::Binary(bytes.into())),
        ];
        leaf.prop_recursive(4, 40, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
                prop::collection::vec((".{0,4}", inner), 0..20)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn written_values_are_read_unchanged(value in values()) {
            prop_assert_eq!(read(&to_bytes(&value)), value);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = from_bytes(&bytes) {
                // Only the second round is exact, because the first turns whole floating-point
                // numbers into integers.
                let once = read(&to_bytes(&value));
                prop_assert_eq!(read(&to_bytes(&once)), once);
            }
        }
    }

    #[test]
    fn floats_without_a_fraction_become_integers() {
        let float = |number| Value::Number(Number::from_f64(number).unwrap());
        assert_eq!(to_bytes(&float(1.0))[..], [1]);
        assert_eq!(to_bytes(&float(-1.0))[..], [0xff]);
        assert_eq!(to_bytes(&float(1.5))[..], [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]);
    }
}
