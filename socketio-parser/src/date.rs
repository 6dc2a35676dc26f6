//! Dates in the formats of JavaScript.

const DAY: i64 = 86_400_000;

/// Largest distance from 1970 that a JavaScript date can hold.
const MAX_MS: u64 = 8_640_000_000_000_000;

/// Formats milliseconds since 1970 like JavaScript's `toJSON`. Returns `None` outside the range of
/// JavaScript dates.
pub fn javascript_date(ms: i64) -> Option<String> {
    let (year, month, day) = civil(ms)?;
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    Some(format!("{year}-{month:02}-{day:02}T{}.{:03}Z", clock(ms), ms.rem_euclid(1000)))
}

/// Formats milliseconds since 1970 like JavaScript's `toString` in the time zone UTC. Returns
/// `None` outside the range of JavaScript dates.
///
/// ```
/// # use socketio_parser::javascript_time;
/// let time = "Sat Feb 29 2020 23:59:58 GMT+0000 (Coordinated Universal Time)";
/// assert_eq!(javascript_time(1_583_020_798_765).as_deref(), Some(time));
/// ```
pub fn javascript_time(ms: i64) -> Option<String> {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day) = civil(ms)?;
    // The first of January 1970 was a Thursday.
    let weekday = WEEKDAYS.get(usize::try_from(ms.div_euclid(DAY).rem_euclid(7)).ok()?)?;
    let month = MONTHS.get(usize::try_from(month - 1).ok()?)?;
    let sign = if year < 0 { "-" } else { "" };
    let year = year.abs();
    let clock = clock(ms);
    Some(format!(
        "{weekday} {month} {day:02} {sign}{year:04} {clock} GMT+0000 (Coordinated Universal Time)"
    ))
}

/// Returns year, month and day.
fn civil(ms: i64) -> Option<(i64, i64, i64)> {
    if ms.unsigned_abs() > MAX_MS {
        return None;
    }
    // Days are counted in eras of 400 years that begin on March 1 of the year 0.
    let shifted = ms.div_euclid(DAY) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some((year, month, day))
}

/// Formats hours, minutes and seconds.
fn clock(ms: i64) -> String {
    let of_day = ms.rem_euclid(DAY);
    let (hours, minutes, seconds) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_formatted_like_javascript() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (-62_198_755_200_000, "-000001-01-01T00:00:00.000Z"),
            (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
            (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
        ] {
            assert_eq!(javascript_date(ms).as_deref(), Some(text));
        }
        assert_eq!(javascript_date(8_640_000_000_000_001), None);
        assert_eq!(javascript_date(i64::MIN), None);
    }

    /// The expected texts were recorded from Node.
    #[test]
    fn times_are_formatted_like_javascript() {
        for (ms, expected) in [
            (0, "Thu Jan 01 1970 00:00:00"),
            (-1, "Wed Dec 31 1969 23:59:59"),
            (1_795_868_885_000, "Sat Nov 28 2026 12:28:05"),
            (-62_198_755_200_000, "Fri Jan 01 -0001 00:00:00"),
            (8_640_000_000_000_000, "Sat Sep 13 275760 00:00:00"),
            (-8_640_000_000_000_000, "Tue Apr 20 -271821 00:00:00"),
        ] {
            let expected = format!("{expected} GMT+0000 (Coordinated Universal Time)");
            assert_eq!(javascript_time(ms), Some(expected));
        }
        assert_eq!(javascript_time(8_640_000_000_000_001), None);
        assert_eq!(javascript_time(i64::MIN), None);
    }
}
