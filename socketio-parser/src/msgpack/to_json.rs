//! Translation of msgpack to JSON with placeholders.

use bytes::Bytes;

use super::format::{Head, Reader};
use crate::{
    binary::{NUM, PLACEHOLDER},
    date::javascript_date,
    error::DecodeError,
    json,
    limits::Limits,
};

/// Reads one message, and translates its values.
pub(super) struct Translator<'a> {
    pub(super) reader: Reader<'a>,
    data: &'a Bytes,
    limits: &'a Limits,
}

/// A value in JSON, with its binary values in a separate list.
#[derive(Default)]
pub(super) struct Json {
    pub(super) text: Vec<u8>,
    pub(super) binary: Vec<Bytes>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(data: &'a Bytes, limits: &'a Limits) -> Self {
        Self { reader: Reader::new(data), data, limits }
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
            Head::Float(number) => json::write_f64(&mut json.text, number),
            Head::Text(len) => json.put(&*self.reader.text(len)?),
            Head::Binary(len) => self.binary(len, json)?,
            Head::Array(len) => self.array(len, self.deeper(depth)?, json)?,
            Head::Map(len) => self.map(len, self.deeper(depth)?, json)?,
            Head::Date(millis) => match javascript_date(millis) {
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
            let head = self.reader.head()?;
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
            match self.reader.head()? {
                Head::Text(len) => json.put(&*self.reader.text(len)?),
                // A key that is a number becomes text, as in JavaScript, which rounds large ones.
                Head::Unsigned(number) => json.put(&*(number as f64).to_string()),
                Head::Signed(number) => json.put(&*(number as f64).to_string()),
                _ => return Err(DecodeError::InvalidPayload),
            }
            match self.reader.head()? {
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
        let bytes = self.reader.bytes(len)?;
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
}

impl Json {
    fn put<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        // Cannot fail: numbers and strings always serialize, and a `Vec` accepts all bytes.
        let _ = serde_json::to_writer(&mut self.text, value);
    }
}
