//! Translation of JSON with placeholders to msgpack.

use bytes::Bytes;

use super::format::{array, binary, float, map, signed, string, unsigned};
use crate::{
    placeholders::{Visitor, walk},
    scan::Scanner,
    text::unquote,
};

/// Writes one value of valid JSON, with `attachments` in place of their placeholders. Returns
/// `None` if the JSON was invalid.
pub(super) fn write(out: &mut Vec<u8>, text: &str, attachments: &[Bytes]) -> Option<()> {
    let shapes = walk(text, attachments.len(), Vec::new())?.into_iter();
    let scanner = Scanner::new(text, 0, 128);
    Writer { out, text, scanner, shapes, attachments }.value()
}

/// The msgpack form of an array or object. msgpack writes the number of its items or members first,
/// and JSON does not contain it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// An array or object with this number of items or members.
    Items(usize),
    /// A placeholder for the attachment with this index.
    Binary(usize),
}

/// The shapes of all arrays and objects, in the order in which they begin.
impl Visitor for Vec<Shape> {
    fn begin(&mut self) -> usize {
        self.push(Shape::Items(0));
        self.len() - 1
    }

    fn end(
        &mut self,
        begun: usize,
        _: usize,
        items: usize,
        placeholder: Option<Option<usize>>,
    ) -> Option<()> {
        let attachment = placeholder.flatten();
        if attachment.is_some() {
            self.truncate(begun + 1);
        }
        *self.get_mut(begun)? = attachment.map_or(Shape::Items(items), Shape::Binary);
        Some(())
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    text: &'a str,
    scanner: Scanner<'a>,
    shapes: std::vec::IntoIter<Shape>,
    attachments: &'a [Bytes],
}

impl Writer<'_> {
    fn value(&mut self) -> Option<()> {
        let start = self.scanner.next_pos();
        match self.scanner.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            first => {
                self.scanner.value()?;
                match first {
                    b'"' => string(self.out, &unquote(self.text.get(start..)?)),
                    b't' => self.out.push(0xc3),
                    b'f' => self.out.push(0xc2),
                    b'n' => self.out.push(0xc0),
                    _ => number(self.out, self.text.get(start..self.scanner.pos())?.trim_end()),
                }
                Some(())
            }
        }
    }

    fn array(&mut self) -> Option<()> {
        let Shape::Items(items) = self.shapes.next()? else { return None };
        array(self.out, items);
        self.scanner.skip(b'[')?;
        for _ in 0..items {
            self.value()?;
            self.scanner.comma();
        }
        self.scanner.skip(b']')
    }

    fn object(&mut self) -> Option<()> {
        let members = match self.shapes.next()? {
            Shape::Items(members) => members,
            Shape::Binary(num) => {
                binary(self.out, self.attachments.get(num)?);
                return self.scanner.value();
            }
        };
        map(self.out, members);
        self.scanner.skip(b'{')?;
        for _ in 0..members {
            let start = self.scanner.next_pos();
            self.scanner.key()?;
            string(self.out, &unquote(self.text.get(start..)?));
            self.value()?;
            self.scanner.comma();
        }
        self.scanner.skip(b'}')
    }
}

/// Writes a JSON number like JavaScript's only number type: as an integer if it is one.
fn number(out: &mut Vec<u8>, text: &str) {
    if let Ok(number) = text.parse() {
        return unsigned(out, number);
    }
    if let Ok(number) = text.parse() {
        return signed(out, number);
    }
    float(out, text.parse().unwrap_or_default());
}
