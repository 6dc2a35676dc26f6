//! Dates as JavaScript writes them.

/// A time in milliseconds since 1970 as JavaScript's `toJSON` writes it; none beyond what a JavaScript date holds.
pub fn javascript_date(ms: i64) -> Option<String> {
    const DAY: i64 = 86_400_000;
    if ms.unsigned_abs() > 8_640_000_000_000_000 {
        return None;
    }
    let (days, of_day) = (ms.div_euclid(DAY), ms.rem_euclid(DAY));
    // The civil calendar, counted in eras of 400 years from the first of March of the year 0.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, ms) = (of_day / 1000 % 60, of_day % 1000);
    Some(format!("{year}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z"))
}
