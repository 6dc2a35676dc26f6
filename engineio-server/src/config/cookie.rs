//! The cookie by which load balancers find the server of a session.

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;

/// A cookie that contains the session id, for load balancers that keep a client on one server. The
/// default is `io=<sid>; Path=/; HttpOnly; SameSite=Lax`. As in Node, only the response to a
/// polling handshake sets the cookie.
///
/// ```
/// use engineio_server::{Cookie, EngineConfig, SameSite};
///
/// # fn main() -> Result<(), engineio_server::InvalidCookie> {
/// let cookie = Cookie::default().name("sticky")?.same_site(SameSite::None).secure(true);
/// let config = EngineConfig::default().cookie(cookie);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Cookie {
    name: String,
    path: String,
    domain: String,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
    http_only: bool,
    secure: bool,
    partitioned: bool,
    same_site: Option<SameSite>,
}

/// The requests from other sites with which a cookie is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// The cookie is sent with no request of another site.
    Strict,
    /// The cookie is sent when the user follows a link from another site. Browsers then send it
    /// with the page, but not with polling requests or WebSockets of other sites.
    Lax,
    /// The cookie is sent with all requests of other sites. Browsers require
    /// [`secure`](Cookie::secure) for this.
    None,
}

/// An invalid part of a [`Cookie`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCookie {
    /// The name is empty, or contains characters that are not allowed in an HTTP token.
    #[error("invalid cookie name: {0:?}")]
    Name(String),
    /// The path contains control characters, a semicolon, or non-ASCII characters.
    #[error("invalid cookie path: {0:?}")]
    Path(String),
    /// The domain is invalid.
    #[error("invalid cookie domain: {0:?}")]
    Domain(String),
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "io".to_owned(),
            path: "/".to_owned(),
            domain: String::new(),
            max_age: None,
            expires: None,
            http_only: true,
            secure: false,
            partitioned: false,
            same_site: Some(SameSite::Lax),
        }
    }
}

