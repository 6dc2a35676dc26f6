//! What decoding one message may take in memory. Values in memory are far larger than on the wire, and messages of a few
//! megabytes could take gigabytes: each part is charged before it is made.

use socketio_parser::Value;

use crate::{error::MessageError, limits::ClusterLimits, selection::Room};

/// What is left for one message.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    limit: usize,
}

/// A value in a list, and what becomes of it: the text of an argument (`false` is the longest of most values), or the name
/// of a room with its allocation.
pub(crate) const ITEM: usize = size_of::<Value>() + size_of::<Room>() + 2 * ALLOCATION;
/// A member of an object: key, value, hash, and its place in the index, which has up to twice the places it needs.
pub(crate) const MEMBER: usize = size_of::<(String, Value)>() + 32 + JSON_COPIES * 10;
/// What an allocation takes beside its contents.
pub(crate) const ALLOCATION: usize = 16;
/// A number of more than 16 bits has up to 24 digits.
pub(crate) const LONG_NUMBER: usize = JSON_COPIES * 20;
/// An attachment: its place in the list of them, and its placeholder, `{"_placeholder":true,"num":1234567}`.
pub(crate) const ATTACHMENT: usize = 96 + JSON_COPIES * 40;
/// An argument is written anew as JSON. The buffer doubles as it grows, so that it is there three times for a moment.
const JSON_COPIES: usize = 3;
/// A list whose length is not known in advance doubles as it grows.
const GROWTH: usize = 3;

impl Budget {
    pub(crate) fn new(limits: &ClusterLimits) -> Self {
        let limit = limits.get_max_decoded_bytes();
        Self { left: limit, limit }
    }

    /// Takes `count` times `bytes`.
    pub(crate) fn charge(&mut self, count: usize, bytes: usize) -> Result<(), MessageError> {
        let left = self.left.checked_sub(count.saturating_mul(bytes));
        self.left = left.ok_or(MessageError::TooCostly { limit: self.limit })?;
        Ok(())
    }

    /// Takes what a text in a value costs. Control characters, quotes and backslashes have up to six characters in JSON.
    pub(crate) fn charge_text(&mut self, text: &[u8]) -> Result<(), MessageError> {
        let escaped = text.iter().filter(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).count();
        self.charge(1, ALLOCATION + text.len() * (1 + JSON_COPIES))?;
        self.charge(escaped, 5 * JSON_COPIES)
    }

    /// Takes what the values of a JSON text cost, before any of them is made.
    pub(crate) fn charge_json(&mut self, text: &str) -> Result<(), MessageError> {
        self.charge(1, text.len())?;
        let (mut items, mut members, mut in_text, mut escaped) = (0, 0, false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'[' | b'{' | b',' if !in_text => items += 1,
                b':' if !in_text => members += 1,
                _ => {}
            }
        }
        self.charge(items, GROWTH * ITEM)?;
        self.charge(members, GROWTH * MEMBER)
    }
}
