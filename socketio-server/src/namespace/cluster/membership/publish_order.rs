//! The events of this node that are on their way through an engine's log, and the actions that wait
//! for them, in one queue.
//!
//! Each entry has a number. An event carries its number through the log, so that it is recognized
//! when the log returns it, even if the engine's response to its publication was lost.
//!
//! An event that could not be logged is delivered on this node when it is its turn. If the engine may
//! have logged it nevertheless, the log has some time to return it before. Earlier events that the
//! log has accepted and not returned in time are then delivered before it, so that no event
//! overtakes another. Events that the log skips, because their entry cannot be decoded or the reader
//! has lost its position, are delivered before the next event that the log returns. In all of these
//! cases an event is delivered ahead of the log (`namespace/recovery/ahead.rs`): clients that have it
//! do not get it again, wherever they return, and clients that are about to return get it too.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
};

use socketio_adapter::{AdapterError, Message, NodeId, Offset};
use tokio::sync::{Notify, oneshot};

use crate::sync::{Mutex, lock};

/// Number of unconfirmed events, and of accepted ones, that are remembered; the oldest are
/// forgotten.
const MAX_REMEMBERED: usize = 1024;

/// The sender of an event, and its number.
pub(crate) type EventNumber<'a> = (&'a NodeId, u64);

/// An event that is delivered without the log.
#[derive(Clone, Copy)]
pub(crate) struct UnloggedEvent<'a> {
    pub(crate) number: Option<EventNumber<'a>>,
    pub(crate) in_log: InLog<'a>,
}

/// Whether the log contains an event that it has not returned.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum InLog<'a> {
    No,
    Maybe,
    At(&'a Offset),
}

/// An action that waits for events: an ack, an event with an ack, a disconnect, or the delivery of
/// an event that is in no log.
type Action = Box<dyn FnOnce() + Send>;

/// An event with its offset in the log.
type Accepted = (Message, Offset);

/// The queue of events and barriers. Both are limited in number.
pub(crate) struct PublishOrder {
    state: Mutex<State>,
    /// Notified when an event is on its way.
    event_added: Notify,
    max: usize,
    /// Maximum size of the accepted events that are remembered.
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    /// The number of the first entry of `queue`.
    first: u64,
    queue: VecDeque<Entry>,
    /// The number of unfinished events and of barriers in `queue`.
    events: usize,
    barriers: usize,
    publishing: Option<Publishing>,
    /// The events that the engine may have logged, although their publication failed. Each action
    /// delivers the event without the log.
    in_doubt: BTreeMap<u64, Action>,
    /// Events that are delivered on this node although the log may still return them: the engine
    /// has not confirmed them, or has not returned them in time. If the log returns them after
    /// that, they are skipped.
    unconfirmed: BTreeSet<u64>,
    /// Events that the engine has accepted, and the log has not returned yet.
    accepted: BTreeMap<u64, Accepted>,
    accepted_bytes: usize,
    running: bool,
    closed: bool,
}

/// The event that is being published.
struct Publishing {
    number: u64,
    /// `None` once the log has returned the event.
    event: Option<Message>,
}

enum Entry {
    /// An event that has not been delivered on this node.
    Event,
    /// An event that could not be logged. The action delivers it when all earlier events are
    /// finished.
    Unlogged(Action),
    /// An event that was delivered, or never will be.
    Finished,
    /// Runs when all earlier events are finished.
    Barrier(Action),
}

impl State {
    fn next(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.queue.get_mut(index)
    }

    fn finish(&mut self, number: u64) {
        if let Some(entry @ Entry::Event) = self.entry(number) {
            *entry = Entry::Finished;
            self.events -= 1;
        }
    }

    /// Records that the log may still return an event that is delivered without it.
    fn add_unconfirmed(&mut self, number: u64) {
        if self.unconfirmed.len() >= MAX_REMEMBERED {
            self.unconfirmed.pop_first();
        }
        self.unconfirmed.insert(number);
    }

    /// Lets an event that is not in the log wait for its turn. Returns the action if it is too late
    /// for that.
    fn add_unlogged(&mut self, number: u64, deliver: Action) -> Option<Action> {
        match self.entry(number) {
            Some(entry @ Entry::Event) => *entry = Entry::Unlogged(deliver),
            _ => return Some(deliver),
        }
        None
    }

