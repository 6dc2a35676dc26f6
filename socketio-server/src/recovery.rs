//! Connection state recovery: its options, and what a namespace and a socket keep for it.

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

use crate::stored::Stored;

/// Options of connection state recovery. See [`ServerConfig::connection_state_recovery`].
///
/// A client that lost its connection (not one that was disconnected, by either side) may come back to its session: it has
/// the same id, rooms and [data](crate::Socket::set_data), [`Socket::recovered`](crate::Socket::recovered) says so, and
/// before the answer to its CONNECT it gets the events that it missed, none twice and in order. `io.on_connection` runs
/// as for every client. Where the session is unknown, or not all that was missed is known any more, the client gets a new
/// session.
///
/// What it costs, in every namespace: each event that asks for no answer and is not volatile is kept for a while, within the
/// limits below, and carries its offset as one more argument; and events of one namespace are delivered one after the
/// other. Events to a socket that may come back are kept for it.
///
/// # Across nodes
///
/// A session comes back to the node that lost it. Where the [adapter](crate::ServerConfig::adapter) of an engine keeps a log and
/// sessions, it comes back to any node; `max_age`, `max_packets` and `max_bytes` are the engine's affair then, and typed data
/// and [reliable events](crate::Socket::emit_reliably) serve only those who come back to the same node: other nodes know
/// what is [shared](crate::Socket::set_shared). It costs more:
///
/// - An event is published first and delivered when it has come back from the engine, here too, to who is in its rooms then.
///   `emit` gives [`ClusterError::QueueFull`](crate::ClusterError::QueueFull) where as many are on their way as may wait
///   (`max_queued_messages`). An event that the engine does not take is delivered here, and is not recovered.
/// - Answers, questions and disconnections wait for the events that were emitted before them. So a socket that was disconnected
///   by this side may be connected for some moments more.
/// - Volatile and local events, joins and leaves do not wait, and may overtake events.
/// - A client that missed more than its queue takes gets a new session; so does one whose store does not answer within
///   the cluster's `request_timeout`.
///
/// ```
/// use std::time::Duration;
/// use socketio_server::{Recovery, Server, ServerConfig, Socket};
///
/// let recovery = Recovery::default().max_disconnection_duration(Duration::from_secs(60));
/// let io = Server::with_config(ServerConfig::default().connection_state_recovery(recovery));
/// io.on_connection(|socket: Socket| async move {
///     if !socket.recovered() {
///         socket.join("lobby")?;
///     }
///     Ok(())
/// });
/// ```
///
/// [`ServerConfig::connection_state_recovery`]: crate::ServerConfig::connection_state_recovery
#[derive(Clone, Debug)]
#[must_use]
pub struct Recovery {
    max_disconnection_duration: Duration,
    pub(crate) skip_middlewares: bool,
    max_age: Option<Duration>,
    max_packets: usize,
    max_bytes: usize,
    max_sessions: usize,
    max_reliable: (usize, usize),
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: true,
            max_age: None,
            max_packets: 10_000,
            max_bytes: 16 << 20,
            max_sessions: 10_000,
            max_reliable: (256, 1 << 20),
        }
    }
}

impl Recovery {
    /// How long a client may stay away (default 2 min).
    pub fn max_disconnection_duration(mut self, duration: Duration) -> Self {
        self.max_disconnection_duration = duration;
        self
    }

    /// Whether a client that comes back passes by the middlewares (default yes). If not, it gets nothing of what it missed
    /// before they have let it in.
    ///
    /// A session that one of Node's servers kept does not say which namespace it is of, so its client goes through them all
    /// the same: one that sets data should look at [`Socket::recovered`](crate::Socket::recovered) first.
    pub fn skip_middlewares(mut self, skip: bool) -> Self {
        self.skip_middlewares = skip;
        self
    }

    /// How old an event may be that is sent again (default: `max_disconnection_duration`, and the time it takes until a
    /// client that vanished is noticed).
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Events kept per namespace (default 10 000). Clients that missed older ones get a new session.
    pub fn max_packets(mut self, packets: usize) -> Self {
        self.max_packets = packets;
        self
    }

    /// Bytes of events kept per namespace, their bookkeeping included (default 16 MiB). Clients that missed older ones get
    /// a new session.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sessions kept per namespace (default 10 000). Beyond that the one that was lost first is forgotten.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Events of [`Socket::emit_reliably`](crate::Socket::emit_reliably) that may wait per socket (default 256). Beyond it
    /// they are refused.
    pub fn max_reliable_packets(mut self, packets: usize) -> Self {
        self.max_reliable.0 = packets;
        self
    }

