//! Delivery of events whose log an engine keeps: at their position in the log, or without the log.

use std::{sync::Arc, task::Waker};

use engineio_server::Frames;
use socketio_adapter::{Offset, Selection};

use crate::{
    namespace::{
        Namespace,
        cluster::{EventNumber, InLog, UnloggedEvent},
        recovery::{
            ahead::{Encode, LogPosition},
            catch_up::CatchUp,
            engine_log::EngineLog,
            socket::{DeliveryState, Queued},
        },
    },
    socket::inner::SocketInner,
    sync::lock,
};

impl EngineLog {
    /// Queues an event that the log has returned, unless its recipients were sent it before.
    /// `frames` are the event with its offset. Returns the recipients whose queues are full.
    pub(crate) fn deliver(
        &self,
        namespace: &Namespace,
        selection: &Selection,
        (offset, number): (&Offset, Option<EventNumber<'_>>),
        frames: &Frames,
        encode: &dyn Fn(&str) -> Option<Frames>,
    ) -> Vec<Arc<SocketInner>> {
        let note = |position: &mut LogPosition| position.returned(offset, number);
        let prepare = |position: &LogPosition, state: &mut DeliveryState| {
            if number.is_some_and(|number| state.returned(number, self.membership().uid())) {
                return None;
            }
            let frames = match state.ahead(position) {
                ahead if ahead.is_empty() => frames.clone(),
                ahead => encode(&ahead.offset(offset))?,
            };
            // A returning client may have to get other events before.
            let is_due = state.catch_up.is_due(offset, &frames, self.log().max_queued());
            is_due.then_some(frames)
        };
        self.queue(namespace, selection, note, prepare, frames)
    }

    /// Queues an event of this node that the log has not returned, unless its recipients have read
    /// it in the log. `frames` are the event without an offset. Returns the recipients whose queues
    /// are full.
    pub(crate) fn deliver_unlogged(
        &self,
        namespace: &Namespace,
        selection: &Selection,
        event: UnloggedEvent<'_>,
        frames: &Frames,
        encode: &Encode,
    ) -> Vec<Arc<SocketInner>> {
        let UnloggedEvent { number, in_log } = event;
        // The log may still return this event.
        let ahead = number.filter(|_| in_log != InLog::No);
        let note = |position: &mut LogPosition| {
            ahead.into_iter().for_each(|number| position.ahead.add(number));
        };
        let prepare = |position: &LogPosition, state: &mut DeliveryState| {
            let was_sent = matches!(in_log, InLog::At(offset) if state.catch_up.was_sent(offset));
            // A client that has read a later event of this node in the log does not get this one.
            if was_sent || number.is_some_and(|(_, number)| state.has_read(number)) {
                return None;
            }
            if let CatchUp::HeldBack(backlog) = &mut state.catch_up {
                backlog.add_unlogged(event, frames, encode, self.log().max_queued());
                return None;
            }
            let base = ahead.and_then(|_| state.catch_up.base(position.last.as_ref()));
            match base {
                Some(base) => encode(Some(&state.ahead(position).offset(base))),
                None => Some(frames.clone()),
            }
        };
        self.queue(namespace, selection, note, prepare, frames)
    }

    /// Records that the log has returned an event of this node that was delivered before.
    pub(crate) fn returned(&self, offset: &Offset, number: EventNumber<'_>) {
        let _log = self.log().lock();
        lock(&self.position).returned(offset, Some(number));
    }

    /// Queues an event for its recipients in the order of delivery. `prepare` returns what to queue
    /// for a recipient that can recover its session. Others get `frames`.
    fn queue(
        &self,
        namespace: &Namespace,
        selection: &Selection,
        note: impl FnOnce(&mut LogPosition),
        mut prepare: impl FnMut(&LogPosition, &mut DeliveryState) -> Option<Frames>,
        frames: &Frames,
    ) -> Vec<Arc<SocketInner>> {
        let (mut targets, mut wakers, mut full) = (Vec::new(), Vec::new(), Vec::new());
        {
            let log = self.log().lock();
            let mut position = lock(&self.position);
            note(&mut position);
            namespace.hub().select(selection, None, &mut targets);
            for target in &targets {
                let frames = match &target.recoverable {
                    Some(recoverable) => prepare(&position, &mut recoverable.state()),
                    None => Some(frames.clone()),
                };
                let Some(frames) = frames.filter(|_| target.is_connected()) else { continue };
                match target.queue(log.next(), None, frames) {
                    Queued::Yes(waker) => wakers.extend(waker),
                    Queued::Full => {
                        namespace.0.counters.here().events.queue_full.one();
                        target.overflowed(log.next());
                        full.push(target.clone());
                    }
                    Queued::Missed | Queued::Disconnected => {}
                }
            }
        }
        wakers.into_iter().for_each(Waker::wake);
        full
    }
}
