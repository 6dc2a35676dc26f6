//! Decodes msgpack of any dialect.

use bytes::Bytes;
use socketio_parser::{Object, Value};

use crate::{
    budget::{ALLOCATION, ATTACHMENT, Budget, ITEM, LONG_NUMBER, MEMBER},
    date::javascript_date,
    error::MessageError,
    limits::ClusterLimits,
};

/// Maximum nesting of arrays and objects.
const MAX_DEPTH: usize = 128;

const TOO_SHORT: MessageError = MessageError::Malformed("msgpack ends early");

/// Decodes exactly one value.
pub(crate) fn from_bytes(bytes: &[u8], limits: &ClusterLimits) -> Result<Value, MessageError> {
    let mut reader = Reader { rest: bytes, budget: Budget::new(limits) };
    let value = reader.value(0)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(MessageError::Malformed("more than one value"))
    }
}

fn date(ms: i64) -> Value {
    javascript_date(ms).map_or(Value::Null, Value::String)
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

struct Reader<'a> {
    rest: &'a [u8],
    budget: Budget,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, MessageError> {
        if depth > MAX_DEPTH {
            return Err(MessageError::Malformed("nested too deeply"));
        }
        let [byte] = self.array()?;
        Ok(match byte {
            0x00..=0x7f => byte.into(),
            0x80..=0x8f => self.map(usize::from(byte & 0x0f), depth)?,
            0x90..=0x9f => self.list(usize::from(byte & 0x0f), depth)?,
            0xa0..=0xbf => self.text(usize::from(byte & 0x1f))?.into(),
            0xc0 => Value::Null,
            0xc2 => false.into(),
            0xc3 => true.into(),
            0xc4..=0xc6 => {
                let length = self.length(byte - 0xc4)?;
                let bytes = self.take(length)?;
                self.binary(bytes)?
            }
            0xc7..=0xc9 => {
                let length = self.length(byte - 0xc7)?;
                self.extension(length, false)?
            }
            0xca | 0xcb | 0xce | 0xcf | 0xd2 | 0xd3 => self.long_number(byte)?,
            0xcc => u8::from_be_bytes(self.array()?).into(),
            0xcd => u16::from_be_bytes(self.array()?).into(),
            0xd0 => i8::from_be_bytes(self.array()?).into(),
            0xd1 => i16::from_be_bytes(self.array()?).into(),
            0xd4..=0xd8 => self.extension(1 << (byte - 0xd4), true)?,
            0xd9..=0xdb => {
                let length = self.length(byte - 0xd9)?;
                self.text(length)?.into()
            }
            0xdc | 0xdd => {
                let length = self.length(byte - 0xdb)?;
                self.list(length, depth)?
            }
            0xde | 0xdf => {
                let length = self.length(byte - 0xdd)?;
                self.map(length, depth)?
            }
            0xe0..=0xff => (byte as i8).into(),
            0xc1 => return Err(MessageError::Malformed("no msgpack")),
        })
    }

    fn long_number(&mut self, byte: u8) -> Result<Value, MessageError> {
        self.budget.charge(1, LONG_NUMBER)?;
        Ok(match byte {
            0xca => f32::from_be_bytes(self.array()?).into(),
            0xcb => f64::from_be_bytes(self.array()?).into(),
            0xce => u32::from_be_bytes(self.array()?).into(),
            0xcf => u64::from_be_bytes(self.array()?).into(),
            0xd2 => i32::from_be_bytes(self.array()?).into(),
            _ => i64::from_be_bytes(self.array()?).into(),
        })
    }

    /// Decodes a list. Its length is not trusted: every item takes at least one byte, and is
    /// charged before memory is reserved.
    fn list(&mut self, length: usize, depth: usize) -> Result<Value, MessageError> {
        self.announced(length)?;
        self.budget.charge(1, ALLOCATION)?;
        self.budget.charge(length, ITEM)?;
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value, MessageError> {
        self.announced(length.saturating_mul(2))?;
        self.budget.charge(usize::from(length > 0), 4 * ALLOCATION)?;
        self.budget.charge(length, MEMBER)?;
        let mut members = Object::with_capacity(length);
        for _ in 0..length {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                _ => return Err(MessageError::Malformed("a key that is not text")),
            };
            members.insert(key, self.value(depth + 1)?);
        }
        Ok(Value::Object(members))
    }

    /// Checks that at least one byte is left for each announced value.
    fn announced(&self, values: usize) -> Result<(), MessageError> {
        if values > self.rest.len() { Err(TOO_SHORT) } else { Ok(()) }
    }

    fn text(&mut self, length: usize) -> Result<String, MessageError> {
        let text = self.take(length)?;
        self.budget.charge_text(text)?;
        Ok(match str::from_utf8(text) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                // Each invalid byte may become three.
                self.budget.charge_text(text)?;
                self.budget.charge_text(text)?;
                replaced(text)
            }
        })
    }

    fn binary(&mut self, bytes: &[u8]) -> Result<Value, MessageError> {
        self.budget.charge(1, ATTACHMENT + bytes.len())?;
        Ok(Value::Binary(Bytes::copy_from_slice(bytes)))
    }

    fn date(&mut self, ms: i64) -> Result<Value, MessageError> {
        self.budget.charge(1, 2 * LONG_NUMBER)?;
        Ok(date(ms))
    }

    /// Decodes an extension. The meaning of type 0 depends on the encoding of its length. Dates
    /// become JSON text, because that is what clients get.
    fn extension(&mut self, length: usize, fixed: bool) -> Result<Value, MessageError> {
        let [kind] = self.array::<1>()?;
        let data = self.take(length)?;
        let be =
            |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        match (kind as i8, fixed, data) {
            (0, true, [_]) => Ok(Value::Null),
            (0, true, [_, _, _, _, _, _, _, _]) => self.date(be(data) as i64),
            (0, false, _) => self.binary(data),
            (-1, true, [_, _, _, _]) => self.date((be(data) as i64).saturating_mul(1000)),
            (-1, true, [_, _, _, _, _, _, _, _]) => {
                let (nanos, seconds) = (be(data) >> 34, be(data) & 0x3_ffff_ffff);
                self.date(
                    (seconds as i64)
                        .saturating_mul(1000)
                        .saturating_add((nanos / 1_000_000) as i64),
                )
            }
            (-1, false, [n0, n1, n2, n3, seconds @ ..]) if length == 12 => {
                let nanos = be(&[*n0, *n1, *n2, *n3]);
                let seconds = be(seconds) as i64;
                self.date(seconds.saturating_mul(1000).saturating_add((nanos / 1_000_000) as i64))
            }
            _ => Err(MessageError::Malformed("an extension of unknown type")),
        }
    }

    fn length(&mut self, width: u8) -> Result<usize, MessageError> {
        Ok(match width {
            0 => u8::from_be_bytes(self.array()?).into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MessageError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Number;
    use socketio_parser::value;

    use super::*;
    use crate::msgpack::to_bytes;

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
    fn dates_are_formatted_like_javascript() {
        for (ms, text) in [
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-62_198_755_200_000, "-000001-01-01T00:00:00.000Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
        ] {
            assert_eq!(date(ms), value!(text), "{ms}");
        }
        assert_eq!(date(i64::MIN), Value::Null);
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
