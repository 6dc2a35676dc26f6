//! The store of sessions that every node of a cluster can restore. An engine with a log and keys
//! provides it.

use std::{future::poll_fn, task::Poll, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;
use socketio_parser::{Args, Nsp, Object, Value, value};

use crate::{
    adapter::BoxFuture,
    error::{AdapterError, MessageError},
    limits::ClusterLimits,
    message::{Body, Message, NodeId},
    msgpack,
    selection::{Room, Selection},
};

/// Number of sessions that are stored at the same time.
const MAX_CONCURRENT: usize = 64;

/// The position of a message in an engine's log, in the format of the engine. A returning client
/// reports the offset of its last event. An offset from a client is not trusted to have the right
/// format.
pub type Offset = ByteString;

/// The sessions and the log of one namespace, shared by all nodes. The trait is object-safe, like
/// [`Link`](crate::Link).
///
/// If a call fails, the client only loses its session and gets a new one. The server limits every
/// call to the cluster's `request_timeout`, and [`take`](Self::take) to twice as long, and then
/// drops the future. If `take` returns a session too late, the server puts it back.
pub trait SessionStore: Send + Sync {
    /// Stores a session for `ttl`. Replaces a session with the same private id, unless the stored
    /// one has a later [`epoch`](SavedSession::epoch). In that case it does nothing, because the
    /// session belongs to another node by now.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine failed. The session is lost.
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>>;

    /// Stores several sessions for `ttl`, like [`persist`](Self::persist). Returns the sessions that
    /// the engine refuses ([`AdapterError::Refused`]), for example because of their size. They do
    /// not prevent the others from being stored. The default implementation stores at most
    /// 64 sessions at the same time.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine failed. Some of the sessions may have been stored.
    fn persist_all(
        &self,
        sessions: Vec<SavedSession>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Vec<RefusedSession>, AdapterError>> {
        Box::pin(async move {
            let calls = sessions.into_iter().map(|session| {
                let pid = session.pid.clone();
                (pid, self.persist(session, ttl))
            });
            let (mut refused, mut failed) = (Vec::new(), None);
            for_each_concurrent(calls, MAX_CONCURRENT, |pid, result| match result {
                Ok(()) => {}
                Err(error @ AdapterError::Refused(_)) => {
                    refused.push(RefusedSession { pid, error });
                }
                Err(error) => failed = Some(error),
            })
            .await;
            failed.map_or(Ok(refused), Err)
        })
    }

    /// Removes a session that ended while it was [owned](SavedSession::owner). Does nothing if
    /// there is none, or if the stored one has a later [`epoch`](SavedSession::epoch).
    ///
    /// # Errors
    ///
    /// Returns an error if the engine failed. The session then stays stored until it expires.
    fn forget<'a>(&'a self, pid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), AdapterError>>;

    /// Takes a session out, unless it has an [owner](SavedSession::owner) other than `gone`. If two
    /// clients claim the same private id, only one gets it. The session also stays stored if it is
    /// known to be of another namespace, or if the log no longer contains the event at `offset`.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine failed.
    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
        gone: Option<&'a NodeId>,
    ) -> BoxFuture<'a, Result<TakeOutcome, AdapterError>>;

    /// Returns the broadcasts of the namespace after `offset`, of all nodes, in order, without
    /// those that request acks. Volatile broadcasts may be omitted. A page ends when either limit
    /// of `size` is reached, or at the current end of the log. Where that is, the engine decides,
    /// but not before the last event that the inbox has received. A page contains at least one
    /// entry if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine failed, or if the log has been trimmed beyond `offset`.
    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>>;

    /// Returns whether `offset` is after `other` in the log. Both must have been returned by this
    /// store or its link, even if the inbox has not received the event yet, or accepted by
    /// [`take`](Self::take).
    fn is_after(&self, offset: &Offset, other: &Offset) -> bool;
}

/// A session that [`SessionStore::persist_all`] could not store, and cannot store later.
#[derive(Debug)]
pub struct RefusedSession {
    /// The private id of the session.
    pub pid: ByteString,
    /// Why the engine refuses it.
    pub error: AdapterError,
}

