//! The last argument of events: text, or attachments whose content the receiver checks.

use socketio_server::Value;

/// Returns one to three attachments of this size together. Their number and their content follow
/// from `seed`.
pub(crate) fn attachments(seed: u32, size: usize) -> Value {
    let count = count(seed);
    let attachment = |at| Value::Binary(vec![content(seed, at); size / count].into());
    Value::Array((0..count).map(attachment).collect())
}

/// Returns whether a payload is a text, or the attachments of `seed`.
pub(crate) fn is_intact(payload: &Value, seed: u32) -> bool {
    match payload {
        Value::Array(list) => {
            let is_intact = |(at, it): (usize, &Value)| match it {
                Value::Binary(bytes) => bytes.iter().all(|byte| *byte == content(seed, at)),
                _ => false,
            };
            list.len() == count(seed) && list.iter().enumerate().all(is_intact)
        }
        Value::String(_) => true,
        _ => false,
    }
}

/// Returns the number of attachments.
fn count(seed: u32) -> usize {
    1 + seed as usize % 3
}

/// Returns the byte that the attachment at a position repeats.
fn content(seed: u32, at: usize) -> u8 {
    (seed as usize + 100 * at) as u8
}
