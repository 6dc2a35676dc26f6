//! Strings and numbers in JSON, as `JSON.stringify` writes them. `serde_json` differs from it in the
//! format of floating-point numbers.

use serde_json::ser::{CompactFormatter, Formatter};

use crate::scan;

/// Writes a string in quotes, with the escapes that are necessary.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if let Some(word) = scan::plain_word(bytes) {
        append_short(out, word, bytes.len());
        return out.push(b'"');
    }
    let end = scan::plain(bytes, 0);
    out.push(b'"');
    if end == bytes.len() {
        out.extend_from_slice(bytes);
    } else {
        write_escaped(out, bytes, end);
    }
    out.push(b'"');
}

/// Writes a key and its colon, and before it a comma if the member is not the first.
pub(crate) fn write_key(out: &mut Vec<u8>, comma: bool, key: &str) {
    if comma {
        out.push(b',');
    }
    if let Some(word) = scan::plain_word(key.as_bytes()) {
        append_short(out, word, key.len());
        return out.extend_from_slice(b"\":");
    }
    write_string(out, key);
    out.push(b':');
}

/// Appends a quote and a text of `len` bytes, which are the lowest bytes of `word`. A copy of fixed
/// size is faster than one of any size.
#[inline]
fn append_short(out: &mut Vec<u8>, word: u64, len: usize) {
    let end = out.len() + 1 + len;
    let quoted = u128::from(word) << 8 | u128::from(b'"');
    out.extend_from_slice(&quoted.to_le_bytes());
    out.truncate(end);
}

/// Writes the content of a string whose first character that needs an escape is at `special`.
#[cold]
fn write_escaped(out: &mut Vec<u8>, bytes: &[u8], mut special: usize) {
    let mut start = 0;
    while let Some(byte) = bytes.get(special) {
        out.extend_from_slice(bytes.get(start..special).unwrap_or_default());
        write_escape(out, *byte);
        start = special + 1;
        special = scan::plain(bytes, start);
    }
    out.extend_from_slice(bytes.get(start..).unwrap_or_default());
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let hex = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied();
            out.extend_from_slice(b"\\u00");
            out.extend([byte >> 4, byte & 0xf].into_iter().filter_map(hex));
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Writes the decimal digits of a number.
#[inline]
pub(crate) fn write_u64(out: &mut Vec<u8>, number: u64) {
    // A `Vec` accepts all bytes.
    let _ = CompactFormatter.write_u64(out, number);
}

/// Writes a number (`1`, not `1.0`). Infinity and NaN are null.
pub(crate) fn write_f64(out: &mut Vec<u8>, value: f64) {
    match value.abs() {
        whole if whole.fract() == 0.0 && whole < 1e15 => {
            if value < 0.0 {
                out.push(b'-');
            }
            write_u64(out, whole as u64);
        }
        // In this range both write the same digits in the same form.
        1e-5..1e15 => {
            let _ = CompactFormatter.write_f64(out, value);
        }
        _ if value.is_finite() => out.extend_from_slice(js_number(value).as_bytes()),
        _ => out.extend_from_slice(b"null"),
    }
}

/// Writes the shortest digits of an `f32`. Widened to an `f64` it would have more digits than are
/// significant.
pub(crate) fn write_f32(out: &mut Vec<u8>, value: f32) {
    match value.is_finite() {
        true => out.extend_from_slice(arrange_digits(&format!("{value:e}")).as_bytes()),
        false => out.extend_from_slice(b"null"),
    }
}

/// Formats a number as JavaScript does (ECMA-262, Number::toString).
pub(crate) fn js_number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    arrange_digits(&format!("{value:e}"))
}

/// Rearranges the shortest digits in exponent form (`-1.25e-7`) into JavaScript's form.
fn arrange_digits(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits = mantissa.replace('.', "");
    if digits == "0" {
        return digits; // -0 as well
    }
    let count = digits.len() as i32;
    let zeros = |count: i32| "0".repeat(count.max(0) as usize);
    match exponent {
        21.. | ..=-7 => {
            let plus = if exponent > 0 { "+" } else { "" };
            format!("{sign}{mantissa}e{plus}{exponent}")
        }
        ..0 => format!("{sign}0.{}{digits}", zeros(-exponent - 1)),
        _ if exponent + 1 >= count => format!("{sign}{digits}{}", zeros(exponent + 1 - count)),
        _ => {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            format!("{sign}{whole}.{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (123.456, "123.456"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.25e-6, "0.00000125"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (-1.25e-7, "-1.25e-7"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(js_number(value), text);
        }
    }

    #[test]
    fn strings_and_keys_of_every_length_are_written_as_by_serde_json() {
        for len in 0..40 {
            for special in ["x", "\"", "\u{1}", "\u{7f}", "é", "\u{1f600}"] {
                for at in 0..=len {
                    let text = "x".repeat(at) + special + &"y".repeat(len - at);
                    let expected = serde_json::to_string(&text).unwrap();
                    let mut written = Vec::new();
                    write_string(&mut written, &text);
                    write_key(&mut written, false, &text);
                    write_key(&mut written, true, &text);
                    let expected = format!("{expected}{expected}:,{expected}:");
                    assert_eq!(String::from_utf8(written).unwrap(), expected);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_back(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(js_number(value).parse::<f64>().unwrap(), value);
        }

        #[test]
        fn numbers_with_a_short_form_are_written_as_by_the_general_algorithm(
            value in (-1_000_000_000i64..1_000_000_000, 0i32..18).prop_map(|(n, e)| n as f64 / 10f64.powi(e))
        ) {
            let mut written = Vec::new();
            write_f64(&mut written, value);
            prop_assert_eq!(String::from_utf8(written).unwrap(), js_number(value));
        }
    }
}
