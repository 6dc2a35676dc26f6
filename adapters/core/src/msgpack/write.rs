//! Encodes values as msgpack, each in its smallest form.

use bytes::Bytes;
use serde_json::Number;
use socketio_parser::Value;

pub(crate) fn to_bytes(value: &Value) -> Bytes {
    let mut out = Vec::new();
    write(&mut out, value);
    out.into()
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => {
            header(out, text.len(), [Some((0xa0, 32)), Some((0xd9, 1 << 8))], 0xda);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Binary(bytes) => {
            header(out, bytes.len(), [None, Some((0xc4, 1 << 8))], 0xc5);
            out.extend_from_slice(bytes);
        }
        Value::Array(items) => {
            header(out, items.len(), [Some((0x90, 16)), None], 0xdc);
            items.iter().for_each(|item| write(out, item));
        }
        Value::Object(members) => {
            header(out, members.len(), [Some((0x80, 16)), None], 0xde);
            for (key, value) in members {
                header(out, key.len(), [Some((0xa0, 32)), Some((0xd9, 1 << 8))], 0xda);
                out.extend_from_slice(key.as_bytes());
                write(out, value);
            }
        }
    }
}

/// Writes a length: inside the first byte, in one further byte, or in two or four bytes after the
/// byte `wide` or `wide + 1`. Each of the first two forms is given with its first length that does
/// not fit.
fn header(out: &mut Vec<u8>, length: usize, short: [Option<(u8, usize)>; 2], wide: u8) {
    match (short, u16::try_from(length)) {
        ([Some((byte, end)), _], _) if length < end => out.push(byte | length as u8),
        ([_, Some((byte, end))], _) if length < end => out.extend([byte, length as u8]),
        (_, Ok(length)) => {
            out.push(wide);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(wide + 1);
            out.extend((length as u32).to_be_bytes());
        }
    }
}

/// JavaScript treats a number without a fraction as an integer.
fn write_number(out: &mut Vec<u8>, number: &Number) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match (number.as_u64(), number.as_i64(), number.as_f64().unwrap_or_default()) {
        (Some(positive), ..) => write_unsigned(out, positive),
        (_, Some(negative), _) => write_negative(out, negative),
        (.., whole) if whole.fract() == 0.0 && (0.0..EXACT).contains(&whole) => {
            write_unsigned(out, whole as u64);
        }
        (.., whole) if whole.fract() == 0.0 && (-EXACT..0.0).contains(&whole) => {
            write_negative(out, whole as i64);
        }
        (.., float) => {
            out.push(0xcb);
            out.extend(float.to_be_bytes());
        }
    }
}

fn write_unsigned(out: &mut Vec<u8>, number: u64) {
    match number {
        0..0x80 => out.push(number as u8),
        0x80..0x100 => out.extend([0xcc, number as u8]),
        0x100..0x1_0000 => {
            out.push(0xcd);
            out.extend((number as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(0xce);
            out.extend((number as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend(number.to_be_bytes());
        }
    }
}

fn write_negative(out: &mut Vec<u8>, number: i64) {
    match number {
        -0x20.. => out.push(number as u8),
        -0x80..-0x20 => out.extend([0xd0, number as u8]),
        -0x8000..-0x80 => {
            out.push(0xd1);
            out.extend((number as i16).to_be_bytes());
        }
        -0x8000_0000..-0x8000 => {
            out.push(0xd2);
            out.extend((number as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend(number.to_be_bytes());
        }
    }
}
