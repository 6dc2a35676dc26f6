//! The cookies of one server: name, value, and when they expire. No path and no domain, as all requests go to one place.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::HeaderValue;

const MAX_COOKIES: usize = 64;
const MAX_COOKIE_BYTES: usize = 4096;

#[derive(Default)]
pub(super) struct Cookies(Mutex<Vec<Cookie>>);

#[derive(Debug, PartialEq)]
struct Cookie {
    name: String,
    value: String,
    expires: Option<SystemTime>,
}

impl Cookies {
    /// Takes in a `Set-Cookie` header. One that cannot be read is ignored.
    pub(super) fn set(&self, now: SystemTime, header: &HeaderValue) {
        let Some(cookie) = header.to_str().ok().and_then(|text| Cookie::parse(now, text)) else {
            return;
        };
        let mut jar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jar.retain(|other| other.name != cookie.name && other.is_alive(now));
        if cookie.is_alive(now) && jar.len() < MAX_COOKIES {
            jar.push(cookie);
        }
    }

    /// The `Cookie` header: what the user gives, and those that are alive.
    pub(super) fn header(
        &self,
        now: SystemTime,
        given: Option<&HeaderValue>,
    ) -> Option<HeaderValue> {
        let mut jar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jar.retain(|cookie| cookie.is_alive(now));
        let mut pairs: Vec<Vec<u8>> = given.iter().map(|value| value.as_bytes().to_vec()).collect();
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
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return None;
        }
        let (mut expires, mut max_age) = (None, None);
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            if key.eq_ignore_ascii_case("expires") {
                expires = httpdate::parse_http_date(value).ok();
            } else if key.eq_ignore_ascii_case("max-age") {
                max_age = value.parse::<i64>().ok();
            }
        }
        // Max-Age has precedence (RFC 6265 section 5.3).
        let expires = match max_age.map(u64::try_from) {
            Some(Ok(seconds)) => now.checked_add(Duration::from_secs(seconds)),
            Some(Err(_)) => Some(now),
            None => expires,
        };
        Some(Self { name: name.to_owned(), value: value.to_owned(), expires })
    }

    fn is_alive(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

#[cfg(test)]
mod tests {
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
    fn a_server_fills_no_memory() {
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
}
