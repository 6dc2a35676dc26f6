//! The clock, and one timer for all deadlines of a connection.

use std::{
    future::Future,
    pin::Pin,
    task::Context,
    time::{Duration, Instant},
};

use engineio_parser::internal::deadline;
use tokio::time::Sleep;

/// The current time. It follows tokio's virtual clock in tests.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The instant `timeout` from now.
pub(crate) fn after(timeout: Duration) -> Instant {
    deadline(now(), timeout)
}

/// A timer that exists only while there is a deadline.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Timer {
    /// Returns whether the timer fired. It may fire early, as it is not reset for a later deadline.
    pub(crate) fn poll(&mut self, next: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(next) = next else {
            *self = Self::default();
            return false;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::ZERO)));
        if self.armed.is_none_or(|armed| next < armed) {
            self.armed = Some(next);
            sleep.as_mut().reset(next.into());
        }
        let fired = sleep.as_mut().poll(cx).is_ready();
        if fired {
            self.armed = None;
        }
        fired
    }
}
