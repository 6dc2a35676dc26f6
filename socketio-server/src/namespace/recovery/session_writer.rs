//! Crash-safe sessions: the sessions of connected clients are in the store too, each with its
//! owner, so that any node can restore them after their node was killed.
//!
//! One task per namespace writes the sessions that have changed, in batches with a pause between
//! them. When a socket ends, its session is stored or removed after the batch that may contain it.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use socketio_adapter::recovery::{RefusedSession, SavedSession};
use tokio::{
    runtime::Handle,
    sync::{Notify, RwLock, RwLockReadGuard},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    namespace::{
        NamespaceInner,
        cluster::Membership,
        recovery::{engine_log::EngineLog, session_transfer::in_time},
    },
    socket::inner::SocketInner,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU8},
        lock,
    },
};

/// Largest number of sessions in a batch.
const BATCH: usize = 512;

/// Pause after a batch. Changes of a session in the meantime are written once.
const PAUSE: Duration = Duration::from_millis(50);

/// Pause after the store has failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The sessions of connected clients that have to be written to the store.
pub(super) struct SessionWriter {
    changed: Mutex<Vec<Weak<SocketInner>>>,
    /// Notified when a session has changed, and when the namespace is dropped.
    due: Arc<Notify>,
    started: AtomicBool,
    /// Held exclusively while a batch is written.
    batch: RwLock<()>,
}

/// Whether the session of a socket is in the store.
#[derive(Default)]
pub(super) struct Written {
    state: AtomicU8,
    /// The store refused the session at the last attempt.
    refused: AtomicBool,
}

const NEVER: u8 = 0;
const CHANGED: u8 = 1;
const WRITTEN: u8 = 2;

impl Written {
    /// The session of a recovered socket is in the store from the beginning.
    pub(super) fn from_start() -> Self {
        Self { state: AtomicU8::new(WRITTEN), ..Self::default() }
    }

    /// Returns whether the session is, or will be, in the store.
    pub(super) fn ever(&self) -> bool {
        self.state.load(Ordering::Acquire) != NEVER
    }
}

impl SessionWriter {
    pub(super) fn new() -> Self {
        let (changed, started) = (Mutex::default(), AtomicBool::new(false));
        Self { changed, due: Arc::default(), started, batch: RwLock::default() }
    }

    /// Waits until no batch is being written. None begins before the returned guard is dropped.
    pub(super) async fn between_batches(&self) -> RwLockReadGuard<'_, ()> {
        self.batch.read().await
    }

    /// Records that the session of a connected socket has changed.
    pub(super) fn session_changed(&self, socket: &Arc<SocketInner>) {
        let Some(recoverable) = socket.recoverable.as_deref() else { return };
        if !socket.is_connected()
            || recoverable.written.state.swap(CHANGED, Ordering::AcqRel) == CHANGED
        {
            return;
        }
        lock(&self.changed).push(Arc::downgrade(socket));
        self.due.notify_one();
        if !self.started.load(Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
            && !self.started.swap(true, Ordering::AcqRel)
        {
            let namespace = Arc::downgrade(&socket.namespace.0);
            runtime.spawn(run(namespace, self.due.clone()));
        }
    }

    /// Writes the sessions that have changed, at most one batch. Returns whether the store has
    /// accepted them, and whether more are waiting.
    pub(super) async fn write_batch(
        &self,
        engine: &EngineLog,
        membership: &Membership,
    ) -> (bool, bool) {
        let Some(store) = membership.store().await else { return (true, false) };
        let _exclusive = self.batch.write().await;
        let sockets: Vec<_> = {
            let mut changed = lock(&self.changed);
            let count = changed.len().min(BATCH);
            changed.drain(..count).collect()
        };
        let sockets: Vec<_> = sockets.iter().filter_map(Weak::upgrade).collect();
        let sessions: Vec<_> =
            sockets.iter().filter_map(|socket| session_to_write(engine, socket)).collect();
        if !sessions.is_empty() {
            let ttl = engine.stored_lifetime();
            let stored = in_time(membership.request_timeout(), store.persist_all(sessions, ttl));
            let refused = match stored.await {
                Ok(refused) => refused,
                Err(error) => {
                    tracing::warn!(target: "socketio::namespace", nsp = %membership.nsp(), %error, "sessions of connected clients could not be stored");
                    sockets.iter().for_each(|socket| self.session_changed(socket));
                    // Sockets that have ended meanwhile must not wait for the store's recovery.
                    lock(&self.changed).retain(|socket| socket.strong_count() > 0);
                    return (false, true);
                }
            };
            note_refused(&sockets, &refused, membership);
        }
        (true, !lock(&self.changed).is_empty())
    }
}

/// Warns about each session that the store refuses, unless it refused the session before. Such a
/// session is written again only after another change.
fn note_refused(sockets: &[Arc<SocketInner>], refused: &[RefusedSession], membership: &Membership) {
    let refused: HashMap<_, _> = refused.iter().map(|it| (&it.pid, &it.error)).collect();
    for recoverable in sockets.iter().filter_map(|socket| socket.recoverable.as_deref()) {
        let error = refused.get(recoverable.pid());
        let before = recoverable.written.refused.swap(error.is_some(), Ordering::Relaxed);
        if let Some(error) = error.filter(|_| !before) {
            tracing::warn!(target: "socketio::namespace", nsp = %membership.nsp(), %error, "the session of a connected client cannot be stored");
        }
    }
}

impl Drop for SessionWriter {
    fn drop(&mut self) {
        self.due.notify_one();
    }
}

fn session_to_write(engine: &EngineLog, socket: &SocketInner) -> Option<SavedSession> {
    let recoverable = socket.recoverable.as_deref()?;
    recoverable.written.state.store(WRITTEN, Ordering::Release);
    if !socket.is_connected() {
        return None;
    }
    Some(engine.session_of(socket, recoverable.pid().clone()))
}

impl EngineLog {
    /// How long the session of a connected client stays stored. It is renewed well before it could
    /// expire within `max_disconnection_duration`.
    pub(super) fn stored_lifetime(&self) -> Duration {
        let lifetime = self.session_lifetime();
        lifetime.saturating_add(2 * renewal_interval(lifetime))
    }
}

fn renewal_interval(max_disconnection_duration: Duration) -> Duration {
    (max_disconnection_duration / 2).clamp(Duration::from_secs(1), Duration::from_secs(3600))
}

/// Writes sessions until the namespace is dropped.
async fn run(namespace: Weak<NamespaceInner>, due: Arc<Notify>) {
    let mut renewed = Instant::now();
    loop {
        let Some(namespace) = namespace.upgrade() else { return };
        let Some(engine) = namespace.delivery.engine_log() else { return };
        let interval = renewal_interval(engine.session_lifetime());
        // Also while other sessions change all the time.
        if renewed.elapsed() >= interval {
            renewed = Instant::now();
            engine.log().sockets().all().iter().for_each(|socket| engine.session_changed(socket));
        }
        let (accepted, more) = engine.writer().write_batch(engine, engine.membership()).await;
        drop(namespace);
        sleep(if accepted { PAUSE } else { PAUSE_AFTER_FAILURE }).await;
        if !more {
            tokio::select! {
                () = due.notified() => {}
                () = sleep_until(renewed + interval) => {}
            }
        }
    }
}
