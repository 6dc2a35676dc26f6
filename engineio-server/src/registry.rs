//! The sessions of an engine, by their id.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use engineio_parser::ByteString;
use tokio::sync::watch;

use crate::{config::EngineConfig, shared::Shared};

/// sid → session, and the options that all of them share.
pub(crate) struct Registry {
    pub(crate) config: EngineConfig,
    sessions: RwLock<HashMap<ByteString, Arc<Shared>>>,
    /// How many connections and closing WebSockets there are.
    busy: watch::Sender<usize>,
}

/// The registry, as something that is still at work holds it.
pub(crate) struct Busy(Arc<Registry>);

impl Busy {
    pub(crate) fn new(registry: &Arc<Registry>) -> Self {
        registry.busy.send_if_modified(|count| {
            *count += 1;
            false
        });
        Self(registry.clone())
    }
}

impl Clone for Busy {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Deref for Busy {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_if_modified(|count| {
            *count -= 1;
            *count == 0
        });
    }
}

impl Registry {
    pub(crate) fn new(config: EngineConfig) -> Self {
        Self { config, sessions: RwLock::default(), busy: watch::Sender::new(0) }
    }

    /// Waits until nothing is at work.
    pub(crate) async fn ended(&self) {
        // The sender lives in `self`.
        let _ = self.busy.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn get(&self, sid: &str) -> Option<Arc<Shared>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).get(sid).cloned()
    }

    pub(crate) fn insert(&self, shared: Arc<Shared>) {
        let sid = shared.sid().clone();
        self.sessions.write().unwrap_or_else(PoisonError::into_inner).insert(sid, shared);
    }

    pub(crate) fn remove(&self, sid: &str) {
        let removed = {
            let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
            let removed = sessions.remove(sid);
            // A wave of clients must not leave its table behind.
            if sessions.capacity() > 64 && sessions.len() < sessions.capacity() / 4 {
                let target = sessions.len() * 2;
                sessions.shrink_to(target);
            }
            removed
        };
        drop(removed);
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// A fresh session id: 15 bytes from the system's CSPRNG, which are 20 characters of base64url. Sticky load
/// balancers and sharded adapters rely on that length.
///
/// # Errors
///
/// The system has no randomness to give.
pub fn generate_sid() -> std::io::Result<ByteString> {
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
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
}
