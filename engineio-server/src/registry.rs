//! The open sessions of an engine.

use std::{
    borrow::Borrow,
    cell::RefCell,
    collections::HashSet,
    hash::{Hash, Hasher},
    mem,
    ops::Deref,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use engineio_parser::ByteString;
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    config::EngineConfig,
    error::{Refused, RequestError},
    shared::Shared,
    sleep,
    stats::{Counters, Stats},
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, read, write},
    unauthenticated::Unauthenticated,
};

/// Maps session ids to sessions. Also holds what all sessions share.
pub(crate) struct Registry {
    pub(crate) config: EngineConfig,
    pub(crate) counters: Arc<Counters>,
    sessions: RwLock<Sessions>,
    /// The number of connections and closing WebSockets.
    active: watch::Sender<usize>,
    pub(crate) unauthenticated: Arc<Unauthenticated>,
}

#[derive(Default)]
struct Sessions {
    by_sid: HashSet<BySid>,
    /// Whether new sessions are refused. Guarded by the lock, so that a caller that sets it sees
    /// all sessions.
    closed: bool,
    /// The task that notices when the machine slept. It runs while there are sessions.
    sleep_watch: Option<AbortHandle>,
}

/// A session, found by its id. A map would store the id a second time.
struct BySid(Arc<Shared>);

impl Borrow<str> for BySid {
    fn borrow(&self) -> &str {
        self.0.sid()
    }
}

impl Hash for BySid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(self.borrow(), state);
    }
}

impl PartialEq for BySid {
    fn eq(&self, other: &Self) -> bool {
        self.0.sid() == other.0.sid()
    }
}

impl Eq for BySid {}

impl Sessions {
    fn has_room(&self, max: usize) -> Result<(), RequestError> {
        if self.by_sid.len() < max { Ok(()) } else { Err(RequestError::SessionLimit) }
    }

    fn all(&self) -> Vec<Arc<Shared>> {
        self.by_sid.iter().map(|session| session.0.clone()).collect()
    }
}

/// A reference to the registry that counts its owner as active. [`Registry::ended`] waits for it.
pub(crate) struct ActiveGuard(Arc<Registry>);

impl ActiveGuard {
    pub(crate) fn new(registry: &Arc<Registry>) -> Self {
        registry.active.send_if_modified(|count| {
            *count += 1;
            false
        });
        Self(registry.clone())
    }
}

impl Clone for ActiveGuard {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Deref for ActiveGuard {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.0
    }
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.0.active.send_if_modified(|count| {
            *count -= 1;
            *count == 0
        });
    }
}

impl Registry {
    pub(crate) fn new(config: EngineConfig) -> Self {
        Self {
            config,
            counters: Arc::default(),
            sessions: RwLock::default(),
            active: watch::Sender::new(0),
            unauthenticated: Arc::default(),
        }
    }

