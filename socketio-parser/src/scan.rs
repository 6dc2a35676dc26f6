//! A scan that validates JSON (RFC 8259). It builds nothing, does not recurse and does not
//! allocate.

use crate::error::DecodeError;

/// Checks that `text` is one JSON value, nested less than `max_depth` levels.
pub(crate) fn validate(text: &str, max_depth: usize) -> Result<(), DecodeError> {
    let mut scanner = Scanner::new(text, 0, max_depth);
    let valid = scanner.value().and_then(|()| scanner.end());
    valid.ok_or_else(|| scanner.error())
}

/// A validating scanner of JSON.
///
/// Open arrays and objects are the bits of one integer, so a depth above 128 cannot be allowed. A
/// method that finds an error returns `None`, which fits a register. [`error`](Self::error) returns
/// the error.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// One bit per open level, the innermost lowest: set for an object.
    objects: u128,
    depth: usize,
    max_depth: usize,
}

/// The first item of an event's argument list.
pub(crate) enum EventName {
    /// A string without escapes: the start and end of its content.
    Plain(usize, usize),
    /// A string with escapes: its start and end, including the quotes.
    Escaped(usize, usize),
    /// A number: its start and end.
    Number(usize, usize),
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, pos: usize, max_depth: usize) -> Self {
        Self { bytes: text.as_bytes(), pos, objects: 0, depth: 0, max_depth }
    }

    /// Returns the error for which a method returned `None`.
    pub(crate) fn error(&self) -> DecodeError {
        if self.depth >= self.max_depth {
            DecodeError::TooDeep { limit: self.max_depth }
        } else {
            DecodeError::InvalidPayload
        }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// Returns the position of the next token.
    pub(crate) fn next_pos(&mut self) -> usize {
        self.pos = space(self.bytes, self.pos);
        self.pos
    }

    /// Returns the first byte of the next token.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.pos = space(self.bytes, self.pos);
        self.bytes.get(self.pos).copied()
    }

    /// Returns whether the next token begins with `byte`.
    pub(crate) fn at(&mut self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    /// Skips `byte`, which must come next.
    pub(crate) fn skip(&mut self, byte: u8) -> Option<()> {
        let found = self.at(byte);
        self.pos += usize::from(found);
        found.then_some(())
    }

    /// Skips the comma before another item. Returns whether there was one.
    pub(crate) fn comma(&mut self) -> bool {
        self.skip(b',').is_some()
    }

    /// Checks that only white space follows.
    fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Scans one value.
    pub(crate) fn value(&mut self) -> Option<()> {
        self.run(true)
    }

    /// Scans a key and its colon. Returns whether the key has escapes.
    pub(crate) fn key(&mut self) -> Option<bool> {
        let (pos, escaped) = key(self.bytes, space(self.bytes, self.pos))?;
        self.pos = pos;
        Some(escaped)
    }

    /// Scans a list of arguments. Returns the name of its event, the position of its first argument,
    /// and its end.
    #[inline]
    pub(crate) fn list(&mut self, event: bool) -> Option<(Option<EventName>, usize, usize)> {
        self.skip(b'[')?;
        self.depth = 1;
        if self.depth >= self.max_depth {
            return None;
        }
        let name = if event { Some(self.event_name()?) } else { None };
        let at_item = if event { self.comma() } else { !self.at(b']') };
        let first = self.next_pos();
        self.run(at_item)?;
        let end = self.pos;
        self.end()?;
        Some((name, first, end))
    }

    /// Scans the name of an event, which is the first item of its list.
    #[inline]
    fn event_name(&mut self) -> Option<EventName> {
        let start = self.next_pos();
        match self.bytes.get(start)? {
            b'"' => {
                let (end, escaped) = string(self.bytes, start + 1)?;
                self.pos = end;
                Some(match escaped {
                    true => EventName::Escaped(start, end),
                    false => EventName::Plain(start + 1, end - 1),
                })
            }
            b'-' | b'0'..=b'9' => {
                self.pos = number(self.bytes, start)?;
                Some(EventName::Number(start, self.pos))
            }
            _ => None,
        }
    }

    /// Scans until every open level is closed or, at the outermost level, until one value is read.
    /// Begins at the start of a value if `at_value` is set, else at the end of one.
    ///
    /// The state is in local variables, so that it can stay in registers.
    fn run(&mut self, mut at_value: bool) -> Option<()> {
        let Self { bytes, mut pos, mut objects, mut depth, max_depth } = *self;
        loop {
            if at_value {
                pos = space(bytes, pos);
                match *bytes.get(pos)? {
                    b'"' => pos = string(bytes, pos + 1)?.0,
                    b'-' | b'0'..=b'9' => pos = number(bytes, pos)?,
                    open @ (b'{' | b'[') => {
                        depth += 1;
                        if depth >= max_depth {
                            self.depth = depth;
                            return None;
                        }
                        let object = open == b'{';
                        objects = objects << 1 | u128::from(object);
                        pos = space(bytes, pos + 1);
                        // In ASCII a closing bracket is the opening one plus two. An empty level is
                        // closed below.
                        if *bytes.get(pos)? != open + 2 {
                            if object {
                                pos = key(bytes, pos)?.0;
                            }
                            continue;
                        }
                    }
                    b't' => pos = literal(bytes, pos, b"true")?,
                    b'f' => pos = literal(bytes, pos, b"false")?,
                    b'n' => pos = literal(bytes, pos, b"null")?,
                    _ => return None,
                }
            }
            at_value = true;
            // A value has ended. Close levels up to the next comma.
            loop {
                if depth == 0 {
                    (self.pos, self.objects, self.depth) = (pos, objects, depth);
                    return Some(());
                }
                pos = space(bytes, pos);
                match (*bytes.get(pos)?, objects & 1 == 1) {
                    (b',', false) => {
                        pos += 1;
                        break;
                    }
                    (b',', true) => {
                        pos = key(bytes, space(bytes, pos + 1))?.0;
                        break;
                    }
                    (b']', false) | (b'}', true) => {
                        pos += 1;
                        depth -= 1;
                        objects >>= 1;
                    }
                    _ => return None,
                }
            }
        }
    }
}

