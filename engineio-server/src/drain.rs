//! The gentle end of an engine.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    registry::Registry,
    shared::{Handle, Shared},
};

/// How an [`Engine::drain`](crate::Engine::drain) went, in sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Were open when it began.
    pub sessions: usize,
    /// Ended before their turn came.
    pub gone: usize,
    /// Were closed, and took what was queued in time.
    pub closed: usize,
    /// Were cut off: they did not take what was queued within `linger`.
    pub forced: usize,
    /// Are there still: their application has not looked at its connection since.
    pub remaining: usize,
}

/// One session's part of a drain.
struct Turn {
    at: Instant,
    handle: Handle,
    outcome: Outcome,
}

#[derive(PartialEq)]
enum Outcome {
    Waiting,
    Told,
    Forced,
}

/// Closes all sessions over `duration`.
pub(crate) async fn drain(registry: &Registry, duration: Duration) -> Drained {
    let linger = registry.config.linger;
    let mut turns = turns(registry.shut(), duration);
    let all = async {
        take_turns(&mut turns, linger).await;
        // What was cut off may still be at its last words.
        let _ = timeout(linger, registry.ended()).await;
    };
    tokio::select! {
        () = all => {}
        () = registry.ended() => {}
    }
    let count = |outcome| turns.iter().filter(|turn| turn.outcome == outcome).count();
    let drained = Drained {
        sessions: turns.len(),
        gone: count(Outcome::Waiting),
        closed: count(Outcome::Told),
        forced: count(Outcome::Forced),
        remaining: registry.len(),
    };
    tracing::debug!(target: "engineio::engine", ?drained, "drained");
    drained
}

/// One share of the time for each session, and in it a random moment: evenly spread, in step with nothing.
fn turns(sessions: Vec<Arc<Shared>>, duration: Duration) -> Vec<Turn> {
    let start = Instant::now();
    let share = duration.div_f64(sessions.len().max(1) as f64);
    let mut jitter = vec![0; sessions.len()];
    // Without randomness the ends are spread all the same.
    let _ = getrandom::fill(&mut jitter);
    let turn = |(index, (shared, jitter)): (usize, (Arc<Shared>, u8))| Turn {
        at: start + share.mul_f64(index as f64 + f64::from(jitter) / 256.0),
        handle: Handle(shared),
        outcome: Outcome::Waiting,
    };
    sessions.into_iter().zip(jitter).enumerate().map(turn).collect()
}

/// Tells each session when its turn comes, and cuts off those that take longer than `linger` after it.
async fn take_turns(turns: &mut [Turn], linger: Duration) {
    let mut told = VecDeque::new();
    let mut waiting = turns.iter_mut().peekable();
    loop {
        let next = waiting.peek().map(|turn| turn.at);
        let cut = told.front().map(|turn: &&mut Turn| turn.at + linger);
        let Some(now) = next.into_iter().chain(cut).min() else { return };
        sleep_until(now).await;
        while let Some(turn) = waiting.next_if(|turn| turn.at <= now) {
            if !turn.handle.is_closed() {
                turn.outcome = Outcome::Told;
                turn.handle.close(false);
                told.push_back(turn);
            }
        }
        while told.front().is_some_and(|turn| turn.at + linger <= now) {
            if let Some(turn) = told.pop_front()
                && !turn.handle.is_closed()
            {
                turn.outcome = Outcome::Forced;
                turn.handle.close(true);
            }
        }
    }
}
