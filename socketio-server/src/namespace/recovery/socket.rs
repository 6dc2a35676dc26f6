//! The state that a socket keeps for its recovery.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::Instant,
};

use bytestring::ByteString;
use engineio_server::{Frames, SendError, internal::queue_with};
use socketio_adapter::{
    NodeId, Offset,
    recovery::{FormerNode, Position, Trail},
};

use crate::{
    config::Overflow,
    namespace::cluster::EventNumber,
    namespace::recovery::{
        ahead::{EventsAhead, EventsHad, LogPosition},
        catch_up::CatchUp,
        session_writer::Written,
        takeover::Successor,
    },
    socket::inner::SocketInner,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize},
        lock,
    },
    time::now,
};

/// The state that a socket needs for its recovery.
pub(crate) struct Recoverable {
    /// The private id, which only this client knows.
    pid: ByteString,
    /// For a recovered socket, the position of the first event that its client may not have.
    from: Option<Position>,
    outstanding: Arc<Outstanding>,
    state: Mutex<DeliveryState>,
    /// For a recovered socket, when its session was restored.
    restored_at: Option<Instant>,
    /// Whether the session is known to have been accepted into this namespace.
    accepted: AtomicBool,
    pub(super) successor: Mutex<Successor>,
    pub(super) written: Written,
    /// How often the session was restored from the store.
    epoch: u64,
}

/// The state of a session that is restored.
pub(super) struct SessionOrigin {
    /// Whether middlewares of this namespace have accepted it before.
    pub(super) accepted: bool,
    /// Whether it is in the store while its client is connected.
    pub(super) written: bool,
    /// How often it was restored from the store.
    pub(super) epoch: u64,
}

/// The events that a socket was sent. It changes under the lock of the log.
pub(super) struct DeliveryState {
    pub(super) trail: Trail,
    pub(super) catch_up: CatchUp,
    /// The events that the client must not get again. Only some returning clients have any.
    pub(super) had: Option<Box<EventsHad>>,
}

impl DeliveryState {
    /// Records that the log of an engine has returned an event. Returns whether the client got it
    /// ahead of the log. `here` is the name of this node.
    pub(super) fn returned(&mut self, event: EventNumber<'_>, here: &NodeId) -> bool {
        let Some(had) = &mut self.had else { return false };
        let was_ahead = had.ahead.contains(event);
        had.ahead.returned(event);
        if event.0 == here {
            had.read = had.read.filter(|read| *read > event.1);
        }
        if had.is_empty() {
            self.had = None;
        }
        was_ahead
    }

    /// Returns whether the client has read the log of an engine up to an event of this node.
    pub(super) fn has_read(&self, number: u64) -> bool {
        self.had.as_ref().is_some_and(|had| had.has_read(number))
    }

    /// Returns the nodes on which the client was before.
    pub(super) fn former_nodes(&self) -> Vec<FormerNode> {
        self.had.as_ref().map_or_else(Vec::new, |had| had.former.to_vec())
    }

    /// Returns the events that the client got ahead of the log, on this node and on others.
    pub(super) fn ahead(&self, position: &LogPosition) -> EventsAhead {
        let mut ahead = self.had.as_ref().map(|had| had.ahead.clone()).unwrap_or_default();
        ahead.extend(&position.ahead);
        ahead
    }
}

/// The result of queueing an event for one socket.
pub(super) enum Queued {
    Yes(Option<Waker>),
    Full,
    /// The connection is lost. The event is in the log, and is sent when the client returns.
    Missed,
    /// The socket was disconnected deliberately. Its client cannot return.
    Disconnected,
}

impl Recoverable {
    /// Creates the state of a new session.
    pub(crate) fn new() -> std::io::Result<Box<Self>> {
        let state = DeliveryState { trail: Trail::default(), catch_up: CatchUp::Live, had: None };
        let pid = engineio_server::generate_sid()?;
        Ok(Box::new(Self {
            pid,
            from: None,
            outstanding: Arc::default(),
            state: Mutex::new(state),
            restored_at: None,
            // The client learns the private id when it is accepted.
            accepted: AtomicBool::new(true),
            successor: Mutex::default(),
            written: Written::default(),
            epoch: 0,
        }))
    }

    /// Creates the state of a recovered session.
    pub(super) fn returning(
        pid: ByteString,
        from: Position,
        state: DeliveryState,
        outstanding: Arc<Outstanding>,
        SessionOrigin { accepted, written, epoch }: SessionOrigin,
    ) -> Self {
        Self {
            pid,
            from: Some(from),
            outstanding,
            state: Mutex::new(state),
            restored_at: Some(now()),
            accepted: AtomicBool::new(accepted),
            successor: Mutex::default(),
            written: if written { Written::from_start() } else { Written::default() },
            epoch,
        }
    }

