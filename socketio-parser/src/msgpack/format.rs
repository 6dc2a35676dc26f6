//! The building blocks of the format: the beginnings of values, for reading and for writing.

use std::borrow::Cow;

use crate::error::DecodeError;

/// The beginning of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// Null.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Unsigned(u64),
    /// An integer in a form for negative ones.
    Signed(i64),
    /// A floating-point number.
    Float(f64),
    /// A text of this many bytes, which follow.
    Text(usize),
    /// Binary data of this many bytes, which follow. An `ArrayBuffer` too.
    Binary(usize),
    /// An array of this many items, which follow.
    Array(usize),
    /// A map of this many members, which follow.
    Map(usize),
    /// JavaScript's `undefined`, which differs from nil.
    Undefined,
    /// Milliseconds since 1970.
    Date(i64),
    /// Any other extension: its type, and the number of its bytes, which follow.
    Extension(i8, usize),
}

/// Reads values from bytes. Announced lengths are never trusted: the bytes must exist before they
/// are used, and no memory is reserved for them.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// The bytes end early, or are not msgpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl From<Malformed> for DecodeError {
    fn from(Malformed: Malformed) -> Self {
        Self::MalformedMsgPack
    }
}

impl<'a> Reader<'a> {
    /// Creates a reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the number of bytes that are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Reads the beginning of a value.
    ///
    /// # Errors
    ///
    /// The bytes end early, or are not msgpack.
    pub fn head(&mut self) -> Result<Head, Malformed> {
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
            0xc1 => return Err(Malformed),
        })
    }

    /// Reads an extension in the form with a length, in which type 0 is an `ArrayBuffer`.
    fn extension(
        &mut self,
        len: impl FnOnce(&mut Self) -> Result<usize, Malformed>,
    ) -> Result<Head, Malformed> {
        let len = len(self)?;
        let kind = i8::from_be_bytes(self.take()?);
        Ok(if kind == 0 { Head::Binary(len) } else { Head::Extension(kind, len) })
    }

    /// Reads an extension in the form of fixed length, in which type 0 is `undefined` with one
    /// byte, and a date with eight.
    fn fixed_extension(&mut self, len: usize) -> Result<Head, Malformed> {
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
    ///
    /// # Errors
    ///
    /// The bytes end early.
    pub fn text(&mut self, len: usize) -> Result<Cow<'a, str>, Malformed> {
        Ok(String::from_utf8_lossy(self.bytes(len)?))
    }

    /// Reads the data of a value whose length was in the head.
    ///
    /// # Errors
    ///
    /// The bytes end early.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn len8(&mut self) -> Result<usize, Malformed> {
        Ok(u8::from_be_bytes(self.take()?).into())
    }

    fn len16(&mut self) -> Result<usize, Malformed> {
        Ok(u16::from_be_bytes(self.take()?).into())
    }

    fn len32(&mut self) -> Result<usize, Malformed> {
        Ok(u32::from_be_bytes(self.take()?) as usize)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

/// Writes a number like JavaScript's only number type: as an integer if it is one.
pub fn float(out: &mut Vec<u8>, number: f64) {
    const MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= MAX {
        return signed(out, number as i64);
    }
    out.push(0xcb);
    out.extend_from_slice(&number.to_be_bytes());
}

/// Writes an integer.
pub fn unsigned(out: &mut Vec<u8>, number: u64) {
    match number {
        0..0x80 => out.push(number as u8),
        0x80..0x100 => out.extend_from_slice(&[0xcc, number as u8]),
        0x100..0x1_0000 => headed(out, 0xcd, &(number as u16).to_be_bytes()),
        0x1_0000..0x1_0000_0000 => headed(out, 0xce, &(number as u32).to_be_bytes()),
        _ => headed(out, 0xcf, &number.to_be_bytes()),
    }
}

/// Writes an integer that may be negative.
pub fn signed(out: &mut Vec<u8>, number: i64) {
    match number {
        0.. => unsigned(out, number.unsigned_abs()),
        -0x20..0 => out.push(number as u8),
        -0x80..-0x20 => out.extend_from_slice(&[0xd0, number as u8]),
        -0x8000..-0x80 => headed(out, 0xd1, &(number as i16).to_be_bytes()),
        -0x8000_0000..-0x8000 => headed(out, 0xd2, &(number as i32).to_be_bytes()),
        _ => headed(out, 0xd3, &number.to_be_bytes()),
    }
}

/// Writes a text.
pub fn string(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        len @ 0..0x20 => out.push(0xa0 | len as u8),
        len @ 0x20..0x100 => out.extend_from_slice(&[0xd9, len as u8]),
        len @ 0x100..0x1_0000 => headed(out, 0xda, &(len as u16).to_be_bytes()),
        len => headed(out, 0xdb, &(len as u32).to_be_bytes()),
    }
    out.extend_from_slice(text.as_bytes());
}

/// Writes binary data.
pub fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..0x100 => out.extend_from_slice(&[0xc4, len as u8]),
        len @ 0x100..0x1_0000 => headed(out, 0xc5, &(len as u16).to_be_bytes()),
        len => headed(out, 0xc6, &(len as u32).to_be_bytes()),
    }
    out.extend_from_slice(bytes);
}

/// Writes the beginning of an array of `len` items.
pub fn array(out: &mut Vec<u8>, len: usize) {
    match len {
        0..0x10 => out.push(0x90 | len as u8),
        0x10..0x1_0000 => headed(out, 0xdc, &(len as u16).to_be_bytes()),
        _ => headed(out, 0xdd, &(len as u32).to_be_bytes()),
    }
}

/// Writes the beginning of a map of `len` members.
pub fn map(out: &mut Vec<u8>, len: usize) {
    match len {
        0..0x10 => out.push(0x80 | len as u8),
        0x10..0x1_0000 => headed(out, 0xde, &(len as u16).to_be_bytes()),
        _ => headed(out, 0xdf, &(len as u32).to_be_bytes()),
    }
}

fn headed(out: &mut Vec<u8>, first: u8, rest: &[u8]) {
    out.push(first);
    out.extend_from_slice(rest);
}
