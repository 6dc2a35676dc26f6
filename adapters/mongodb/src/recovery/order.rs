//! The order of events, as this node read them from the change stream.

use std::{
    collections::{HashSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use mongodb::bson::{RawDocument, oid::ObjectId};
use socketio_adapter::recovery::PageSize;
use tokio::sync::oneshot;

use crate::{document::is_broadcast, sync::lock};

/// The ids of the last events of all namespaces, in the order of the change stream. Records nothing
/// until a namespace recovers sessions.
#[derive(Default)]
pub(crate) struct EventOrder {
    state: Mutex<State>,
    /// The number of the last synchronization that has ended. Held during one.
    pub(super) turn: tokio::sync::Mutex<u64>,
    /// Number of synchronizations that have begun.
    pub(super) begun: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Number of events that are recorded. 0 if nothing is.
    max: usize,
    events: VecDeque<Event>,
    /// Whether the earlier events, which the node did not read from the stream, are recorded too.
    is_complete: bool,
    /// How often the stream was interrupted in such a way that events may be missing.
    interruptions: u64,
    /// A document whose arrival is awaited.
    marker: Option<(ObjectId, oneshot::Sender<()>)>,
}

/// An event. There are many, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: ObjectId,
    /// The size of the document.
    pub(super) bytes: u32,
    /// A hash of the namespace. Namespaces may share one, so the document decides.
    nsp: u32,
}

impl Event {
    pub(super) fn new(id: ObjectId, bytes: usize, nsp: &str) -> Self {
        Self { id, bytes: bytes.try_into().unwrap_or(u32::MAX), nsp: hash(nsp) }
    }
}

fn hash(nsp: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    nsp.hash(&mut hasher);
    // Half of the hash suffices.
    hasher.finish() as u32
}

impl EventOrder {
    /// Records up to `max` events from now on, but at least one.
    pub(crate) fn record(&self, max: usize) {
        self.state().max = max.max(1);
    }

    /// Records a document that was read from the stream, before it is delivered.
    pub(crate) fn passed(&self, document: &RawDocument) {
        let mut state = self.state();
        if state.max == 0 {
            return;
        }
        let Ok(id) = document.get_object_id("_id") else { return };
        if state.marker.as_ref().is_some_and(|(marker, _)| *marker == id)
            && let Some((_, passed)) = state.marker.take()
        {
            let _ = passed.send(());
        }
        if let Ok(nsp) = document.get_str("nsp")
            && is_broadcast(document)
        {
            if state.events.len() >= state.max {
                state.events.pop_front();
            }
            state.events.push_back(Event::new(id, document.as_bytes().len(), nsp));
        }
    }

    /// Forgets all events, because some of the stream may be missing.
    pub(crate) fn interrupted(&self) {
        let mut state = self.state();
        state.events = VecDeque::new();
        state.is_complete = false;
        state.interruptions += 1;
    }

    /// Returns what [`add_earlier`](Self::add_earlier) needs, if the earlier events have not been
    /// added yet.
    pub(super) fn missing(&self) -> Option<(u64, usize)> {
        let state = self.state();
        (!state.is_complete).then_some((state.interruptions, state.max))
    }

    /// Adds events of the collection, the latest one first. The node must meanwhile have read all of
    /// them from the stream that are later than its first one.
    pub(super) fn add_earlier(&self, earlier: Vec<Event>, interruptions: u64) {
        let mut state = self.state();
        if state.interruptions != interruptions {
            return;
        }
        let known: HashSet<_> = state.events.iter().map(|event| event.id).collect();
        for event in earlier.into_iter().filter(|event| !known.contains(&event.id)) {
            if state.events.len() >= state.max {
                break;
            }
            state.events.push_front(event);
        }
        state.is_complete = true;
    }

    /// Returns a receiver that resolves when this document has been read from the stream.
    pub(super) fn await_marker(&self, id: ObjectId) -> oneshot::Receiver<()> {
        let (passed, marker) = oneshot::channel();
        self.state().marker = Some((id, passed));
        marker
    }

    /// Returns whether an event is recorded.
    pub(super) fn contains(&self, id: ObjectId) -> bool {
        self.state().events.iter().rev().any(|event| event.id == id)
    }

    /// Returns whether the event `id` is after `other`. An event that is not recorded is earlier
    /// than all others.
    pub(super) fn is_after(&self, id: ObjectId, other: ObjectId) -> bool {
        // From the end, because recent events are compared most.
        let state = self.state();
        let mut events = state.events.iter().rev();
        let last = events.find(|event| event.id == id || event.id == other);
        id != other && last.is_some_and(|last| last.id == id)
    }

    /// Returns a page of the events of a namespace after `from`, and whether more follow. Returns
    /// `None` if `from` is not recorded.
    pub(super) fn after(
        &self,
        nsp: &str,
        from: ObjectId,
        size: PageSize,
    ) -> Option<(Vec<Event>, bool)> {
        let (state, nsp) = (self.state(), hash(nsp));
        let at = state.events.iter().rposition(|event| event.id == from)?;
        let mut events = state.events.range(at + 1..).filter(|event| event.nsp == nsp);
        let (mut page, mut bytes) = (Vec::new(), 0);
        while page.len() < size.packets
            && bytes < size.bytes
            && let Some(event) = events.next()
        {
            bytes = bytes.saturating_add(event.bytes as usize);
            page.push(*event);
        }
        Some((page, events.next().is_some()))
    }

    /// Returns the number of synchronizations that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, doc};

    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes([n; 12])
    }

    fn pass(order: &EventOrder, n: u8, nsp: &str) {
        let document = doc! { "_id": id(n), "type": 3, "nsp": nsp };
        order.passed(&RawDocumentBuf::try_from(&document).unwrap());
    }

    fn ids(order: &EventOrder, from: u8, packets: usize, bytes: usize) -> Option<(Vec<u8>, bool)> {
        let (events, more) = order.after("/", id(from), PageSize { packets, bytes })?;
        Some((events.iter().map(|event| event.id.bytes()[0]).collect(), more))
    }

    #[test]
    fn events_are_in_the_order_of_the_stream_and_not_of_their_ids() {
        let order = EventOrder::default();
        pass(&order, 100, "/");
        order.record(10);
        for n in [5, 3, 9] {
            pass(&order, n, "/");
            pass(&order, n + 100, "/other");
        }
        let all = usize::MAX;
        assert_eq!(ids(&order, 100, all, all), None, "nothing was recorded yet");
        assert_eq!(ids(&order, 5, all, all), Some((vec![3, 9], false)));
        assert_eq!(ids(&order, 5, 1, all), Some((vec![3], true)));
        assert_eq!(ids(&order, 5, all, 1), Some((vec![3], true)));
        assert_eq!(ids(&order, 9, all, all), Some((vec![], false)));
        assert!(order.is_after(id(3), id(5)) && !order.is_after(id(5), id(3)));
        assert!(!order.is_after(id(3), id(3)) && order.is_after(id(3), id(77)));
        assert!(!order.is_after(id(77), id(3)) && !order.is_after(id(77), id(78)));
    }

    #[test]
    fn earlier_events_come_before_those_of_the_stream() {
        let order = EventOrder::default();
        order.record(5);
        let (interruptions, max) = order.missing().unwrap();
        assert_eq!(max, 5);
        pass(&order, 1, "/");
        let earlier = [1, 4, 2, 7].map(|n| Event::new(id(n), 10, "/")).to_vec();
        pass(&order, 3, "/");
        order.add_earlier(earlier.clone(), interruptions);
        assert_eq!(ids(&order, 7, 9, 999), Some((vec![2, 4, 1, 3], false)));
        assert_eq!(order.missing(), None);
        pass(&order, 6, "/");
        assert_eq!(ids(&order, 7, 9, 999), None, "the limit drops the earliest event");
        order.interrupted();
        assert_eq!(ids(&order, 6, 9, 999), None);
        order.add_earlier(earlier, interruptions);
        assert!(!order.contains(id(4)), "they were read before the interruption");
    }

    #[test]
    fn an_event_whose_type_is_an_integer_of_64_bits_is_recorded() {
        let order = EventOrder::default();
        order.record(10);
        pass(&order, 1, "/");
        let document = doc! { "_id": id(2), "type": 3_i64, "nsp": "/" };
        order.passed(&RawDocumentBuf::try_from(&document).unwrap());
        assert_eq!(ids(&order, 1, 9, 999), Some((vec![2], false)));
    }

    #[test]
    fn at_least_one_event_is_recorded() {
        let order = EventOrder::default();
        order.record(0);
        pass(&order, 1, "/");
        assert!(order.contains(id(1)));
        assert_eq!(order.missing(), Some((0, 1)), "MongoDB takes a limit of 0 for none");
    }
}
