//! What is to happen after the events that were emitted before it, where an event is published before it is delivered.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Something that waits for events: an answer, a question, a disconnection.
pub(crate) type Action = Box<dyn FnOnce() + Send>;

/// Events of this node on their way through an engine's log, and what waits behind them, bounded.
pub(super) struct Turns {
    state: Mutex<State>,
    /// Something is on its way.
    waits: Notify,
    max: usize,
}

#[derive(Default)]
struct State {
    issued: u64,
    done: u64,
    /// Each with the number of events that are to be done before.
    waiting: VecDeque<(u64, Action)>,
    running: bool,
    closed: bool,
}

impl Turns {
    pub(super) fn new(max: usize) -> Self {
        Self { state: Mutex::default(), waits: Notify::new(), max }
    }

    /// Counts an event that `publish` has put on its way. `None`, and nothing is done, where too many are on theirs.
    pub(super) fn issue<E>(
        &self,
        publish: impl FnOnce() -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        // Under the lock: what comes after an event must not be counted before it.
        let mut state = self.state();
        if state.issued - state.done >= self.max as u64 {
            return None;
        }
        let result = publish();
        state.issued += u64::from(result.is_ok());
        drop(state);
        self.waits.notify_one();
        Some(result)
    }

    /// An event was delivered, or will not be.
    pub(super) fn finish(&self) {
        {
            let mut state = self.state();
            state.done = (state.done + 1).min(state.issued);
        }
        self.run();
    }

    /// Runs an action when the events are done that were issued before: at once where there are none. Where too much waits, the
    /// action comes back.
    pub(super) fn after(&self, action: Action) -> Result<(), Action> {
        {
            let mut state = self.state();
            let idle = state.done == state.issued && state.waiting.is_empty() && !state.running;
            if !idle && !state.closed {
                if state.waiting.len() >= self.max {
                    return Err(action);
                }
                let issued = state.issued;
                state.waiting.push_back((issued, action));
                drop(state);
                self.run();
                return Ok(());
            }
        }
        action();
        Ok(())
    }

    /// Nothing waits any more, now and later.
    pub(super) fn close(&self) {
        {
            let mut state = self.state();
            state.closed = true;
            state.done = state.issued;
        }
        self.run();
    }

    /// How many events were issued, once some are not done.
    pub(super) async fn pending(&self) -> u64 {
        loop {
            let (issued, done) = {
                let state = self.state();
                (state.issued, state.done)
            };
            if issued > done {
                return issued;
            }
            self.waits.notified().await;
        }
    }

    /// The engine does not give back what it took: so many events are waited for no longer.
    pub(super) fn give_up(&self, events: u64) {
        {
            let mut state = self.state();
            state.done = state.done.max(events).min(state.issued);
        }
        self.run();
    }

    /// One after the other, whoever calls, and where nothing is locked.
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
    fn actions_wait_for_what_came_before() {
        let (turns, seen) = (Turns::new(3), Arc::default());
        turns.after(note(&seen, 0)).ok().unwrap();
        assert_eq!(*seen.lock().unwrap(), [0]);
        turns.issue(|| Ok::<_, ()>(())).unwrap().unwrap();
        turns.issue(|| Err(())).unwrap().unwrap_err();
        turns.after(note(&seen, 1)).ok().unwrap();
        turns.issue(|| Ok::<_, ()>(())).unwrap().unwrap();
        turns.after(note(&seen, 2)).ok().unwrap();
        turns.after(note(&seen, 3)).ok().unwrap();
        assert!(turns.after(note(&seen, 4)).is_err());
        turns.finish();
        assert_eq!(*seen.lock().unwrap(), [0, 1]);
        turns.finish();
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3]);
        (0..3).for_each(|_| turns.issue(|| Ok::<_, ()>(())).unwrap().unwrap());
        assert!(turns.issue(|| Ok::<_, ()>(())).is_none());
        turns.after(note(&seen, 5)).ok().unwrap();
        turns.give_up(5);
        assert_eq!(seen.lock().unwrap().last(), Some(&5));
        turns.issue(|| Ok::<_, ()>(())).unwrap().unwrap();
        turns.after(note(&seen, 6)).ok().unwrap();
        turns.close();
        assert_eq!(seen.lock().unwrap().last(), Some(&6));
        turns.after(note(&seen, 7)).ok().unwrap();
        assert_eq!(seen.lock().unwrap().last(), Some(&7));
    }
}
