//! Recovery across nodes: delivery in the order of an engine's log, and sessions in the engine's
//! store.
//! Invariants 5, 6 and 9 of the [front page](super) live here.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytestring::ByteString;
use engineio_server::{EngineConfig, Frames};
use serde::Serialize;
use socketio_adapter::{
    AdapterError, Offset, Room, Selection, event_args,
    recovery::{MissedEvent, PageSize, SavedSession, SessionStore, Trail},
};
use socketio_parser::{Object, Value};

use crate::{
    client::LINE_LOST,
    config::recovery::Recovery,
    error::EmitError,
    namespace::{
        Namespace,
        cluster::{LocalDelivery, Membership},
        recovery::{
            Lease,
            ahead::{EventsAhead, EventsHad, FormerNodes, LogPosition},
            catch_up::{Backlog, CatchUp},
            claim::{Claim, ReturningSocket},
            handover::Handovers,
            log::{RecoveryLog, SessionState, insert_with_rooms},
            session_transfer::{SessionTransfers, StoreLease, TransferDirection},
            session_writer::SessionWriter,
            socket::{DeliveryState, Recoverable, SessionOrigin},
        },
    },
    socket::{inner::SocketInner, stored::Stored},
    sync::{Mutex, atomic::AtomicBool, lock},
    time::now,
};

/// Maximum length of a private id in bytes. Real ids have 20. A claim of a longer id is not looked
/// up.
const MAX_PID: usize = 128;

/// The part of the log that is requested at once.
const PAGE: PageSize = PageSize { packets: 256, bytes: 1 << 20 };

/// The log of a namespace whose events are kept by an engine.
pub(crate) struct EngineLog {
    /// The order of delivery, and the state of sessions that other nodes cannot know.
    log: RecoveryLog,
    /// Changes under the lock of the log.
    pub(super) position: Mutex<LogPosition>,
    membership: Arc<Membership>,
    transfers: SessionTransfers,
    session_lifetime: Duration,
    handovers: Handovers,
    writer: SessionWriter,
    /// Whether the sessions of all connected clients are stored. A session that was restored from a
    /// node that is gone stays stored in any case.
    crash_safe: AtomicBool,
}

impl EngineLog {
    pub(crate) fn new(
        recovery: &Recovery,
        engine: &EngineConfig,
        membership: Arc<Membership>,
    ) -> Self {
        Self {
            log: RecoveryLog::new(recovery, engine),
            position: Mutex::default(),
            membership,
            transfers: SessionTransfers::default(),
            session_lifetime: recovery.max_disconnection_duration,
            handovers: Handovers::new(recovery.max_failed_claims),
            writer: SessionWriter::new(),
            crash_safe: AtomicBool::new(recovery.crash_safe),
        }
    }

    pub(crate) fn log(&self) -> &RecoveryLog {
        &self.log
    }

    pub(crate) fn membership(&self) -> &Arc<Membership> {
        &self.membership
    }

    pub(super) fn transfers(&self) -> &SessionTransfers {
        &self.transfers
    }

    pub(super) fn handovers(&self) -> &Handovers {
        &self.handovers
    }

    pub(super) fn writer(&self) -> &SessionWriter {
        &self.writer
    }

    pub(super) fn is_crash_safe(&self) -> bool {
        self.crash_safe.load(Ordering::Relaxed)
    }

    /// Records that the session of a connected socket has changed.
    pub(crate) fn session_changed(&self, socket: &Arc<SocketInner>) {
        let is_written = || socket.recoverable.as_deref().is_some_and(|it| it.written.ever());
        if self.is_crash_safe() || is_written() {
            self.writer.session_changed(socket);
        }
    }

    /// Stores the sessions of all connected clients, now and whenever they change, because the node
    /// is about to stop. Gives up if the store fails.
    pub(crate) async fn store_sessions(&self) {
        self.crash_safe.store(true, Ordering::Relaxed);
        self.log.sockets().all().iter().for_each(|socket| self.session_changed(socket));
        while self.writer.write_batch(self, &self.membership).await == (true, true) {}
    }

