//! Connection state recovery: the state that a namespace and a socket keep for it.

pub(crate) mod session_transfer;
pub(crate) mod shared_log;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;
use engineio_server::{EngineConfig, Frames};
use socketio_adapter::{
    Offset,
    recovery::{Log, LogLimits, Position, Session, SessionStore, Trail},
};
use socketio_parser::{RawJson, Value};
use tokio::sync::{Notify, watch};

use crate::{config::recovery::Recovery, socket::stored::Stored};

/// The state that is kept for a disconnected socket whose session can still be recovered.
pub(crate) struct Kept {
    /// The values that the application stored with the socket.
    pub(crate) stored: Option<Box<Stored>>,
    pub(crate) stay: Stay,
    /// Keeps this node subscribed to the socket's rooms if other nodes send by room.
    pub(crate) rooms: Stay,
    pub(crate) outstanding: Arc<Outstanding>,
}

/// Counts the events that are kept until a socket's client acknowledges them, even across a
/// recovery.
#[derive(Default)]
pub(crate) struct Outstanding {
    pub(crate) packets: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
}

/// Runs a function when it is dropped. Until then it keeps a namespace from being removed, or rooms
/// from being given up.
#[derive(Default)]
pub(crate) struct Stay(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Stay {
    pub(crate) fn new(leave: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(leave)))
    }
}

impl Stay {
    /// Hands the responsibility to the caller: the function is not run.
    pub(crate) fn pass_on(mut self) {
        self.0 = None;
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(leave) = self.0.take() {
            leave();
        }
    }
}

/// The direction in which a session is being transferred.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    IntoStore,
    OutOfStore,
}

/// The log of a namespace. Its lock also defines the order in which events are delivered: the
/// events that a client gets are a subsequence of the log, in the log's order, regardless of the
/// sender.
pub(crate) struct Recorder {
    log: Mutex<Log<Frames, Kept>>,
    /// Whether the engine keeps the events in its log and the sessions in its store. If so, only
    /// state that other nodes cannot know is kept here.
    pub(crate) shared: bool,
    /// How long a session can be recovered.
    pub(crate) duration: Duration,
    /// Sessions that are being written to the store or read from it, by private id. A task that
    /// needs such a session waits until the sender is dropped.
    pub(crate) journeys: Mutex<HashMap<ByteString, (Way, watch::Receiver<()>)>>,
    offsets: AtomicU64,
    pub(crate) skip_middlewares: bool,
    /// Maximum number of packets and bytes that can be queued for a client at once.
    pub(crate) max_queued: (usize, usize),
    /// Whether the task that removes expired entries is running.
    pub(crate) watched: AtomicBool,
    /// Notified when an entry expires earlier than the entry that the task waits for.
    pub(crate) expiry_changed: Arc<Notify>,
    /// Maximum number of packets and bytes of reliable events that may be pending per socket.
    pub(crate) max_reliable: (usize, usize),
    /// Notified when a session was recovered or dropped.
    pub(crate) moved: Notify,
}

