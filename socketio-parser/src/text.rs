//! Decoding of JSON strings, with JavaScript's tolerance.

use std::{borrow::Cow, char::REPLACEMENT_CHARACTER};

use crate::scan;

/// Returns the content of the string at the beginning of valid JSON.
pub(crate) fn unquote(json: &str) -> Cow<'_, str> {
    string(json, 1).unwrap_or_default().0
}

/// Decodes the rest of a string of valid JSON after its opening quote. Returns the text and its
/// end.
///
/// A JavaScript string may contain an unpaired surrogate, for example at the end of a text that was
/// cut inside an emoji. `JSON.stringify` writes it as an escape. A Rust string cannot contain it,
/// so U+FFFD replaces it, as it does when JavaScript converts such a string to bytes.
#[inline]
pub(crate) fn string(json: &str, start: usize) -> Option<(Cow<'_, str>, usize)> {
    let end = stop(json.as_bytes(), start)?;
    if json.as_bytes().get(end) == Some(&b'"') {
        return Some((json.get(start..end)?.into(), end + 1));
    }
    let (text, end) = unescape(json.as_bytes(), start, end)?;
    Some((text.into(), end))
}

/// Decodes a string whose first backslash is at `end`.
fn unescape(bytes: &[u8], mut start: usize, mut end: usize) -> Option<(String, usize)> {
    let mut text = Vec::with_capacity(end - start + 32);
    loop {
        text.extend_from_slice(bytes.get(start..end)?);
        if bytes.get(end) == Some(&b'"') {
            // The text consists of pieces that end at ASCII characters, so it is valid UTF-8.
            return Some((String::from_utf8(text).ok()?, end + 1));
        }
        let (char, len) = escape(bytes.get(end + 1..)?);
        text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        start = end + 1 + len;
        end = stop(bytes, start)?;
    }
}

/// Returns the position of the next quote or backslash.
#[inline]
fn stop(bytes: &[u8], mut pos: usize) -> Option<usize> {
    loop {
        pos = scan::plain(bytes, pos);
        match bytes.get(pos)? {
            b'"' | b'\\' => return Some(pos),
            _ => pos += 1,
        }
    }
}

/// Decodes the text after a backslash. Returns the character and the length of the escape.
fn escape(rest: &[u8]) -> (char, usize) {
    let char = match rest.first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(rest),
        Some(byte) if byte.is_ascii() => char::from(*byte),
        // Not an escape. The scan accepts no such text.
        _ => return (REPLACEMENT_CHARACTER, 0),
    };
    (char, 1)
}

/// Decodes `uXXXX`, or two of them that form one character.
fn unicode(bytes: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 4)?.iter().map(|digit| char::from(*digit).to_digit(16));
        digits.reduce(|unit, digit| Some(unit? << 4 | digit?)).flatten()
    };
    let Some(first) = unit(1) else { return (REPLACEMENT_CHARACTER, 1) };
    if let Some(char) = char::from_u32(first) {
        return (char, 5);
    }
    let low = if bytes.get(5..7) == Some(b"\\u") { unit(7) } else { None };
    match (first, low) {
        (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code).unwrap_or(REPLACEMENT_CHARACTER), 11)
        }
        _ => (REPLACEMENT_CHARACTER, 5),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(inside: &str) -> String {
        unquote(&format!("\"{inside}\"")).into_owned()
    }

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_character() {
        for (json, text) in [
            (r"a\ud83d", "a\u{fffd}"),
            (r"\ud83d\ude00", "\u{1f600}"),
            (r"\uDE00\uD83D", "\u{fffd}\u{fffd}"),
            (r"\ud83d\ud83d\ude00b", "\u{fffd}\u{1f600}b"),
            (r"\ud83d\n\\", "\u{fffd}\n\\"),
            (r"\ud83d\\ude00", "\u{fffd}\\ude00"),
            (r"\ud83dé", "\u{fffd}é"),
        ] {
            assert_eq!(decoded(json), text, "{json}");
        }
    }

    #[test]
    fn invalid_escapes_are_no_panic() {
        for json in [r"\", r"\u", r"\u12", r"\ué", r"\é", r"\ud83d\u", r"\ud83d\u1"] {
            decoded(json);
        }
    }

    proptest! {
        #[test]
        fn strings_are_those_of_serde_json(text in any::<String>(), tail in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let followed = format!("{json}{tail}");
            prop_assert_eq!(unquote(&followed), &*text);
            let escapes: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(decoded(&escapes), text);
        }

        #[test]
        fn lone_surrogates_are_replaced_as_utf_16_replaces_them(units in proptest::collection::vec(
            prop_oneof![Just(0xd83d_u16), Just(0xde00), Just(0xdbff), Just(0xdfff), any::<u16>()], 0..12,
        )) {
            let escapes: String = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
            prop_assert_eq!(decoded(&escapes), String::from_utf16_lossy(&units));
        }
    }
}
