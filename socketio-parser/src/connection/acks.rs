//! Awaited acknowledgements and their deadlines.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use engineio_parser::internal::deadline;

use super::namespaces::Session;
use crate::{error::AckRefused, packet::AckId};

type Key = (Session, AckId);

/// The awaited acks. Both tables have the same keys. Empty tables use no memory.
#[derive(Debug)]
pub(super) struct Acks<W> {
    waiters: BTreeMap<Key, (Instant, W)>,
    deadlines: BTreeSet<(Instant, Key)>,
}

impl<W> Default for Acks<W> {
    fn default() -> Self {
        Self { waiters: BTreeMap::new(), deadlines: BTreeSet::new() }
    }
}

impl<W> Acks<W> {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn insert(
        &mut self,
        session: Session,
        id: AckId,
        now: Instant,
        timeout: Duration,
        waiter: W,
    ) -> Result<(), (AckRefused, W)> {
        let key = (session, id);
        if self.waiters.contains_key(&key) {
            return Err((AckRefused::InUse, waiter));
        }
        let deadline = deadline(now, timeout);
        self.deadlines.insert((deadline, key));
        self.waiters.insert(key, (deadline, waiter));
        Ok(())
    }

    pub(super) fn remove(&mut self, session: Session, id: AckId) -> Option<W> {
        let key = (session, id);
        let (deadline, waiter) = self.waiters.remove(&key)?;
        self.deadlines.remove(&(deadline, key));
        Some(waiter)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<W> {
        let (_, key) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        let (session, id) = *key;
        self.remove(session, id)
    }

    /// Removes the acks of one session of a namespace, lowest id first.
    pub(super) fn take_session(&mut self, session: Session) -> Vec<W> {
        let from = (session, AckId::from(0));
        let keys: Vec<Key> = self
            .waiters
            .range(from..)
            .map(|(key, _)| *key)
            .take_while(|(of, _)| *of == session)
            .collect();
        keys.into_iter().filter_map(|(session, id)| self.remove(session, id)).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<W> {
        self.deadlines.clear();
        std::mem::take(&mut self.waiters).into_values().map(|(_, waiter)| waiter).collect()
    }
}
