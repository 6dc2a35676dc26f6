//! Translation of JSON with placeholders to msgpack.

use bytes::Bytes;

use super::shape::{Shape, shapes};
use crate::{scan::Scanner, text::unquote};

/// Writes one value of valid JSON, with `attachments` in place of their placeholders. Returns
/// `None` if the JSON was invalid.
pub(super) fn json(out: &mut Vec<u8>, text: &str, attachments: &[Bytes]) -> Option<()> {
    let shapes = shapes(text, attachments.len())?.into_iter();
    let scanner = Scanner::new(text, 0, 128);
    Writer { out, text, scanner, shapes, attachments }.value()
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

pub(super) fn float(out: &mut Vec<u8>, number: f64) {
    const MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= MAX {
        return signed(out, number as i64);
    }
    out.push(0xcb);
    out.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn unsigned(out: &mut Vec<u8>, number: u64) {
    match number {
        0..0x80 => out.push(number as u8),
        0x80..0x100 => out.extend_from_slice(&[0xcc, number as u8]),
        0x100..0x1_0000 => headed(out, 0xcd, &(number as u16).to_be_bytes()),
        0x1_0000..0x1_0000_0000 => headed(out, 0xce, &(number as u32).to_be_bytes()),
        _ => headed(out, 0xcf, &number.to_be_bytes()),
    }
}

fn signed(out: &mut Vec<u8>, number: i64) {
    match number {
        0.. => unsigned(out, number.unsigned_abs()),
        -0x20..0 => out.push(number as u8),
        -0x80..-0x20 => out.extend_from_slice(&[0xd0, number as u8]),
        -0x8000..-0x80 => headed(out, 0xd1, &(number as i16).to_be_bytes()),
        -0x8000_0000..-0x8000 => headed(out, 0xd2, &(number as i32).to_be_bytes()),
        _ => headed(out, 0xd3, &number.to_be_bytes()),
    }
}

pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        len @ 0..0x20 => out.push(0xa0 | len as u8),
        len @ 0x20..0x100 => out.extend_from_slice(&[0xd9, len as u8]),
        len @ 0x100..0x1_0000 => headed(out, 0xda, &(len as u16).to_be_bytes()),
        len => headed(out, 0xdb, &(len as u32).to_be_bytes()),
    }
    out.extend_from_slice(text.as_bytes());
}

fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..0x100 => out.extend_from_slice(&[0xc4, len as u8]),
        len @ 0x100..0x1_0000 => headed(out, 0xc5, &(len as u16).to_be_bytes()),
        len => headed(out, 0xc6, &(len as u32).to_be_bytes()),
    }
    out.extend_from_slice(bytes);
}

fn array(out: &mut Vec<u8>, len: usize) {
    match len {
        0..0x10 => out.push(0x90 | len as u8),
        0x10..0x1_0000 => headed(out, 0xdc, &(len as u16).to_be_bytes()),
        _ => headed(out, 0xdd, &(len as u32).to_be_bytes()),
    }
}

pub(super) fn map(out: &mut Vec<u8>, len: usize) {
    match len {
        0..0x10 => out.push(0x80 | len as u8),
        0x10..0x1_0000 => headed(out, 0xde, &(len as u16).to_be_bytes()),
        _ => headed(out, 0xdf, &(len as u32).to_be_bytes()),
    }
}

fn headed(out: &mut Vec<u8>, first: u8, rest: &[u8]) {
    out.push(first);
    out.extend_from_slice(rest);
}
