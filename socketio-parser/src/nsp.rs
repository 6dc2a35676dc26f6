//! The name of a namespace.

use std::{borrow::Borrow, fmt, str::FromStr};

use bytestring::ByteString;

/// The name of a namespace, with its leading slash. A clone costs one reference count.
///
/// ```
/// use socketio_parser::Nsp;
///
/// assert_eq!(Nsp::new("chat")?.as_str(), "/chat");
/// assert_eq!(Nsp::default().as_str(), "/");
/// assert!(Nsp::new("a,b").is_err());
/// # Ok::<(), socketio_parser::NspError>(())
/// ```
#[allow(clippy::derived_hash_with_manual_eq, reason = "equal names have equal texts")]
#[derive(Clone, Debug, Eq, PartialOrd, Ord, Hash)]
pub struct Nsp(ByteString);

impl PartialEq for Nsp {
    /// Compares the names. Most are the main one, whose text is at one address.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let (own, other) = (self.as_str(), other.as_str());
        std::ptr::eq(own, other) || own == other
    }
}

static ROOT: &str = "/";

impl Nsp {
    /// Returns the main namespace, `/`.
    pub const fn root() -> Self {
        Self(ByteString::from_static(ROOT))
    }

    /// Creates the name of a namespace. A missing leading slash is added.
    ///
    /// # Errors
    ///
    /// Returns [`NspError`] if `name` contains a comma, because a namespace ends at the first comma
    /// on the wire.
    pub fn new(name: &str) -> Result<Self, NspError> {
        if name.contains(',') { Err(NspError(name.into())) } else { Ok(Self::unchecked(name)) }
    }

    /// Creates a name that may contain a comma. Only msgpack can carry such a name, and so it is
    /// accepted from a peer and from another node, as in Node.
    #[doc(hidden)]
    pub fn unchecked(name: &str) -> Self {
        match name {
            "" | "/" => Self::root(),
            name if name.starts_with('/') => Self(name.into()),
            name => Self(format!("/{name}").into()),
        }
    }

    /// Creates a name from `name`, a slice of `text` that begins with a slash.
    pub(crate) fn from_slice(text: &ByteString, name: &str) -> Self {
        if name == "/" { Self::root() } else { Self(text.slice_ref(name)) }
    }

    /// Returns the name.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the main namespace.
    #[inline]
    pub fn is_root(&self) -> bool {
        self.as_str() == "/"
    }

    /// Splits the name at its query. Only Socket.IO v2 clients use the query, for the data that
    /// later versions send as the payload of CONNECT. For later versions the query is part of the
    /// name.
    pub(crate) fn split_query(&self) -> (Self, Option<&str>) {
        match self.as_str().split_once('?') {
            Some((name, query)) => (Self::unchecked(name), Some(query)),
            None => (self.clone(), None),
        }
    }
}

impl Default for Nsp {
    fn default() -> Self {
        Self::root()
    }
}

impl TryFrom<&str> for Nsp {
    type Error = NspError;

    fn try_from(name: &str) -> Result<Self, NspError> {
        Self::new(name)
    }
}

impl FromStr for Nsp {
    type Err = NspError;

    fn from_str(name: &str) -> Result<Self, NspError> {
        Self::new(name)
    }
}

/// The name of a namespace contains a comma. Holds the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a namespace must not contain a comma: `{0}`")]
pub struct NspError(pub Box<str>);

impl AsRef<str> for Nsp {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Nsp {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Nsp {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Nsp {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Nsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_map_by_namespace_is_asked_by_str() {
        let map = HashMap::from([(Nsp::new("chat").unwrap(), 1)]);
        assert_eq!(map.get("/chat"), Some(&1));
    }

    #[test]
    fn a_name_with_a_comma_is_refused() {
        assert_eq!(Nsp::new("a,b"), Err(NspError("a,b".into())));
        assert_eq!("/a,b".parse::<Nsp>(), Err(NspError("/a,b".into())));
    }

    #[test]
    fn the_query_of_a_v2_client_is_split_off() {
        assert_eq!(
            Nsp::new("/a?x=1").unwrap().split_query(),
            (Nsp::new("/a").unwrap(), Some("x=1"))
        );
        assert_eq!(Nsp::new("/?x=1").unwrap().split_query(), (Nsp::root(), Some("x=1")));
    }
}
