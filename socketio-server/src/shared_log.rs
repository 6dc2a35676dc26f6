//! Connection state recovery across nodes: delivery in the order of an engine's log, and sessions in its store.
//!
//! The border between what a client missed and what comes now is drawn twice. It becomes a member of the namespace under the
//! lock of delivery, and its events wait from then on; only then the engine's log is read, to its end. So no event falls in
//! between. What waits and was read comes once, by its offset; what was read and is delivered here later is left out then.

use std::{collections::HashSet, sync::Arc};

use bytestring::ByteString;
use engineio_server::{Frames, SendError};
use socketio_adapter::{
    AdapterError, Offset, Room, Selection,
    recovery::{Missed, PageSize, SavedSession, SessionStore, Trail},
};
use socketio_parser::{Object, Value};

use crate::{
    cluster::{Action, Membership},
    delivery::{Queued, Resume},
    error::{ClusterError, EmitError},
    hub::RoomLimits,
    keeping::Taken,
    model::{Namespace, SocketInner},
    recovery::{Backlog, Claim, Joint, Recorder, Recoverable, Stay, Way},
    stored::Stored,
};

/// Bytes of a private id, which has 20. Whatever else is claimed is not looked for.
const MAX_PID: usize = 128;

/// How much of the log is asked for at once.
const PAGE: PageSize = PageSize { packets: 256, bytes: 1 << 20 };

/// A session that came back, from wherever it was lost.
pub(crate) struct Restored {
    pub(crate) socket: Returning,
    /// Whether it is known to have been let into this namespace.
    pub(crate) trusted: bool,
}

/// The socket of a client that comes back. Where it is dropped on the way, the session is kept again.
pub(crate) struct Returning(Option<Arc<SocketInner>>);

impl Returning {
    /// The socket, which is in its caller's care now.
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
    /// Where the events of this namespace are in an engine's log.
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

    /// The session that a client claims, on whichever node it was lost, with what the client missed: at the latest after
    /// the cluster's `request_timeout`. `None` where the client is to get a new one.
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
                tracing::warn!(target: "socketio::namespace", %nsp, %error, "a session is not restored");
                None
            }
            Err(_) => {
                tracing::warn!(target: "socketio::namespace", %nsp, "a session is not restored in time");
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
        // Somebody else may have it who has vanished.
        if taken.is_none() && recorder.settled(&claim.pid, &[Way::OutOfStore, Way::IntoStore]).await
        {
            taken = take().await?;
        }
        // One of another namespace is put back.
        let ours =
            |session: &SavedSession| session.nsp.as_ref().is_none_or(|nsp| nsp == self.nsp());
        let taken = taken.filter(|taken| taken.session().is_some_and(ours));
        let Some(session) = taken.and_then(Taken::arrived) else { return Ok(None) };
        let trusted = session.nsp.is_some();
        let rooms = session.rooms.iter().cloned().collect();
        let socket = Returning(Some(self.enter_again(recorder, &store, &from, session, make)));
        if !self.catch_up(recorder, &store, from, &rooms, &socket).await? {
            // More than it can be sent: it is of no use to keep that for another try.
            if let Some(socket) = socket.arrived() {
                socket.set_disconnected();
                drop(self.part(&socket, false, Stay::default()));
            }
            return Ok(None);
        }
        Ok(Some(Restored { socket, trusted }))
    }

    /// Makes the socket of a session a member. From now on events wait for it.
    fn enter_again(
        &self,
        recorder: &Recorder,
        store: &Arc<dyn SessionStore>,
        from: &Offset,
        session: SavedSession,
        make: impl FnOnce(ByteString, Box<Recoverable>, Option<Box<Stored>>) -> SocketInner,
    ) -> Arc<SocketInner> {
        let SavedSession { pid, sid, rooms, data, .. } = session;
        // Under one lock: whoever emits to it meanwhile must find it either kept or here.
        let mut log = recorder.log();
        // What other nodes cannot know is still here, where it was lost here.
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

    /// Reads the log from `from` to its end. Whether the client can be sent all of it.
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

    /// Sends a client that comes back what it missed, `connected`, and what was delivered meanwhile. From then on its
    /// socket is connected.
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

    /// Removes a socket, and keeps its session where it may come back: here, and for all nodes where they can restore it.
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
    /// Whether an event of the log is to be queued now. Until its client is let in, the event waits for that; what it was
    /// sent before is left out.
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

    /// Whether an event for this socket may be published: it has not left, and can be sent more.
    pub(crate) fn may_be_sent(&self) -> Result<(), EmitError> {
        let Some((recorder, _)) = self.namespace.shared_recorder() else { return Ok(()) };
        let Some(member) = self.member() else {
            // It is away, or on another node by now; or it came back between two looks, of which the second one is under the
            // lock of those who come and go.
            let log = recorder.log();
            let now = tokio::time::Instant::now().into_std();
            let kept = self.recoverable.as_ref().is_some_and(|it| log.keeps(now, &it.pid));
            let member = self.member();
            // What the application keeps with a socket ends with its last reference: where no lock is held.
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

    /// The socket that its client has now, which may have come back to another one of the same id.
    fn member(&self) -> Option<Arc<Self>> {
        let member = self.namespace.hub().get(&self.id)?;
        (member.is_away() || !member.is_disconnected()).then_some(member)
    }

    /// Whether events wait for an engine before they are delivered.
    pub(crate) fn takes_turns(&self) -> bool {
        self.namespace.membership().and_then(Membership::logged).is_some()
    }

    /// Runs an action after the events that were emitted before it. Where too much waits, it comes back.
    pub(crate) fn in_turn(&self, action: Action) -> Result<(), Action> {
        match self.namespace.membership().and_then(Membership::logged) {
            Some(membership) => membership.in_turn(action),
            None => {
                action();
                Ok(())
            }
        }
    }

    /// Sends what no log keeps: after the events that were emitted before it. `failed` is told where it cannot be sent in its
    /// turn any more.
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

/// What other nodes may see of a socket's data, beside what is kept here.
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

/// Whether a broadcast was for a socket in these rooms, and is one that can be recovered.
fn is_for(missed: &Missed, rooms: &HashSet<Room>) -> bool {
    let Selection { rooms: to, except, flags, .. } = &missed.selection;
    !flags.volatile
        && (to.is_empty() || to.iter().any(|room| rooms.contains(room)))
        && !except.iter().any(|room| rooms.contains(room))
}
