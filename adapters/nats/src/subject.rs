//! Names of subjects. Namespaces, rooms and nodes can have any name, so names are encoded.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use socketio_adapter::{NodeId, Room};

use crate::error::NatsError;

/// Longest name, in bytes, that is encoded in a subject. NATS closes the connection if a line
/// exceeds 4096 bytes.
const MAX_NAME: usize = 192;
const MAX_PREFIX: usize = 64;

/// The first part of all subjects.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn new(prefix: &str) -> Result<Self, NatsError> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        let token = |token: &str| !token.is_empty() && token.bytes().all(plain);
        if prefix.len() > MAX_PREFIX || !prefix.split('.').all(token) {
            return Err(NatsError::InvalidPrefix(prefix.into()));
        }
        Ok(Self(prefix.into()))
    }

    /// Returns the name of the stream of events, and its subject, which has one more token per
    /// namespace.
    pub(crate) fn log(&self) -> (String, String) {
        (self.stream("log"), format!("{}.log.*", self.0))
    }

    /// Returns the name of the stream of sessions, and its subject, which has one more token per
    /// session.
    pub(crate) fn sessions(&self) -> (String, String) {
        (self.stream("sessions"), format!("{}.session.*", self.0))
    }

    /// Returns the subject of a session, or `None` if no private id of ours is that long.
    pub(crate) fn session(&self, pid: &str) -> Option<String> {
        Some(format!("{}.session.{}", self.0, encode(pid)?))
    }

    /// Returns the name of a stream, which must not contain dots.
    fn stream(&self, kind: &str) -> String {
        format!("{}-{kind}", self.0.replace('.', "="))
    }
}

/// The subjects of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    prefix: String,
    nsp: String,
}

impl Subjects {
    pub(crate) fn new(prefix: &str, nsp: &str) -> Result<Self, NatsError> {
        let Prefix(prefix) = Prefix::new(prefix)?;
        let nsp = encode(nsp).ok_or(NatsError::NameTooLong(nsp.len()))?;
        Ok(Self { prefix, nsp })
    }

    /// The subject that every node receives.
    pub(crate) fn all(&self) -> String {
        format!("{}.{}.all", self.prefix, self.nsp)
    }

    /// The subject of events in the log, which every node reads through the stream.
    pub(crate) fn log(&self) -> String {
        format!("{}.log.{}", self.prefix, self.nsp)
    }

    /// The subject that the nodes with this room receive, or `None` if the name is too long.
    pub(crate) fn room(&self, room: &Room) -> Option<String> {
        Some(format!("{}.{}.room.{}", self.prefix, self.nsp, encode(room)?))
    }

    /// The subject that one node receives.
    pub(crate) fn node(&self, uid: &NodeId) -> Result<String, NatsError> {
        let token = encode(uid.as_str()).ok_or(NatsError::NameTooLong(uid.as_str().len()))?;
        Ok(format!("{}.{}.node.{token}", self.prefix, self.nsp))
    }
}

fn encode(name: &str) -> Option<String> {
    match name.len() {
        // Base64 never produces a single character, so `-` is unambiguous.
        0 => Some("-".into()),
        1..=MAX_NAME => Some(URL_SAFE_NO_PAD.encode(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_a_valid_token() {
        let subjects = Subjects::new("app.io", "/a b").unwrap();
        assert_eq!(subjects.all(), "app.io.L2EgYg.all");
        assert_eq!(subjects.log(), "app.io.log.L2EgYg");
        for room in ["*", ">", "a.b", " ", "\r\n", "é", "", "-", "\u{0}"] {
            let subject = subjects.room(&room.into()).unwrap();
            let token = subject.strip_prefix("app.io.L2EgYg.room.").unwrap();
            let safe = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
            assert!(!token.is_empty() && token.bytes().all(safe), "{room:?}: {subject}");
        }
        assert_ne!(subjects.room(&"-".into()), subjects.room(&"".into()));
    }

    #[test]
    fn prefixes_do_not_share_streams() {
        let prefix = |prefix| Prefix::new(prefix).unwrap();
        assert_eq!(prefix("a").log(), ("a-log".into(), "a.log.*".into()));
        assert_eq!(prefix("a.b").sessions(), ("a=b-sessions".into(), "a.b.session.*".into()));
        assert_eq!(prefix("a").session("*.>").unwrap(), "a.session.Ki4-");
        assert_eq!(prefix("a").session(&"p".repeat(193)), None);
    }

    #[test]
    fn a_name_that_is_too_long_has_no_subject() {
        let subjects = Subjects::new("x", "/").unwrap();
        assert!(subjects.room(&"r".repeat(192).into()).is_some());
        assert!(subjects.room(&"r".repeat(193).into()).is_none());
        assert!(Subjects::new("x", &"n".repeat(193)).is_err());
        for prefix in ["", ".", "a.", "a.*", "a b", "a.>"] {
            assert!(Subjects::new(prefix, "/").is_err(), "{prefix}");
        }
    }
}
