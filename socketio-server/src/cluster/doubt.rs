//! Events that an engine may have taken although it did not say so. They have been delivered here; where they are given back
//! all the same, they are recognised by what they say, and not delivered a second time.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use socketio_adapter::{AdapterError, Body, Offset};

/// Doubtful events that are remembered; the oldest give way. A connection that breaks leaves one.
const MAX_DOUBTFUL: usize = 64;

/// What became of the events that this node has published, one after the other.
pub(super) struct Doubt {
    state: Mutex<State>,
    max_confirmed: usize,
}

#[derive(Default)]
struct State {
    /// The event that is being published, and where its like were given back meanwhile.
    current: Option<(Body, Vec<Offset>)>,
    /// Where events stand that were not given back yet.
    confirmed: HashSet<Offset>,
    doubtful: VecDeque<Body>,
}

impl Doubt {
    /// `max_confirmed` events may be on their way back at once.
    pub(super) fn new(max_confirmed: usize) -> Self {
        Self { state: Mutex::default(), max_confirmed }
    }

    /// An event is about to be published. Doubtful ones that say the same could not be told apart from it any more.
    pub(super) fn begin(&self, event: &Body) {
        let mut state = self.state();
        state.doubtful.retain(|doubtful| doubtful != event);
        state.current = Some((event.clone(), Vec::new()));
    }

    /// The engine has answered, or has not. Whether the event is to be delivered here without it.
    pub(super) fn end(&self, result: &Result<Option<Offset>, AdapterError>) -> bool {
        let mut state = self.state();
        let Some((event, given_back)) = state.current.take() else { return true };
        match result {
            Ok(Some(offset)) => {
                if !given_back.contains(offset) {
                    if state.confirmed.len() >= self.max_confirmed {
                        // Those that never come back.
                        state.confirmed.clear();
                    }
                    state.confirmed.insert(offset.clone());
                }
                false
            }
            Err(AdapterError::Engine(_)) if given_back.is_empty() => {
                if state.doubtful.len() >= MAX_DOUBTFUL {
                    state.doubtful.pop_front();
                }
                state.doubtful.push_back(event);
                true
            }
            Err(AdapterError::Engine(_)) => false,
            Ok(None) | Err(_) => true,
        }
    }

    /// An event of this node is given back. Whether it is to be delivered.
    pub(super) fn given_back(&self, event: &Body, offset: &Offset) -> bool {
        let mut state = self.state();
        if state.confirmed.remove(offset) {
            return true;
        }
        if let Some((current, given_back)) = &mut state.current
            && current == event
        {
            given_back.push(offset.clone());
            return true;
        }
        let doubtful = state.doubtful.iter().position(|doubtful| doubtful == event);
        doubtful.and_then(|at| state.doubtful.remove(at)).is_none()
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

    fn stands(at: &'static str) -> Result<Option<Offset>, AdapterError> {
        Ok(Some(at.into()))
    }

    #[test]
    fn what_was_delivered_without_the_engine_is_not_delivered_again() {
        let doubt = Doubt::new(10);
        doubt.begin(&event(1));
        assert!(doubt.end(&lost()));
        doubt.begin(&event(2));
        assert!(!doubt.end(&stands("2")));
        assert!(!doubt.given_back(&event(1), &"1".into()));
        assert!(doubt.given_back(&event(2), &"2".into()));
        assert!(doubt.given_back(&event(1), &"3".into()), "another one");
    }

    #[test]
    fn what_was_given_back_before_the_answer_is_lost_is_not_delivered_again() {
        let doubt = Doubt::new(10);
        doubt.begin(&event(1));
        assert!(!doubt.end(&stands("1")));
        doubt.begin(&event(1));
        assert!(doubt.given_back(&event(1), &"1".into()));
        assert!(doubt.given_back(&event(1), &"2".into()));
        assert!(!doubt.end(&lost()));
        doubt.begin(&event(1));
        assert!(doubt.end(&lost()), "this one was not");
    }

    #[test]
    fn an_event_that_is_sent_again_is_rather_delivered_twice_than_not_at_all() {
        let doubt = Doubt::new(10);
        doubt.begin(&event(1));
        assert!(doubt.end(&lost()));
        doubt.begin(&event(1));
        assert!(doubt.given_back(&event(1), &"1".into()));
        assert!(!doubt.end(&stands("2")));
        assert!(doubt.given_back(&event(1), &"2".into()));
    }

    #[test]
    fn what_never_left_leaves_no_doubt_and_all_is_bounded() {
        let doubt = Doubt::new(2);
        doubt.begin(&event(0));
        assert!(doubt.end(&lost()));
        for refusal in [AdapterError::Away("away".into()), AdapterError::Left] {
            doubt.begin(&event(1));
            assert!(doubt.end(&Err(refusal)));
        }
        assert_eq!(doubt.state().doubtful.len(), 1);
        for n in 0..200 {
            doubt.begin(&event(n));
            assert!(doubt.end(&lost()));
        }
        assert_eq!(doubt.state().doubtful.len(), MAX_DOUBTFUL);
        for at in ["1", "2", "3"] {
            doubt.begin(&event(1));
            assert!(!doubt.end(&stands(at)));
        }
        assert_eq!(doubt.state().confirmed.len(), 1);
    }
}