/// The result of [`SessionStore::take`].
#[derive(Clone, Debug, PartialEq)]
pub enum TakeOutcome {
    /// The session is unknown or expired, is of another namespace, or cannot be restored with this
    /// offset.
    Missing,
    /// The session stays stored, because this node owns it.
    Owned(NodeId),
    /// The session, which is no longer stored.
    Session(SavedSession),
}

impl TakeOutcome {
    /// Returns the session that was taken out.
    #[must_use]
    pub fn session(self) -> Option<SavedSession> {
        match self {
            Self::Session(session) => Some(session),
            Self::Missing | Self::Owned(_) => None,
        }
    }
}

/// A session as all nodes see it. `data` is the shared part of the socket's data.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedSession {
    /// The namespace of the session. `None` for sessions of Node's servers, which do not store it.
    /// The middlewares then decide about the client, whichever namespace the session is from.
    pub nsp: Option<Nsp>,
    /// The private id, known only to the client and the servers.
    pub pid: ByteString,
    /// The id of the socket.
    pub sid: ByteString,
    /// The rooms it was in, including the one of its own id.
    pub rooms: Vec<Room>,
    /// The part of its data that is shared with other nodes.
    pub data: Value,
    /// The node to which the client of the session is connected. `None` if the client has lost its
    /// connection.
    pub owner: Option<NodeId>,
    /// How often the session was restored. A node that was taken for dead may still write the
    /// session that another node has restored in the meantime; the store refuses its earlier epoch.
    /// Node's servers do not store it and start again with 0.
    pub epoch: u64,
    /// The nodes on which the client was before. At most [`MAX_FORMER_NODES`] are decoded. Node's
    /// servers do not store them.
    pub former_nodes: Vec<FormerNode>,
}

/// Number of [`SavedSession::former_nodes`] that are kept; the oldest are forgotten.
pub const MAX_FORMER_NODES: usize = 8;

/// A node on which a client was before. It delivered its own volatile events to the client when it
/// sent them. The client must not get them again from the node on which it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerNode {
    /// The name of the node.
    pub node: NodeId,
    /// The number of the first volatile event of this node that the client has not had. `None` if
    /// it is unknown, because the node did not hand the session over.
    pub next_volatile: Option<u64>,
}

/// The maximum size of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// Number of events.
    pub packets: usize,
    /// Approximate size of the events in bytes.
    pub bytes: usize,
}

/// A part of the log.
#[derive(Clone, Debug)]
pub struct Page {
    /// The events of the page.
    pub events: Vec<MissedEvent>,
    /// The offset after which the next page begins: that of the last entry read, of whatever kind,
    /// or the requested offset if there was none.
    pub end: Offset,
    /// Whether more entries may follow. If not, `end` was the end of the log.
    pub has_more: bool,
}

/// A broadcast in the log.
#[derive(Clone, Debug)]
pub struct MissedEvent {
    /// The offset of the event.
    pub offset: Offset,
    /// The event.
    pub args: Args,
    /// The recipients.
    pub selection: Selection,
    /// The node that has sent the event.
    pub uid: NodeId,
    /// The [number](Message::seq) that the sender gave to the event.
    pub seq: Option<u64>,
}

impl MissedEvent {
    /// Returns the broadcast in a message of the log. Other messages, and broadcasts that request
    /// acks, are not recovered.
    pub fn new(message: Message, offset: impl Into<Offset>) -> Option<Self> {
        let Message { uid, body, seq, .. } = message;
        let Body::Broadcast { args, selection, request: None } = body else { return None };
        Some(Self { offset: offset.into(), args, selection, uid, seq })
    }
}

impl SavedSession {
    /// Adds a node that the client has left, or replaces what is known of it.
    pub fn add_former_node(&mut self, former: FormerNode) {
        let nodes = &mut self.former_nodes;
        nodes.retain(|known| known.node != former.node);
        nodes.push(former);
        nodes.drain(..nodes.len().saturating_sub(MAX_FORMER_NODES));
    }

    /// Decides about a stored session: returns it for [`TakeOutcome::Session`] if a claim in the
    /// namespace `nsp` may take it while `gone` is known to be dead.
    #[must_use]
    pub fn claimed(self, nsp: &Nsp, gone: Option<&NodeId>) -> TakeOutcome {
        if self.nsp.as_ref().is_some_and(|of| of != nsp) {
            return TakeOutcome::Missing;
        }
        match &self.owner {
            Some(owner) if Some(owner) != gone => TakeOutcome::Owned(owner.clone()),
            _ => TakeOutcome::Session(self),
        }
    }

