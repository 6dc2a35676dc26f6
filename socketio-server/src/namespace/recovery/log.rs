//! The log of a namespace: its recent events, the sessions of its disconnected clients, and the lock
//! that orders deliveries.

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Weak, atomic::Ordering},
    task::Waker,
};

use bytestring::ByteString;
use engineio_server::{
    EngineConfig, Frames, SendError,
    internal::{Settings, queue_with, settings},
};
use socketio_adapter::{
    Room, Selection,
    recovery::{Entry, Log, LogLimits, Resumed, Session},
};
use tokio::sync::Notify;

use crate::{
    config::recovery::Recovery,
    error::EmitError,
    namespace::{
        Namespace, NamespaceInner,
        hub::RoomLimits,
        recovery::{
            Lease, Resume,
            catch_up::CatchUp,
            claim::Claim,
            socket::{DeliveryState, Outstanding, Queued, Recoverable, SessionOrigin},
            takeover::SocketsByPid,
        },
    },
    socket::{inner::SocketInner, stored::Stored},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64},
        lock,
    },
    time::now,
};

/// The state that is kept for a disconnected client whose session can still be recovered.
pub(super) struct RetainedSession {
    /// The values that the application stored with the socket.
    pub(super) stored: Option<Box<Stored>>,
    /// Keeps the namespace from being removed.
    pub(super) membership: Lease,
    /// Keeps this node subscribed to the socket's rooms if other nodes send by room.
    rooms: Lease,
    pub(super) outstanding: Arc<Outstanding>,
}

/// The log of a namespace. Its lock also defines the order in which events are delivered. If an
/// engine keeps the events, the log contains only sessions.
pub(crate) struct RecoveryLog {
    log: Mutex<Log<Frames, RetainedSession>>,
    offsets: AtomicU64,
    skip_middlewares: bool,
    /// Maximum number and size of the packets that can be queued for a client at once.
    max_queued: engineio_server::Queued,
    /// Maximum number and size of the reliable events that may be pending per socket.
    max_reliable: engineio_server::Queued,
    /// Whether the task that removes expired entries is running.
    expiring: AtomicBool,
    /// Notified when an entry expires earlier than the entry that the task waits for.
    expiry_changed: Arc<Notify>,
    /// Notified when a session was recovered or dropped.
    sessions_changed: Notify,
    sockets: SocketsByPid,
}

/// The present state of a socket's session.
pub(crate) enum SessionState {
    /// The socket with its id, which may be another one than before.
    Member(Arc<SocketInner>),
    /// The client is disconnected and may return.
    Retained,
    Gone,
}

/// The number of events, their bytes, and the number of retained sessions.
pub(crate) struct LogSize {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) sessions: usize,
}

impl RecoveryLog {
    pub(crate) fn new(recovery: &Recovery, engine: &EngineConfig) -> Self {
        let Settings { heartbeat, max_queued, .. } = settings(engine);
        let unnoticed = recovery.max_disconnection_duration.saturating_add(heartbeat);
        let log = Log::new(LogLimits {
            max_disconnection_duration: recovery.max_disconnection_duration,
            max_age: recovery.max_age.unwrap_or(unnoticed),
            max_packets: recovery.max_packets,
            max_bytes: recovery.max_bytes,
            max_sessions: recovery.max_sessions,
        });
        Self {
            log: Mutex::new(log),
            offsets: AtomicU64::new(1),
            skip_middlewares: recovery.skip_middlewares,
            max_queued,
            max_reliable: recovery.max_reliable,
            expiring: AtomicBool::new(false),
            expiry_changed: Arc::default(),
            sessions_changed: Notify::new(),
            sockets: SocketsByPid::default(),
        }
    }

