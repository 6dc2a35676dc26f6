//! Connection state recovery across nodes: delivery in the order of an engine's log, and sessions
//! in the engine's store.
//!
//! A restored client must get each event exactly once: missed events from the log, new ones live.
//! Its socket first becomes a member of the namespace, under the delivery lock, and new events for
//! it are held back from then on. Only afterwards the engine's log is read, to its end, so no event
//! falls in between. Events that were both read and held back are recognized by their offset and
//! sent once. Events that were read and are delivered on this node later are skipped.

use std::{collections::HashSet, sync::Arc};

use bytestring::ByteString;
use engineio_server::{Frames, SendError};
use socketio_adapter::{
    AdapterError, Offset, Room, Selection,
    recovery::{Missed, PageSize, SavedSession, SessionStore, Trail},
};
use socketio_parser::{Object, Value};

use crate::{
    error::{ClusterError, EmitError},
    namespace::{
        Namespace,
        cluster::{Action, Membership},
        delivery::{Queued, Resume},
        hub::RoomLimits,
        recovery::{
            Backlog, Claim, Joint, Recorder, Recoverable, Stay, Way, session_transfer::Taken,
        },
    },
    socket::{inner::SocketInner, stored::Stored},
};

/// Maximum length of a private id in bytes. Real ids have 20. A claim of a longer id is not looked
/// up.
const MAX_PID: usize = 128;

/// The part of the log that is requested at once.
const PAGE: PageSize = PageSize { packets: 256, bytes: 1 << 20 };

/// A restored session, from whichever node lost it.
pub(crate) struct Restored {
    pub(crate) socket: Returning,
    /// Whether the session is known to have been accepted into this namespace.
    pub(crate) trusted: bool,
}

/// The socket of a returning client. If it is dropped before the client is let in, its session is
/// kept again.
pub(crate) struct Returning(Option<Arc<SocketInner>>);

impl Returning {
    /// Returns the socket. The caller is responsible for it from now on.
    pub(crate) fn arrived(mut self) -> Option<Arc<SocketInner>> {
        self.0.take()
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            socket.set_disconnected();
            drop(socket.namespace.part(&socket, true, Stay::default()));
        }
    }
}

impl Namespace {
    /// Returns the recorder and the membership if the namespace's events are in an engine's log.
    pub(crate) fn shared_recorder(&self) -> Option<(&Recorder, &Arc<Membership>)> {
        let recorder = self.0.recorder.as_ref().filter(|recorder| recorder.shared)?;
        Some((recorder, self.membership()?))
    }

    /// Queues an event of the log for its recipients. Returns those whose queues are full.
    pub(crate) fn deliver_shared(
        &self,
        selection: &Selection,
        offset: &Offset,
        frames: Frames,
    ) -> Vec<Arc<SocketInner>> {
        let Some((recorder, _)) = self.shared_recorder() else { return Vec::new() };
        let (mut targets, mut wakers, mut full) = (Vec::new(), Vec::new(), Vec::new());
        {
            let log = recorder.log();
            self.hub().select(selection, None, &mut targets);
            for target in &targets {
                if !target.joins(offset, &frames, recorder.max_queued) || !target.is_connected() {
                    continue;
                }
                match target.queue(log.next(), None, frames.clone()) {
                    Queued::Yes(waker) => wakers.extend(waker),
                    Queued::Full => {
                        self.0.counters.here().events.queue_full.one();
                        target.overflowed(log.next());
                        full.push(target.clone());
                    }
                    Queued::Missed => {}
                }
            }
        }
        wakers.into_iter().for_each(std::task::Waker::wake);
        full
    }

