//! The cookies of one server: name, value and expiry. Paths and domains are ignored, because all
//! requests go to one place.
//!
//! The `cookie` crate parses the headers. Dates in other forms are parsed by the algorithm of RFC
//! 6265 section 5.1.1.

use std::time::{SystemTime, UNIX_EPOCH};

use cookie::time::{Date, Month, PrimitiveDateTime, Time};
use http::HeaderValue;

use crate::sync::{Mutex, lock};

const MAX_COOKIES: usize = 64;
const MAX_COOKIE_BYTES: usize = 4096;

#[derive(Default)]
pub(in crate::engine) struct Cookies(Mutex<Vec<Cookie>>);

#[derive(Debug, PartialEq)]
struct Cookie {
    name: String,
    value: String,
    /// Seconds since 1970. `None` means that the cookie lives as long as the client.
    expires: Option<i64>,
}

impl Cookies {
    /// Stores the cookie of a `Set-Cookie` header. Ignores a malformed header.
    pub(in crate::engine) fn set(&self, now: SystemTime, header: &HeaderValue) {
        let Some(cookie) = header.to_str().ok().and_then(|text| Cookie::parse(now, text)) else {
            return;
        };
        let mut jar = lock(&self.0);
        jar.retain(|other| other.name != cookie.name && other.is_alive(now));
        if cookie.is_alive(now) && jar.len() < MAX_COOKIES {
            jar.push(cookie);
        }
    }

    /// Builds the `Cookie` header from the user's cookies and the unexpired stored ones.
    pub(in crate::engine) fn header<'a>(
        &self,
        now: SystemTime,
        given: impl IntoIterator<Item = &'a HeaderValue>,
    ) -> Option<HeaderValue> {
        let mut jar = lock(&self.0);
        jar.retain(|cookie| cookie.is_alive(now));
        let mut pairs: Vec<Vec<u8>> =
            given.into_iter().map(|value| value.as_bytes().to_vec()).collect();
        pairs.extend(jar.iter().map(|c| format!("{}={}", c.name, c.value).into_bytes()));
        drop(jar);
        if pairs.is_empty() {
            return None;
        }
        HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok()
    }
}

impl Cookie {
    fn parse(now: SystemTime, text: &str) -> Option<Self> {
        if text.len() > MAX_COOKIE_BYTES {
            return None;
        }
        let cookie = cookie::Cookie::parse(text).ok()?;
        // Max-Age takes precedence (RFC 6265 section 5.3). An invalid date is ignored, as in
        // browsers.
        let expires = match cookie.max_age() {
            Some(age) => Some(seconds(now).saturating_add(age.whole_seconds())),
            None => match cookie.expires_datetime() {
                Some(date) => Some(date.unix_timestamp()),
                None => attribute(text, "expires").and_then(date),
            },
        };
        Some(Self { name: cookie.name().to_owned(), value: cookie.value().to_owned(), expires })
    }

    fn is_alive(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| expires > seconds(now))
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Returns the last value of an attribute in a `Set-Cookie` header.
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let attributes = text.split(';').skip(1).filter_map(|part| part.split_once('='));
    attributes
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .last()
        .map(|(_, value)| value)
}

/// Parses a date by RFC 6265 section 5.1.1: time, day, month and year in any order, with any other
/// text between.
fn date(text: &str) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_delimiter) {
        if time.is_none()
            && let Some(found) = time_of(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(token, 2, 4)
        {
            year = Some(found);
        }
    }
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year if year < 1601 => return None,
        year => year,
    };
    let date = Date::from_calendar_date(i32::from(year), month?, u8::try_from(day?).ok()?).ok()?;
    Some(PrimitiveDateTime::new(date, time?).assume_utc().unix_timestamp())
}

