//! Delivery with connection state recovery: in the order of the namespace's log.
//!
//! The log's lock is held while an event is appended and queued for its recipients. Only this gives
//! all of the following at once. The events that a client gets are a subsequence of the log, in the
//! log's order, regardless of which tasks send. When `emit` returns, the event is queued, so no ack
//! or disconnection overtakes it. And `emit` can report that a queue is full. Under the lock events
//! are only queued: they are encoded before, and tasks are woken and user code is called after.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    task::Waker,
};

use bytestring::ByteString;
use engineio_server::{Frames, SendError};
use socketio_adapter::{
    Room, Selection,
    recovery::{Entry, Position, Resumed, Session},
};

use tokio::sync::Notify;

use crate::{
    config::Overflow,
    error::EmitError,
    namespace::{
        Namespace,
        hub::RoomLimits,
        inner::NamespaceInner,
        recovery::{Claim, Kept, Recorder, Recoverable, Stay},
    },
    socket::{inner::SocketInner, stored::Stored},
};

/// The result of queueing an event for one socket.
pub(crate) enum Queued {
    Yes(Option<Waker>),
    Full,
    /// The connection is lost. The event is in the log, and is sent when the client returns.
    Missed,
}

/// The result of resuming a client's session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    Done,
    /// The connection was lost again.
    Lost,
    /// Some missed events are no longer stored, or they exceed the client's queue.
    Impossible,
}

impl Namespace {
    /// Appends an event to the log and queues it for its recipients. Returns those whose queues are
    /// full.
    pub(crate) fn deliver_logged(
        &self,
        recorder: &Recorder,
        selection: &Selection,
        without: Option<&ByteString>,
        offset: u64,
        frames: Frames,
    ) -> Vec<Arc<SocketInner>> {
        let mut except = selection.except.clone();
        except.extend(without.map(|id| Room::from(id.clone())));
        let (mut targets, mut wakers, mut full) = (Vec::new(), Vec::new(), Vec::new());
        {
            let mut log = recorder.log();
            let position = log.next();
            self.hub().select(selection, without.map(|id| &**id), &mut targets);
            for target in targets.iter().filter(|target| target.is_connected()) {
                match target.queue(position, Some(offset), frames.clone()) {
                    Queued::Yes(waker) => wakers.extend(waker),
                    Queued::Full => {
                        self.0.counters.here().events.queue_full.one();
                        target.overflowed(position);
                        full.push(target.clone());
                    }
                    Queued::Missed => {}
                }
            }
            log.append(now(), entry(offset, selection.rooms.clone(), except, frames));
        }
        wakers.into_iter().for_each(Waker::wake);
        self.watch(recorder);
        full
    }

    /// Takes the session that a client claims, if it can be recovered, and turns it into a socket
    /// with `make`. The socket is a member of the namespace from then on, so events to it are never
    /// refused in between.
    pub(crate) fn claim(
        &self,
        recorder: &Recorder,
        claim: &Claim,
        make: impl FnOnce(ByteString, Box<Recoverable>, Option<Box<Stored>>) -> SocketInner,
    ) -> Option<Arc<SocketInner>> {
        let mut log = recorder.log();
        let Some(Resumed { session, from }) = log.take(now(), &claim.pid, &claim.offset) else {
            let lost = log.give_up(&claim.pid);
            drop(log);
            recorder.gave_up(lost);
            return None;
        };
        let size = log.missed(&session.trail, from, &session.rooms).map(|missed| {
            missed.fold((0, 0), |(packets, bytes), entry| {
                (packets + entry.packet.count(), bytes + entry.packet.bytes())
            })
        });
        let (packets, bytes) = recorder.max_queued;
        if size.is_none_or(|size| size.0 >= packets || size.1 >= bytes) {
            drop(log);
            recorder.gave_up(Some(session));
            return None;
        }
        let Session { pid, sid, rooms, data, trail } = session;
        let Kept { stored, stay, rooms: held, outstanding } = data;
        let recoverable = Box::new(Recoverable::new(pid, trail, Some(from), outstanding));
        let socket = Arc::new(make(sid, recoverable, stored));
        self.hub().insert(socket.clone());
        // The socket was in these rooms before, so the current limit does not apply.
        let _ = self.hub().join(&socket.id, rooms, RoomLimits::NONE);
        drop(log);
        // The socket has its own stay, and is in its rooms again.
        drop((stay, held));
        Some(socket)
    }

