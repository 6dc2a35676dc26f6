//! Who else is there.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use crate::{
    adapter::{Discovery, Heartbeats},
    message::NodeId,
};

/// The other nodes, where they make themselves known.
#[derive(Debug)]
pub(super) struct Peers {
    heartbeats: Option<Heartbeats>,
    limit: usize,
    /// When each was last heard.
    heard: HashMap<NodeId, Instant>,
    /// When the next heartbeat and the next look at the others are due; none before joining.
    next: Option<(Instant, Instant)>,
}

/// How often the others are looked at, at most.
const CHECK: Duration = Duration::from_secs(1);

/// As good as for ever, and can be added to any instant.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

impl Peers {
    pub(super) fn new(discovery: Discovery, limit: usize) -> Self {
        let heartbeats = match discovery {
            Discovery::Heartbeats(Heartbeats { interval, timeout }) => {
                Some(Heartbeats { interval: interval.min(FOREVER), timeout: timeout.min(FOREVER) })
            }
            Discovery::Count => None,
        };
        Self { heartbeats, limit, heard: HashMap::new(), next: None }
    }

    /// Whether the node has to make itself known.
    pub(super) fn join(&mut self, now: Instant) -> bool {
        self.next = self.heartbeats.map(|it| (now + it.interval, now + it.timeout.min(CHECK)));
        self.next.is_some()
    }

    /// Whether the node has to say that it leaves.
    pub(super) fn leave(&mut self) -> bool {
        self.heard.clear();
        self.next.take().is_some()
    }

    pub(super) fn heard(&mut self, now: Instant, uid: &NodeId) {
        if self.heartbeats.is_none() || uid.is_anonymous() {
            return;
        }
        if let Some(heard) = self.heard.get_mut(uid) {
            *heard = now;
        } else if self.heard.len() < self.limit {
            self.heard.insert(uid.clone(), now);
        }
    }

    pub(super) fn remove(&mut self, uid: &NodeId) {
        self.heard.remove(uid);
    }

    pub(super) fn heartbeat_due(&mut self, now: Instant) -> bool {
        let (Some((next, _)), Some(it)) = (&mut self.next, self.heartbeats) else { return false };
        let due = *next <= now;
        if due {
            *next = now + it.interval;
        }
        due
    }

    /// Those that were silent for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<NodeId> {
        let (Some((_, next)), Some(it)) = (&mut self.next, self.heartbeats) else {
            return Vec::new();
        };
        if *next > now {
            return Vec::new();
        }
        *next = now + it.timeout.min(CHECK);
        let silent = |heard: &Instant| now.saturating_duration_since(*heard) > it.timeout;
        self.heard.iter().filter(|(_, heard)| silent(heard)).map(|(uid, _)| uid.clone()).collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.next.map(|(heartbeat, check)| heartbeat.min(check))
    }

    pub(super) fn by_heartbeats(&self) -> bool {
        self.heartbeats.is_some()
    }

    pub(super) fn known(&self) -> Option<HashSet<NodeId>> {
        self.by_heartbeats().then(|| self.heard.keys().cloned().collect())
    }

    pub(super) fn count(&self) -> usize {
        self.heard.len()
    }
}
