//! Connection state recovery: the state that a namespace and a socket keep for it.

mod catch_up;
mod claim;
mod engine_log;
mod log;
mod session_transfer;
mod socket;

pub(crate) use claim::{Claim, Restored, ReturningSocket};
pub(crate) use engine_log::EngineLog;
pub(crate) use log::{LogOffset, RecoveryLog, SessionState};
pub(crate) use socket::Recoverable;

/// Runs a function when it is dropped. Until then it keeps a namespace from being removed, or rooms
/// from being given up.
#[derive(Default)]
pub(crate) struct Lease(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Lease {
    pub(crate) fn new(release: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(release)))
    }

    /// Hands the responsibility to the caller: the function is not run.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

/// The result of resuming a client's session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    Done,
    /// The connection was lost again.
    Lost,
    /// Some missed events are no longer stored, or they exceed the client's queue.
    Impossible,
}