    /// Restores the session that a client claims, from whichever node lost it, together with the
    /// events that the client missed. Takes at most the cluster's `request_timeout`. Returns `None`
    /// if the client has to get a new session.
    pub(crate) async fn restore(
        self,
        claim: Claim,
        make: impl FnOnce(ByteString, Box<Recoverable>, Option<Box<Stored>>) -> SocketInner + Send,
    ) -> Option<Restored> {
        let membership = self.membership()?.clone();
        let patience = membership.patience();
        let nsp = self.nsp();
        match tokio::time::timeout(patience, self.find(&membership, claim, make)).await {
            Ok(Ok(restored)) => restored,
            Ok(Err(error)) => {
                tracing::warn!(target: "socketio::namespace", %nsp, %error, "a session was not restored");
                None
            }
            Err(_) => {
                tracing::warn!(target: "socketio::namespace", %nsp, "a session was not restored in time");
                None
            }
        }
    }

    async fn find(
        &self,
        membership: &Arc<Membership>,
        claim: Claim,
        make: impl FnOnce(ByteString, Box<Recoverable>, Option<Box<Stored>>) -> SocketInner + Send,
    ) -> Result<Option<Restored>, AdapterError> {
        let Some((recorder, _)) = self.shared_recorder() else { return Ok(None) };
        if claim.pid.len() > MAX_PID {
            return Ok(None);
        }
        let Some(store) = membership.store().await else { return Ok(None) };
        recorder.settled(&claim.pid, &[Way::IntoStore]).await;
        let from = Offset::from(claim.offset);
        let take = async || {
            let pid = claim.pid.clone();
            let taken = self.take(recorder, membership, store.clone(), pid, from.clone());
            taken.await.map_err(|error| AdapterError::Engine(error.into()))?
        };
        let mut taken = take().await?;
        // Another connection may have taken the session and vanished since.
        if taken.is_none() && recorder.settled(&claim.pid, &[Way::OutOfStore, Way::IntoStore]).await
        {
            taken = take().await?;
        }
        // A session of another namespace is put back.
        let ours =
            |session: &SavedSession| session.nsp.as_ref().is_none_or(|nsp| nsp == self.nsp());
        let taken = taken.filter(|taken| taken.session().is_some_and(ours));
        let Some(session) = taken.and_then(Taken::arrived) else { return Ok(None) };
        let trusted = session.nsp.is_some();
        let rooms = session.rooms.iter().cloned().collect();
        let socket = Returning(Some(self.enter_again(recorder, &store, &from, session, make)));
        if !self.catch_up(recorder, &store, from, &rooms, &socket).await? {
            // The client missed more than its queue can hold. The session is dropped, because
            // another attempt would fail too.
            if let Some(socket) = socket.arrived() {
                socket.set_disconnected();
                drop(self.part(&socket, false, Stay::default()));
            }
            return Ok(None);
        }
        Ok(Some(Restored { socket, trusted }))
    }

    /// Makes the socket of a session a member of the namespace. From now on events for it are held
    /// back.
    fn enter_again(
        &self,
        recorder: &Recorder,
        store: &Arc<dyn SessionStore>,
        from: &Offset,
        session: SavedSession,
        make: impl FnOnce(ByteString, Box<Recoverable>, Option<Box<Stored>>) -> SocketInner,
    ) -> Arc<SocketInner> {
        let SavedSession { pid, sid, rooms, data, .. } = session;
        // Under one lock, so that a task that emits to the socket finds it either kept or as a
        // member.
        let mut log = recorder.log();
        // If the session was lost on this node, the state that other nodes cannot know is still
        // here.
        let kept = log.reclaim(&pid);
        let (stored, outstanding, held) = match kept {
            Some(kept) => (kept.data.stored, kept.data.outstanding, Some(kept.data.stay)),
            None => (None, Arc::default(), None),
        };
        let stored = with_shared(stored, &data);
        let recoverable = Recoverable::new(pid, Trail::default(), Some(0), outstanding);
        *recoverable.joint() = Joint::Ahead(Box::new(Backlog {
            store: store.clone(),
            missed: Vec::new(),
            end: from.clone(),
            since: Vec::new(),
            size: (0, 0),
        }));
        let socket = Arc::new(make(sid, Box::new(recoverable), stored));
        self.hub().insert(socket.clone());
        let _ = self.hub().join(&socket.id, rooms, RoomLimits::NONE);
        drop(log);
        drop(held);
        socket
    }