    /// Sends a returning client the events it missed, then `connected`. Afterwards its socket is
    /// connected. No event is delivered in between.
    pub(crate) fn resume(&self, socket: &SocketInner, from: Position, connected: Frames) -> Resume {
        let (Some(recorder), Some(recoverable)) = (&self.0.recorder, &socket.recoverable) else {
            return Resume::Impossible;
        };
        let mut wakers = Vec::new();
        let result = {
            let log = recorder.log();
            let rooms = self.hub().rooms_of(&socket.id);
            let mut trail = recoverable.trail();
            let Some(missed) = log.missed(&trail, from, &rooms) else { return Resume::Impossible };
            let missed: Vec<_> = missed.map(|it| (Some(it.offset), it.packet.clone())).collect();
            let all = missed.into_iter().chain([(None, connected)]);
            let result = all.into_iter().try_for_each(|(offset, frames)| {
                wakers.extend(socket.client.handle.queue_frames(frames)?);
                offset.into_iter().for_each(|offset| trail.gave(offset));
                Ok::<_, SendError>(())
            });
            if result.is_ok() {
                trail.caught_up();
                socket.set_connected();
            }
            result
        };
        wakers.into_iter().for_each(Waker::wake);
        recorder.moved.notify_waiters();
        match result {
            Ok(()) => Resume::Done,
            Err(SendError::Full(_)) => Resume::Impossible,
            Err(_) => Resume::Lost,
        }
    }

    /// Removes a socket from the namespace. If its client may return, the state for its recovery is
    /// kept, together with `stay`. Otherwise `stay` is returned.
    pub(crate) fn remove(&self, socket: &SocketInner, keep: bool, stay: Stay) -> Option<Stay> {
        let (Some(recorder), Some(recoverable), true) =
            (&self.0.recorder, &socket.recoverable, keep)
        else {
            self.hub().remove(&socket.id);
            if let Some(recorder) = &self.0.recorder {
                recorder.moved.notify_waiters();
            }
            return Some(stay);
        };
        let outstanding = recoverable.outstanding.clone();
        let stored = socket.copy_stored();
        let forgotten = {
            let mut log = recorder.log();
            let (pid, sid) = (recoverable.pid.clone(), socket.id.clone());
            let rooms = self.hub().rooms_of(&socket.id);
            let trail = recoverable.trail().clone();
            let data = Kept { stored, stay, rooms: self.hold(&socket.id, &rooms), outstanding };
            self.hub().remove(&socket.id);
            if log.sessions() == 0 {
                recorder.expiry_changed.notify_one();
            }
            log.persist(now(), Session { pid, sid, rooms, data, trail })
        };
        // Dropping the application's data may run user code, so no lock is held here.
        drop(forgotten);
        recorder.moved.notify_waiters();
        self.watch(recorder);
        None
    }

    /// Makes other nodes keep sending events for the rooms of a disconnected socket to this node.
    fn hold(&self, id: &ByteString, rooms: &[Room]) -> Stay {
        let shared = self.0.recorder.as_ref().is_some_and(|recorder| recorder.shared);
        if shared || self.membership().is_none() {
            return Stay::default();
        }
        self.hub().hold(id, rooms);
        let (namespace, id, rooms) = (Arc::downgrade(&self.0), id.clone(), rooms.to_vec());
        Stay::new(move || {
            if let Some(namespace) = namespace.upgrade() {
                namespace.hub.release(&id, &rooms);
            }
        })
    }

