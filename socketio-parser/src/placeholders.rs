//! Finds the placeholders of a packet, and checks that each of them names an existing attachment.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    args::Args,
    binary::{NUM, PLACEHOLDER, Place, index},
    error::DecodeError,
    scan::Scanner,
    text::unquote,
};

/// Finds every placeholder in `args`, at any depth, and checks it against the number of
/// attachments.
pub(crate) fn find(args: &Args, attachments: usize) -> Result<Vec<Place>, DecodeError> {
    walk(args.list_text(), attachments, Vec::new()).ok_or(DecodeError::IllegalAttachments)
}

/// Checks how large the attachments are if each is counted once per placeholder, as an encoding
/// that cannot share them writes them. A packet of many placeholders for one attachment would
/// otherwise become as many times its size.
///
/// Attachments that are used once are bounded by the size of the packet itself.
pub(crate) fn check_expansion(
    places: &[Place],
    attachments: &[Bytes],
    limit: usize,
) -> Result<(), DecodeError> {
    let sum = |lengths: &mut dyn Iterator<Item = usize>| lengths.fold(0, usize::saturating_add);
    let received = sum(&mut attachments.iter().map(Bytes::len));
    let used = places.iter().filter_map(|place| attachments.get(place.num));
    if sum(&mut used.map(Bytes::len)) > limit.max(received) {
        return Err(DecodeError::AttachmentsTooLarge { limit });
    }
    Ok(())
}

/// Receives the arrays and objects of a [`walk`].
pub(crate) trait Visitor {
    /// Called at the beginning of an array or object.
    fn begin(&mut self) -> usize;

    /// Called at the end of one that begins at the position `at`, with what [`begin`](Self::begin)
    /// has returned for it. `items` is the number of its items or members. `placeholder` is set for
    /// a placeholder, whose other members are ignored: the index of its attachment, or `None` if
    /// there is no such attachment. The walk stops if this returns `None`.
    fn end(
        &mut self,
        begun: usize,
        at: usize,
        items: usize,
        placeholder: Option<Option<usize>>,
    ) -> Option<()>;
}

/// Walks over the value in `text`. Returns the visitor, or `None` if it has stopped the walk.
///
/// The recursion is safe because the text was scanned before: it is valid, and its depth is
/// limited.
pub(crate) fn walk<V: Visitor>(text: &str, attachments: usize, visitor: V) -> Option<V> {
    let scanner = Scanner::new(text, 0, 128);
    let mut walk = Walk { text, scanner, attachments, visitor };
    walk.value()?;
    Some(walk.visitor)
}

struct Walk<'a, V> {
    text: &'a str,
    scanner: Scanner<'a>,
    attachments: usize,
    visitor: V,
}

impl<'a, V: Visitor> Walk<'a, V> {
    /// Walks over one value. Returns its text if it is a scalar.
    fn value(&mut self) -> Option<&'a str> {
        let at = self.scanner.next_pos();
        let (open, close) = match self.scanner.peek()? {
            b'{' => (b'{', b'}'),
            b'[' => (b'[', b']'),
            _ => {
                self.scanner.value()?;
                return self.text.get(at..self.scanner.pos());
            }
        };
        self.scanner.skip(open)?;
        let begun = self.visitor.begin();
        let (mut items, mut placeholder, mut num) = (0, "", "");
        while !self.scanner.at(close) {
            let mut key = Cow::Borrowed("");
            if open == b'{' {
                let start = self.scanner.next_pos();
                self.scanner.key()?;
                key = unquote(self.text.get(start..)?);
            }
            let value = self.value()?;
            match &*key {
                PLACEHOLDER => placeholder = value,
                NUM => num = value,
                _ => {}
            }
            self.scanner.comma();
            items += 1;
        }
        self.scanner.skip(close)?;
        let num = num.parse().ok().and_then(index).filter(|num| *num < self.attachments);
        let placeholder = (placeholder == "true").then_some(num);
        self.visitor.end(begun, at, items, placeholder)?;
        Some("")
    }
}

impl Visitor for Vec<Place> {
    fn begin(&mut self) -> usize {
        self.len()
    }

    fn end(
        &mut self,
        begun: usize,
        at: usize,
        _: usize,
        placeholder: Option<Option<usize>>,
    ) -> Option<()> {
        if let Some(num) = placeholder {
            self.truncate(begun);
            self.push(Place { at, num: num? });
        }
        Some(())
    }
}