    /// Reads the log from `from` to its end. Returns whether the client's queue can hold all missed
    /// events.
    async fn catch_up(
        &self,
        recorder: &Recorder,
        store: &Arc<dyn SessionStore>,
        from: Offset,
        rooms: &HashSet<Room>,
        socket: &Returning,
    ) -> Result<bool, AdapterError> {
        let mut end = from;
        loop {
            let page = store.missed(&end, PAGE).await?;
            let missed = page.events.iter().filter(|missed| is_for(missed, rooms));
            let missed: Vec<_> = missed.filter_map(|missed| self.encode(missed)).collect();
            let Some(recoverable) = socket.0.as_ref().and_then(|it| it.recoverable.as_ref()) else {
                return Ok(false);
            };
            let mut joint = recoverable.joint();
            let Joint::Ahead(backlog) = &mut *joint else { return Ok(false) };
            for frames in missed {
                if !backlog.takes(&frames, recorder.max_queued) {
                    return Ok(false);
                }
                backlog.missed.push(frames);
            }
            backlog.end = page.end.clone();
            drop(joint);
            if !page.more {
                return Ok(true);
            }
            end = page.end;
        }
    }

    fn encode(&self, missed: &Missed) -> Option<Frames> {
        let Missed { offset, args, selection } = missed;
        let parser = self.0.config.parser;
        let frames = parser.encode_event_at(self.nsp(), args.event(), args, offset).ok()?;
        Some(match selection.flags.compress {
            Some(false) => frames.compress(false),
            _ => frames,
        })
    }

    /// Sends a returning client the events it missed, then `connected`, then the events delivered
    /// in the meantime. Afterwards its socket is connected.
    pub(crate) fn resume_shared(&self, socket: &SocketInner, connected: Frames) -> Resume {
        let (Some((recorder, _)), Some(recoverable)) =
            (self.shared_recorder(), &socket.recoverable)
        else {
            return Resume::Impossible;
        };
        let mut wakers = Vec::new();
        let result = {
            let _order = recorder.log();
            let mut joint = recoverable.joint();
            let Joint::Ahead(backlog) = std::mem::take(&mut *joint) else {
                return Resume::Impossible;
            };
            if !backlog.fits(recorder.max_queued) {
                return Resume::Impossible;
            }
            let Backlog { store, missed, end, since, .. } = *backlog;
            let mut end = end;
            let mut later = Vec::new();
            for (offset, frames) in since {
                if store.is_after(&offset, &end) {
                    end = offset;
                    later.push(frames);
                }
            }
            let all = missed.into_iter().chain([connected]).chain(later);
            let result = all.into_iter().try_for_each(|frames| {
                wakers.extend(socket.client.handle.queue_frames(frames)?);
                Ok::<_, SendError>(())
            });
            if result.is_ok() {
                *joint = Joint::Behind(store, end);
                socket.set_connected();
            }
            result
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
        recorder.moved.notify_waiters();
        match result {
            Ok(()) => Resume::Done,
            Err(SendError::Full(_)) => Resume::Impossible,
            Err(_) => Resume::Lost,
        }
    }

    /// Removes a socket. If its session can be recovered, it is kept on this node and, with a
    /// shared store, for all nodes.
    pub(crate) fn part(&self, socket: &SocketInner, keep: bool, stay: Stay) -> Option<Stay> {
        let session = self.shared_recorder().filter(|_| keep).and_then(|(_, membership)| {
            let recoverable = socket.recoverable.as_ref()?;
            let shared = socket.look_at_stored(|stored| stored.shared());
            let session = SavedSession {
                nsp: Some(self.nsp().clone()),
                pid: recoverable.pid.clone(),
                sid: socket.id.clone(),
                rooms: self.hub().rooms_of(&socket.id),
                data: shared.map_or_else(
                    || Value::Object(Object::new()),
                    |shared| (*shared).clone().into(),
                ),
            };
            Some((membership, session))
        });
        if let Some((membership, session)) = session {
            self.save(membership, session);
        }
        self.remove(socket, keep, stay)
    }
}

impl SocketInner {
    /// Returns whether to queue an event of the log now. Until the client is let in, the event is
    /// held back. Events that the client has already been sent are skipped.
    fn joins(&self, offset: &Offset, frames: &Frames, max: (usize, usize)) -> bool {
        let Some(recoverable) = &self.recoverable else { return true };
        let mut joint = recoverable.joint();
        match &mut *joint {
            Joint::None => true,
            Joint::Ahead(backlog) => {
                if backlog.takes(frames, max) {
                    backlog.since.push((offset.clone(), frames.clone()));
                }
                false
            }
            Joint::Behind(store, end) => {
                let after = store.is_after(offset, end);
                if after {
                    *joint = Joint::None;
                }
                after
            }
        }
    }

