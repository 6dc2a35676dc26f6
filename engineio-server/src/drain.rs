//! Gradual shutdown of an engine.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use engineio_parser::session::{CloseReason, Unsent};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    registry::Registry,
    shared::{Handle, Shared, now},
};

/// The result of [`Engine::drain`](crate::Engine::drain), as numbers of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainSummary {
    /// Sessions that were open at the start.
    pub sessions: usize,
    /// Sessions that ended before the drain closed them.
    pub gone: usize,
    /// Sessions that were closed and sent their queues in time.
    pub closed: usize,
    /// Sessions that ended before their queues were sent, because that took longer than
    /// [`linger`](crate::EngineConfig::linger).
    pub forced: usize,
    /// Sessions that were closed and still exist, because their application has not polled its
    /// [`Connection`](crate::Connection) since.
    pub remaining: usize,
}

/// A session and the time at which it is closed.
struct ScheduledClose {
    at: Instant,
    handle: Handle,
    outcome: Outcome,
}

#[derive(PartialEq)]
enum Outcome {
    Waiting,
    Closed,
    Forced,
}

/// Closes all sessions over `duration`.
pub(crate) async fn drain(registry: &Registry, duration: Duration) -> DrainSummary {
    let linger = registry.config.linger;
    let mut schedule = schedule(registry.close(), duration);
    let all = async {
        close_on_schedule(&mut schedule, linger).await;
        // Sessions that were cut off may still be sending their last packets.
        let _ = timeout(linger, registry.ended()).await;
    };
    tokio::select! {
        () = all => {}
        () = registry.ended() => {}
    }
    let count = |outcome| schedule.iter().filter(|close| close.outcome == outcome).count();
    let drained = DrainSummary {
        sessions: schedule.len(),
        gone: count(Outcome::Waiting),
        closed: count(Outcome::Closed),
        forced: count(Outcome::Forced),
        remaining: registry.len(),
    };
    tracing::debug!(target: "engineio::engine", ?drained, "the engine was drained");
    drained
}

/// Schedules the sessions: each gets an equal share of `duration` and closes at a random time
/// within its share.
fn schedule(sessions: Vec<Arc<Shared>>, duration: Duration) -> Vec<ScheduledClose> {
    let start = Instant::now();
    let share = duration.div_f64(sessions.len().max(1) as f64);
    let mut jitter = vec![0; sessions.len()];
    // If this fails, the times are still spread evenly.
    let _ = getrandom::fill(&mut jitter);
    let close = |(index, (shared, jitter)): (usize, (Arc<Shared>, u8))| ScheduledClose {
        at: start + share.mul_f64(index as f64 + (f64::from(jitter) + 0.5) / 256.0),
        handle: Handle(shared),
        outcome: Outcome::Waiting,
    };
    sessions.into_iter().zip(jitter).enumerate().map(close).collect()
}

/// Closes each session at its time, and cuts off those that do not end within `linger`.
async fn close_on_schedule(schedule: &mut [ScheduledClose], linger: Duration) {
    let mut closing = VecDeque::new();
    let mut waiting = schedule.iter_mut().peekable();
    loop {
        let next = waiting.peek().map(|close| close.at);
        let cut = closing.front().map(|close: &&mut ScheduledClose| close.at + linger);
        let Some(due) = next.into_iter().chain(cut).min() else { return };
        sleep_until(due).await;
        while let Some(close) = waiting.next_if(|close| close.at <= due) {
            if !close.handle.is_closed() {
                close.outcome = Outcome::Closed;
                close.handle.0.with(|state| {
                    state.session.close(now(), CloseReason::ForcedClose, Unsent::Send);
                    // The drain cuts the session off earlier, unless it is dropped.
                    state.session.close_within(now(), linger.saturating_mul(2));
                });
                closing.push_back(close);
            }
        }
        while closing.front().is_some_and(|close| close.at + linger <= due) {
            if let Some(close) = closing.pop_front()
                && !close.handle.is_closed()
            {
                close.outcome = Outcome::Forced;
                close.handle.close(Unsent::Discard);
            }
        }
    }
}