    /// Removes finished events from the front. Returns the next action that is due.
    fn advance(&mut self) -> Option<Action> {
        while !matches!(self.queue.front()?, Entry::Event) {
            self.first += 1;
            match self.queue.pop_front()? {
                Entry::Barrier(action) => {
                    self.barriers -= 1;
                    return Some(action);
                }
                Entry::Unlogged(action) => {
                    self.events -= 1;
                    return Some(action);
                }
                Entry::Event | Entry::Finished => {}
            }
        }
        None
    }
}

impl PublishOrder {
    /// Creates a queue of at most `max` events and `max` barriers, which remembers at most
    /// `max_bytes` of events that the log has accepted.
    pub(super) fn new(max: usize, max_bytes: usize) -> Self {
        Self { state: Mutex::default(), event_added: Notify::new(), max, max_bytes }
    }

    /// Numbers an event and publishes it. Returns `None`, without publishing, if too many events
    /// are on their way.
    pub(super) fn add_event<E>(
        &self,
        publish: impl FnOnce(u64) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        // Publishing happens under the lock, so that the events are published in the order of their
        // numbers.
        let mut state = lock(&self.state);
        // Events that were finished out of order still take a place.
        if state.events >= self.max || state.queue.len() - state.barriers >= 2 * self.max {
            return None;
        }
        let result = publish(state.next());
        if result.is_ok() {
            state.queue.push_back(Entry::Event);
            state.events += 1;
        }
        drop(state);
        self.event_added.notify_one();
        Some(result)
    }

    /// Runs an action after the events published before it have been delivered on this node; at
    /// once if there are none. It waits at most twice the `request_timeout` for the engine. Returns
    /// the action if too many are waiting.
    pub(crate) fn after_events<A>(&self, action: A) -> Result<(), A>
    where
        A: FnOnce() + Send + 'static,
    {
        self.add_barrier(action, self.max)
    }

    /// Like [`after_events`](Self::after_events), for actions that their caller limits.
    pub(crate) fn after_events_unlimited(&self, action: impl FnOnce() + Send + 'static) {
        let _ = self.add_barrier(action, usize::MAX);
    }

