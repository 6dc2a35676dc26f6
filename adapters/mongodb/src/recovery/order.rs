//! The order of events, as this node read them from the change stream.

use std::{
    collections::{BTreeSet, HashSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use mongodb::bson::{RawDocument, oid::ObjectId};
use socketio_adapter::{internal::lock, recovery::PageSize};
use tokio::sync::{oneshot, watch};

use crate::document::is_broadcast;

/// The ids of the last events of all namespaces, in the order of the change stream. Records nothing
/// until a namespace recovers sessions.
#[derive(Default)]
pub(crate) struct EventOrder {
    state: Mutex<State>,
    /// The number of the last synchronization that has ended. Held during one.
    pub(super) turn: tokio::sync::Mutex<u64>,
    /// Number of synchronizations that have begun.
    pub(super) begun: AtomicU64,
    /// Notified when a search for earlier events has found some or has ended.
    pub(super) searched: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// Number of events that are recorded. 0 if nothing is.
    max: usize,
    events: VecDeque<Event>,
    /// The events of this node that it has not read yet, up to `max`. They are later than all
    /// others.
    unread: BTreeSet<ObjectId>,
    /// Whether the earlier events, which the node did not read from the stream, are recorded too.
    is_complete: bool,
    /// Whether a search for the earlier events is running.
    is_searching: bool,
    /// How often the stream was interrupted in such a way that events may be missing.
    interruptions: u64,
    /// A document whose arrival is awaited.
    marker: Option<(ObjectId, oneshot::Sender<()>)>,
}

/// A search for the events from before the node joined.
pub(super) struct Search {
    interruptions: u64,
    /// Number of events that are recorded.
    pub(super) max: usize,
    /// The events that the node has read from the stream.
    known: HashSet<ObjectId>,
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
        lock(&self.state).max = max.max(1);
    }

    /// Records an event of this node that is about to be published.
    pub(crate) fn publishing(&self, id: ObjectId) {
        let mut state = lock(&self.state);
        if state.unread.len() >= state.max {
            // The ids of a node increase.
            state.unread.pop_first();
        }
        if state.max > 0 {
            state.unread.insert(id);
        }
    }

    /// Records a document that was read from the stream, before it is delivered.
    pub(crate) fn passed(&self, document: &RawDocument) {
        let mut state = lock(&self.state);
        if state.max == 0 {
            return;
        }
        let Ok(id) = document.get_object_id("_id") else { return };
        state.unread.remove(&id);
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
        let mut state = lock(&self.state);
        state.events = VecDeque::new();
        state.is_complete = false;
        state.interruptions += 1;
    }

    /// Begins a search for the earlier events, unless they have been added or another search is
    /// running.
    pub(super) fn begin_search(&self) -> Option<Search> {
        let mut state = lock(&self.state);
        if state.is_complete || state.is_searching {
            return None;
        }
        state.is_searching = true;
        Some(Search { interruptions: state.interruptions, max: state.max, known: HashSet::new() })
    }

    /// Records that the node has read all events from the stream that are later than the first one
    /// that a search has found.
    pub(super) fn stream_read(&self, search: &mut Search) {
        search.known = lock(&self.state).events.iter().map(|event| event.id).collect();
    }

    /// Adds a page of the events that a search has found, the latest one first. An empty page is
    /// the last one. Returns whether more events are needed.
    pub(super) fn add_earlier(&self, search: &Search, page: Vec<Event>) -> bool {
        let more = {
            let mut state = lock(&self.state);
            if state.interruptions != search.interruptions {
                return false;
            }
            let mut more = !page.is_empty();
            for event in page.into_iter().filter(|event| !search.known.contains(&event.id)) {
                more = state.events.len() < state.max;
                if !more {
                    break;
                }
                state.unread.remove(&event.id);
                state.events.push_front(event);
            }
            state.is_complete = !more;
            more
        };
        self.searched.send_replace(());
        more
    }

    pub(super) fn end_search(&self) {
        lock(&self.state).is_searching = false;
        self.searched.send_replace(());
    }

    pub(super) fn is_searching(&self) -> bool {
        lock(&self.state).is_searching
    }

    /// Returns whether the events from before the node joined are recorded too.
    pub(super) fn is_complete(&self) -> bool {
        lock(&self.state).is_complete
    }

    /// Returns a receiver that resolves when this document has been read from the stream.
    pub(super) fn await_marker(&self, id: ObjectId) -> oneshot::Receiver<()> {
        let (passed, marker) = oneshot::channel();
        lock(&self.state).marker = Some((id, passed));
        marker
    }

    /// Returns whether an event is recorded.
    pub(super) fn contains(&self, id: ObjectId) -> bool {
        lock(&self.state).events.iter().rev().any(|event| event.id == id)
    }

    /// Returns whether the event `id` is after `other`. An event that is not recorded is earlier
    /// than all others, unless this node has published it and not read it yet.
    pub(super) fn is_after(&self, id: ObjectId, other: ObjectId) -> bool {
        let state = lock(&self.state);
        match [id, other].map(|event| state.unread.contains(&event)) {
            [false, false] => {}
            [true, true] => return id > other,
            [is_unread, _] => return is_unread,
        }
        // From the end, because recent events are compared most.
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
        let (state, nsp) = (lock(&self.state), hash(nsp));
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
    fn an_event_that_was_published_and_not_read_yet_is_later_than_those_that_were_read() {
        let order = EventOrder::default();
        order.publishing(id(1));
        order.record(2);
        pass(&order, 5, "/");
        assert!(!order.is_after(id(1), id(5)), "nothing was recorded yet");
        (2..=4).for_each(|n| order.publishing(id(n)));
        assert!(!order.is_after(id(2), id(5)), "forgotten");
        assert!(order.is_after(id(3), id(5)) && order.is_after(id(4), id(77)));
        assert!(!order.is_after(id(5), id(4)) && !order.is_after(id(4), id(4)));
        assert!(order.is_after(id(4), id(3)) && !order.is_after(id(3), id(4)));
        pass(&order, 3, "/");
        pass(&order, 6, "/");
        assert!(order.is_after(id(6), id(3)) && !order.is_after(id(3), id(6)));
    }

    #[test]
    fn earlier_events_come_before_those_of_the_stream() {
        let order = EventOrder::default();
        order.record(5);
        let mut search = order.begin_search().unwrap();
        assert!(search.max == 5 && order.begin_search().is_none());
        pass(&order, 1, "/");
        let page = |ids: &[u8]| ids.iter().map(|n| Event::new(id(*n), 10, "/")).collect();
        pass(&order, 3, "/");
        order.stream_read(&mut search);
        assert!(order.add_earlier(&search, page(&[1, 4])));
        assert_eq!(ids(&order, 4, 9, 999), Some((vec![1, 3], false)), "before the search ends");
        assert!(!order.is_complete());
        assert!(!order.add_earlier(&search, page(&[2, 7, 8])), "the limit ends the search");
        order.end_search();
        assert_eq!(ids(&order, 7, 9, 999), Some((vec![2, 4, 1, 3], false)));
        assert!(order.is_complete() && order.begin_search().is_none());
        pass(&order, 6, "/");
        assert_eq!(ids(&order, 7, 9, 999), None, "the limit drops the earliest event");
        order.interrupted();
        assert_eq!(ids(&order, 6, 9, 999), None);
        assert!(!order.add_earlier(&search, page(&[4])));
        assert!(!order.contains(id(4)), "they were read before the interruption");
        let search = order.begin_search().unwrap();
        assert!(!order.add_earlier(&search, page(&[])) && order.is_complete());
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
        let max = order.begin_search().map(|search| search.max);
        assert_eq!(max, Some(1), "MongoDB takes a limit of 0 for none");
    }
}