    /// Locks the log, and with it the order of delivery.
    pub(super) fn lock(&self) -> MutexGuard<'_, Log<Frames, RetainedSession>> {
        lock(&self.log)
    }

    pub(super) fn sockets(&self) -> &SocketsByPid {
        &self.sockets
    }

    /// Makes it possible to find a socket by its private id.
    pub(crate) fn add_socket(&self, socket: &Arc<SocketInner>) {
        self.sockets.insert(socket);
    }

    pub(super) fn max_queued(&self) -> engineio_server::Queued {
        self.max_queued
    }

    pub(crate) fn max_reliable(&self) -> engineio_server::Queued {
        self.max_reliable
    }

    pub(crate) fn skips_middlewares(&self) -> bool {
        self.skip_middlewares
    }

    pub(crate) fn size(&self) -> LogSize {
        let log = self.lock();
        let (events, bytes) = log.size();
        LogSize { events, bytes, sessions: log.sessions() }
    }

    /// Returns the offset of an event that is about to be encoded.
    pub(crate) fn next_offset(&self) -> u64 {
        self.offsets.fetch_add(1, Ordering::Relaxed)
    }

    /// Wakes the tasks that wait for a session to be recovered or dropped.
    pub(crate) fn notify_sessions_changed(&self) {
        self.sessions_changed.notify_waiters();
    }

    /// Looks the session of a socket up until `decide` returns a value. Looks again after each
    /// change of a session.
    pub(crate) async fn wait_for_session<R>(
        &self,
        socket: &SocketInner,
        decide: impl Fn(SessionState) -> Option<R>,
    ) -> R {
        loop {
            let mut changed = pin!(self.sessions_changed.notified());
            changed.as_mut().enable();
            match decide(self.session_of(socket)) {
                Some(decided) => return decided,
                None => changed.await,
            }
        }
    }

    /// Returns the state of a socket's session.
    pub(super) fn session_of(&self, socket: &SocketInner) -> SessionState {
        let log = self.lock();
        match socket.namespace.hub().get(&socket.id) {
            Some(member) => SessionState::Member(member),
            None if self.retains(&log, socket) => SessionState::Retained,
            None => SessionState::Gone,
        }
    }

    fn retains(&self, log: &Log<Frames, RetainedSession>, socket: &SocketInner) -> bool {
        socket.recoverable.as_ref().is_some_and(|it| log.keeps(now(), it.pid()))
    }

    /// Appends an event to the log of this node, and queues it for its recipients. Returns the
    /// recipients whose queues are full.
    pub(crate) fn deliver(
        &self,
        namespace: &Namespace,
        (selection, without): (&Selection, Option<&ByteString>),
        offset: u64,
        frames: Frames,
    ) -> Vec<Arc<SocketInner>> {
        let (mut targets, mut wakers, mut full) = (Vec::new(), Vec::new(), Vec::new());
        {
            let mut log = self.lock();
            let position = log.next();
            namespace.hub().select(selection, without.map(|id| &**id), &mut targets);
            for target in targets.iter().filter(|target| target.is_connected()) {
                match target.queue(position, Some(offset), frames.clone()) {
                    Queued::Yes(waker) => wakers.extend(waker),
                    Queued::Full => {
                        namespace.0.counters.here().events.queue_full.one();
                        target.overflowed(position);
                        full.push(target.clone());
                    }
                    Queued::Missed | Queued::Disconnected => {}
                }
            }
            let mut except = selection.except.clone();
            except.extend(without.map(|id| Room::from(id.clone())));
            log.append(now(), entry(offset, selection.rooms.clone(), except, frames));
        }
        wakers.into_iter().for_each(Waker::wake);
        self.watch_expiry(namespace);
        full
    }

    /// Appends an event for one socket and queues it, unless its queue is full. While the client is
    /// disconnected and may return, the event is only kept.
    pub(crate) fn send(
        &self,
        socket: &SocketInner,
        offset: u64,
        frames: Frames,
    ) -> Result<(), EmitError> {
        // The last reference drops the application's data, so it has to outlive the lock.
        let member;
        let waker = {
            let mut log = self.lock();
            let position = log.next();
            // The client may have returned with another socket of the same id.
            member = socket.namespace.hub().get(&socket.id);
            let queued = match &member {
                Some(member) if member.is_away() => Queued::Missed,
                Some(member) if !member.is_disconnected() => {
                    member.queue(position, Some(offset), frames.clone())
                }
                _ if self.retains(&log, socket) => Queued::Missed,
                _ => return Err(EmitError::Disconnected),
            };
            let waker = match queued {
                Queued::Yes(waker) => waker,
                Queued::Missed => None,
                Queued::Disconnected => return Err(EmitError::Disconnected),
                Queued::Full => {
                    socket.client.counters.here().events.queue_full.one();
                    return Err(EmitError::Full);
                }
            };
            if socket.recoverable.is_some() {
                let own = vec![Room::from(socket.id.clone())];
                log.append(now(), entry(offset, own, Vec::new(), frames));
            }
            waker
        };
        waker.into_iter().for_each(Waker::wake);
        self.watch_expiry(&socket.namespace);
        Ok(())
    }

    /// Takes the session that a client claims, if it can be recovered, and makes its socket. The
    /// socket is a member of the namespace from then on, so events to it are never refused in
    /// between.
    pub(crate) fn claim(&self, namespace: &Namespace, claim: Claim) -> Option<Arc<SocketInner>> {
        let mut log = self.lock();
        let Some(Resumed { session, from }) = log.take(now(), &claim.pid, &claim.offset) else {
            let lost = log.give_up(&claim.pid);
            drop(log);
            self.drop_session(lost);
            return None;
        };
        let size = log.missed(&session.trail, from, &session.rooms).map(|missed| {
            missed.fold((0, 0), |(packets, bytes), entry| {
                (packets + entry.packet.count(), bytes + entry.packet.bytes())
            })
        });
        let max = self.max_queued;
        if size.is_none_or(|(packets, bytes)| packets >= max.packets || bytes >= max.bytes) {
            drop(log);
            self.drop_session(Some(session));
            return None;
        }
        let Session { pid, sid, rooms, data, trail } = session;
        let RetainedSession { stored, membership, rooms: held, outstanding } = data;
        let origin = SessionOrigin { accepted: true, written: false, epoch: 0 };
        let state = DeliveryState { trail, catch_up: CatchUp::Live, had: None };
        let recoverable = Recoverable::returning(pid, from, state, outstanding, origin);
        let socket =
            insert_with_rooms(namespace, claim.socket(namespace, sid, recoverable, stored), rooms);
        drop(log);
        // The socket has its own lease, and is in its rooms again.
        drop((membership, held));
        Some(socket)
    }

    /// Drops a session that was removed from the log for good. The caller holds no lock, because
    /// this drops the application's data.
    fn drop_session(&self, session: Option<Session<RetainedSession>>) {
        if let Some(session) = session {
            drop(session);
            self.notify_sessions_changed();
        }
    }

    /// Sends a returning client the events it missed, then `connected`, then the events that were
    /// held back in the meantime. Afterwards its socket is connected. No event is delivered in
    /// between.
    pub(crate) fn resume(&self, socket: &SocketInner, connected: Frames) -> Resume {
        let Some((recoverable, from)) =
            socket.recoverable.as_ref().and_then(|it| Some((it, it.from()?)))
        else {
            return Resume::Impossible;
        };
        let (result, waker) = {
            let log = self.lock();
            let rooms = socket.namespace.hub().rooms_of(&socket.id);
            let mut state = recoverable.state();
            let (mut frames, mut later, mut last) = (Vec::new(), Vec::new(), None);
            match std::mem::take(&mut state.catch_up) {
                CatchUp::HeldBack(backlog) => {
                    if !backlog.fits(self.max_queued) {
                        return Resume::Impossible;
                    }
                    (frames, later, state.catch_up) = backlog.finish(state.had.as_deref());
                }
                CatchUp::Live | CatchUp::SentUpTo { .. } => {
                    let Some(missed) = log.missed(&state.trail, from, &rooms) else {
                        return Resume::Impossible;
                    };
                    for entry in missed {
                        frames.push(entry.packet.clone());
                        last = Some(entry.offset);
                    }
                }
            }
            frames.push(connected);
            frames.append(&mut later);
            let queued = queue_with(&socket.client.handle, |session| {
                frames.into_iter().try_for_each(|frames| session.send(frames))?;
                socket.set_connected(session);
                Ok(())
            });
            if queued.0.is_ok() {
                last.into_iter().for_each(|offset| state.trail.record_sent(offset));
                state.trail.caught_up();
                recoverable.set_accepted();
            }
            queued
        };
        waker.into_iter().for_each(Waker::wake);
        self.notify_sessions_changed();
        match result {
            Ok(()) => Resume::Done,
            Err(SendError::Full(_)) => Resume::Impossible,
            Err(_) => Resume::Lost,
        }
    }

    /// Removes a socket from its namespace and keeps its session, together with the lease on the
    /// namespace. If `hold_rooms` is set, other nodes keep sending events for its rooms to this
    /// node.
    pub(crate) fn retain(
        &self,
        socket: &SocketInner,
        recoverable: &Recoverable,
        membership: Lease,
        hold_rooms: bool,
    ) {
        let namespace = &socket.namespace;
        let stored = socket.copy_stored();
        let outstanding = recoverable.outstanding().clone();
        let dropped = {
            let mut log = self.lock();
            let (pid, sid) = (recoverable.pid().clone(), socket.id.clone());
            let rooms = namespace.hub().rooms_of(&socket.id);
            let trail = recoverable.state().trail.clone();
            let held = if hold_rooms { hold(namespace, &sid, &rooms) } else { Lease::default() };
            let data = RetainedSession { stored, membership, rooms: held, outstanding };
            namespace.hub().remove_if(&socket.id, |member| socket.is(member));
            self.sockets.remove(socket);
            if log.sessions() == 0 {
                self.expiry_changed.notify_one();
            }
            log.persist(now(), Session { pid, sid, rooms, data, trail })
        };
        // Dropping the application's data may run user code, so no lock is held here.
        drop(dropped);
        self.notify_sessions_changed();
        self.watch_expiry(namespace);
    }

    /// Records that a socket has left its namespace for good.
    pub(crate) fn remove_socket(&self, socket: &SocketInner) {
        self.sockets.remove(socket);
        if let Some(recoverable) = &socket.recoverable {
            recoverable.forfeit();
        }
        self.notify_sessions_changed();
    }

    /// Records that the connection of a socket is lost. From now on, events are kept until the
    /// client returns.
    pub(crate) fn record_loss(&self, socket: &SocketInner) {
        if let Some(recoverable) = &socket.recoverable {
            let log = self.lock();
            recoverable.state().trail.miss(log.next());
        }
    }

    /// Changes the rooms of a socket at a position of the log.
    pub(crate) fn record_rooms<R>(&self, socket: &SocketInner, change: impl FnOnce() -> R) -> R {
        let Some(recoverable) = &socket.recoverable else { return change() };
        let log = self.lock();
        let before = socket.namespace.hub().rooms_of(&socket.id);
        let result = change();
        let after = socket.namespace.hub().rooms_of(&socket.id);
        let mut state = recoverable.state();
        state.trail.rooms_changed(log.next(), log.first(), &before, &after);
        result
    }

    /// Starts the task that removes expired entries, unless it is running or there are none.
    fn watch_expiry(&self, namespace: &Namespace) {
        if !self.expiring.load(Ordering::Relaxed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !self.expiring.swap(true, Ordering::AcqRel)
        {
            let changed = self.expiry_changed.clone();
            runtime.spawn(remove_expired(Arc::downgrade(&namespace.0), changed));
        }
    }
}

