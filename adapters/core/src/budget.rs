//! Limits the memory that decoding one message may take. Values take far more memory than bytes on
//! the wire, so a message of a few megabytes could take gigabytes. The cost of each part is charged
//! before the part is created.

use socketio_parser::Value;

use crate::{error::MessageError, limits::ClusterLimits, selection::Room};

/// The remaining budget of one message.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    limit: usize,
}

/// A value in a list with its later form: the text of an argument (`false` is the longest of most
/// values), or the name of a room with its allocation.
pub(crate) const ITEM: usize = size_of::<Value>() + size_of::<Room>() + 2 * ALLOCATION;
/// A member of an object: key, value, hash, and its slot in the index, which has up to twice as
/// many slots as members.
pub(crate) const MEMBER: usize = size_of::<(String, Value)>() + 32 + JSON_COPIES * 10;
/// Overhead of an allocation.
pub(crate) const ALLOCATION: usize = 16;
/// Additional cost of a number of more than 16 bits, which has up to 24 digits.
pub(crate) const LONG_NUMBER: usize = JSON_COPIES * 20;
/// An attachment: its slot in the list of attachments, and its placeholder,
/// `{"_placeholder":true,"num":1234567}`.
pub(crate) const ATTACHMENT: usize = 96 + JSON_COPIES * 40;
/// An argument is encoded as JSON again. Its buffer doubles as it grows, so that up to three times
/// its size is allocated at once.
const JSON_COPIES: usize = 3;
/// A list of unknown length doubles as it grows.
const GROWTH: usize = 3;

impl Budget {
    pub(crate) fn new(limits: &ClusterLimits) -> Self {
        let limit = limits.decoded_bytes();
        Self { left: limit, limit }
    }

    /// Charges `count` times `bytes`. Returns an error if the budget is exceeded.
    pub(crate) fn charge(&mut self, count: usize, bytes: usize) -> Result<(), MessageError> {
        let left = self.left.checked_sub(count.saturating_mul(bytes));
        self.left = left.ok_or(MessageError::TooCostly { limit: self.limit })?;
        Ok(())
    }

    /// Charges the cost of a text. Control characters, quotes and backslashes take up to six
    /// characters in JSON.
    pub(crate) fn charge_text(&mut self, text: &[u8]) -> Result<(), MessageError> {
        let escaped = text.iter().filter(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).count();
        self.charge(1, ALLOCATION + text.len() * (1 + JSON_COPIES))?;
        self.charge(escaped, 5 * JSON_COPIES)
    }

    /// Charges the cost of all values in a JSON text, before any of them is created.
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
