//! The other nodes of the cluster.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use engineio_parser::internal::deadline;

use crate::{
    adapter::{Discovery, Heartbeats},
    message::NodeId,
};

/// The other nodes, if they are known by heartbeats.
#[derive(Debug)]
pub(super) struct Peers {
    heartbeats: Option<Heartbeats>,
    limit: usize,
    /// When each node was last heard.
    last_heard: HashMap<NodeId, Instant>,
    /// When the next heartbeat and the next check of the others are due. `None` before joining.
    next: Option<(Instant, Instant)>,
}

/// The shortest interval and timeout.
const SHORTEST: Duration = Duration::from_millis(1);

/// Longest interval between checks of the other nodes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Peers {
    pub(super) fn new(discovery: Discovery, limit: usize) -> Self {
        let heartbeats = match discovery {
            // With zero, a timer would always be due.
            Discovery::Heartbeats(Heartbeats { interval, timeout }) => Some(Heartbeats {
                interval: interval.max(SHORTEST),
                timeout: timeout.max(SHORTEST),
            }),
            Discovery::Count => None,
        };
        Self { heartbeats, limit, last_heard: HashMap::new(), next: None }
    }

    /// Starts the timers. Returns whether the node must announce itself.
    pub(super) fn join(&mut self, now: Instant) -> bool {
        self.next = self
            .heartbeats
            .map(|it| (deadline(now, it.interval), now + it.timeout.min(CHECK_INTERVAL)));
        self.next.is_some()
    }

    /// Stops the timers. Returns whether the node must announce that it leaves.
    pub(super) fn leave(&mut self) -> bool {
        self.last_heard.clear();
        self.next.take().is_some()
    }

    pub(super) fn note_heard(&mut self, now: Instant, uid: &NodeId) {
        if self.heartbeats.is_none() || uid.is_anonymous() {
            return;
        }
        if let Some(heard) = self.last_heard.get_mut(uid) {
            *heard = now;
        } else if self.last_heard.len() < self.limit {
            self.last_heard.insert(uid.clone(), now);
        }
    }

    pub(super) fn remove(&mut self, uid: &NodeId) {
        self.last_heard.remove(uid);
    }

    pub(super) fn heartbeat_due(&mut self, now: Instant) -> bool {
        let (Some((next, _)), Some(it)) = (&mut self.next, self.heartbeats) else { return false };
        let due = *next <= now;
        if due {
            *next = deadline(now, it.interval);
        }
        due
    }

    /// Returns the nodes that were silent for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<NodeId> {
        let (Some((_, next)), Some(it)) = (&mut self.next, self.heartbeats) else {
            return Vec::new();
        };
        if *next > now {
            return Vec::new();
        }
        *next = now + it.timeout.min(CHECK_INTERVAL);
        let silent = |heard: &Instant| now.saturating_duration_since(*heard) > it.timeout;
        self.last_heard
            .iter()
            .filter(|(_, heard)| silent(heard))
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.next.map(|(heartbeat, check)| heartbeat.min(check))
    }

    pub(super) fn by_heartbeats(&self) -> bool {
        self.heartbeats.is_some()
    }

    pub(super) fn known(&self) -> Option<HashSet<NodeId>> {
        self.by_heartbeats().then(|| self.last_heard.keys().cloned().collect())
    }

    pub(super) fn count(&self) -> usize {
        self.last_heard.len()
    }
}
