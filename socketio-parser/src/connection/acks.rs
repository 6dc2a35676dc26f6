//! Awaited acknowledgements and their deadlines.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use engineio_parser::internal::deadline;

use super::namespaces::Session;
use crate::{error::AckRefused, packet::AckId};

type Key = (Session, AckId);

/// The awaited acks. A connection that has never awaited one has no tables.
#[derive(Debug)]
pub(super) struct Acks<W>(Option<Box<Tables<W>>>);

/// Both tables have the same keys.
#[derive(Debug)]
struct Tables<W> {
    waiters: BTreeMap<Key, (Instant, W)>,
    deadlines: BTreeSet<(Instant, Key)>,
}

impl<W> Default for Tables<W> {
    fn default() -> Self {
        Self { waiters: BTreeMap::new(), deadlines: BTreeSet::new() }
    }
}

impl<W> Default for Acks<W> {
    fn default() -> Self {
        Self(None)
    }
}

impl<W> Acks<W> {
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |tables| tables.waiters.len())
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
        let tables = self.0.get_or_insert_default();
        if tables.waiters.contains_key(&key) {
            return Err((AckRefused::InUse, waiter));
        }
        let deadline = deadline(now, timeout);
        tables.deadlines.insert((deadline, key));
        tables.waiters.insert(key, (deadline, waiter));
        Ok(())
    }

    pub(super) fn remove(&mut self, session: Session, id: AckId) -> Option<W> {
        let key = (session, id);
        let tables = self.0.as_mut()?;
        let (deadline, waiter) = tables.waiters.remove(&key)?;
        tables.deadlines.remove(&(deadline, key));
        Some(waiter)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.as_ref()?.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<W> {
        let deadlines = &self.0.as_ref()?.deadlines;
        let (_, key) = deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        let (session, id) = *key;
        self.remove(session, id)
    }

    /// Removes the acks of one session of a namespace, lowest id first.
    pub(super) fn take_session(&mut self, session: Session) -> Vec<W> {
        let from = (session, AckId::from(0));
        let waiters = self.0.iter().flat_map(|tables| tables.waiters.range(from..));
        let keys: Vec<Key> =
            waiters.map(|(key, _)| *key).take_while(|(of, _)| *of == session).collect();
        keys.into_iter().filter_map(|(session, id)| self.remove(session, id)).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<W> {
        let tables = self.0.take().unwrap_or_default();
        tables.waiters.into_values().map(|(_, waiter)| waiter).collect()
    }
}