    pub(super) fn session_lifetime(&self) -> Duration {
        self.session_lifetime
    }

    /// Publishes an event for one socket. Returns whether the log will return it. If not, it has to
    /// be delivered now.
    pub(crate) fn publish<T: Serialize + ?Sized>(
        &self,
        socket: &SocketInner,
        event: &str,
        args: &T,
        compress: bool,
    ) -> Result<LocalDelivery, EmitError> {
        // A new socket gets events of the log only once its middlewares have let it in.
        if socket.is_connecting() && !socket.is_recovered() {
            return Ok(LocalDelivery::Now);
        }
        self.check_room(socket)?;
        let mut selection = Selection::default();
        selection.to(socket.id.clone());
        selection.flags.compress = (!compress).then_some(false);
        Ok(self.membership.publish_broadcast(event_args(event, args)?, selection)?)
    }

    /// Checks whether an event for a socket may be published: the socket must exist, and its queue
    /// must have room.
    fn check_room(&self, socket: &SocketInner) -> Result<(), EmitError> {
        let current = |member: &Arc<SocketInner>| member.is_away() || !member.is_disconnected();
        let Some(member) = socket.namespace.hub().get(&socket.id).filter(current) else {
            // The client is disconnected, or is on another node by now. Or it returned since the
            // lookup of the member. A second lookup is made under the lock that returning clients
            // take.
            return match self.log.session_of(socket) {
                SessionState::Member(member) if current(&member) => Ok(()),
                SessionState::Retained => Ok(()),
                SessionState::Member(_) | SessionState::Gone => Err(EmitError::Disconnected),
            };
        };
        let (queued, max) = (member.client.handle.queued(), self.log.max_queued());
        if queued.packets < max.packets && queued.bytes < max.bytes {
            return Ok(());
        }
        socket.client.counters.here().events.queue_full.one();
        Err(EmitError::Full)
    }

    /// Restores the session that a client claims, from whichever node lost it, together with the
    /// events that the client missed. Takes at most the cluster's `request_timeout`. Returns `None`
    /// if the client has to get a new session.
    pub(crate) async fn restore(
        &self,
        namespace: &Namespace,
        claim: Claim,
        membership: Lease,
    ) -> Option<ReturningSocket> {
        let nsp = namespace.nsp();
        let restored = self.find(namespace, claim, membership);
        match tokio::time::timeout(self.membership.request_timeout(), restored).await {
            Ok(Ok(restored)) => restored,
            Ok(Err(error)) => {
                tracing::warn!(target: "socketio::namespace", %nsp, %error, "the session store failed, so a client gets a new session");
                None
            }
            Err(_) => {
                tracing::warn!(target: "socketio::namespace", %nsp, "the session store did not respond within `request_timeout`, so a client gets a new session");
                None
            }
        }
    }

    async fn find(
        &self,
        namespace: &Namespace,
        claim: Claim,
        membership: Lease,
    ) -> Result<Option<ReturningSocket>, AdapterError> {
        use TransferDirection::{IntoStore, OutOfStore};
        if claim.pid.len() > MAX_PID {
            return Ok(None);
        }
        let Some(store) = self.membership.store().await else { return Ok(None) };
        self.transfers.settled(&claim.pid, &[IntoStore]).await;
        let (from, ahead) = (claim.offset.clone(), claim.ahead.clone());
        let take = async || {
            let lease = self.acquire(namespace, store.clone(), &claim);
            lease.await.map_err(|error| AdapterError::Engine(error.into()))?
        };
        let mut lease = take().await?;
        // Another connection may have taken the session and vanished since.
        if lease.is_none() && self.transfers.settled(&claim.pid, &[OutOfStore, IntoStore]).await {
            lease = take().await?;
        }
        // Where in the log this node's own events are cannot be told before it has returned one. A
        // client that got one of them on another node must not get it from this one too.
        let is_unclear = || self.has_unconfirmed_events() && self.last_position().is_none();
        if lease.is_some() && is_unclear() {
            self.membership.order().wait_for_events().await;
            if is_unclear() {
                return Ok(None);
            }
        }
        let Some(session) = lease.and_then(StoreLease::into_session) else { return Ok(None) };
        let rooms = session.rooms.iter().cloned().collect();
        let backlog = Backlog::new(store.clone(), from.clone());
        let socket = self.restore_member(namespace, claim, session, backlog);
        let socket = ReturningSocket::new(socket, membership);
        if !self.read_missed(namespace, &store, (from, ahead), &rooms, &socket).await? {
            // The client missed more than its queue can hold. The session is dropped, because
            // another attempt would fail too.
            if let Some(socket) = socket.into_socket() {
                socket.set_disconnected();
                drop(namespace.remove(&socket, false, Lease::default()));
            }
            return Ok(None);
        }
        Ok(Some(socket))
    }

