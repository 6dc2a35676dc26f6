//! Computes the numbers of items and members, which msgpack writes first and JSON does not contain.

use crate::{
    binary::{self, NUM, PLACEHOLDER},
    scan::Scanner,
    text::unquote,
};

/// The msgpack form of an array or object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// An array or object with this number of items or members.
    Items(usize),
    /// A placeholder for the attachment with this index.
    Binary(usize),
}

/// Returns the shapes of all arrays and objects of valid JSON, in the order in which they begin.
pub(super) fn shapes(text: &str, attachments: usize) -> Option<Vec<Shape>> {
    let scanner = Scanner::new(text, 0, 128);
    let mut walk = Walk { text, scanner, attachments, shapes: Vec::new() };
    walk.value()?;
    Some(walk.shapes)
}

struct Walk<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    attachments: usize,
    shapes: Vec<Shape>,
}

impl<'a> Walk<'a> {
    /// Walks over one value. Returns its text if it is a scalar.
    fn value(&mut self) -> Option<&'a str> {
        match self.scanner.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            _ => {
                let start = self.scanner.next_pos();
                self.scanner.value()?;
                self.text.get(start..self.scanner.pos())
            }
        }
    }

    fn array(&mut self) -> Option<&'a str> {
        let own = self.open(b'[')?;
        let mut items = 0;
        while !self.scanner.at(b']') {
            self.value()?;
            self.scanner.comma();
            items += 1;
        }
        self.close(b']', own, Shape::Items(items))
    }

    fn object(&mut self) -> Option<&'a str> {
        let own = self.open(b'{')?;
        let (mut members, mut placeholder, mut num) = (0, "", "");
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
            members += 1;
        }
        let num = num.parse().ok().and_then(binary::index);
        let num = num.filter(|num| placeholder == "true" && *num < self.attachments);
        if num.is_some() {
            // Further members of a placeholder are ignored.
            self.shapes.truncate(own + 1);
        }
        self.close(b'}', own, num.map_or(Shape::Items(members), Shape::Binary))
    }

    fn open(&mut self, bracket: u8) -> Option<usize> {
        self.scanner.skip(bracket)?;
        self.shapes.push(Shape::Items(0));
        Some(self.shapes.len() - 1)
    }

    fn close(&mut self, bracket: u8, own: usize, shape: Shape) -> Option<&'a str> {
        self.scanner.skip(bracket)?;
        *self.shapes.get_mut(own)? = shape;
        Some("")
    }
}
