//! Translation of msgpack to JSON with placeholders.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::ser::Formatter;

use super::date;
use crate::{
    binary::{NUM, PLACEHOLDER},
    error::DecodeError,
    json::JsFormatter,
    limits::Limits,
};

/// Reads one message. Announced lengths are never trusted: the bytes must exist before they are
/// used, and no memory is reserved for them.
pub(super) struct Reader<'a> {
    data: &'a Bytes,
    pos: usize,
    limits: &'a Limits,
}

/// A value in JSON, with its binary values in a separate list.
#[derive(Default)]
pub(super) struct Json {
    pub(super) text: Vec<u8>,
    pub(super) binary: Vec<Bytes>,
}

/// The beginning of a value.
pub(super) enum Head {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(usize),
    Binary(usize),
    Array(usize),
    Map(usize),
    /// JavaScript's `undefined`, which differs from nil.
    Undefined,
    /// Milliseconds since 1970.
    Date(i64),
    /// Any other extension: its type and its length.
    Extension(i8, usize),
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a Bytes, limits: &'a Limits) -> Self {
        Self { data, pos: 0, limits }
    }

    /// Checks that no further bytes follow.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.pos == self.data.len() { Ok(()) } else { Err(DecodeError::MalformedMsgPack) }
    }

    pub(super) fn head(&mut self) -> Result<Head, DecodeError> {
        let [first] = self.take()?;
        Ok(match first {
            0x00..=0x7f => Head::Unsigned(first.into()),
            0x80..=0x8f => Head::Map(usize::from(first & 0x0f)),
            0x90..=0x9f => Head::Array(usize::from(first & 0x0f)),
            0xa0..=0xbf => Head::Text(usize::from(first & 0x1f)),
            0xc0 => Head::Nil,
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => Head::Binary(self.len8()?),
            0xc5 => Head::Binary(self.len16()?),
            0xc6 => Head::Binary(self.len32()?),
            0xc7 => self.extension(Self::len8)?,
            0xc8 => self.extension(Self::len16)?,
            0xc9 => self.extension(Self::len32)?,
            0xca => Head::Float(f32::from_be_bytes(self.take()?).into()),
            0xcb => Head::Float(f64::from_be_bytes(self.take()?)),
            0xcc => Head::Unsigned(u8::from_be_bytes(self.take()?).into()),
            0xcd => Head::Unsigned(u16::from_be_bytes(self.take()?).into()),
            0xce => Head::Unsigned(u32::from_be_bytes(self.take()?).into()),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.take()?)),
            0xd0 => Head::Signed(i8::from_be_bytes(self.take()?).into()),
            0xd1 => Head::Signed(i16::from_be_bytes(self.take()?).into()),
            0xd2 => Head::Signed(i32::from_be_bytes(self.take()?).into()),
            0xd3 => Head::Signed(i64::from_be_bytes(self.take()?)),
            0xd4..=0xd8 => self.fixed_extension(1 << (first - 0xd4))?,
            0xd9 => Head::Text(self.len8()?),
            0xda => Head::Text(self.len16()?),
            0xdb => Head::Text(self.len32()?),
            0xdc => Head::Array(self.len16()?),
            0xdd => Head::Array(self.len32()?),
            0xde => Head::Map(self.len16()?),
            0xdf => Head::Map(self.len32()?),
            0xe0..=0xff => Head::Signed((first as i8).into()),
            0xc1 => return Err(DecodeError::MalformedMsgPack),
        })
    }

    /// Reads an extension in the form with a length, in which type 0 is an `ArrayBuffer`.
    fn extension(
        &mut self,
        len: impl FnOnce(&mut Self) -> Result<usize, DecodeError>,
    ) -> Result<Head, DecodeError> {
        let len = len(self)?;
        let kind = i8::from_be_bytes(self.take()?);
        Ok(if kind == 0 { Head::Binary(len) } else { Head::Extension(kind, len) })
    }

    /// Reads an extension in the form of fixed length, in which type 0 is `undefined` with one
    /// byte, and a date with eight.
    fn fixed_extension(&mut self, len: usize) -> Result<Head, DecodeError> {
        let kind = i8::from_be_bytes(self.take()?);
        Ok(match (kind, len) {
            (0, 1) => {
                let [_] = self.take()?;
                Head::Undefined
            }
            (0, 8) => Head::Date(i64::from_be_bytes(self.take()?)),
            _ => Head::Extension(kind, len),
        })
    }

    /// Reads a text whose length was in the head. Invalid UTF-8 is replaced, as in Node.
    pub(super) fn text(&mut self, len: usize) -> Result<Cow<'a, str>, DecodeError> {
        Ok(String::from_utf8_lossy(self.slice(len)?))
    }

    /// Translates the value that begins with `head`. Recurses at most `max_depth` levels.
    pub(super) fn value(
        &mut self,
        head: Head,
        depth: usize,
        json: &mut Json,
    ) -> Result<(), DecodeError> {
        match head {
            Head::Nil | Head::Undefined => json.text.extend_from_slice(b"null"),
            Head::Bool(value) => {
                json.text.extend_from_slice(if value { b"true" } else { b"false" })
            }
            Head::Unsigned(number) => json.put(&number),
            Head::Signed(number) => json.put(&number),
            Head::Float(number) => json.float(number),
            Head::Text(len) => json.put(&*self.text(len)?),
            Head::Binary(len) => self.binary(len, json)?,
            Head::Array(len) => self.array(len, self.deeper(depth)?, json)?,
            Head::Map(len) => self.map(len, self.deeper(depth)?, json)?,
            Head::Date(millis) => match date::iso(millis) {
                Some(text) => json.put(&*text),
                None => json.text.extend_from_slice(b"null"),
            },
            Head::Extension(kind, len) => {
                json.text.push(b'[');
                json.put(&kind);
                json.text.push(b',');
                self.binary(len, json)?;
                json.text.push(b']');
            }
        }
        Ok(())
    }

    fn array(&mut self, len: usize, depth: usize, json: &mut Json) -> Result<(), DecodeError> {
        json.text.push(b'[');
        for index in 0..len {
            if index > 0 {
                json.text.push(b',');
            }
            let head = self.head()?;
            self.value(head, depth, json)?;
        }
        json.text.push(b']');
        Ok(())
    }

    fn map(&mut self, len: usize, depth: usize, json: &mut Json) -> Result<(), DecodeError> {
        json.text.push(b'{');
        let mut first = true;
        for _ in 0..len {
            let start = json.text.len();
            if !first {
                json.text.push(b',');
            }
            match self.head()? {
                Head::Text(len) => json.put(&*self.text(len)?),
                // A key that is a number becomes text, as in JavaScript.
                Head::Unsigned(number) => json.put(&*number.to_string()),
                Head::Signed(number) => json.put(&*number.to_string()),
                _ => return Err(DecodeError::InvalidPayload),
            }
            match self.head()? {
                // JSON omits such members too.
                Head::Undefined => json.text.truncate(start),
                head => {
                    json.text.push(b':');
                    self.value(head, depth, json)?;
                    first = false;
                }
            }
        }
        json.text.push(b'}');
        Ok(())
    }

    fn binary(&mut self, len: usize, json: &mut Json) -> Result<(), DecodeError> {
        let limit = self.limits.max_binaries;
        if json.binary.len() >= limit {
            return Err(DecodeError::TooManyBinaries { limit });
        }
        let bytes = self.slice(len)?;
        json.text.extend_from_slice(
            format!("{{\"{PLACEHOLDER}\":true,\"{NUM}\":{}}}", json.binary.len()).as_bytes(),
        );
        json.binary.push(self.data.slice_ref(bytes));
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<usize, DecodeError> {
        let limit = self.limits.max_depth;
        if depth + 1 >= limit { Err(DecodeError::TooDeep { limit }) } else { Ok(depth + 1) }
    }

    fn len8(&mut self) -> Result<usize, DecodeError> {
        Ok(u8::from_be_bytes(self.take()?).into())
    }

    fn len16(&mut self) -> Result<usize, DecodeError> {
        Ok(u16::from_be_bytes(self.take()?).into())
    }

    fn len32(&mut self) -> Result<usize, DecodeError> {
        Ok(u32::from_be_bytes(self.take()?) as usize)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.slice(N)?.try_into().map_err(|_| DecodeError::MalformedMsgPack)
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.pos.checked_add(len).ok_or(DecodeError::MalformedMsgPack)?;
        let slice = self.data.get(self.pos..end).ok_or(DecodeError::MalformedMsgPack)?;
        self.pos = end;
        Ok(slice)
    }
}

impl Json {
    fn put<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        // Cannot fail: numbers and strings always serialize, and a `Vec` accepts all bytes.
        let _ = serde_json::to_writer(&mut self.text, value);
    }

    fn float(&mut self, number: f64) {
        if number.is_finite() {
            let _ = JsFormatter.write_f64(&mut self.text, number);
        } else {
            self.text.extend_from_slice(b"null");
        }
    }
}