// Each of these functions returns the position after the scanned text.

#[inline(always)]
fn space(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

/// Scans a key and its colon. Also returns whether the key has escapes.
#[inline(always)]
fn key(bytes: &[u8], pos: usize) -> Option<(usize, bool)> {
    if *bytes.get(pos)? != b'"' {
        return None;
    }
    let (pos, escaped) = string(bytes, pos + 1)?;
    let pos = space(bytes, pos);
    (*bytes.get(pos)? == b':').then_some((pos + 1, escaped))
}

#[inline(always)]
fn literal(bytes: &[u8], pos: usize, word: &[u8]) -> Option<usize> {
    bytes.get(pos..)?.starts_with(word).then_some(pos + word.len())
}

/// Scans a string after its opening quote. Also returns whether it has escapes.
#[inline(always)]
fn string(bytes: &[u8], mut pos: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    loop {
        pos = plain(bytes, pos);
        match *bytes.get(pos)? {
            b'"' => return Some((pos + 1, escaped)),
            b'\\' => {
                escaped = true;
                pos = escape(bytes, pos + 1)?;
            }
            _ => return None,
        }
    }
}

/// Returns the position of the next byte that ends a run of plain text in a string: a quote, a
/// backslash or a control character. Without one it is the end.
#[inline(always)]
pub(crate) fn plain(bytes: &[u8], pos: usize) -> usize {
    let mut rest = bytes.get(pos..).unwrap_or_default();
    let at = |rest: &[u8], special: u64| {
        bytes.len() - rest.len() + special.trailing_zeros() as usize / 8
    };
    let Some((word, after)) = rest.split_first_chunk::<8>() else {
        return plain_short(bytes, rest);
    };
    let special = special_bytes(u64::from_le_bytes(*word));
    if special != 0 {
        return at(rest, special);
    }
    rest = after;
    while let Some((block, after)) = rest.split_first_chunk::<32>() {
        // The compiler makes vector instructions of this loop.
        let special = block.iter().fold(0, |special, byte| {
            special | u8::from(*byte < 0x20) | u8::from(*byte == b'"') | u8::from(*byte == b'\\')
        });
        if special != 0 {
            break;
        }
        rest = after;
    }
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at(rest, special);
        }
        rest = after;
    }
    // The last word overlaps plain text. If no byte is special, the result is the end.
    let last = bytes.last_chunk::<8>().map_or(0, |word| special_bytes(u64::from_le_bytes(*word)));
    bytes.len() - 8 + last.trailing_zeros() as usize / 8
}

/// Does the same as [`plain`] for `rest`, the last few bytes.
#[inline(always)]
fn plain_short(bytes: &[u8], rest: &[u8]) -> usize {
    let start = bytes.len() - rest.len();
    if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        // The two halves of the word may overlap.
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        let special = special_bytes(u64::from(last) << 32 | u64::from(first));
        let index = special.trailing_zeros() as usize / 8;
        return if index < 4 { start + index } else { bytes.len() + index - 8 };
    }
    let is_special = |byte: &u8| *byte < 0x20 || matches!(*byte, b'"' | b'\\');
    rest.iter().position(is_special).map_or(bytes.len(), |index| start + index)
}

/// Returns the length of the plain text at the start of a string, if a quote among the first eight
/// bytes ends the string.
#[inline(always)]
pub(crate) fn plain_start(rest: &[u8]) -> Option<usize> {
    let special = special_bytes(u64::from_le_bytes(*rest.first_chunk()?));
    let len = special.trailing_zeros() as usize / 8;
    (rest.get(len) == Some(&b'"') && len < 8).then_some(len)
}