    fn add_barrier<A: FnOnce() + Send + 'static>(&self, action: A, max: usize) -> Result<(), A> {
        {
            let mut state = lock(&self.state);
            if (!state.queue.is_empty() || state.running) && !state.closed {
                if state.barriers >= max {
                    return Err(action);
                }
                // The end of the event at the front, or of the running action, leads to it.
                state.queue.push_back(Entry::Barrier(Box::new(action)));
                state.barriers += 1;
                return Ok(());
            }
        }
        action();
        Ok(())
    }

    /// Waits until the events published before have been delivered on this node.
    pub(crate) async fn wait_for_events(&self) {
        let (done, delivered) = oneshot::channel();
        let _ = self.after_events(move || drop(done));
        let _: Result<(), _> = delivered.await;
    }

    /// Returns whether this node may still deliver events without the log that the engine may have
    /// logged.
    pub(crate) fn has_unconfirmed_events(&self) -> bool {
        let state = lock(&self.state);
        state.events > 0 || state.publishing.is_some() || !state.in_doubt.is_empty()
    }

    /// Records that an event is about to be published.
    pub(super) fn begin_publishing(&self, number: u64, event: Message) {
        lock(&self.state).publishing = Some(Publishing { number, event: Some(event) });
    }

    /// Records the result of publishing an event. If it failed, `deliver` delivers the event without
    /// the log, when all earlier events are finished, unless the log returns the event before.
    /// Returns whether the engine may have logged the event nevertheless. The caller then
    /// [settles](Self::settle) this doubt after some time.
    pub(super) fn end_publishing(
        &self,
        result: &Result<Option<Offset>, AdapterError>,
        deliver: impl FnOnce(Message) + Send + 'static,
    ) -> bool {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let Some(Publishing { number, event: Some(event) }) = state.publishing.take() else {
            return false;
        };
        match result {
            Ok(Some(offset)) => {
                state.accepted_bytes += event.body.bytes();
                state.accepted.insert(number, (event, offset.clone()));
                while state.accepted_bytes > self.max_bytes || state.accepted.len() > MAX_REMEMBERED
                {
                    let Some((_, (oldest, _))) = state.accepted.pop_first() else { break };
                    state.accepted_bytes -= oldest.body.bytes();
                }
                return false;
            }
            Err(AdapterError::Engine(_)) => {
                state.in_doubt.insert(number, Box::new(move || deliver(event)));
                return true;
            }
            _ => {}
        }
        let late = state.add_unlogged(number, Box::new(move || deliver(event)));
        drop(guard);
        late.into_iter().for_each(|deliver| deliver());
        self.advance();
        false
    }

    /// Stops waiting for the events below a number that the engine may have logged, and delivers
    /// them without the log, each when all earlier events are finished.
    pub(super) fn settle(&self, number: u64) {
        let late: Vec<_> = {
            let mut state = lock(&self.state);
            let later = state.in_doubt.split_off(&number);
            let settled = std::mem::replace(&mut state.in_doubt, later);
            if settled.is_empty() {
                return;
            }
            let late = settled.into_iter().filter_map(|(number, deliver)| {
                state.add_unconfirmed(number);
                state.add_unlogged(number, deliver)
            });
            late.collect()
        };
        late.into_iter().for_each(|deliver| deliver());
        self.advance();
    }

    /// Returns the events below a number that the log has accepted and not returned, by their
    /// numbers. The caller delivers them without the log, because it is about to deliver a later
    /// event.
    pub(super) fn take_late(&self, number: u64) -> BTreeMap<u64, Accepted> {
        let mut state = lock(&self.state);
        let later = state.accepted.split_off(&number);
        let late = std::mem::replace(&mut state.accepted, later);
        for (number, (event, _)) in &late {
            state.accepted_bytes -= event.body.bytes();
            state.add_unconfirmed(*number);
        }
        late
    }

    /// Takes an event of this node that the log has returned, if it is still here: it is being
    /// published, or the engine has accepted it. Events with binary are left, because the log may
    /// be configured not to keep it.
    pub(super) fn take_returned(&self, number: u64) -> Option<Message> {
        let mut state = lock(&self.state);
        let is_text = |event: &Message| !event.body.has_binary();
        if let Some(publishing) = &mut state.publishing
            && publishing.number == number
        {
            return publishing.event.take_if(|event| is_text(event));
        }
        if !is_text(&state.accepted.get(&number)?.0) {
            return None;
        }
        let (event, _) = state.accepted.remove(&number)?;
        state.accepted_bytes -= event.body.bytes();
        Some(event)
    }

    /// Records that the log has returned an event of this node. Returns whether to deliver it. The
    /// log returns events in their order, so it has skipped those that
    /// [`take_late`](Self::take_late) returns.
    pub(super) fn log_returned(&self, number: u64) -> bool {
        let mut state = lock(&self.state);
        let published = state.publishing.as_mut().filter(|publishing| publishing.number == number);
        let published = published.and_then(|publishing| publishing.event.take());
        let returned = state.accepted.remove(&number);
        if let Some((event, _)) = &returned {
            state.accepted_bytes -= event.body.bytes();
        }
        if let Some(deliver) = state.in_doubt.remove(&number) {
            drop(state);
            drop((deliver, returned, published));
            return true;
        }
        if let Some(entry @ Entry::Unlogged(_)) = state.entry(number) {
            let deliver = std::mem::replace(entry, Entry::Event);
            state.unconfirmed.remove(&number);
            drop(state);
            drop((deliver, returned, published));
            return true;
        }
        !state.unconfirmed.remove(&number)
    }

    /// Records that an event was delivered, or never will be.
    pub(super) fn finish(&self, number: u64) {
        lock(&self.state).finish(number);
        self.advance();
    }

    /// Runs all waiting actions. Later actions run at once.
    pub(super) fn close(&self) {
        let next = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.next()
        };
        self.settle(next);
        self.give_up(next);
    }

    /// Waits until an event is unfinished. Returns the number of the next entry.
    pub(super) async fn pending(&self) -> u64 {
        loop {
            {
                let state = lock(&self.state);
                if state.events > 0 {
                    return state.next();
                }
            }
            self.event_added.notified().await;
        }
    }

    /// Stops waiting for the events below a number, because the engine did not return them.
    pub(super) fn give_up(&self, number: u64) {
        {
            let mut state = lock(&self.state);
            (state.first..number).for_each(|event| state.finish(event));
        }
        self.advance();
    }

    /// Runs the actions that are due, one after another, on a single thread at a time and without
    /// holding the lock. An action that panics does not stop the others.
    fn advance(&self) {
        if std::mem::replace(&mut lock(&self.state).running, true) {
            return;
        }
        loop {
            let action = {
                let mut state = lock(&self.state);
                let action = state.advance();
                state.running = action.is_some();
                action
            };
            match action {
                Some(action) => {
                    if catch_unwind(AssertUnwindSafe(action)).is_err() {
                        tracing::error!(target: "socketio::cluster", "an action that waited for earlier events of the log panicked");
                    }
                }
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn note(seen: &Arc<Mutex<Vec<u8>>>, n: u8) -> Action {
        let seen = seen.clone();
        Box::new(move || seen.lock().unwrap().push(n))
    }

    fn add(order: &PublishOrder) -> u64 {
        let number = lock(&order.state).next();
        order.add_event(|next| if next == number { Ok(()) } else { Err(()) }).unwrap().unwrap();
        number
    }

    fn event() -> Message {
        let (uid, nsp) = ("1".into(), socketio_parser::Nsp::root());
        Message { uid, nsp, body: socketio_adapter::Body::Heartbeat, seq: None }
    }

    fn lost() -> Result<Option<Offset>, AdapterError> {
        Err(AdapterError::Engine("no answer".into()))
    }

    /// Publishes an event. Returns its number, and whether it is in doubt.
    fn publish(
        order: &PublishOrder,
        result: Result<Option<Offset>, AdapterError>,
        deliver: Action,
    ) -> (u64, bool) {
        let number = add(order);
        order.begin_publishing(number, event());
        (number, order.end_publishing(&result, |_| deliver()))
    }

    #[test]
    fn actions_wait_for_earlier_events() {
        let (order, seen) = (PublishOrder::new(3, usize::MAX), Arc::default());
        order.after_events(note(&seen, 0)).ok().unwrap();
        assert_eq!(*seen.lock().unwrap(), [0]);
        let first = add(&order);
        order.add_event(|_| Err(())).unwrap().unwrap_err();
        order.after_events(note(&seen, 1)).ok().unwrap();
        let second = add(&order);
        order.after_events(note(&seen, 2)).ok().unwrap();
        order.after_events(note(&seen, 3)).ok().unwrap();
        assert!(order.after_events(note(&seen, 4)).is_err());
        order.after_events_unlimited(note(&seen, 4));
        order.finish(first);
        assert_eq!(*seen.lock().unwrap(), [0, 1]);
        order.finish(second);
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4]);
        let last = (0..3).map(|_| add(&order)).last().unwrap();
        assert!(order.add_event(|_| Ok::<_, ()>(())).is_none());
        order.after_events(note(&seen, 5)).ok().unwrap();
        order.give_up(last + 1);
        assert_eq!(seen.lock().unwrap().last(), Some(&5));
        add(&order);
        order.after_events(note(&seen, 6)).ok().unwrap();
        order.close();
        assert_eq!(seen.lock().unwrap().last(), Some(&6));
        order.after_events(note(&seen, 7)).ok().unwrap();
        assert_eq!(seen.lock().unwrap().last(), Some(&7));
    }

    #[test]
    fn an_action_waits_for_an_event_that_a_later_event_has_overtaken() {
        let (order, seen) = (PublishOrder::new(3, usize::MAX), Arc::default());
        let (first, second) = (add(&order), add(&order));
        order.after_events(note(&seen, 1)).ok().unwrap();
        order.finish(second);
        assert!(seen.lock().unwrap().is_empty());
        order.finish(first);
        assert_eq!(*seen.lock().unwrap(), [1]);
        assert_eq!(lock(&order.state).queue.len(), 0);
    }

    #[test]
    fn an_event_in_doubt_is_delivered_by_the_log_or_after_some_time() {
        let (order, seen) = (PublishOrder::new(10, usize::MAX), Arc::default());
        let (first, first_in_doubt) = publish(&order, lost(), note(&seen, 0));
        let (second, second_in_doubt) = publish(&order, lost(), note(&seen, 1));
        assert!(first_in_doubt && second_in_doubt && seen.lock().unwrap().is_empty());
        assert!(order.log_returned(first));
        order.finish(first);
        order.settle(second + 1);
        assert_eq!(*seen.lock().unwrap(), [1]);
        assert!(!order.log_returned(second), "this event was delivered without the log");
        let (third, _) = publish(&order, lost(), note(&seen, 2));
        order.give_up(third + 1);
        order.settle(third + 1);
        publish(&order, lost(), note(&seen, 3));
        order.close();
        assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn an_event_that_was_returned_before_its_response_was_lost_is_delivered_once() {
        let order = PublishOrder::new(10, usize::MAX);
        let number = add(&order);
        order.begin_publishing(number, event());
        assert!(order.log_returned(number));
        assert!(!order.end_publishing(&lost(), |_| panic!("delivered twice")));
        order.finish(number);
        order.settle(number + 1);
    }

    #[test]
    fn a_returned_event_is_taken_once_while_the_node_still_has_it() {
        let order = PublishOrder::new(10, usize::MAX);
        let number = add(&order);
        order.begin_publishing(number, event());
        assert_eq!(order.take_returned(number), Some(event()));
        assert_eq!(order.take_returned(number), None);
        assert!(!order.end_publishing(&lost(), |_| panic!("delivered twice")));
        let (number, _) = publish(&order, Ok(Some("1".into())), Box::new(|| {}));
        assert_eq!(order.take_returned(number), Some(event()));
        assert_eq!(order.take_returned(number), None);
        assert_eq!(order.take_late(number + 1).len(), 0);
        let (number, _) = publish(&order, Ok(Some("2".into())), Box::new(|| {}));
        assert_eq!(order.take_late(number + 1).len(), 1);
        assert_eq!(order.take_returned(number), None, "delivered because it was late");
        assert_eq!(lock(&order.state).accepted_bytes, 0);
    }

    #[test]
    fn unsent_events_are_not_remembered_and_the_memory_is_limited() {
        let (order, seen) = (PublishOrder::new(MAX_REMEMBERED + 5, usize::MAX), Arc::default());
        for refusal in [AdapterError::NotConnected("away".into()), AdapterError::NotInCluster] {
            assert!(!publish(&order, Err(refusal), note(&seen, 1)).1);
            assert!(lock(&order.state).unconfirmed.is_empty());
        }
        assert_eq!(*seen.lock().unwrap(), [1, 1]);
        let lost = || publish(&order, lost(), note(&seen, 2)).0;
        let first = lost();
        let mut last = first;
        for _ in 1..MAX_REMEMBERED + 5 {
            last = lost();
        }
        order.settle(last + 1);
        assert_eq!(lock(&order.state).unconfirmed.len(), MAX_REMEMBERED);
        assert!(order.log_returned(first + 4), "forgotten");
        assert!(!order.log_returned(first + 5));
    }

    #[test]
    fn an_unlogged_event_waits_for_its_turn_unless_the_log_returns_it_before() {
        let (order, seen) = (PublishOrder::new(10, usize::MAX), Arc::default());
        let (first, _) = publish(&order, Ok(Some("1".into())), note(&seen, 0));
        let (second, _) = publish(&order, lost(), note(&seen, 1));
        let (third, _) = publish(&order, lost(), note(&seen, 2));
        order.settle(third + 1);
        assert!(order.log_returned(second), "its response was lost");
        assert!(seen.lock().unwrap().is_empty());
        order.finish(first);
        order.finish(second);
        assert_eq!(*seen.lock().unwrap(), [2]);
        assert!(!order.log_returned(third));
        assert_eq!(lock(&order.state).events, 0);
    }

    #[test]
    fn an_accepted_event_that_is_late_is_delivered_once_and_the_memory_is_limited() {
        let accept = |order: &PublishOrder| {
            let (number, in_doubt) = publish(order, Ok(Some("1".into())), Box::new(|| {}));
            assert!(!in_doubt);
            number
        };
        let order = PublishOrder::new(10, usize::MAX);
        let (first, second) = (accept(&order), accept(&order));
        assert!(order.log_returned(first));
        assert_eq!(order.take_late(second + 1).len(), 1);
        assert_eq!(order.take_late(second + 1).len(), 0);
        assert!(!order.log_returned(second));
        let order = PublishOrder::new(10, 2 * event().body.bytes());
        let last = (0..3).map(|_| accept(&order)).last().unwrap();
        assert_eq!(order.take_late(last + 1).len(), 2);
        assert_eq!(lock(&order.state).accepted_bytes, 0);
    }

    #[test]
    fn events_that_were_finished_out_of_order_are_limited() {
        let order = PublishOrder::new(2, usize::MAX);
        add(&order);
        for _ in 0..3 {
            let number = add(&order);
            order.finish(number);
        }
        assert!(order.add_event(|_| Ok::<_, ()>(())).is_none());
        order.finish(0);
        add(&order);
    }

    #[test]
    fn a_panicking_action_does_not_stop_later_actions() {
        let (order, seen) = (PublishOrder::new(3, usize::MAX), Arc::default());
        let number = add(&order);
        order.after_events(|| panic!("an action panics")).ok().unwrap();
        order.after_events(note(&seen, 1)).ok().unwrap();
        order.finish(number);
        assert_eq!(*seen.lock().unwrap(), [1]);
        order.after_events(note(&seen, 2)).ok().unwrap();
        assert_eq!(*seen.lock().unwrap(), [1, 2]);
    }
}
