//! Offsets: the positions in the log that returning clients report.

use std::fmt;

use socketio_adapter::Offset;

use crate::frame::Frame;

const RADIX: u32 = 36;

/// The offset of an entry. A stream that was lost and created again restarts its sequence numbers,
/// so an offset contains the creation time. A stream in a NATS cluster may also lose entries and
/// keep its creation time, so an offset contains a checksum of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryOffset {
    /// When the stream was created, in milliseconds.
    pub(super) created_at: u64,
    /// The sequence number in the stream, starting at 1. 0 is before all entries.
    pub(super) seq: u64,
    /// A checksum of the publisher's name and the number of the message.
    pub(super) checksum: u32,
}

impl EntryOffset {
    /// Parses an offset from a client, which can be any text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = || {
            let part = parts.next()?;
            let plain = |c: u8| c.is_ascii_digit() || c.is_ascii_lowercase();
            if part.bytes().all(plain) { u64::from_str_radix(part, RADIX).ok() } else { None }
        };
        let (created_at, seq, checksum) = (number()?, number()?, number()?);
        let place = Self { created_at, seq, checksum: checksum.try_into().ok()? };
        (parts.next().is_none() && place.seq > 0).then_some(place)
    }

    /// Computes the checksum (FNV-1a).
    pub(super) fn checksum(frame: &Frame) -> u32 {
        let head = frame.uid.as_str().bytes().chain(frame.count.to_be_bytes());
        head.fold(0x811c_9dc5, |checksum, byte| {
            (checksum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
    }
}

impl fmt::Display for EntryOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created_at, seq, checksum } = *self;
        write!(f, "{}-{}-{}", digits(created_at), digits(seq), digits(checksum.into()))
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

impl From<EntryOffset> for Offset {
    fn from(place: EntryOffset) -> Self {
        place.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_survives_encoding_and_other_texts_are_refused() {
        for (created_at, seq, checksum, text) in [
            (0, 1, 0, "0-1-0"),
            (1_764_342_000_000, 37, 35, "miizo800-11-z"),
            (u64::MAX, u64::MAX, u32::MAX, "3w5e11264sgsf-3w5e11264sgsf-1z141z3"),
        ] {
            let place = EntryOffset { created_at, seq, checksum };
            assert_eq!(place.to_string(), text);
            assert_eq!(EntryOffset::parse(text), Some(place));
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
            assert_eq!(EntryOffset::parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_entry_of_a_newer_stream_comes_after_older_entries() {
        let offset = |created_at, seq| EntryOffset { created_at, seq, checksum: 0 };
        assert!(offset(2, 1) > offset(1, 99));
        assert!(offset(1, 10) > offset(1, 9));
    }
}