    /// Starts the task that removes expired entries, unless it is running.
    pub(crate) fn watch(&self, recorder: &Recorder) {
        if !recorder.watched.load(Ordering::Relaxed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !recorder.watched.swap(true, Ordering::AcqRel)
        {
            runtime.spawn(forget(Arc::downgrade(&self.0), recorder.expiry_changed.clone()));
        }
    }
}

impl SocketInner {
    /// Appends an event for this socket to the log and queues it, unless its queue is full. While
    /// the client is disconnected and may return, the event is only kept.
    pub(crate) fn send_logged(
        &self,
        recorder: &Recorder,
        offset: u64,
        frames: Frames,
    ) -> Result<(), EmitError> {
        // The last reference drops the application's data, so it has to outlive the lock.
        let member;
        let waker = {
            let mut log = recorder.log();
            let position = log.next();
            // The client may have returned with another socket of the same id.
            member = self.namespace.hub().get(&self.id);
            let queued = match &member {
                Some(socket) if socket.is_away() => Queued::Missed,
                Some(socket) if !socket.is_disconnected() => {
                    socket.queue(position, Some(offset), frames.clone())
                }
                _ if self.recoverable.as_ref().is_some_and(|it| log.keeps(now(), &it.pid)) => {
                    Queued::Missed
                }
                _ => return Err(EmitError::Disconnected),
            };
            let waker = match queued {
                Queued::Yes(waker) => waker,
                Queued::Missed => None,
                Queued::Full => {
                    self.client.counters.here().events.queue_full.one();
                    return Err(EmitError::Full);
                }
            };
            if self.recoverable.is_some() {
                let own = vec![Room::from(self.id.clone())];
                log.append(now(), entry(offset, own, Vec::new(), frames));
            }
            waker
        };
        waker.into_iter().for_each(Waker::wake);
        self.namespace.watch(recorder);
        Ok(())
    }

    /// Records that the connection is lost. From now on, events are kept until the client returns.
    pub(crate) fn lose(&self) {
        if let (Some(recorder), Some(recoverable)) = (&self.namespace.0.recorder, &self.recoverable)
        {
            let log = recorder.log();
            recoverable.trail().miss(log.next());
        }
    }

    /// Changes the rooms of this socket. If the log records room changes, the change takes its
    /// place in the log's order.
    pub(crate) fn change_rooms<R>(&self, change: impl FnOnce() -> R) -> R {
        let (Some(recorder), Some(recoverable)) = (&self.namespace.0.recorder, &self.recoverable)
        else {
            return change();
        };
        if recorder.shared {
            return change();
        }
        let log = recorder.log();
        let before = self.namespace.hub().rooms_of(&self.id);
        let result = change();
        let after = self.namespace.hub().rooms_of(&self.id);
        recoverable.trail().rooms_changed(log.next(), log.first(), &before, &after);
        result
    }

    /// Handles a full queue. A socket that is disconnected because of it gets no further events,
    /// because its stream would have a gap.
    pub(crate) fn overflowed(&self, position: Position) {
        if self.namespace.0.config.overflow == Overflow::Disconnect
            && let Some(recoverable) = &self.recoverable
        {
            recoverable.trail().miss(position);
        }
    }

    /// Returns whether the connection is lost and the client may return.
    pub(crate) fn is_away(&self) -> bool {
        self.recoverable.as_ref().is_some_and(|it| it.trail().missed().is_some())
    }

    /// Queues an event, unless the client has already missed one. `offset` is set if the event is
    /// in this node's log.
    pub(crate) fn queue(&self, position: Position, offset: Option<u64>, frames: Frames) -> Queued {
        let mut trail = self.recoverable.as_ref().map(|recoverable| recoverable.trail());
        if trail.as_ref().is_some_and(|trail| trail.missed().is_some()) {
            return Queued::Missed;
        }
        match self.client.handle.queue_frames(frames) {
            Ok(waker) => {
                if let (Some(mut trail), Some(offset)) = (trail, offset) {
                    trail.gave(offset);
                }
                Queued::Yes(waker)
            }
            Err(SendError::Full(_)) => Queued::Full,
            Err(_) => {
                trail.iter_mut().for_each(|trail| trail.miss(position));
                Queued::Missed
            }
        }
    }
}

pub(crate) fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

fn entry(offset: u64, rooms: Vec<Room>, except: Vec<Room>, packet: Frames) -> Entry<Frames> {
    let names = rooms.iter().chain(&except).map(|room| size_of::<Room>() + room.len());
    let bytes = size_of::<Entry<Frames>>() + names.sum::<usize>() + packet.bytes();
    Entry { offset, rooms: rooms.into(), except: except.into(), packet, bytes }
}

/// Removes expired entries until none are left.
async fn forget(namespace: Weak<NamespaceInner>, changed: Arc<Notify>) {
    loop {
        let next = {
            let Some(namespace) = namespace.upgrade() else { return };
            let Some(recorder) = &namespace.recorder else { return };
            let mut log = recorder.log();
            let expired = log.expire(now());
            let next = log.next_expiry();
            if next.is_none() {
                recorder.watched.store(false, Ordering::Release);
            }
            drop(log);
            drop(expired);
            recorder.moved.notify_waiters();
            next
        };
        let Some(next) = next else { return };
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = changed.notified() => {}
        }
    }
}
