//! Decodes values from JSON that was scanned on arrival.
//!
//! `serde_json` cannot be used, because it rejects input that is valid in JavaScript: an unpaired
//! surrogate in a string, and a number beyond an `f64`. Here the first becomes U+FFFD and the
//! second infinity. `serde_json` also has no notion of attachments. Here an attachment is bytes at
//! the place of its placeholder, so a type that accepts no bytes reports an error.
//!
//! The recursion is as deep as the text is nested, which the scan has limited. Nothing is checked
//! twice. Text that was not scanned leads to an error or a wrong value, never to a panic.

mod leaf;

use std::{borrow::Cow, fmt, iter};

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, Error as _, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer, MapDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Error;

use crate::{
    binary::{self, Attached},
    scan::{self, Scanner},
    text,
};
use leaf::{Attachment, Key};

/// Reads one value after another.
pub(crate) struct JsonDeserializer<'de> {
    text: &'de str,
    pos: usize,
    attached: Option<&'de Attached>,
    /// The index of the first placeholder that has not been read yet.
    place: usize,
}

impl<'de> JsonDeserializer<'de> {
    /// Creates a deserializer that starts at `pos`. The places in `attached` are positions in
    /// `text`.
    pub(crate) fn new(text: &'de str, pos: usize, attached: Option<&'de Attached>) -> Self {
        Self { text, pos, attached, place: 0 }
    }

    /// Advances to the next item of an open list. Returns `false` at the end of the list.
    #[inline]
    pub(crate) fn more(&mut self, end: u8) -> Result<bool, Error> {
        let mut next = self.peek()?;
        if next == b',' {
            self.pos += 1;
            next = self.peek()?;
        }
        Ok(next != end)
    }

