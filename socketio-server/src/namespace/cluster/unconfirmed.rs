//! Events that an engine may have accepted although it did not confirm them. They have been
//! delivered on this node. If the log returns them anyway, they are recognized by their content and
//! not delivered again.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use socketio_adapter::{AdapterError, Body, Offset};

/// Number of unconfirmed events that are remembered; the oldest are dropped. A broken connection
/// leaves one.
const MAX_UNCONFIRMED: usize = 64;

/// The state of the events that this node has published one after another.
pub(super) struct UnconfirmedPublishes {
    state: Mutex<State>,
    max_confirmed: usize,
}

#[derive(Default)]
struct State {
    /// The event being published, and the offsets of equal events that the log has returned in the
    /// meantime.
    current: Option<(Body, Vec<Offset>)>,
    /// The offsets of confirmed events that the log has not returned yet.
    confirmed: HashSet<Offset>,
    unconfirmed: VecDeque<Body>,
}

impl UnconfirmedPublishes {
    /// Creates the state. At most `max_confirmed` confirmed events are remembered.
    pub(super) fn new(max_confirmed: usize) -> Self {
        Self { state: Mutex::default(), max_confirmed }
    }

    /// Records that an event is about to be published. Unconfirmed events with the same content are
    /// forgotten, because they could not be distinguished from it.
    pub(super) fn begin(&self, event: &Body) {
        let mut state = self.state();
        state.unconfirmed.retain(|unconfirmed| unconfirmed != event);
        state.current = Some((event.clone(), Vec::new()));
    }

    /// Records the result of publishing. Returns whether to deliver the event on this node without
    /// the log.
    pub(super) fn end(&self, result: &Result<Option<Offset>, AdapterError>) -> bool {
        let mut state = self.state();
        let Some((event, returned)) = state.current.take() else { return true };
        match result {
            Ok(Some(offset)) => {
                if !returned.contains(offset) {
                    if state.confirmed.len() >= self.max_confirmed {
                        // These events were never returned.
                        state.confirmed.clear();
                    }
                    state.confirmed.insert(offset.clone());
                }
                false
            }
            Err(AdapterError::Engine(_)) if returned.is_empty() => {
                if state.unconfirmed.len() >= MAX_UNCONFIRMED {
                    state.unconfirmed.pop_front();
                }
                state.unconfirmed.push_back(event);
                true
            }
            Err(AdapterError::Engine(_)) => false,
            Ok(None) | Err(_) => true,
        }
    }

    /// Records that the log has returned an event of this node. Returns whether to deliver it.
    pub(super) fn returned(&self, event: &Body, offset: &Offset) -> bool {
        let mut state = self.state();
        if state.confirmed.remove(offset) {
            return true;
        }
        if let Some((current, returned)) = &mut state.current
            && current == event
        {
            returned.push(offset.clone());
            return true;
        }
        let unconfirmed = state.unconfirmed.iter().position(|unconfirmed| unconfirmed == event);
        unconfirmed.and_then(|at| state.unconfirmed.remove(at)).is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use socketio_adapter::{Selection, event_args};

    use super::*;

    fn event(n: u8) -> Body {
        let args = event_args("n", &n).unwrap();
        Body::Broadcast { args, selection: Selection::default(), request: None }
    }

    fn lost() -> Result<Option<Offset>, AdapterError> {
        Err(AdapterError::Engine("no answer".into()))
    }

    fn confirmed(at: &'static str) -> Result<Option<Offset>, AdapterError> {
        Ok(Some(at.into()))
    }

    #[test]
    fn an_event_that_was_delivered_unconfirmed_is_not_delivered_again() {
        let publishes = UnconfirmedPublishes::new(10);
        publishes.begin(&event(1));
        assert!(publishes.end(&lost()));
        publishes.begin(&event(2));
        assert!(!publishes.end(&confirmed("2")));
        assert!(!publishes.returned(&event(1), &"1".into()));
        assert!(publishes.returned(&event(2), &"2".into()));
        assert!(publishes.returned(&event(1), &"3".into()), "this is another event");
    }

    #[test]
    fn an_event_that_was_returned_before_its_response_was_lost_is_delivered_once() {
        let publishes = UnconfirmedPublishes::new(10);
        publishes.begin(&event(1));
        assert!(!publishes.end(&confirmed("1")));
        publishes.begin(&event(1));
        assert!(publishes.returned(&event(1), &"1".into()));
        assert!(publishes.returned(&event(1), &"2".into()));
        assert!(!publishes.end(&lost()));
        publishes.begin(&event(1));
        assert!(publishes.end(&lost()), "this event was not returned");
    }

    #[test]
    fn an_event_that_is_sent_again_may_be_delivered_twice_but_is_not_lost() {
        let publishes = UnconfirmedPublishes::new(10);
        publishes.begin(&event(1));
        assert!(publishes.end(&lost()));
        publishes.begin(&event(1));
        assert!(publishes.returned(&event(1), &"1".into()));
        assert!(!publishes.end(&confirmed("2")));
        assert!(publishes.returned(&event(1), &"2".into()));
    }

    #[test]
    fn unsent_events_are_not_remembered_and_the_memory_is_limited() {
        let publishes = UnconfirmedPublishes::new(2);
        publishes.begin(&event(0));
        assert!(publishes.end(&lost()));
        for refusal in [AdapterError::Away("away".into()), AdapterError::Left] {
            publishes.begin(&event(1));
            assert!(publishes.end(&Err(refusal)));
        }
        assert_eq!(publishes.state().unconfirmed.len(), 1);
        for n in 0..200 {
            publishes.begin(&event(n));
            assert!(publishes.end(&lost()));
        }
        assert_eq!(publishes.state().unconfirmed.len(), MAX_UNCONFIRMED);
        for at in ["1", "2", "3"] {
            publishes.begin(&event(1));
            assert!(!publishes.end(&confirmed(at)));
        }
        assert_eq!(publishes.state().confirmed.len(), 1);
    }
}
