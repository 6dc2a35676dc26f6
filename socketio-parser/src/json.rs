//! JavaScript's format of numbers, in which `serde_json` differs from `JSON.stringify`, and bytes
//! as attachments.

use std::io;

use serde_json::ser::{CompactFormatter, Formatter};

use crate::binary::{self, NUM, PLACEHOLDER};

/// `serde_json`'s compact form, except that floating-point numbers are written as `JSON.stringify`
/// writes them (`1`, not `1.0`).
pub(crate) struct JsFormatter;

impl Formatter for JsFormatter {
    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        match value.abs() {
            whole if whole.fract() == 0.0 && whole < 1e15 => write!(writer, "{}", value as i64),
            // In this range both write the same digits in the same form.
            1e-5..1e15 => CompactFormatter.write_f64(writer, value),
            _ => writer.write_all(js_number(value).as_bytes()),
        }
    }

    fn write_f32<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        // The shortest digits of the f32. Widened to an f64 it would have more digits than are
        // significant.
        writer.write_all(arrange_digits(&format!("{value:e}")).as_bytes())
    }

    /// Types that serialize as bytes (`Bytes`, those of `serde_bytes`) become attachments.
    fn write_byte_array<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        let num = binary::attach_copy(bytes).ok_or_else(|| io::Error::other(binary::OUTSIDE))?;
        write!(writer, "{{\"{PLACEHOLDER}\":true,\"{NUM}\":{num}}}")
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

    proptest! {
        #[test]
        fn numbers_are_read_back(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(js_number(value).parse::<f64>().unwrap(), value);
        }

        #[test]
        fn the_short_ways_write_what_the_long_way_writes(
            value in (-1_000_000_000i64..1_000_000_000, 0i32..18).prop_map(|(n, e)| n as f64 / 10f64.powi(e))
        ) {
            let mut written = Vec::new();
            JsFormatter.write_f64(&mut written, value).unwrap();
            prop_assert_eq!(String::from_utf8(written).unwrap(), js_number(value));
        }
    }
}
