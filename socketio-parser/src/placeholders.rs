//! Finds the placeholders of a packet, and checks that each of them names an existing attachment.

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
///
/// The recursion is safe because the text was scanned before: it is valid, and its depth is
/// limited.
pub(crate) fn find(args: &Args, attachments: usize) -> Result<Vec<Place>, DecodeError> {
    let text = args.list_text();
    let scanner = Scanner::new(text, 0, 128);
    let mut walk = Walk { text, scanner, attachments, places: Vec::new() };
    walk.value().ok_or(DecodeError::IllegalAttachments)?;
    Ok(walk.places)
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

struct Walk<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    attachments: usize,
    places: Vec<Place>,
}

impl<'a> Walk<'a> {
    /// Walks over one value. Returns its text if it is a scalar. Returns `None` if it contains an
    /// illegal placeholder.
    fn value(&mut self) -> Option<&'a str> {
        match self.scanner.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            _ => {
                let start = self.scanner.next_pos();
                self.scanner.value()?;
                self.text.get(start..self.scanner.pos())
            }
        }
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
        let (at, before) = (self.scanner.next_pos(), self.places.len());
        self.scanner.skip(b'{')?;
        while !self.scanner.at(b'}') {
            let start = self.scanner.next_pos();
            self.scanner.key()?;
            let key = unquote(self.text.get(start..)?);
            let value = self.value()?;
            match &*key {
                PLACEHOLDER => placeholder = value,
                NUM => num = value,
                _ => {}
            }
            self.scanner.comma();
        }
        self.scanner.skip(b'}')?;
        if placeholder == "true" {
            let num = num.parse().ok().and_then(index);
            let num = num.filter(|num| *num < self.attachments)?;
            // Further members of a placeholder are ignored.
            self.places.truncate(before);
            self.places.push(Place { at, num });
        }
        Some("")
    }
}