    /// Checks whether an event for this socket may be published: the socket must exist, and its
    /// queue must have room.
    pub(crate) fn may_be_sent(&self) -> Result<(), EmitError> {
        let Some((recorder, _)) = self.namespace.shared_recorder() else { return Ok(()) };
        let Some(member) = self.member() else {
            // The client is disconnected, or is on another node by now. Or it returned between the
            // two lookups of the member, of which the second is made under the lock that returning
            // clients take.
            let log = recorder.log();
            let now = tokio::time::Instant::now().into_std();
            let kept = self.recoverable.as_ref().is_some_and(|it| log.keeps(now, &it.pid));
            let member = self.member();
            // The last reference drops the application's data, so no lock is held here.
            drop(log);
            return match kept || member.is_some() {
                true => Ok(()),
                false => Err(EmitError::Disconnected),
            };
        };
        let (packets, bytes) = member.client.handle.queued();
        if packets < recorder.max_queued.0 && bytes < recorder.max_queued.1 {
            return Ok(());
        }
        self.client.counters.here().events.queue_full.one();
        Err(EmitError::Full)
    }

    /// Returns the client's current socket, which may be another one with the same id.
    fn member(&self) -> Option<Arc<Self>> {
        let member = self.namespace.hub().get(&self.id)?;
        (member.is_away() || !member.is_disconnected()).then_some(member)
    }

    /// Returns whether events are published to an engine before they are delivered.
    pub(crate) fn takes_turns(&self) -> bool {
        self.namespace.membership().and_then(Membership::logged).is_some()
    }

    /// Runs an action after the events that were emitted before it. Returns the action if the queue
    /// is full.
    pub(crate) fn in_turn(&self, action: Action) -> Result<(), Action> {
        match self.namespace.membership().and_then(Membership::logged) {
            Some(membership) => membership.in_turn(action),
            None => {
                action();
                Ok(())
            }
        }
    }

    /// Sends frames that no log keeps, after the events that were emitted before them. `failed` is
    /// called if they cannot be sent when their turn comes.
    pub(crate) fn send_in_turn(
        self: &Arc<Self>,
        frames: Frames,
        failed: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<(), EmitError> {
        if !self.takes_turns() {
            return self.send(frames);
        }
        if self.is_disconnected() {
            return Err(EmitError::Disconnected);
        }
        let socket = self.clone();
        let send = move || {
            if socket.send(frames).is_err() {
                failed(&socket);
            }
        };
        self.in_turn(Box::new(send)).map_err(|_| ClusterError::QueueFull.into())
    }
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
fn is_for(missed: &Missed, rooms: &HashSet<Room>) -> bool {
    let Selection { rooms: to, except, flags, .. } = &missed.selection;
    !flags.volatile
        && (to.is_empty() || to.iter().any(|room| rooms.contains(room)))
        && !except.iter().any(|room| rooms.contains(room))
}