fn is_delimiter(char: char) -> bool {
    matches!(char, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~')
}

/// Parses the number at the beginning of a token, if its number of digits is in the range.
fn number(token: &str, least: usize, most: usize) -> Option<u16> {
    let digits = token.bytes().take_while(u8::is_ascii_digit).count();
    if (least..=most).contains(&digits) { token.get(..digits)?.parse().ok() } else { None }
}

fn time_of(token: &str) -> Option<Time> {
    let mut parts = token.splitn(3, ':');
    let mut next = || {
        let part = parts.next()?;
        Some((part, u8::try_from(number(part, 1, 2)?).ok()?))
    };
    let ((hours, hour), (minutes, minute), (_, second)) = (next()?, next()?, next()?);
    let whole = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !whole(hours) || !whole(minutes) {
        return None;
    }
    Time::from_hms(hour, minute, second).ok()
}

fn month_of(token: &str) -> Option<Month> {
    const NAMES: &str = "janfebmaraprmayjunjulaugsepoctnovdec";
    let name = token.get(..3)?.to_ascii_lowercase();
    let index = (0..12).find(|index| NAMES[3 * index..].starts_with(&name))?;
    Month::try_from(index as u8 + 1).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;

    fn jar(now: SystemTime, cookies: &[&'static str]) -> Cookies {
        let jar = Cookies::default();
        for cookie in cookies {
            jar.set(now, &HeaderValue::from_static(cookie));
        }
        jar
    }

    fn header(jar: &Cookies, now: SystemTime) -> Option<String> {
        jar.header(now, None).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_are_sent_until_they_expire() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480 - 10);
        let jar = jar(
            now,
            &[
                "io=abc; Path=/; HttpOnly",
                "a=b=c; max-age=5",
                "old=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
                "gone=1; Max-Age=0; Expires=Wed, 21 Oct 2099 07:28:00 GMT",
                "gone2=1; Max-Age=-1",
            ],
        );
        assert_eq!(header(&jar, now).as_deref(), Some("io=abc; a=b=c; old=1"));
        let later = now + Duration::from_secs(5);
        assert_eq!(header(&jar, later).as_deref(), Some("io=abc; old=1"));
        let later = now + Duration::from_secs(10);
        assert_eq!(header(&jar, later).as_deref(), Some("io=abc"));
    }

    #[test]
    fn a_cookie_replaces_and_removes_its_namesake() {
        let now = SystemTime::now();
        assert_eq!(header(&jar(now, &["a=1", "a=2"]), now).as_deref(), Some("a=2"));
        assert_eq!(header(&jar(now, &["a=1", "a=; max-age=0"]), now), None);
    }

    #[test]
    fn the_users_cookies_come_first() {
        let given = HeaderValue::from_static("mine=1");
        let value = jar(SystemTime::now(), &["a=1"]).header(SystemTime::now(), Some(&given));
        assert_eq!(value.unwrap(), "mine=1; a=1");
    }

    #[test]
    fn stored_cookies_are_limited() {
        let (jar, now) = (Cookies::default(), SystemTime::now());
        for number in 0..1000 {
            jar.set(now, &HeaderValue::from_str(&format!("c{number}=1")).unwrap());
        }
        jar.set(now, &HeaderValue::from_str(&format!("a={}", "x".repeat(5000))).unwrap());
        for garbage in ["", "=", "a", ";", "=x; max-age=9"] {
            jar.set(now, &HeaderValue::from_static(garbage));
        }
        assert_eq!(jar.0.lock().unwrap().len(), MAX_COOKIES);
    }

    /// Headers that Node's jar parses differently, with the reason, and the cookies sent here.
    const UNLIKE_NODE: [(&[&str], &str); 6] = [
        // RFC 6265 section 5.2.1: an invalid date is ignored. Node treats it as a date in the past.
        (
            &[
                "a=1; Expires=",
                "a=1; Expires=0",
                "a=1; Expires=-1",
                "a=1; Expires=never",
                "a=1; Expires=Thu, 32 Jan 1970 00:00:01 GMT",
                "a=1; Expires=Thu, 01 Foo 1970 00:00:01 GMT",
                "a=1; Expires=Thu, 01 Jan 1970",
                "a=1; Expires=00:00:01 GMT",
                "a=1; Expires=Thu, 01 Jan 1970 24:00:00 GMT",
                "a=1; Expires=Thu, 01 Jan 1970 00:60:00 GMT",
                "a=1; Expires=1970-01-01",
            ],
            "a=1",
        ),
        // Section 5.1.1: the years 00 to 69 are 2000 to 2069, and text after a date is ignored.
        (
            &[
                "a=1; Expires=Sun, 06-Nov-69 08:49:37 GMT",
                "a=1; Expires=Wed, 21 Oct 2065 07:28:00 GMT garbage",
            ],
            "a=1",
        ),
        // Section 5.2.2: an invalid number of seconds is ignored.
        (&["a=1; Max-Age=x", "a=1; Max-Age=", "a=1; Max-Age=\"5\""], "a=1"),
        // Section 5.3: Max-Age takes precedence regardless of its position.
        (&["a=1; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:01 GMT"], "a=1"),
        // Section 5.2: the space after a semicolon is optional, and quotes are part of the value.
        (&["a=1;Expires=Thu, 01 Jan 1970 00:00:01 GMT"], ""),
        (&["a=\"b c\""], "a=\"b c\""),
    ];

    #[test]
    fn cookie_headers_are_parsed_as_by_nodes_client() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/client.json")).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000);
        let mut wrong = Vec::new();
        for case in golden["cookies"].as_array().unwrap() {
            let text = case["header"].as_str().unwrap();
            let jar = Cookies::default();
            jar.set(now, &HeaderValue::from_str(text).unwrap());
            let sent = header(&jar, now).unwrap_or_default();
            let unlike = UNLIKE_NODE.iter().find(|(headers, _)| headers.contains(&text));
            let expected = match unlike {
                Some((_, expected)) => expected,
                None => case["sent"].as_str().unwrap_or_default(),
            };
            // Without a space after the semicolon, Node treats the rest as part of the value.
            if sent != expected.split(';').next().unwrap_or_default() {
                wrong.push(format!("{text}: {sent} instead of {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn dates_of_every_form_are_read() {
        let all = [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "6 nov 1994 8:49:37",
            "1994-November-06 08:49:37x",
            "08:49:37 06 94 NOV",
        ];
        for text in all {
            let cookie = Cookie::parse(SystemTime::now(), &format!("a=1; Expires={text}")).unwrap();
            assert_eq!(cookie.expires, Some(784_111_777), "{text}");
        }
        let no_dates = [
            "",
            "1994",
            "31 Feb 2001 01:01:01",
            "1 Jan 2001 1:1",
            "1 Jan 1600 01:01:01",
            "é",
            "1 é 2001 01:01:01",
        ];
        for text in no_dates {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
