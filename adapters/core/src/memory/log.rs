//! The log of a cluster in memory, with its sessions.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use bytestring::ByteString;
use engineio_parser::internal::deadline;
use socketio_parser::Nsp;

use crate::{
    error::AdapterError,
    internal::is_event,
    limits::ClusterLimits,
    message::{Message, NodeId},
    recovery::{MissedEvent, Offset, Page, PageSize, SavedSession, TakeOutcome},
};

/// Limits of the log of a [`MemoryCluster`](super::MemoryCluster).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLog {
    /// Number of broadcasts, over all namespaces (default 10 000). The oldest are dropped first.
    pub max_entries: usize,
    /// Number of sessions (default 10 000). The one that expires first is dropped first.
    pub max_sessions: usize,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self { max_entries: 10_000, max_sessions: 10_000 }
    }
}

pub(super) struct Log {
    limits: MemoryLog,
    pub(super) clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    sessions: HashMap<ByteString, StoredSession>,
}

struct Entry {
    nsp: Nsp,
    wire: Bytes,
}

struct StoredSession {
    wire: Bytes,
    until: Instant,
}

impl Log {
    pub(super) fn new(limits: MemoryLog, clock: Arc<dyn Fn() -> Instant + Send + Sync>) -> Self {
        let (entries, sessions) = (VecDeque::new(), HashMap::new());
        Self { limits, clock, entries, first: 1, sessions }
    }

    /// Appends a message if it belongs into the log. Returns its offset.
    pub(super) fn append(&mut self, message: &Message, wire: &Bytes) -> Option<Offset> {
        if !is_event(&message.body) {
            return None;
        }
        self.entries.push_back(Entry { nsp: message.nsp.clone(), wire: wire.clone() });
        let offset = format!("{}-0", self.end()).into();
        self.trim(self.limits.max_entries);
        Some(offset)
    }

    /// Drops all entries except the latest `entries`.
    pub(super) fn trim(&mut self, entries: usize) {
        while self.entries.len() > entries {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn persist(&mut self, now: Instant, session: &SavedSession, ttl: Duration) {
        self.sessions.retain(|_, stored| now < stored.until);
        if self.epoch(&session.pid).is_some_and(|stored| stored > session.epoch) {
            return;
        }
        let stored = StoredSession { wire: session.to_msgpack(), until: deadline(now, ttl) };
        self.sessions.insert(session.pid.clone(), stored);
        if self.sessions.len() > self.limits.max_sessions {
            let first = self.sessions.iter().min_by_key(|(_, stored)| stored.until);
            if let Some(pid) = first.map(|(pid, _)| pid.clone()) {
                self.sessions.remove(&pid);
            }
        }
    }

    /// Returns the epoch of a stored session.
    fn epoch(&self, pid: &str) -> Option<u64> {
        let stored = self.sessions.get(pid)?;
        let session = SavedSession::from_msgpack(&stored.wire, &ClusterLimits::default());
        Some(session.map_or(0, |session| session.epoch))
    }

    pub(super) fn forget(&mut self, pid: &str, epoch: u64) {
        if self.epoch(pid).is_some_and(|stored| stored <= epoch) {
            self.sessions.remove(pid);
        }
    }

    pub(super) fn take(
        &mut self,
        now: Instant,
        nsp: &Nsp,
        (pid, offset): (&str, &str),
        gone: Option<&NodeId>,
    ) -> Result<TakeOutcome, AdapterError> {
        let known = number(offset).is_some_and(|at| at >= self.first && at <= self.end());
        let stored = self.sessions.get(pid).filter(|stored| known && now < stored.until);
        let Some(stored) = stored else { return Ok(TakeOutcome::Missing) };
        let session = SavedSession::from_msgpack(&stored.wire, &ClusterLimits::default())?;
        let outcome = session.claimed(nsp, gone);
        if let TakeOutcome::Session(_) = outcome {
            self.sessions.remove(pid);
        }
        Ok(outcome)
    }

    pub(super) fn missed(
        &self,
        nsp: &Nsp,
        offset: &Offset,
        size: PageSize,
    ) -> Result<Page, AdapterError> {
        let after = number(offset).filter(|after| after.saturating_add(1) >= self.first);
        let after = after.ok_or_else(|| AdapterError::Engine("the log was trimmed".into()))?;
        let mut page = Page { events: Vec::new(), end: offset.clone(), has_more: false };
        let mut bytes = 0_usize;
        let numbered = self.entries.iter().zip(self.first..);
        for (entry, at) in numbered.skip_while(|(_, at)| *at <= after) {
            bytes += entry.wire.len();
            let full = page.events.len() >= size.packets || bytes > size.bytes;
            if full && page.end != *offset {
                page.has_more = true;
                break;
            }
            page.end = format!("{at}-0").into();
            if entry.nsp != *nsp {
                continue;
            }
            let message = Message::decode(&entry.wire, &ClusterLimits::default())?;
            page.events.extend(MissedEvent::new(message, page.end.clone()));
        }
        Ok(page)
    }

    /// Returns the number of the last entry.
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }
}

/// Parses an offset. Offsets have the form of Redis stream ids, which is not the form of a number.
pub(super) fn number(offset: &str) -> Option<u64> {
    offset.strip_suffix("-0")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_offset_does_not_overflow() {
        let log = Log::new(MemoryLog::default(), Arc::new(Instant::now));
        let last = Offset::from(format!("{}-0", u64::MAX));
        let size = PageSize { packets: 1, bytes: 1 };
        let page = log.missed(&Nsp::root(), &last, size).unwrap();
        assert!(page.events.is_empty() && !page.has_more);
    }
}