impl Cookie {
    /// Sets the name (default `io`).
    ///
    /// ```
    /// use engineio_server::Cookie;
    ///
    /// let cookie = Cookie::default().name("session")?;
    /// # Ok::<(), engineio_server::InvalidCookie>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the name is not an HTTP token.
    pub fn name(mut self, name: &str) -> Result<Self, InvalidCookie> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(valid) {
            return Err(InvalidCookie::Name(name.to_owned()));
        }
        self.name = name.to_owned();
        Ok(self)
    }

    /// Sets the path below which the cookie is sent (default `/`). If it is empty, the path of the
    /// request applies.
    ///
    /// ```
    /// use engineio_server::Cookie;
    ///
    /// let cookie = Cookie::default().path("/chat")?;
    /// # Ok::<(), engineio_server::InvalidCookie>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the path contains control characters, a semicolon, or non-ASCII
    /// characters.
    pub fn path(mut self, path: &str) -> Result<Self, InvalidCookie> {
        if path.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b';') {
            return Err(InvalidCookie::Path(path.to_owned()));
        }
        self.path = path.to_owned();
        Ok(self)
    }

    /// Sets the domain to which the cookie is sent, including subdomains (default: only the host of
    /// the request).
    ///
    /// ```
    /// use engineio_server::Cookie;
    ///
    /// let cookie = Cookie::default().domain("example.com")?;
    /// # Ok::<(), engineio_server::InvalidCookie>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if this is not a domain.
    pub fn domain(mut self, domain: &str) -> Result<Self, InvalidCookie> {
        let valid = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !domain.strip_prefix('.').unwrap_or(domain).split('.').all(valid) {
            return Err(InvalidCookie::Domain(domain.to_owned()));
        }
        self.domain = domain.to_owned();
        Ok(self)
    }

    /// Sets how long browsers keep the cookie, in whole seconds (default: until the browser
    /// closes).
    ///
    /// ```
    /// use std::time::Duration;
    /// use engineio_server::Cookie;
    ///
    /// let cookie = Cookie::default().max_age(Duration::from_secs(86_400));
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets until when browsers keep the cookie (default: until the browser closes).
    /// [`max_age`](Self::max_age) takes precedence.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use engineio_server::Cookie;
    ///
    /// let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    /// let cookie = Cookie::default().expires(tomorrow);
    /// ```
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }

    /// Sets whether the cookie is hidden from scripts of a page (default `true`).
    ///
    /// ```
    /// use engineio_server::Cookie;
    ///
    /// let cookie = Cookie::default().http_only(false);
    /// ```
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Sets whether the cookie is sent over HTTPS only (default `false`).
    ///
    /// ```
    /// use engineio_server::Cookie;
    ///
    /// let cookie = Cookie::default().secure(true);
    /// ```
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets whether each site that embeds the page gets a cookie of its own (the attribute
    /// `Partitioned`, default `false`).
    ///
    /// ```
    /// use engineio_server::Cookie;
    ///
    /// let cookie = Cookie::default().secure(true).partitioned(true);
    /// ```
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Sets with which requests of other sites the cookie is sent (default [`SameSite::Lax`]). The
    /// option `None` omits the attribute.
    ///
    /// ```
    /// use engineio_server::{Cookie, SameSite};
    ///
    /// let cookie = Cookie::default().same_site(SameSite::Strict);
    /// ```
    pub fn same_site(mut self, same_site: impl Into<Option<SameSite>>) -> Self {
        self.same_site = same_site.into();
        self
    }

    /// Returns the header, with the attributes in the order of the npm package `cookie`. A session
    /// id needs no escapes.
    pub(crate) fn header(&self, sid: &str) -> Option<HeaderValue> {
        let mut text = format!("{}={sid}", self.name);
        if let Some(age) = self.max_age {
            // Writing to a string cannot fail.
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        for (name, value) in [("Domain", &self.domain), ("Path", &self.path)] {
            if !value.is_empty() {
                let _ = write!(text, "; {name}={value}");
            }
        }
        if let Some(at) = self.expires {
            // The last second of the year 9999, the latest date that the format can express.
            let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
            let _ =
                write!(text, "; Expires={}", httpdate::fmt_http_date(at.clamp(UNIX_EPOCH, end)));
        }
        for (set, flag) in [
            (self.http_only, "; HttpOnly"),
            (self.secure, "; Secure"),
            (self.partitioned, "; Partitioned"),
        ] {
            text.push_str(if set { flag } else { "" });
        }
        text.push_str(match self.same_site {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        });
        HeaderValue::try_from(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cookie: Cookie) -> String {
        cookie.header("sid").unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_has_the_same_text_as_in_node() {
        assert_eq!(text(Cookie::default()), "io=sid; Path=/; HttpOnly; SameSite=Lax");
        let all = Cookie::default()
            .name("n")
            .and_then(|cookie| cookie.path("/p"))
            .and_then(|cookie| cookie.domain("example.com"))
            .unwrap()
            .max_age(Duration::from_millis(61_999))
            .expires(UNIX_EPOCH + Duration::from_secs(1))
            .secure(true)
            .partitioned(true)
            .same_site(SameSite::None);
        assert_eq!(
            text(all),
            "n=sid; Max-Age=61; Domain=example.com; Path=/p; Expires=Thu, 01 Jan 1970 00:00:01 GMT; \
             HttpOnly; Secure; Partitioned; SameSite=None"
        );
        let none = Cookie::default().path("").unwrap().http_only(false).same_site(None);
        assert_eq!(text(none), "io=sid");
        let late = Cookie::default().expires(UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert!(text(late).contains("Expires=Fri, 31 Dec 9999 23:59:59 GMT"));
    }

    #[test]
    fn parts_that_contain_separators_are_refused() {
        for name in ["", "a b", "a=b", "a;b", "é"] {
            assert_eq!(Cookie::default().name(name).unwrap_err(), InvalidCookie::Name(name.into()));
        }
        for path in ["/;secure", "/\n", "/é"] {
            assert_eq!(Cookie::default().path(path).unwrap_err(), InvalidCookie::Path(path.into()));
        }
        for domain in ["", "a b", "-a.com", "a..b", "a;b"] {
            let error = Cookie::default().domain(domain).unwrap_err();
            assert_eq!(error, InvalidCookie::Domain(domain.into()));
        }
        assert!(Cookie::default().domain(".example.com").is_ok());
    }
}