/// Returns the bytes of a short text as one integer, the first byte lowest. Returns `None` if there
/// are more than eight, or if one of them ends a run of [plain] text.
#[inline(always)]
pub(crate) fn plain_word(bytes: &[u8]) -> Option<u64> {
    let len = bytes.len();
    let word = match (bytes, bytes.first_chunk(), bytes.last_chunk()) {
        // The two halves of the word may overlap.
        (_, Some(first), Some(last)) if len <= 8 => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(first) | u64::from(last) << (8 * (len - 4))
        }
        ([], ..) => return Some(0),
        ([a], ..) => u64::from(*a),
        ([a, b], ..) => u64::from(*a) | u64::from(*b) << 8,
        ([a, b, c], ..) => u64::from(*a) | u64::from(*b) << 8 | u64::from(*c) << 16,
        _ => return None,
    };
    (special_bytes(word) << (64 - 8 * len) == 0).then_some(word)
}

fn escape(bytes: &[u8], pos: usize) -> Option<usize> {
    match bytes.get(pos)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(pos + 1),
        b'u' => {
            let digits = bytes.get(pos + 1..pos + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(pos + 5)
        }
        _ => None,
    }
}

#[inline(always)]
pub(crate) fn number(bytes: &[u8], mut pos: usize) -> Option<usize> {
    pos += usize::from(bytes.get(pos) == Some(&b'-'));
    if bytes.get(pos) == Some(&b'0') {
        pos += 1;
    } else {
        pos = digits(bytes, pos)?;
    }
    match bytes.get(pos) {
        Some(b'.' | b'e' | b'E') => fraction(bytes, pos),
        _ => Some(pos),
    }
}

/// Scans the parts that distinguish a number from an integer.
fn fraction(bytes: &[u8], mut pos: usize) -> Option<usize> {
    if bytes.get(pos) == Some(&b'.') {
        pos = digits(bytes, pos + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(pos) {
        let sign = matches!(bytes.get(pos + 1), Some(b'+' | b'-'));
        pos = digits(bytes, pos + 1 + usize::from(sign))?;
    }
    Some(pos)
}

#[inline(always)]
fn digits(bytes: &[u8], start: usize) -> Option<usize> {
    let mut pos = start;
    while let Some(b'0'..=b'9') = bytes.get(pos) {
        pos += 1;
    }
    (pos > start).then_some(pos)
}

/// Sets the high bit of each byte that ends a run of plain text in a string: a quote, a backslash
/// or a control character. Only the lowest set bit is reliable, because a borrow may set a higher
/// one.
#[inline]
fn special_bytes(chunk: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
    (control | zero(chunk ^ (ONES * u64::from(b'"'))) | zero(chunk ^ (ONES * u64::from(b'\\'))))
        & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_ends_at_the_first_special_byte_or_the_end() {
        for len in 0..100 {
            let text = vec![b'x'; len];
            for pos in 0..=len {
                assert_eq!(plain(&text, pos), len);
            }
            for at in 0..len {
                for special in [b'"', b'\\', 0, 0x1f] {
                    let mut text = text.clone();
                    text[at..].fill(special);
                    for pos in 0..len {
                        assert_eq!(plain(&text, pos), at.max(pos), "{special} at {at} of {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_short_plain_text_is_one_word() {
        for len in 0..12 {
            let text: Vec<u8> = (b'a'..).take(len).collect();
            let mut word = [0; 8];
            text.iter().zip(&mut word).for_each(|(byte, place)| *place = *byte);
            let expected = (len <= 8).then_some(u64::from_le_bytes(word));
            assert_eq!(plain_word(&text), expected);
            for at in 0..len {
                for special in [b'"', b'\\', 0, 0x1f] {
                    let mut text = text.clone();
                    text[at] = special;
                    assert_eq!(plain_word(&text), None, "{special} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn the_scan_stops_at_the_depth_where_serde_json_stops() {
        for depth in [1, 126, 127, 128, 129, 100_000] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            let parsed = serde_json::from_str::<serde_json::Value>(&text);
            assert_eq!(validate(&text, 128).is_ok(), parsed.is_ok(), "{depth}");
        }
    }

    proptest! {
        /// `IgnoredAny` accepts all valid JSON at any depth, including unpaired surrogates.
        #[test]
        fn the_scan_agrees_with_serde_json(text in r#"[\[\]{}",:\\ue0-9. tn\x01é-]{0,24}"#) {
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            prop_assert_eq!(validate(&text, 128).is_ok(), parsed.is_ok());
        }

        #[test]
        fn the_scan_takes_all_that_serde_json_writes(
            values in proptest::collection::vec(("\\PC{0,20}", any::<f64>(), any::<i64>(), any::<Option<bool>>()), 0..4)
        ) {
            prop_assert_eq!(validate(&serde_json::to_string(&values).unwrap(), 128), Ok(()));
        }
    }
}
