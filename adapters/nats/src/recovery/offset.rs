//! Where an event stands: what clients tell that come back.

use std::fmt;

use socketio_adapter::Offset;

use crate::frame::Frame;

const RADIX: u32 = 36;

/// The place of an entry of the stream. Numbers begin anew with a stream that was lost and made again, so they say which one they
/// are of; and they say whose entry it is, since a stream of a cluster of NATS may lose its memory and keep its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// When the stream was made, in milliseconds.
    pub(super) born: u64,
    /// The number in it; 0 stands before all.
    pub(super) seq: u64,
    /// A sum of the publisher and its count.
    pub(super) sum: u32,
}

impl Place {
    /// What a client tells is anything.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = || {
            let part = parts.next()?;
            let plain = |c: u8| c.is_ascii_digit() || c.is_ascii_lowercase();
            if part.bytes().all(plain) { u64::from_str_radix(part, RADIX).ok() } else { None }
        };
        let (born, seq, sum) = (number()?, number()?, number()?);
        let place = Self { born, seq, sum: sum.try_into().ok()? };
        (parts.next().is_none() && place.seq > 0).then_some(place)
    }

    /// FNV-1a.
    pub(super) fn sum(frame: &Frame) -> u32 {
        let head = frame.uid.as_str().bytes().chain(frame.count.to_be_bytes());
        head.fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { born, seq, sum } = *self;
        write!(f, "{}-{}-{}", digits(born), digits(seq), digits(sum.into()))
    }
}

fn digits(mut number: u64) -> String {
    let mut reversed = String::with_capacity(13);
    loop {
        let digit = number % u64::from(RADIX);
        reversed.extend(char::from_digit(digit as u32, RADIX));
        number /= u64::from(RADIX);
        if number == 0 {
            return reversed.chars().rev().collect();
        }
    }
}

impl From<Place> for Offset {
    fn from(place: Place) -> Self {
        place.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_and_understood() {
        for (born, seq, sum, text) in [
            (0, 1, 0, "0-1-0"),
            (1_764_342_000_000, 37, 35, "miizo800-11-z"),
            (u64::MAX, u64::MAX, u32::MAX, "3w5e11264sgsf-3w5e11264sgsf-1z141z3"),
        ] {
            let place = Place { born, seq, sum };
            assert_eq!(place.to_string(), text);
            assert_eq!(Place::parse(text), Some(place));
        }
        let long = format!("{}-1-1", "9".repeat(1000));
        for other in [
            "",
            "-",
            "--",
            "1",
            "1-1",
            "1-0-1",
            "1-1-1-1",
            "1--1",
            "+1-1-1",
            "1-A-1",
            "1-1-1 ",
            "1-é-1",
            "1-1-1z141z4",
            &long,
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_newer_stream_comes_after_an_older_one() {
        let place = |born, seq| Place { born, seq, sum: 0 };
        assert!(place(2, 1) > place(1, 99));
        assert!(place(1, 10) > place(1, 9));
    }
}