    /// Makes the socket of a session a member of the namespace. From now on events for it are held
    /// back.
    fn restore_member(
        &self,
        namespace: &Namespace,
        claim: Claim,
        session: SavedSession,
        backlog: Backlog,
    ) -> Arc<SocketInner> {
        let SavedSession { nsp, pid, sid, rooms, data, owner, epoch, former_nodes } = session;
        let expires = now() + self.session_lifetime;
        let former = FormerNodes::new(former_nodes, self.membership.uid(), expires);
        let had = EventsHad { ahead: claim.ahead.clone(), former, ..EventsHad::default() };
        let origin = SessionOrigin { accepted: nsp.is_some(), written: owner.is_some(), epoch };
        // Under one lock, so that a task that emits to the socket finds it either kept or as a
        // member.
        let mut log = self.log.lock();
        // If the session was lost on this node, the state that other nodes cannot know is still
        // here.
        let (stored, outstanding, lease) = match log.reclaim(&pid) {
            Some(kept) => (kept.data.stored, kept.data.outstanding, Some(kept.data.membership)),
            None => (None, Arc::default(), None),
        };
        let stored = with_shared(stored, &data);
        let state = DeliveryState {
            trail: Trail::default(),
            catch_up: CatchUp::HeldBack(Box::new(backlog)),
            had: (!had.is_empty()).then(|| Box::new(had)),
        };
        let recoverable = Recoverable::returning(pid, 0, state, outstanding, origin);
        // A socket of a lost connection may still have the id: another node has had the session
        // since, so this node could not take it over from the socket.
        let displaced = namespace.hub().get(&sid);
        if let Some(displaced) = &displaced {
            namespace.hub().remove_if(&sid, |member| displaced.is(member));
        }
        let socket =
            insert_with_rooms(namespace, claim.socket(namespace, sid, recoverable, stored), rooms);
        drop(log);
        drop(lease);
        displaced.iter().for_each(|socket| socket.client.request(LINE_LOST));
        socket
    }

