//! Changes of a session in an engine without transactions over several commands: a node reads the
//! session, and replaces it only if it is still the one that was read.

use super::{SavedSession, TakeOutcome};

/// How often a session is replaced that other nodes replace at the same time.
const ATTEMPTS: usize = 8;

/// A session as it was read.
#[derive(Debug)]
pub struct StoredSession<V, E> {
    /// Tells the stored session from those before and after it.
    pub version: V,
    /// The session. `None` if it was taken out or has expired; an error if it is malformed.
    pub session: Result<Option<SavedSession>, E>,
}

/// The result of [`CompareAndSet::find`].
pub type Found<V, E> = Result<Option<StoredSession<V, E>>, E>;

/// The sessions of one namespace in an engine that replaces a session only if it has not changed.
///
/// The provided methods do what a [`SessionStore`](super::SessionStore) must do.
pub trait CompareAndSet: Sync {
    /// The version of a stored session.
    type Version: Send;
    /// An error of the engine, or of a malformed session.
    type Error: Send;

    /// Reads a session.
    fn find(&self, pid: &str) -> impl Future<Output = Found<Self::Version, Self::Error>> + Send;

    /// Takes out the session that was read. Returns false if another node has changed it in the
    /// meantime.
    fn delete(
        &self,
        pid: &str,
        old: Self::Version,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Stores a session, unless a later one is stored. A malformed one is replaced. `stored` is the
    /// one that was read before, or `None` if none is expected. `replace` stores the session instead
    /// of the given version and returns false if another node has changed it in the meantime.
    ///
    /// Returns false if other nodes changed the session all the time.
    fn write<F>(
        &self,
        mut stored: Option<StoredSession<Self::Version, Self::Error>>,
        session: &SavedSession,
        mut replace: impl FnMut(Option<Self::Version>) -> F + Send,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send
    where
        F: Future<Output = Result<bool, Self::Error>> + Send,
        Self: Sized,
    {
        async move {
            for _ in 0..ATTEMPTS {
                if let Some(Ok(Some(later))) = stored.as_ref().map(|stored| &stored.session)
                    && later.epoch > session.epoch
                {
                    return Ok(true);
                }
                let version = stored.map(|stored| stored.version);
                if replace(version).await? {
                    return Ok(true);
                }
                stored = self.find(&session.pid).await?;
            }
            Ok(false)
        }
    }

    /// Takes a session out if `outcome` decides that it is a [`TakeOutcome::Session`].
    fn claim(
        &self,
        pid: &str,
        outcome: impl Fn(SavedSession) -> TakeOutcome + Send,
    ) -> impl Future<Output = Result<TakeOutcome, Self::Error>> + Send
    where
        Self: Sized,
    {
        async move {
            for _ in 0..ATTEMPTS {
                let Some(StoredSession { version, session }) = self.find(pid).await? else { break };
                let Some(session) = session? else { break };
                let outcome = outcome(session);
                if !matches!(outcome, TakeOutcome::Session(_)) || self.delete(pid, version).await? {
                    return Ok(outcome);
                }
            }
            Ok(TakeOutcome::Missing)
        }
    }

    /// Removes a session, unless it is malformed or of a later epoch.
    fn remove(&self, pid: &str, epoch: u64) -> impl Future<Output = Result<(), Self::Error>> + Send
    where
        Self: Sized,
    {
        async move {
            for _ in 0..ATTEMPTS {
                match self.find(pid).await? {
                    Some(StoredSession { version, session: Ok(Some(session)) })
                        if session.epoch <= epoch =>
                    {
                        if self.delete(pid, version).await? {
                            break;
                        }
                    }
                    _ => break,
                }
            }
            Ok(())
        }
    }
}