    /// Returns how often the session was restored from the store.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn restored_at(&self) -> Option<Instant> {
        self.restored_at
    }

    /// Returns whether middlewares of this namespace have accepted the session before.
    pub(crate) fn was_accepted(&self) -> bool {
        self.accepted.load(Ordering::Acquire)
    }

    /// Records that the middlewares of this namespace have accepted the session.
    pub(super) fn set_accepted(&self) {
        self.accepted.store(true, Ordering::Release);
    }

    pub(crate) fn pid(&self) -> &ByteString {
        &self.pid
    }

    /// Returns the position of the first event that the client of a recovered session may not have.
    pub(crate) fn from(&self) -> Option<Position> {
        self.from
    }

    pub(crate) fn outstanding(&self) -> &Arc<Outstanding> {
        &self.outstanding
    }

    /// Returns whether the client was sent the event at this offset of an engine's log when it
    /// returned.
    pub(crate) fn was_sent(&self, offset: &Offset) -> bool {
        self.state().catch_up.was_sent(offset)
    }

    /// Returns whether the client was on the node of a volatile event when the node sent it, or may
    /// have been.
    pub(crate) fn had_volatile(&self, event: EventNumber<'_>) -> bool {
        let mut state = self.state();
        state.had.as_mut().is_some_and(|had| had.former.had(event, now()))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, DeliveryState> {
        lock(&self.state)
    }
}

impl SocketInner {
    /// Returns whether the connection is lost and the client may return.
    pub(super) fn is_away(&self) -> bool {
        self.recoverable.as_ref().is_some_and(|it| it.state().trail.missed().is_some())
    }

    /// Queues an event, unless the client has already missed one. `offset` is its offset in the log
    /// of this node.
    pub(super) fn queue(&self, position: Position, offset: Option<u64>, frames: Frames) -> Queued {
        let mut state = self.recoverable.as_ref().map(|recoverable| recoverable.state());
        if state.as_ref().is_some_and(|state| state.trail.missed().is_some()) {
            return Queued::Missed;
        }
        let (queued, waker) = queue_with(&self.client.handle, |session| {
            self.may_send(session).then(|| session.send(frames))
        });
        match queued {
            Some(Ok(())) => {
                if let (Some(mut state), Some(offset)) = (state, offset) {
                    state.trail.record_sent(offset);
                }
                Queued::Yes(waker)
            }
            Some(Err(SendError::Full(_))) => Queued::Full,
            Some(Err(_)) => {
                state.iter_mut().for_each(|state| state.trail.miss(position));
                Queued::Missed
            }
            // A lost connection would be recorded already.
            None => Queued::Disconnected,
        }
    }

    /// Handles a full queue. A socket that is disconnected because of it gets no further events,
    /// because its stream would have a gap.
    pub(super) fn overflowed(&self, position: Position) {
        if self.namespace.0.config.overflow == Overflow::Disconnect
            && let Some(recoverable) = &self.recoverable
        {
            recoverable.state().trail.miss(position);
        }
    }
}

/// Counts the events that are kept until a socket's client acknowledges them, even across a
/// recovery.
#[derive(Default)]
pub(crate) struct Outstanding {
    packets: AtomicUsize,
    bytes: AtomicUsize,
}

impl Outstanding {
    /// Counts an event until the returned share is dropped. Returns `None` if there would be more
    /// events or bytes than `max`.
    pub(crate) fn admit(
        self: &Arc<Self>,
        bytes: usize,
        max: engineio_server::Queued,
    ) -> Option<OutstandingShare> {
        let add = |counter: &AtomicUsize, n| counter.fetch_add(n, Ordering::AcqRel) + n;
        let share = OutstandingShare { outstanding: self.clone(), bytes };
        let (packets, bytes) = (add(&self.packets, 1), add(&self.bytes, bytes));
        (packets <= max.packets && bytes <= max.bytes).then_some(share)
    }
}

/// The share of one event in the limits of a socket's outstanding events.
pub(crate) struct OutstandingShare {
    outstanding: Arc<Outstanding>,
    bytes: usize,
}

impl Drop for OutstandingShare {
    fn drop(&mut self) {
        self.outstanding.packets.fetch_sub(1, Ordering::AcqRel);
        self.outstanding.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
