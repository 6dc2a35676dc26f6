//! The clock, and one timer for all deadlines of a client.

use std::{
    future::Future,
    pin::Pin,
    task::Context,
    time::{Duration, Instant},
};

use tokio::time::Sleep;

/// Returns the current time. Follows tokio's virtual clock in tests.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A timer that exists only while there is a deadline.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Timer {
    /// Returns whether the timer has fired. If the deadline has moved to a later time, the timer
    /// still fires at the old one, and the caller checks its deadlines again.
    #[inline]
    pub(crate) fn poll(&mut self, next: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(next) = next else {
            if self.sleep.is_some() {
                *self = Self::default();
            }
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
