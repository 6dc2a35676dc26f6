//! Items that the crates of this workspace share. Other crates must not use them: they may change
//! in any release.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::message::Body;

/// Locks a mutex and ignores poisoning: the guarded data is consistent at every await and call.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the timeout that is set if an application asks for `timeout`. Zero counts as a
/// millisecond, as with Node's timers, because nothing succeeds within no time. At most 100 years,
/// so that no deadline overflows if [`Duration::MAX`] stands for no limit.
pub fn bounded_timeout(timeout: Duration) -> Duration {
    timeout.clamp(Duration::from_millis(1), Duration::from_secs(100 * 365 * 86_400))
}

/// Returns whether a message is an event that requests no ack. Of the messages in a log, a node
/// gets only these back.
pub fn is_event(body: &Body) -> bool {
    matches!(body, Body::Broadcast { request: None, .. })
}

/// Returns whether a message goes into a log. Requests, replies and volatile events do not.
pub fn is_logged(body: &Body) -> bool {
    match body {
        Body::Broadcast { selection, request: None, .. } => !selection.flags.volatile,
        Body::SocketsJoin { .. } | Body::SocketsLeave { .. } | Body::DisconnectSockets { .. } => {
            true
        }
        _ => false,
    }
}