impl fmt::Debug for RecoveryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryLog").finish_non_exhaustive()
    }
}

/// Makes the socket of a returning client a member of its namespace and of its rooms. The caller
/// holds the lock of the log.
pub(super) fn insert_with_rooms(
    namespace: &Namespace,
    socket: SocketInner,
    rooms: Vec<Room>,
) -> Arc<SocketInner> {
    let socket = Arc::new(socket);
    namespace.hub().insert(socket.clone());
    namespace.recovery_log().inspect(|log| log.add_socket(&socket));
    // The socket was in these rooms before, so the current limit does not apply.
    let _ = namespace.hub().join(&socket.id, rooms, RoomLimits::NONE);
    socket
}

/// Makes other nodes keep sending events for the rooms of a disconnected socket to this node.
fn hold(namespace: &Namespace, id: &ByteString, rooms: &[Room]) -> Lease {
    namespace.hub().hold(id, rooms);
    let (namespace, id, rooms) = (Arc::downgrade(&namespace.0), id.clone(), rooms.to_vec());
    Lease::new(move || {
        if let Some(namespace) = namespace.upgrade() {
            namespace.hub.release(&id, &rooms);
        }
    })
}

fn entry(offset: u64, rooms: Vec<Room>, except: Vec<Room>, packet: Frames) -> Entry<Frames> {
    let names = rooms.iter().chain(&except).map(|room| size_of::<Room>() + room.len());
    let bytes = size_of::<Entry<Frames>>() + names.sum::<usize>() + packet.bytes();
    Entry { offset, rooms: rooms.into(), except: except.into(), packet, bytes }
}

/// Removes expired entries until none are left.
async fn remove_expired(namespace: Weak<NamespaceInner>, changed: Arc<Notify>) {
    loop {
        let next = {
            let Some(namespace) = namespace.upgrade() else { return };
            let Some(recovery) = namespace.delivery.log() else { return };
            let mut log = recovery.lock();
            let expired = log.expire(now());
            let next = log.next_expiry();
            if next.is_none() {
                recovery.expiring.store(false, Ordering::Release);
            }
            drop(log);
            drop(expired);
            recovery.notify_sessions_changed();
            next
        };
        let Some(next) = next else { return };
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = changed.notified() => {}
        }
    }
}