    /// Reads the log from `from` to its end, without the events that the client got ahead of it.
    /// Returns whether the client's queue can hold all missed events.
    async fn read_missed(
        &self,
        namespace: &Namespace,
        store: &Arc<dyn SessionStore>,
        (from, mut ahead): (Offset, EventsAhead),
        rooms: &HashSet<Room>,
        socket: &ReturningSocket,
    ) -> Result<bool, AdapterError> {
        let is_before = |offset: &Offset| store.is_after(&from, offset);
        // Another node may have sent the client events of this node that are still unconfirmed here.
        let last = if self.has_unconfirmed_events() { self.last_position() } else { None };
        let mut end = last.filter(is_before).unwrap_or_else(|| from.clone());
        loop {
            let page = store.missed(&end, PAGE).await?;
            end = page.end;
            let (mut frames, mut read) = (Vec::new(), None);
            for missed in &page.events {
                // Volatile events have other numbers.
                let number = missed.seq.filter(|_| !missed.selection.flags.volatile);
                let number = number.map(|number| (&missed.uid, number));
                let own = number.filter(|(node, _)| *node == self.membership.uid());
                read = own.map(|(_, number)| number).or(read);
                if !store.is_after(&missed.offset, &from) {
                    continue;
                }
                let was_ahead = number.is_some_and(|number| ahead.contains(number));
                number.into_iter().for_each(|number| ahead.returned(number));
                if !was_ahead && is_for(missed, rooms) {
                    frames.extend(encode(namespace, missed, &ahead.offset(&missed.offset)));
                }
            }
            let Some(recoverable) = socket.recoverable() else {
                return Ok(false);
            };
            let mut state = recoverable.state();
            if read.is_some() {
                state.had.get_or_insert_default().read = read;
            }
            let CatchUp::HeldBack(backlog) = &mut state.catch_up else { return Ok(false) };
            let sent_up_to = if is_before(&end) { &from } else { &end };
            if !backlog.add_missed(frames, sent_up_to.clone(), self.log.max_queued()) {
                return Ok(false);
            }
            if !page.has_more {
                if let Some(had) = &mut state.had {
                    had.ahead.retain(&ahead);
                }
                return Ok(true);
            }
        }
    }

    /// Returns whether this node may still deliver events of its own without the log that the engine
    /// may have logged. They are after the [last position](Self::last_position).
    fn has_unconfirmed_events(&self) -> bool {
        self.membership.order().has_unconfirmed_events()
    }

    /// Returns the position up to which this node has delivered the log.
    fn last_position(&self) -> Option<Offset> {
        lock(&self.position).last.clone()
    }

    /// Returns the session of a socket for the store, with this node as its owner if it is there.
    pub(super) fn session_of(&self, socket: &SocketInner, pid: ByteString) -> SavedSession {
        let shared = socket.with_stored(|stored| stored.shared());
        let data =
            shared.map_or_else(|| Value::Object(Object::new()), |shared| (*shared).clone().into());
        let namespace = &socket.namespace;
        let rooms = namespace.hub().rooms_of(&socket.id);
        let recoverable = socket.recoverable.as_deref();
        let accepted = recoverable.is_none_or(Recoverable::was_accepted);
        let (nsp, sid) = (accepted.then(|| namespace.nsp().clone()), socket.id.clone());
        let written = recoverable.is_some_and(|recoverable| recoverable.written.ever());
        let owner = written.then(|| self.membership.uid().clone());
        let epoch = recoverable.map_or(0, Recoverable::epoch);
        let former_nodes = recoverable.map_or_else(Vec::new, |it| it.state().former_nodes());
        let mut session = SavedSession { nsp, pid, sid, rooms, data, owner, epoch, former_nodes };
        session.add_former_node(self.membership.as_former_node());
        session
    }
}

fn encode(namespace: &Namespace, missed: &MissedEvent, offset: &str) -> Option<Frames> {
    let MissedEvent { args, selection, .. } = missed;
    let parser = namespace.0.config.parser;
    let frames = parser.encode_event_at(namespace.nsp(), args.event(), args, offset).ok()?;
    Some(match selection.flags.compress {
        Some(false) => frames.compress(false),
        _ => frames,
    })
}

/// Combines the locally kept values with the shared value from the store.
fn with_shared(stored: Option<Box<Stored>>, data: &Value) -> Option<Box<Stored>> {
    let none = match data {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if none && stored.is_none() {
        return None;
    }
    let mut stored = stored.unwrap_or_default();
    if let Ok(data) = serde_json::to_value(data) {
        stored.set_shared(data);
    }
    Some(stored)
}

/// Returns whether a socket in these rooms was a recipient of a broadcast that can be recovered.
fn is_for(missed: &MissedEvent, rooms: &HashSet<Room>) -> bool {
    let Selection { rooms: to, except, flags, .. } = &missed.selection;
    !flags.volatile
        && (to.is_empty() || to.iter().any(|room| rooms.contains(room)))
        && !except.iter().any(|room| rooms.contains(room))
}