impl Recorder {
    pub(crate) fn new(recovery: &Recovery, engine: &EngineConfig, shared: bool) -> Self {
        let unnoticed = recovery.max_disconnection_duration.saturating_add(engine.get_heartbeat());
        let log = Log::new(LogLimits {
            max_disconnection_duration: recovery.max_disconnection_duration,
            max_age: recovery.max_age.unwrap_or(unnoticed),
            max_packets: recovery.max_packets,
            max_bytes: recovery.max_bytes,
            max_sessions: recovery.max_sessions,
        });
        Self {
            log: log.into(),
            shared,
            duration: recovery.max_disconnection_duration,
            journeys: Mutex::default(),
            offsets: AtomicU64::new(1),
            skip_middlewares: recovery.skip_middlewares,
            max_queued: engine.get_max_queued(),
            watched: AtomicBool::new(false),
            expiry_changed: Arc::default(),
            max_reliable: recovery.max_reliable,
            moved: Notify::new(),
        }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log<Frames, Kept>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles a session that was removed from the log for good. The application's data is dropped
    /// here, where no lock is held.
    pub(crate) fn gave_up(&self, session: Option<Session<Kept>>) {
        if let Some(session) = session {
            drop(session);
            self.moved.notify_waiters();
        }
    }

    /// Returns the offset of an event that is about to be encoded.
    pub(crate) fn next_offset(&self) -> u64 {
        self.offsets.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// The state that a socket needs for its recovery.
pub(crate) struct Recoverable {
    /// The private id, which only this client knows.
    pub(crate) pid: ByteString,
    trail: Mutex<Trail>,
    /// For a recovered socket, the position of the first event that its client may not have.
    pub(crate) from: Option<Position>,
    pub(crate) outstanding: Arc<Outstanding>,
    joint: Mutex<Joint>,
}

/// The state of a client's catch-up, which joins the events from the engine's log with those
/// delivered on this node.
#[derive(Default)]
pub(crate) enum Joint {
    /// The client has nothing to catch up, or has caught up.
    #[default]
    None,
    /// The client has not been let in yet.
    Ahead(Box<Backlog>),
    /// The client was sent all events up to this offset, which has not been delivered on this node
    /// yet.
    Behind(Arc<dyn SessionStore>, Offset),
}

/// The events that a client gets when it is let in.
pub(crate) struct Backlog {
    pub(crate) store: Arc<dyn SessionStore>,
    /// The events that the client missed, up to `end`.
    pub(crate) missed: Vec<Frames>,
    pub(crate) end: Offset,
    /// The events delivered on this node since the client became a member of the namespace.
    pub(crate) since: Vec<(Offset, Frames)>,
    /// Packets and bytes of `missed` and `since` together.
    pub(crate) size: (usize, usize),
}

impl Backlog {
    /// Adds an event to the size. Returns whether the client's queue still has room.
    pub(crate) fn takes(&mut self, frames: &Frames, max: (usize, usize)) -> bool {
        self.size.0 += frames.count();
        self.size.1 += frames.bytes();
        self.fits(max)
    }

    /// Returns whether the client's queue has room for all events and the response to its CONNECT.
    pub(crate) fn fits(&self, max: (usize, usize)) -> bool {
        self.size.0 < max.0 && self.size.1 < max.1
    }
}

impl Recoverable {
    pub(crate) fn new(
        pid: ByteString,
        trail: Trail,
        from: Option<Position>,
        outstanding: Arc<Outstanding>,
    ) -> Self {
        Self { pid, trail: trail.into(), from, outstanding, joint: Mutex::default() }
    }

    pub(crate) fn joint(&self) -> MutexGuard<'_, Joint> {
        self.joint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trail(&self) -> MutexGuard<'_, Trail> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's request to recover its session.
pub(crate) struct Claim {
    pub(crate) pid: String,
    /// The offset of the last event that the client received.
    pub(crate) offset: String,
}

impl Claim {
    /// Removes the claim from the data of a CONNECT packet, so that handlers do not see the private
    /// id.
    pub(crate) fn take(auth: &mut Option<RawJson>) -> Option<Self> {
        let Ok(Value::Object(mut object)) = auth.as_ref()?.decode() else { return None };
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        if !matches!(object.get("pid"), Some(Value::String(_))) {
            return None;
        }
        let pid = text(object.shift_remove("pid"));
        let offset = match object.get("offset") {
            Some(Value::String(_)) => text(object.shift_remove("offset")),
            _ => None,
        };
        *auth = match object.is_empty() {
            true => None,
            false => {
                let rest = serde_json::to_string(&Value::Object(object)).ok();
                rest.and_then(|rest| RawJson::new(rest).ok())
            }
        };
        Some(Self { pid: pid?, offset: offset? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(auth: &str) -> (Option<(String, String)>, Option<String>) {
        let mut auth = Some(RawJson::new(auth.to_owned()).unwrap());
        let claim = Claim::take(&mut auth).map(|claim| (claim.pid, claim.offset));
        (claim, auth.map(|auth| auth.get().to_owned()))
    }

    #[test]
    fn a_claim_needs_both_strings_and_is_taken_out() {
        let found = Some(("p".to_owned(), "o".to_owned()));
        assert_eq!(claim(r#"{"pid":"p","offset":"o"}"#), (found.clone(), None));
        let rest = Some(r#"{"token":[1],"a":{"b":null}}"#.to_owned());
        let all = r#"{"token":[1],"pid":"p","offset":"o","a":{"b":null}}"#;
        assert_eq!(claim(all), (found, rest));
        assert_eq!(claim(r#"{"pid":"p"}"#), (None, None));
        for other in [r#"{"offset":"o"}"#, r#"{"pid":1,"offset":"o"}"#, "{}"] {
            assert_eq!(claim(other), (None, Some(other.to_owned())));
        }
    }
}
