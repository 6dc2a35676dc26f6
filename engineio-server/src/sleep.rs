//! Notices that the machine slept.
//!
//! The monotonic clock of most systems, by which the deadlines of the sessions go, stands still
//! meanwhile. One task per engine compares it with the wall clock now and then, so that the
//! sessions need not do it.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use engineio_parser::session::Clock;
use tokio::task::AbortHandle;

use crate::{
    config::WallClock,
    shared::{Shared, now},
};

/// How often the clocks are compared.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

/// How many sessions are told before other tasks get their turn.
const SESSIONS_PER_TURN: usize = 256;

/// Starts the task that tells the open sessions when the machine slept. The task ends if `open`
/// returns none, because the engine is gone.
pub(crate) fn watch(
    wall_clock: Option<Arc<WallClock>>,
    open: impl Fn() -> Option<Vec<Arc<Shared>>> + Send + 'static,
) -> AbortHandle {
    let compare = async move {
        // In the task, because the caller holds a lock while it starts the task, and the
        // application provides the wall clock. The system's clock, not tokio's: a virtual clock
        // would stand still while a slow test works.
        let mut clock = Clock::new(Instant::now(), wall_time(wall_clock.as_deref()));
        loop {
            tokio::time::sleep(CLOCK_CHECK).await;
            let before = clock.slept();
            if clock.update(Instant::now(), wall_time(wall_clock.as_deref())) {
                let slept = clock.slept().saturating_sub(before);
                tracing::debug!(target: "engineio::engine", ?slept, "the machine slept");
                let Some(sessions) = open() else { return };
                handle_sleep(sessions, slept).await;
            }
        }
    };
    tokio::spawn(compare).abort_handle()
}

/// Tells each session that the machine slept. Other tasks get their turns meanwhile.
async fn handle_sleep(sessions: Vec<Arc<Shared>>, slept: Duration) {
    for (index, shared) in sessions.into_iter().enumerate() {
        shared.with(|state| state.session.handle_sleep(now(), slept));
        if index % SESSIONS_PER_TURN == SESSIONS_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// Returns the time since 1970.
fn wall_time(clock: Option<&WallClock>) -> Duration {
    let time = clock.map_or_else(SystemTime::now, |clock| clock());
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
