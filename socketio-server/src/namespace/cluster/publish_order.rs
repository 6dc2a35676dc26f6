//! Actions that wait for earlier events, in clusters where an event is published before it is
//! delivered.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// An action that waits for events: an ack, an event with an ack, or a disconnect.
type Action = Box<dyn FnOnce() + Send>;

/// The events of this node that are on their way through the engine's log, and the actions that
/// wait for them. Both are limited.
pub(super) struct PublishOrder {
    state: Mutex<State>,
    /// Notified when an event is on its way.
    event_issued: Notify,
    max: usize,
}

#[derive(Default)]
struct State {
    issued: u64,
    done: u64,
    /// The actions, each with the number of events that must be finished first.
    waiting: VecDeque<(u64, Action)>,
    running: bool,
    closed: bool,
}

impl PublishOrder {
    pub(super) fn new(max: usize) -> Self {
        Self { state: Mutex::default(), event_issued: Notify::new(), max }
    }

    /// Publishes and counts an event. Returns `None`, without publishing, if too many events are on
    /// their way.
    pub(super) fn issue<E>(
        &self,
        publish: impl FnOnce() -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        // Publishing happens under the lock, so that a later action cannot be counted before the
        // event.
        let mut state = self.state();
        if state.issued - state.done >= self.max as u64 {
            return None;
        }
        let result = publish();
        state.issued += u64::from(result.is_ok());
        drop(state);
        self.event_issued.notify_one();
        Some(result)
    }

    /// Records that an event was delivered, or never will be.
    pub(super) fn finish(&self) {
        {
            let mut state = self.state();
            state.done = (state.done + 1).min(state.issued);
        }
        self.run();
    }

    /// Runs an action after the events that were issued before it; at once if there are none.
    /// Returns the action if too many are waiting.
    pub(super) fn after<A: FnOnce() + Send + 'static>(&self, action: A) -> Result<(), A> {
        {
            let mut state = self.state();
            let idle = state.done == state.issued && state.waiting.is_empty() && !state.running;
            if !idle && !state.closed {
                if state.waiting.len() >= self.max {
                    return Err(action);
                }
                let issued = state.issued;
                state.waiting.push_back((issued, Box::new(action)));
                drop(state);
                self.run();
                return Ok(());
            }
        }
        action();
        Ok(())
    }

    /// Runs all waiting actions. Later actions run at once.
    pub(super) fn close(&self) {
        {
            let mut state = self.state();
            state.closed = true;
            state.done = state.issued;
        }
        self.run();
    }

    /// Waits until an event is unfinished. Returns the number of issued events.
    pub(super) async fn pending(&self) -> u64 {
        loop {
            let (issued, done) = {
                let state = self.state();
                (state.issued, state.done)
            };
            if issued > done {
                return issued;
            }
            self.event_issued.notified().await;
        }
    }

    /// Stops waiting for the first `events` events, because the engine did not return them.
    pub(super) fn give_up(&self, events: u64) {
        {
            let mut state = self.state();
            state.done = state.done.max(events).min(state.issued);
        }
        self.run();
    }

    /// Runs the actions that are due, one after another, on a single thread at a time and without
    /// holding the lock.
    fn run(&self) {
        if std::mem::replace(&mut self.state().running, true) {
            return;
        }
        loop {
            let action = {
                let mut state = self.state();
                let done = state.done;
                match state.waiting.front() {
                    Some((events, _)) if *events <= done => state.waiting.pop_front(),
                    _ => {
                        state.running = false;
                        return;
                    }
                }
            };
            if let Some((_, action)) = action {
                action();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn actions_wait_for_earlier_events() {
        let (order, seen) = (PublishOrder::new(3), Arc::default());
        order.after(note(&seen, 0)).ok().unwrap();
        assert_eq!(*seen.lock().unwrap(), [0]);
        order.issue(|| Ok::<_, ()>(())).unwrap().unwrap();
        order.issue(|| Err(())).unwrap().unwrap_err();
        order.after(note(&seen, 1)).ok().unwrap();
        order.issue(|| Ok::<_, ()>(())).unwrap().unwrap();
        order.after(note(&seen, 2)).ok().unwrap();
        order.after(note(&seen, 3)).ok().unwrap();
        assert!(order.after(note(&seen, 4)).is_err());
        order.finish();
        assert_eq!(*seen.lock().unwrap(), [0, 1]);
        order.finish();
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3]);
        (0..3).for_each(|_| order.issue(|| Ok::<_, ()>(())).unwrap().unwrap());
        assert!(order.issue(|| Ok::<_, ()>(())).is_none());
        order.after(note(&seen, 5)).ok().unwrap();
        order.give_up(5);
        assert_eq!(seen.lock().unwrap().last(), Some(&5));
        order.issue(|| Ok::<_, ()>(())).unwrap().unwrap();
        order.after(note(&seen, 6)).ok().unwrap();
        order.close();
        assert_eq!(seen.lock().unwrap().last(), Some(&6));
        order.after(note(&seen, 7)).ok().unwrap();
        assert_eq!(seen.lock().unwrap().last(), Some(&7));
    }
}