    /// Returns the first byte of the next token.
    #[inline]
    fn peek(&mut self) -> Result<u8, Error> {
        loop {
            match self.text.as_bytes().get(self.pos) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.pos += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(invalid()),
            }
        }
    }

    /// Consumes the closing bracket of a list or object. Returns an error if items are left.
    #[inline]
    fn close(&mut self, end: u8) -> Result<(), Error> {
        if self.more(end)? {
            return Err(Error::custom("more items than expected"));
        }
        self.pos += 1;
        Ok(())
    }

    /// Reads the next string and returns it without its quotes.
    #[inline]
    fn string(&mut self) -> Result<Cow<'de, str>, Error> {
        match self.short_string() {
            Some(text) => Ok(text.into()),
            None => self.long_string(),
        }
    }

    /// Reads a string of less than eight bytes without escapes, as most keys are.
    #[inline]
    fn short_string(&mut self) -> Option<&'de str> {
        let start = self.pos + 1;
        let len = scan::plain_start(self.text.as_bytes().get(start..)?)?;
        let text = self.text.get(start..start + len)?;
        self.pos = start + len + 1;
        Some(text)
    }

    fn long_string(&mut self) -> Result<Cow<'de, str>, Error> {
        let (text, end) = text::string(self.text, self.pos + 1).ok_or_else(invalid)?;
        self.pos = end;
        Ok(text)
    }

    /// Reads the next number.
    fn number_text(&mut self) -> Result<&'de str, Error> {
        let start = self.pos;
        self.pos = scan::number(self.text.as_bytes(), start).ok_or_else(invalid)?;
        self.text.get(start..self.pos).ok_or_else(invalid)
    }

    #[inline]
    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let start = self.pos;
        let bytes = self.text.as_bytes();
        let negative = bytes.get(start) == Some(&b'-');
        let first = start + usize::from(negative);
        let (whole, pos) = digits(bytes, first, 0, MAX_DIGITS);
        match bytes.get(pos) {
            Some(b'.') => {
                let (all, end) = digits(bytes, pos + 1, whole, MAX_DIGITS + first - pos);
                let scale = POWERS.get(end - pos - 1);
                let ends = !matches!(bytes.get(end), Some(b'0'..=b'9' | b'e' | b'E'));
                if let (true, true, Some(scale)) = (ends, all <= MAX_EXACT, scale) {
                    // Both operands are exact, so the quotient is rounded only once.
                    self.pos = end;
                    let number = all as f64 / scale;
                    return visitor.visit_f64(if negative { -number } else { number });
                }
            }
            Some(b'0'..=b'9' | b'e' | b'E') => {}
            _ if pos == first => {}
            _ if !negative => {
                self.pos = pos;
                return visitor.visit_u64(whole);
            }
            _ => {
                // Minus zero is not an integer.
                if let Some(whole @ ..0) = 0_i64.checked_sub_unsigned(whole) {
                    self.pos = pos;
                    return visitor.visit_i64(whole);
                }
            }
        }
        let text = self.number_text()?;
        match text.parse::<u64>() {
            Ok(whole) => visitor.visit_u64(whole),
            Err(_) => visitor.visit_f64(text.parse().map_err(Error::custom)?),
        }
    }

    /// Skips a value.
    fn skip(&mut self) -> Result<(), Error> {
        let mut scanner = Scanner::new(self.text, self.pos, 128);
        scanner.value().ok_or_else(invalid)?;
        self.pos = scanner.pos();
        Ok(())
    }

    /// If the next object is a placeholder, skips it and returns its attachment.
    #[inline]
    fn attachment(&mut self) -> Result<Option<&'de [u8]>, Error> {
        self.attached.map_or(Ok(None), |attached| self.attachment_of(attached))
    }

    fn attachment_of(&mut self, attached: &'de Attached) -> Result<Option<&'de [u8]>, Error> {
        while attached.places.get(self.place).is_some_and(|place| place.at < self.pos) {
            self.place += 1;
        }
        let Some(place) = attached.places.get(self.place).filter(|place| place.at == self.pos)
        else {
            return Ok(None);
        };
        let bytes =
            attached.bytes.get(place.num).ok_or_else(|| Error::custom("illegal attachments"))?;
        self.skip()?;
        binary::expect(place.num);
        Ok(Some(bytes))
    }

    fn list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.pos += 1;
        let value = visitor.visit_seq(Items(self))?;
        self.close(b']')?;
        Ok(value)
    }

    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.pos += 1;
        let value = visitor.visit_map(Members(self))?;
        self.close(b'}')?;
        Ok(value)
    }

    /// Skips a literal, which its first byte has identified.
    fn literal(&mut self, len: usize) {
        self.pos += len;
    }
}

/// Any number with at most this many digits fits a `u64`.
const MAX_DIGITS: usize = 19;
/// Every integer up to this one is exact as an `f64`.
const MAX_EXACT: u64 = 1 << 53;
/// Powers of ten that an `f64` holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Appends at most `count` decimal digits to `number`, and returns the position after them.
#[inline]
fn digits(bytes: &[u8], mut pos: usize, mut number: u64, count: usize) -> (u64, usize) {
    let end = pos.saturating_add(count);
    while let Some(digit @ b'0'..=b'9') = bytes.get(pos)
        && pos < end
    {
        number = number * 10 + u64::from(digit - b'0');
        pos += 1;
    }
    (number, pos)
}

/// Among the types with a hint, only those of bytes accept an attachment.
macro_rules! typed {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            $(let _ = $name;)*
            if self.attached.is_some() && self.peek()? == b'{' && self.attachment()?.is_some() {
                return Err(binary(&visitor));
            }
            self.deserialize_any(visitor)
        })*
    };
}

/// Creates the error of an attachment for a type that accepts no bytes.
#[cold]
fn binary<'de>(visitor: &impl Visitor<'de>) -> Error {
    Error::invalid_type(Unexpected::Other(BINARY), visitor)
}

/// The name of an attachment in errors.
const BINARY: &str = "binary";

/// Creates the error for text that was not scanned.
#[cold]
fn invalid() -> Error {
    Error::custom("invalid JSON")
}