    /// Waits until no connection or closing WebSocket is left.
    pub(crate) async fn ended(&self) {
        // The sender lives in `self`.
        let _ = self.active.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn get(&self, sid: &str) -> Option<Arc<Shared>> {
        self.read().by_sid.get(sid).map(|session| session.0.clone())
    }

    /// Checks whether another session may be opened.
    ///
    /// # Errors
    ///
    /// Returns an error if there are already `max_sessions`.
    pub(crate) fn has_room(&self) -> Result<(), RequestError> {
        self.read().has_room(self.config.max_sessions)
    }

    /// Adds a session. Refuses it if its id is in use, there are `max_sessions`, or the engine is
    /// closed.
    pub(crate) fn insert(self: &Arc<Self>, shared: Arc<Shared>) -> Result<(), Refused> {
        let mut sessions = self.write();
        if sessions.closed {
            return Err(RequestError::ShuttingDown.into());
        }
        sessions.has_room(self.config.max_sessions)?;
        if sessions.by_sid.contains(&**shared.sid()) {
            return Err(Refused::id_taken());
        }
        sessions.by_sid.insert(BySid(shared));
        // The runtime of the former task may have ended.
        if sessions.sleep_watch.as_ref().is_none_or(AbortHandle::is_finished) {
            let registry = Arc::downgrade(self);
            let open = move || Some(registry.upgrade()?.open());
            let wall_clock = self.config.hooks.wall_clock.clone();
            sessions.sleep_watch = Some(sleep::watch(wall_clock, open));
        }
        Ok(())
    }

    /// The open sessions. The table is not locked while they are.
    pub(crate) fn open(&self) -> Vec<Arc<Shared>> {
        self.read().all()
    }

    pub(crate) fn remove(&self, sid: &str) {
        let (removed, unused_watch) = {
            let Sessions { by_sid, sleep_watch, .. } = &mut *self.write();
            let removed = by_sid.take(sid);
            let unused_watch = if by_sid.is_empty() { sleep_watch.take() } else { None };
            // Frees the memory that a peak of clients needed.
            if by_sid.capacity() > 64 && by_sid.len() < by_sid.capacity() / 4 {
                by_sid.shrink_to(by_sid.len() * 2);
            }
            (removed, unused_watch)
        };
        drop(removed);
        if let Some(watch) = unused_watch {
            watch.abort();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.read().by_sid.len()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats { at_work: *self.active.borrow() as u64, ..Stats::default() };
        for shared in self.open() {
            let session = &mut shared.lock().session;
            self.counters.add_traffic(session.take_traffic());
            stats.add_session(session);
        }
        stats.add_counters(&self.counters);
        stats
    }

    /// Refuses new sessions from now on. Returns the open ones.
    pub(crate) fn close(&self) -> Vec<Arc<Shared>> {
        let mut sessions = self.write();
        sessions.closed = true;
        sessions.all()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.read().closed
    }

    fn read(&self) -> RwLockReadGuard<'_, Sessions> {
        read(&self.sessions)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Sessions> {
        write(&self.sessions)
    }
}

thread_local! {
    static RANDOM_IDS: RefCell<RandomIds> =
        const { RefCell::new(RandomIds { bytes: [[0; 15]; 16], left: 0 }) };
}

/// Random bytes for the next ids, read several at a time because the system call takes longer than
/// the rest. The sessions of a thread share them.
struct RandomIds {
    bytes: [[u8; 15]; 16],
    left: usize,
}

impl RandomIds {
    fn next(&mut self) -> std::io::Result<[u8; 15]> {
        if self.left == 0 {
            getrandom::fill(self.bytes.as_flattened_mut()).map_err(std::io::Error::other)?;
            self.left = self.bytes.len();
        }
        self.left -= 1;
        let id = self.bytes.get_mut(self.left).map(mem::take);
        id.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// Generates a session id: 15 bytes from the operating system's CSPRNG as 20 characters of
/// base64url. Sticky load balancers and sharded adapters rely on this length. Each thread reads the
/// bytes of 16 ids at once.
///
/// # Errors
///
/// Returns an error if the operating system provides no randomness.
pub fn generate_sid() -> std::io::Result<ByteString> {
    let bytes = RANDOM_IDS.with_borrow_mut(RandomIds::next)?;
    let mut sid = [0; 20];
    URL_SAFE_NO_PAD.encode_slice(bytes, &mut sid).map_err(std::io::Error::other)?;
    // One allocation, of less memory than a string and the reference count of its clones.
    Bytes::from_owner(sid).try_into().map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_have_the_length_that_balancers_assume() {
        let (one, two) = (generate_sid().unwrap(), generate_sid().unwrap());
        assert_eq!(one.len(), 20);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_ne!(one, two);
    }

    /// A counter, a time stamp or a constant in the id would fix some bits or repeat ids.
    #[test]
    fn every_bit_of_a_session_id_is_random() {
        let mut ones = [0_u32; 120];
        let mut distinct = HashSet::new();
        for _ in 0..4096 {
            let sid = generate_sid().unwrap();
            for (at, byte) in URL_SAFE_NO_PAD.decode(&*sid).unwrap().into_iter().enumerate() {
                for bit in 0..8 {
                    ones[at * 8 + bit] += u32::from(byte >> bit & 1);
                }
            }
            assert!(distinct.insert(sid), "an id was repeated");
        }
        // Eight standard deviations from one half.
        assert!(ones.iter().all(|ones| (1792..=2304).contains(ones)), "{ones:?}");
    }
}