    /// Bytes of such events that may wait per socket (default 1 MiB). Beyond it they are refused.
    pub fn max_reliable_bytes(mut self, bytes: usize) -> Self {
        self.max_reliable.1 = bytes;
        self
    }
}

/// What is kept of a socket that is away.
pub(crate) struct Kept {
    /// The application's.
    pub(crate) stored: Option<Box<Stored>>,
    pub(crate) stay: Stay,
    /// Where other nodes send to rooms, its rooms are still wanted.
    pub(crate) rooms: Stay,
    pub(crate) outstanding: Arc<Outstanding>,
}

/// Events that are kept until the client of a socket answers, also after it came back.
#[derive(Default)]
pub(crate) struct Outstanding {
    pub(crate) packets: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
}

/// Keeps a namespace from being removed, or rooms from being given up, until it is dropped.
#[derive(Default)]
pub(crate) struct Stay(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Stay {
    pub(crate) fn new(leave: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(leave)))
    }
}

impl Stay {
    /// Whoever has it now sees to its end.
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

/// Where a session is going.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    IntoStore,
    OutOfStore,
}

/// The log of a namespace. Its lock is also the order in which events are delivered: what a client is sent is then a part
/// of the log, in the log's order, whoever sends.
pub(crate) struct Recorder {
    log: Mutex<Log<Frames, Kept>>,
    /// Whether the events are in the log of an engine, and the sessions in its store: then only what other nodes cannot
    /// know is kept here.
    pub(crate) shared: bool,
    /// How long a session may stay away.
    pub(crate) duration: Duration,
    /// Sessions on their way to the store or out of it, by private id. Whoever wants one waits until the sender is dropped.
    pub(crate) journeys: Mutex<HashMap<ByteString, (Way, watch::Receiver<()>)>>,
    offsets: AtomicU64,
    pub(crate) skip_middlewares: bool,
    /// Packets and bytes that a client can be sent at once.
    pub(crate) max_queued: (usize, usize),
    /// Whether a task is there that forgets what is too old.
    pub(crate) watched: AtomicBool,
    /// There is something that expires earlier than what that task waits for.
    pub(crate) expiry_changed: Arc<Notify>,
    /// Packets and bytes that may be outstanding per socket.
    pub(crate) max_reliable: (usize, usize),
    /// A session came back, or is forgotten.
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

    /// A session was taken out of the log for good. What the application kept with it ends here, where no lock is held.
    pub(crate) fn gave_up(&self, session: Option<Session<Kept>>) {
        if let Some(session) = session {
            drop(session);
            self.moved.notify_waiters();
        }
    }

    /// The name of an event that is about to be encoded.
    pub(crate) fn next_offset(&self) -> u64 {
        self.offsets.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// What a socket needs to come back.
pub(crate) struct Recoverable {
    /// Only the client knows it.
    pub(crate) pid: ByteString,
    trail: Mutex<Trail>,
    /// Of a socket that came back: the first event that its client may not have.
    pub(crate) from: Option<Position>,
    pub(crate) outstanding: Arc<Outstanding>,
    joint: Mutex<Joint>,
}

/// Where what a client missed, as a log elsewhere has it, joins what is delivered here.
#[derive(Default)]
pub(crate) enum Joint {
    /// There is none, or both have been joined.
    #[default]
    None,
    /// The client has not been let in.
    Ahead(Box<Backlog>),
    /// It was sent all up to this offset, which has not been delivered here yet.
    Behind(Arc<dyn SessionStore>, Offset),
}

/// What a client is to be sent when it is let in.
pub(crate) struct Backlog {
    pub(crate) store: Arc<dyn SessionStore>,
    /// What it missed, up to `end`.
    pub(crate) missed: Vec<Frames>,
    pub(crate) end: Offset,
    /// What was delivered here since it is a member of the namespace.
    pub(crate) since: Vec<(Offset, Frames)>,
    /// Packets and bytes of both.
    pub(crate) size: (usize, usize),
}

impl Backlog {
    /// Counts an event; whether there is room for it.
    pub(crate) fn takes(&mut self, frames: &Frames, max: (usize, usize)) -> bool {
        self.size.0 += frames.count();
        self.size.1 += frames.bytes();
        self.fits(max)
    }

    /// Whether a client can be sent all of it, and the answer to its CONNECT.
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

/// What a client says that wants its session back.
pub(crate) struct Claim {
    pub(crate) pid: String,
    /// The last event it got.
    pub(crate) offset: String,
}

impl Claim {
    /// Takes the claim out of what came with a CONNECT: the private id is nothing for handlers to see.
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