impl<'de> Deserializer<'de> for &mut JsonDeserializer<'de> {
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'"' => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            b'-' | b'0'..=b'9' => self.number(visitor),
            b'{' => match self.attachment()? {
                None => self.object(visitor),
                Some(bytes) => Attachment::new(bytes).deserialize_any(visitor),
            },
            b'[' => self.list(visitor),
            b't' => {
                self.literal(4);
                visitor.visit_bool(true)
            }
            b'f' => {
                self.literal(5);
                visitor.visit_bool(false)
            }
            b'n' => {
                self.literal(4);
                visitor.visit_unit()
            }
            _ => Err(invalid()),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !matches!(self.peek()?, b'-' | b'0'..=b'9') {
            return self.deserialize_any(visitor);
        }
        let text = self.number_text()?;
        match text.parse() {
            Ok(whole) => visitor.visit_i128(whole),
            Err(_) => visitor.visit_f64(text.parse().map_err(Error::custom)?),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !matches!(self.peek()?, b'-' | b'0'..=b'9') {
            return self.deserialize_any(visitor);
        }
        let text = self.number_text()?;
        match text.parse() {
            Ok(whole) => visitor.visit_u128(whole),
            Err(_) => visitor.visit_f64(text.parse().map_err(Error::custom)?),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !matches!(self.peek()?, b'-' | b'0'..=b'9') {
            return self.deserialize_any(visitor);
        }
        // A conversion through an f64 would round twice.
        visitor.visit_f32(self.number_text()?.parse().map_err(Error::custom)?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'"' => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
                Cow::Owned(text) => visitor.visit_byte_buf(text.into_bytes()),
            },
            b'{' => match self.attachment()? {
                None => self.object(visitor),
                Some(bytes) => visitor.visit_borrowed_bytes(bytes),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek()? == b'n' {
            self.literal(4);
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != RAW_VALUE {
            return visitor.visit_newtype_struct(self);
        }
        self.peek()?;
        let start = self.pos;
        self.skip()?;
        let raw = self.text.get(start..self.pos).ok_or_else(invalid)?;
        let raw = BorrowedStrDeserializer::new(raw);
        visitor.visit_map(MapDeserializer::new(iter::once((RAW_VALUE, raw))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.peek()? {
            b'"' => Key(self.string()?).deserialize_enum("", &[], visitor),
            b'{' => {
                if self.attachment()?.is_some() {
                    return Err(binary(&visitor));
                }
                self.pos += 1;
                let value = visitor.visit_enum(MapAccessDeserializer::new(Members(self)))?;
                self.close(b'}')?;
                Ok(value)
            }
            // Not a variant: the visitor reports what it expected.
            _ => self.deserialize_any(visitor),
        }
    }

    typed! {
        deserialize_str();
        deserialize_string();
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f64 char unit unit_struct identifier
    }
}

/// The items of a list, after its opening bracket.
struct Items<'a, 'de>(&'a mut JsonDeserializer<'de>);

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        match self.0.more(b']')? {
            true => seed.deserialize(&mut *self.0).map(Some),
            false => Ok(None),
        }
    }
}

/// The members of an object, after its opening brace.
struct Members<'a, 'de>(&'a mut JsonDeserializer<'de>);

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.0.more(b'}')? {
            return Ok(None);
        }
        let key = self.0.string()?;
        seed.deserialize(Key(key)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        if self.0.peek()? != b':' {
            return Err(invalid());
        }
        self.0.pos += 1;
        seed.deserialize(&mut *self.0)
    }
}

/// The name under which `serde_json` recognizes its `RawValue`.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// Adds the types to use to the error of a type that does not accept an attachment.
pub(crate) fn explained(error: Error) -> Error {
    let text = error.to_string();
    let reason = text.strip_prefix(NEWTYPE).or_else(|| text.strip_prefix("invalid type: binary,"));
    match reason {
        Some(rest) => Error::custom(format_args!(
            "invalid type: binary,{rest}; `Binary`, `Bytes` and Socket.IO's own `Value` take it"
        )),
        None => error,
    }
}

/// The beginning of serde's error for an [`Attachment`].
const NEWTYPE: &str = "invalid type: newtype struct,";

impl fmt::Debug for JsonDeserializer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonDeserializer").field("pos", &self.pos).finish_non_exhaustive()
    }
}
