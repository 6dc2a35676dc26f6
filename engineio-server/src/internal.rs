//! Internals for `socketio-server` and the simulation. Not part of the public API: most users would
//! misuse it, and it may change in any release.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Waker,
    time::Duration,
};

use crate::{
    Engine, EngineConfig, Handle, Stats, Transport, TurnLimits,
    shared::{Queued, wake},
};
pub use crate::{
    counters,
    listen::serve_stream,
    stats::counting::{Counter, Gauge, saturated},
};

/// The options of an engine that concern the protocol above it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// See [`EngineConfig::turn`].
    pub turn: TurnLimits,
    /// See [`EngineConfig::linger`].
    pub linger: Duration,
    /// How long it takes at most to detect a client that vanished: `ping_interval` plus
    /// `ping_timeout`.
    pub heartbeat: Duration,
    /// The limits of a session's outgoing queue.
    pub max_queued: Queued,
}

/// Returns the settings of a configuration.
pub fn settings(config: &EngineConfig) -> Settings {
    Settings {
        turn: config.turn,
        linger: config.linger,
        heartbeat: config.session.ping_interval + config.session.ping_timeout,
        max_queued: Queued {
            packets: config.session.max_queued_packets,
            bytes: config.session.max_queued_bytes,
        },
    }
}

/// Returns whether WebSocket messages may be compressed. If so, frames for many recipients should be
/// [shared](engineio_parser::internal::share).
#[cfg_attr(
    not(feature = "compression"),
    expect(unused_variables, reason = "nothing is compressed")
)]
pub fn compresses_messages(config: &EngineConfig) -> bool {
    #[cfg(feature = "compression")]
    return config.per_message_deflate.is_some();
    #[cfg(not(feature = "compression"))]
    false
}

/// Returns a function that reads the statistics of an engine without keeping it alive.
pub fn weak_stats(engine: &Engine) -> impl Fn() -> Option<Stats> + Send + Sync + use<> {
    let registry = Arc::downgrade(&engine.0.registry);
    move || registry.upgrade().map(|registry| registry.stats())
}

/// Makes clones of these frames share their compressed form. For broadcasts.
pub use engineio_parser::internal::share;
pub use engineio_parser::{
    internal::{OutgoingMessage, Refusal},
    session::Session,
};

/// Counts a message that the full queue of a session has refused.
pub fn count_refused(handle: &Handle) {
    handle.0.counters.refused.queue_full.one();
}

/// Runs `send` under the lock of a session, and then wakes the task that writes to the client. For
/// callers whose own state has to agree with the outgoing queue. `send` must be brief, and must not
/// use a handle.
#[inline]
pub fn send_with<R>(handle: &Handle, send: impl FnOnce(&mut Session) -> R) -> R {
    let (result, waker) = queue_with(handle, send);
    wake(waker);
    result
}

/// Like [`send_with`], but returns the waker instead of waking it. The frames may stay queued until
/// the caller wakes it. For callers that send to many sessions under their own lock and wake
/// afterwards.
#[inline]
pub fn queue_with<R>(handle: &Handle, send: impl FnOnce(&mut Session) -> R) -> (R, Option<Waker>) {
    let mut state = handle.0.lock();
    let result = send(&mut state.session);
    if !state.session.has_room() {
        handle.0.crowded.store(true, Relaxed);
    }
    let waker = match state.session.transport() {
        Transport::Polling => state.poll_to_wake(),
        _ => state.driver.take(),
    };
    (result, waker)
}

/// Returns whether the session accepts messages: it is neither closed nor closing.
pub fn is_open(handle: &Handle) -> bool {
    handle.0.lock().session.is_open()
}

/// Wakes the task that drives the connection, so that it polls its other futures.
pub fn wake_driver(handle: &Handle) {
    let waker = handle.0.lock().driver.take();
    wake(waker);
}
