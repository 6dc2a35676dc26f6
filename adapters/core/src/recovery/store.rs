//! Sessions that every node of a cluster can restore: what an engine with a log and keys offers.

use std::time::Duration;

use bytestring::ByteString;
use socketio_parser::{Args, Nsp, Object, Value, value};

use crate::{
    error::{AdapterError, MessageError},
    future::BoxFuture,
    limits::ClusterLimits,
    msgpack,
    selection::{Room, Selection},
};

/// Where a message stands in an engine's log, in the engine's own words: what a client tells that comes back to have what it
/// missed. One that a client told is not trusted to be of the engine's form.
pub type Offset = ByteString;

/// The sessions and the log of one namespace, where all nodes find them. Object-safe, as [`Link`](crate::Link) is.
///
/// A failure costs a client its session, nothing else: it gets a new one. The server bounds every call by the cluster's
/// `request_timeout`, [`take`](Self::take) by twice as much, and drops its future then. What a late `take` gives is put back.
pub trait SessionStore: Send + Sync {
    /// Keeps a session for as long as `ttl`. One with the same private id is replaced.
    ///
    /// # Errors
    ///
    /// The engine failed; the session is lost.
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>>;

    /// Takes a session out, once: of two clients with one private id, one gets it. `None` where the session is unknown or
    /// expired, or the log does not hold the event at `offset` any more; that is looked for first, and the session is left
    /// where it is.
    ///
    /// # Errors
    ///
    /// The engine failed.
    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
    ) -> BoxFuture<'a, Result<Option<SavedSession>, AdapterError>>;

    /// The broadcasts of the namespace that stand after `offset`, in their order, of all nodes: those that ask for no
    /// answer. Volatile ones may be left out. A page ends where either limit of `size` is reached, or at the end of the log
    /// as it is then; one entry is always let in.
    ///
    /// # Errors
    ///
    /// The engine failed, or the log has been trimmed beyond `offset` meanwhile.
    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>>;

    /// Whether `offset` stands after `other` in the log. Both were given by this store or its link, or accepted by
    /// [`take`](Self::take).
    fn is_after(&self, offset: &Offset, other: &Offset) -> bool;
}

/// A session as all nodes know it. `data` is what they may see of a socket's data.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedSession {
    /// Its namespace. Node's servers do not say: who came with a session of theirs is let in by the middlewares, whatever
    /// namespace it was from.
    pub nsp: Option<Nsp>,
    /// The private id, which only the client knows.
    pub pid: ByteString,
    /// The socket's id.
    pub sid: ByteString,
    /// The rooms it was in, that of its own id included.
    pub rooms: Vec<Room>,
    /// Its data, as far as it is shared.
    pub data: Value,
}

/// How much of a log is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// Events.
    pub packets: usize,
    /// Bytes of them, roughly.
    pub bytes: usize,
}

/// A part of the log.
#[derive(Clone, Debug)]
pub struct Page {
    /// The events in it.
    pub events: Vec<Missed>,
    /// Where the next page begins: the last entry that was looked at, whatever it was; the offset that was asked for
    /// where there was none.
    pub end: Offset,
    /// Whether there may be more after it. If not, `end` was the end of the log.
    pub more: bool,
}

/// A broadcast in the log.
#[derive(Clone, Debug)]
pub struct Missed {
    /// Where it stands.
    pub offset: Offset,
    /// The event.
    pub args: Args,
    /// Whom it was for.
    pub selection: Selection,
}

impl SavedSession {
    /// As msgpack, a map of `sid`, `pid`, `rooms` and `data`: what Node's adapters keep. `nsp` is added, which they do not
    /// look at.
    pub fn to_msgpack(&self) -> bytes::Bytes {
        let rooms = self.rooms.iter().map(|room| room.as_str().into()).collect();
        let (sid, pid, data) = (&*self.sid, &*self.pid, self.data.clone());
        let rooms = Value::Array(rooms);
        let mut session = value!({ "sid": sid, "pid": pid, "rooms": rooms, "data": data });
        if let (Value::Object(session), Some(nsp)) = (&mut session, &self.nsp) {
            session.insert("nsp".into(), nsp.as_str().into());
        }
        msgpack::to_bytes(&session)
    }

    /// Reads what [`to_msgpack`](Self::to_msgpack) or a Node adapter wrote.
    ///
    /// # Errors
    ///
    /// It is larger than a message may be, no msgpack, or a field is missing.
    pub fn from_msgpack(bytes: &[u8], limits: &ClusterLimits) -> Result<Self, MessageError> {
        let (bytes_len, limit) = (bytes.len(), limits.get_max_message_bytes());
        if bytes_len > limit {
            return Err(MessageError::TooLarge { bytes: bytes_len, limit });
        }
        let Value::Object(mut session) = msgpack::from_bytes(bytes, limits)? else {
            return Err(MessageError::Malformed("not an object"));
        };
        let Some(Value::Array(rooms)) = session.shift_remove("rooms") else {
            return Err(MessageError::Field("rooms"));
        };
        let rooms = rooms.iter().map(|room| room.as_str().map(Room::from));
        Ok(Self {
            nsp: session.get("nsp").and_then(Value::as_str).map(|nsp| Nsp::from(nsp.to_owned())),
            pid: text(&session, "pid")?,
            sid: text(&session, "sid")?,
            rooms: rooms.collect::<Option<_>>().ok_or(MessageError::Field("rooms"))?,
            data: session.shift_remove("data").unwrap_or_default(),
        })
    }
}

fn text(object: &Object, name: &'static str) -> Result<ByteString, MessageError> {
    object.get(name).and_then(Value::as_str).map(Into::into).ok_or(MessageError::Field(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_what_node_keeps() {
        let session = SavedSession {
            nsp: None,
            pid: "p".into(),
            sid: "s".into(),
            rooms: vec!["s".into(), "r".into()],
            data: value!({ "n": 1 }),
        };
        let bytes = session.to_msgpack();
        let node = b"\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x92\xa1s\xa1r\xa4data\x81\xa1n\x01";
        assert_eq!(&bytes[..], node);
        let limits = ClusterLimits::default();
        assert_eq!(SavedSession::from_msgpack(&bytes, &limits).unwrap(), session);
        let of = SavedSession { nsp: Some("/n".into()), ..session };
        assert_eq!(SavedSession::from_msgpack(&of.to_msgpack(), &limits).unwrap(), of);
        for end in 0..bytes.len() {
            SavedSession::from_msgpack(&bytes[..end], &limits).unwrap_err();
        }
        assert!(SavedSession::from_msgpack(&bytes, &limits.max_message_bytes(3)).is_err());
    }
}