    /// Converts the session to an object of `sid`, `pid`, `rooms` and `data`, as Node's adapters
    /// store it. Adds `nsp`, `owner`, `epoch` and `formerNodes`, which they ignore.
    pub fn to_value(&self) -> Value {
        let rooms = self.rooms.iter().map(|room| room.as_str().into()).collect();
        let (sid, pid, data) = (&*self.sid, &*self.pid, self.data.clone());
        let rooms = Value::Array(rooms);
        let mut session = value!({ "sid": sid, "pid": pid, "rooms": rooms, "data": data });
        if let Value::Object(session) = &mut session {
            let (nsp, owner) = (self.nsp.as_ref(), self.owner.as_ref());
            session.extend(nsp.map(|nsp| ("nsp".into(), nsp.as_str().into())));
            session.extend(owner.map(|owner| ("owner".into(), owner.as_str().into())));
            let epoch = i64::try_from(self.epoch).ok().filter(|epoch| *epoch > 0);
            session.extend(epoch.map(|epoch| ("epoch".into(), epoch.into())));
            if !self.former_nodes.is_empty() {
                session.insert("formerNodes".into(), former_nodes(&self.former_nodes));
            }
        }
        session
    }

    /// Encodes the object of [`to_value`](Self::to_value) as msgpack.
    pub fn to_msgpack(&self) -> Bytes {
        msgpack::to_bytes(&self.to_value())
    }

    /// Like [`to_msgpack`](Self::to_msgpack), for a store from which nodes with these limits read.
    ///
    /// # Errors
    ///
    /// Returns [`MessageError::TooLarge`] if the session exceeds `max_message_bytes`, so that no
    /// node would decode it.
    pub fn encode(&self, limits: &ClusterLimits) -> Result<Bytes, MessageError> {
        let bytes = self.to_msgpack();
        limits.check_size(bytes.len())?;
        Ok(bytes)
    }

    /// Converts an object of [`to_value`](Self::to_value) or of an adapter of Node.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is not an object or lacks a field.
    pub fn from_value(session: Value) -> Result<Self, MessageError> {
        let Value::Object(mut session) = session else {
            return Err(MessageError::Malformed("not an object"));
        };
        let Some(Value::Array(rooms)) = session.remove("rooms") else {
            return Err(MessageError::InvalidField("rooms"));
        };
        let rooms = rooms.iter().map(|room| room.as_str().map(Room::from));
        Ok(Self {
            nsp: session.get("nsp").and_then(Value::as_str).map(Nsp::unchecked),
            pid: text(&session, "pid")?,
            sid: text(&session, "sid")?,
            rooms: rooms.collect::<Option<_>>().ok_or(MessageError::InvalidField("rooms"))?,
            owner: session.get("owner").and_then(Value::as_str).map(NodeId::from),
            epoch: session.get("epoch").and_then(Value::as_u64).unwrap_or_default(),
            former_nodes: match session.get("formerNodes") {
                Some(Value::Object(nodes)) => nodes
                    .iter()
                    .take(MAX_FORMER_NODES)
                    .map(|(node, next)| FormerNode {
                        node: NodeId::from(node.as_str()),
                        next_volatile: next.as_u64(),
                    })
                    .collect(),
                _ => Vec::new(),
            },
            data: session.remove("data").unwrap_or_default(),
        })
    }

    /// Decodes a session that [`to_msgpack`](Self::to_msgpack) or an adapter of Node has encoded.
    ///
    /// # Errors
    ///
    /// Returns an error if the session is larger than a message may be, is not msgpack, or lacks a
    /// field.
    pub fn from_msgpack(bytes: &[u8], limits: &ClusterLimits) -> Result<Self, MessageError> {
        limits.check_size(bytes.len())?;
        Self::from_value(msgpack::from_bytes(bytes, limits)?)
    }
}

