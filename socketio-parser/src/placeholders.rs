//! Whether the placeholders of a packet name attachments it has.

use std::borrow::Cow;

use crate::{
    args::Args,
    binary::{NUM, PLACEHOLDER, index},
    error::DecodeError,
    scan::Scanner,
};

/// Checks every placeholder in `args`, at any depth, against the number of attachments.
///
/// A walk over the text, as strings that only JavaScript takes (lone surrogates) are nobody's business here. It recurses,
/// which is safe because the text was scanned before: it is valid, and its depth is limited.
pub(crate) fn check(args: &Args, attachments: usize) -> Result<(), DecodeError> {
    let text = args.list_text();
    let mut walk = Walk { text, scanner: Scanner::new(text, 0, 128), attachments };
    walk.value().map(drop).ok_or(DecodeError::IllegalAttachments)
}

struct Walk<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    attachments: usize,
}

impl<'a> Walk<'a> {
    /// Walks over one value and returns its text, if it is a scalar. `None`: a placeholder in it is illegal.
    fn value(&mut self) -> Option<&'a str> {
        match self.scanner.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Option<&'a str> {
        let start = self.scanner.next_pos();
        self.scanner.value()?;
        Some(self.text.get(start..self.scanner.pos()).unwrap_or_default())
    }

    fn array(&mut self) -> Option<&'a str> {
        self.scanner.skip(b'[')?;
        while !self.scanner.at(b']') {
            self.value()?;
            self.scanner.comma();
        }
        self.scanner.skip(b']')?;
        Some("")
    }

    fn object(&mut self) -> Option<&'a str> {
        let (mut placeholder, mut num) = ("", "");
        self.scanner.skip(b'{')?;
        while !self.scanner.at(b'}') {
            let start = self.scanner.next_pos();
            let escaped = self.scanner.key()?;
            let key = unquote(self.text.get(start..)?, escaped);
            let value = self.value()?;
            match &*key {
                PLACEHOLDER => placeholder = value,
                NUM => num = value,
                _ => {}
            }
            self.scanner.comma();
        }
        self.scanner.skip(b'}')?;
        let num = num.parse().ok().and_then(index);
        if placeholder == "true" && num.is_none_or(|num| num >= self.attachments) {
            return None;
        }
        Some("")
    }
}

/// The content of the string that `text` begins with.
fn unquote(text: &str, escaped: bool) -> Cow<'_, str> {
    if escaped {
        let mut strings = serde_json::Deserializer::from_str(text).into_iter();
        return strings.next().and_then(Result::ok).unwrap_or_default();
    }
    text.split('"').nth(1).unwrap_or_default().into()
}
