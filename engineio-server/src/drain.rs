//! Gradual shutdown of an engine.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    registry::Registry,
    shared::{Handle, Shared},
};

/// The result of [`Engine::drain`](crate::Engine::drain), as numbers of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Sessions that were open at the start.
    pub sessions: usize,
    /// Sessions that ended before the drain closed them.
    pub gone: usize,
    /// Sessions that were closed and sent their queues in time.
    pub closed: usize,
    /// Sessions that were cut off because their queues were not sent within `linger`.
    pub forced: usize,
    /// Sessions that still exist because their application has not polled its connection since.
    pub remaining: usize,
}

/// A session and the time at which it is closed.
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
        // Sessions that were cut off may still be sending their last packets.
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

/// Schedules the sessions: each gets an equal share of `duration` and closes at a random time
/// within its share.
fn turns(sessions: Vec<Arc<Shared>>, duration: Duration) -> Vec<Turn> {
    let start = Instant::now();
    let share = duration.div_f64(sessions.len().max(1) as f64);
    let mut jitter = vec![0; sessions.len()];
    // If this fails, the times are still spread evenly.
    let _ = getrandom::fill(&mut jitter);
    let turn = |(index, (shared, jitter)): (usize, (Arc<Shared>, u8))| Turn {
        at: start + share.mul_f64(index as f64 + f64::from(jitter) / 256.0),
        handle: Handle(shared),
        outcome: Outcome::Waiting,
    };
    sessions.into_iter().zip(jitter).enumerate().map(turn).collect()
}

/// Closes each session at its time, and cuts off those that do not end within `linger`.
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
