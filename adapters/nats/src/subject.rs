//! Names of subjects. What goes into them is any text, so that it is encoded.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use socketio_adapter::{NodeId, Room};

use crate::error::NatsError;

/// Bytes of a name that becomes a token. NATS refuses lines of more than 4096 bytes, and the connection with them.
const MAX_NAME: usize = 192;
const MAX_PREFIX: usize = 64;

/// The subjects of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Subjects(String);

impl Subjects {
    pub(crate) fn new(prefix: &str, nsp: &str) -> Result<Self, NatsError> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        let token = |token: &str| !token.is_empty() && token.bytes().all(plain);
        if prefix.len() > MAX_PREFIX || !prefix.split('.').all(token) {
            return Err(NatsError::Prefix(prefix.into()));
        }
        let nsp = encode(nsp).ok_or(NatsError::Name(nsp.len()))?;
        Ok(Self(format!("{prefix}.{nsp}")))
    }

    /// For every node.
    pub(crate) fn all(&self) -> String {
        format!("{}.all", self.0)
    }

    /// For the nodes that have a room; none where its name is too long.
    pub(crate) fn room(&self, room: &Room) -> Option<String> {
        Some(format!("{}.room.{}", self.0, encode(room)?))
    }

    /// For one node.
    pub(crate) fn node(&self, uid: &NodeId) -> Result<String, NatsError> {
        let token = encode(uid.as_str()).ok_or(NatsError::Name(uid.as_str().len()))?;
        Ok(format!("{}.node.{token}", self.0))
    }
}

fn encode(name: &str) -> Option<String> {
    match name.len() {
        // No base64 is one digit long.
        0 => Some("-".into()),
        1..=MAX_NAME => Some(URL_SAFE_NO_PAD.encode(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_any_text() {
        let subjects = Subjects::new("app.io", "/a b").unwrap();
        assert_eq!(subjects.all(), "app.io.L2EgYg.all");
        for room in ["*", ">", "a.b", " ", "\r\n", "é", "", "-", "\u{0}"] {
            let subject = subjects.room(&room.into()).unwrap();
            let token = subject.strip_prefix("app.io.L2EgYg.room.").unwrap();
            let safe = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
            assert!(!token.is_empty() && token.bytes().all(safe), "{room:?}: {subject}");
        }
        assert_ne!(subjects.room(&"-".into()), subjects.room(&"".into()));
    }

    #[test]
    fn what_is_too_long_has_no_subject() {
        let subjects = Subjects::new("x", "/").unwrap();
        assert!(subjects.room(&"r".repeat(192).into()).is_some());
        assert!(subjects.room(&"r".repeat(193).into()).is_none());
        assert!(Subjects::new("x", &"n".repeat(193)).is_err());
        for prefix in ["", ".", "a.", "a.*", "a b", "a.>"] {
            assert!(Subjects::new(prefix, "/").is_err(), "{prefix}");
        }
    }
}