/// Encodes sessions. The second list contains those that [`SavedSession::encode`] refuses.
#[doc(hidden)]
pub fn encode_sessions<'a>(
    sessions: &'a [SavedSession],
    limits: &ClusterLimits,
) -> (Vec<(&'a SavedSession, Bytes)>, Vec<RefusedSession>) {
    let (mut encoded, mut refused) = (Vec::with_capacity(sessions.len()), Vec::new());
    for session in sessions {
        match session.encode(limits) {
            Ok(bytes) => encoded.push((session, bytes)),
            Err(error) => {
                refused.push(RefusedSession { pid: session.pid.clone(), error: error.into() });
            }
        }
    }
    (encoded, refused)
}

/// Polls at most `limit` of the calls at the same time, and passes their results to `done`.
async fn for_each_concurrent<K, T>(
    mut calls: impl Iterator<Item = (K, BoxFuture<'_, T>)>,
    limit: usize,
    mut done: impl FnMut(K, T),
) {
    let mut running: Vec<_> = calls.by_ref().take(limit).collect();
    let all_done = poll_fn(|cx| {
        let mut next = 0;
        while let Some((_, call)) = running.get_mut(next) {
            match call.as_mut().poll(cx) {
                Poll::Pending => next += 1,
                Poll::Ready(result) => {
                    let (key, _) = running.swap_remove(next);
                    done(key, result);
                    running.extend(calls.next());
                }
            }
        }
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    });
    all_done.await;
}

fn text(object: &Object, name: &'static str) -> Result<ByteString, MessageError> {
    object.get(name).and_then(Value::as_str).map(Into::into).ok_or(MessageError::InvalidField(name))
}

/// Converts former nodes to an object of their names and the numbers of their next volatile events.
fn former_nodes(nodes: &[FormerNode]) -> Value {
    let next = |former: &FormerNode| former.next_volatile.and_then(|next| i64::try_from(next).ok());
    let entry = |former: &FormerNode| {
        (former.node.as_str().into(), next(former).map_or(Value::Null, Value::from))
    };
    Value::Object(nodes.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn a_session_has_the_same_encoding_as_in_node() {
        let session = SavedSession {
            nsp: None,
            pid: "p".into(),
            sid: "s".into(),
            rooms: vec!["s".into(), "r".into()],
            data: value!({ "n": 1 }),
            owner: None,
            epoch: 0,
            former_nodes: Vec::new(),
        };
        let bytes = session.to_msgpack();
        let node = b"\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x92\xa1s\xa1r\xa4data\x81\xa1n\x01";
        assert_eq!(&bytes[..], node);
        let limits = ClusterLimits::default();
        assert_eq!(SavedSession::from_msgpack(&bytes, &limits).unwrap(), session);
        let (nsp, owner) = (Some(Nsp::unchecked("/n")), Some("node".into()));
        let former = |node: &str, next_volatile| FormerNode { node: node.into(), next_volatile };
        let former_nodes = vec![former("n", Some(3)), former("gone", None)];
        let of = SavedSession { nsp, owner, epoch: 7, former_nodes, ..session };
        assert_eq!(SavedSession::from_msgpack(&of.to_msgpack(), &limits).unwrap(), of);
        for end in 0..bytes.len() {
            SavedSession::from_msgpack(&bytes[..end], &limits).unwrap_err();
        }
        assert!(SavedSession::from_msgpack(&bytes, &limits.max_message_bytes(3)).is_err());
    }

    #[test]
    fn calls_run_concurrently_up_to_the_limit() {
        for (limit, expected) in [(1, 1), (3, 3), (100, 20)] {
            let (running, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let call = |n: usize| -> (usize, BoxFuture<'_, usize>) {
                let (running, peak, mut polls) = (&running, &peak, 0);
                let call = poll_fn(move |_| {
                    polls += 1;
                    if polls == 1 {
                        peak.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
                    }
                    if polls < 2 + n % 3 {
                        return Poll::Pending;
                    }
                    running.fetch_sub(1, Relaxed);
                    Poll::Ready(n)
                });
                (n, Box::pin(call))
            };
            let mut results = Vec::new();
            {
                let done = |key, result| results.push((key, result));
                let mut all = pin!(for_each_concurrent((0..20).map(call), limit, done));
                let mut cx = Context::from_waker(Waker::noop());
                while all.as_mut().poll(&mut cx).is_pending() {}
            }
            results.sort_unstable();
            assert_eq!(results, (0..20).map(|n| (n, n)).collect::<Vec<_>>());
            assert_eq!(peak.into_inner(), expected);
        }
    }
}
