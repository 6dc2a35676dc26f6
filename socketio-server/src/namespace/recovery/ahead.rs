//! Events that clients get ahead of the engine's log.
//!
//! While the engine is in trouble, a node delivers events of its own before the log returns them.
//! The log may still return them later, and contains them when a client reads it on another node.
//! An event that is delivered ahead of the log therefore carries two things as its offset: the offset
//! up to which the client was sent the log, and the events that it got ahead of it, as in
//! `OFFSET~NODE:NUMBER~NODE:NUMBER`. Clients do not interpret offsets, and return the last one. So
//! does every event after it, until the log has returned the events.
//!
//! Servers of Node refuse such an offset. A client that returns to one of them at this time gets a
//! new session.

use std::{fmt::Write, sync::Arc, time::Instant};

use engineio_server::Frames;
use socketio_adapter::{NodeId, Offset, recovery::FormerNode};

use crate::namespace::cluster::EventNumber;

/// Separates an offset and the events.
const SEPARATOR: char = '~';

/// Number of events ahead of the log that are remembered; the oldest are forgotten.
const MAX_AHEAD: usize = 64;

/// Encodes an event, with an offset if there is one.
pub(crate) type Encode = Arc<dyn Fn(Option<&str>) -> Option<Frames> + Send + Sync>;

/// Events that the log has not returned yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct EventsAhead(Vec<(NodeId, u64)>);

impl EventsAhead {
    /// Splits what a client returned into an offset of the log and the events ahead of it. Returns
    /// all of it as an offset, which no log contains, if it is malformed.
    pub(super) fn split(offset: &str) -> (Offset, Self) {
        let mut parts = offset.split(SEPARATOR);
        let base = parts.next().unwrap_or_default();
        let event = |part: &str| {
            let (node, number) = part.rsplit_once(':')?;
            Some((node.to_owned().into(), number.parse().ok()?))
        };
        match parts.clone().nth(MAX_AHEAD) {
            None => parts.map(event).collect(),
            Some(_) => None,
        }
        .map_or_else(|| (offset.into(), Self::default()), |events| (base.into(), Self(events)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, (node, number): EventNumber<'_>) -> bool {
        self.0.iter().any(|ahead| ahead.0 == *node && ahead.1 == number)
    }

    pub(super) fn add(&mut self, event: EventNumber<'_>) {
        if self.contains(event) {
            return;
        }
        if self.0.len() >= MAX_AHEAD {
            self.0.remove(0);
        }
        self.0.push((event.0.clone(), event.1));
    }

    /// Forgets an event that the log has returned. It returns the events of a node in their order,
    /// so it will not return earlier ones.
    pub(super) fn returned(&mut self, (node, number): EventNumber<'_>) {
        self.0.retain(|ahead| ahead.0 != *node || ahead.1 > number);
    }

    /// Keeps only the events that `others` contains too.
    pub(super) fn retain(&mut self, others: &Self) {
        self.0.retain(|event| others.0.contains(event));
    }

    pub(super) fn extend(&mut self, others: &Self) {
        others.0.iter().for_each(|(node, number)| self.add((node, *number)));
    }

    /// Returns the offset for a client that was sent the log up to `base`, and these events.
    pub(super) fn offset(&self, base: &str) -> String {
        let mut offset = base.to_owned();
        for (node, number) in &self.0 {
            // Writing to a text does not fail.
            let _ = write!(offset, "{SEPARATOR}{node}:{number}");
        }
        offset
    }
}

/// The events that a client got although its node may still deliver them, or the log return them.
#[derive(Default)]
pub(super) struct EventsHad {
    /// The events that it got ahead of the log on another node.
    pub(super) ahead: EventsAhead,
    /// The number of the last event of this node that it read in the log.
    pub(super) read: Option<u64>,
    /// The nodes on which it was before, which sent it their volatile events at once.
    pub(super) former: FormerNodes,
}

/// The nodes on which a client was before.
#[derive(Default)]
pub(super) struct FormerNodes(Vec<Former>);

struct Former {
    node: FormerNode,
    /// When the node is forgotten if the number of its next volatile event is unknown.
    expires: Instant,
}

impl FormerNodes {
    /// Creates the former nodes of a client that returns to the node `here`. Those whose next
    /// volatile event is unknown are forgotten at `expires`.
    pub(super) fn new(nodes: Vec<FormerNode>, here: &NodeId, expires: Instant) -> Self {
        let former = nodes.into_iter().filter(|former| former.node != *here);
        Self(former.map(|node| Former { node, expires }).collect())
    }

    /// Returns whether the client had a volatile event on the node that sent it, or may have had it.
    /// Forgets the node when it sends a later one.
    pub(super) fn had(&mut self, (node, number): EventNumber<'_>, now: Instant) -> bool {
        let Some(at) = self.0.iter().position(|former| former.node.node == *node) else {
            return false;
        };
        let former = &self.0[at];
        let had = former.node.next_volatile.map_or(now < former.expires, |next| number < next);
        if !had {
            self.0.remove(at);
        }
        had
    }

    pub(super) fn to_vec(&self) -> Vec<FormerNode> {
        self.0.iter().map(|former| former.node.clone()).collect()
    }
}

impl EventsHad {
    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.read.is_none() && self.former.0.is_empty()
    }

    /// Returns whether the client has read the log up to an event of this node. The log has the
    /// events of a node in their order: the client has read this event, or the log has it not.
    pub(super) fn has_read(&self, number: u64) -> bool {
        self.read.is_some_and(|read| number <= read)
    }
}

/// The position in the engine's log up to which a node has delivered events.
#[derive(Default)]
pub(super) struct LogPosition {
    pub(super) last: Option<Offset>,
    /// The events of this node that it has delivered since, and the log has not returned.
    pub(super) ahead: EventsAhead,
}

impl LogPosition {
    /// Records that the log has returned an event.
    pub(super) fn returned(&mut self, offset: &Offset, number: Option<EventNumber<'_>>) {
        self.last = Some(offset.clone());
        number.into_iter().for_each(|number| self.ahead.returned(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_and_the_events_ahead_of_it_are_found_again() {
        let (one, two) = (NodeId::from("one"), NodeId::from("t:wo"));
        let mut ahead = EventsAhead::default();
        assert_eq!(EventsAhead::split("7-0"), ("7-0".into(), ahead.clone()));
        ahead.add((&one, 3));
        ahead.add((&two, 4));
        ahead.add((&two, 4));
        let offset = ahead.offset("7-0");
        assert_eq!(offset, "7-0~one:3~t:wo:4");
        assert_eq!(EventsAhead::split(&offset), ("7-0".into(), ahead.clone()));
        ahead.returned((&two, 5));
        assert_eq!(ahead.offset("8-0"), "8-0~one:3");
        for malformed in ["7-0~", "7-0~one", "7-0~one:x", "7-0~one:3~"] {
            assert_eq!(EventsAhead::split(malformed), (malformed.into(), EventsAhead::default()));
        }
    }

    #[test]
    fn the_number_of_events_ahead_of_the_log_is_limited() {
        let (node, mut ahead) = (NodeId::from("one"), EventsAhead::default());
        (0..MAX_AHEAD as u64 + 1).for_each(|number| ahead.add((&node, number)));
        assert!(!ahead.contains((&node, 0)) && ahead.contains((&node, MAX_AHEAD as u64)));
        let offset = ahead.offset("7-0");
        assert_eq!(EventsAhead::split(&offset).1, ahead);
        let longer = format!("{offset}~one:1");
        assert_eq!(EventsAhead::split(&longer), (longer.into(), EventsAhead::default()));
    }

    #[test]
    fn a_former_node_is_forgotten_when_it_sends_what_the_client_cannot_have_had() {
        let (known, unknown, here) = ("known".into(), "unknown".into(), "here".into());
        let start = crate::time::now();
        let expires = start + std::time::Duration::from_secs(1);
        let nodes = [(&known, Some(2)), (&unknown, None), (&here, Some(9))];
        let nodes = nodes
            .map(|(node, next_volatile)| FormerNode { node: NodeId::clone(node), next_volatile });
        let mut former = FormerNodes::new(nodes.into(), &here, expires);
        assert!(!former.had((&here, 1), start), "this node does not get its own events back");
        assert!(former.had((&known, 1), expires));
        assert!(former.had((&unknown, 7), start));
        assert_eq!(former.to_vec().len(), 2);
        assert!(!former.had((&known, 2), start));
        assert!(!former.had((&unknown, 8), expires));
        assert_eq!(former.to_vec(), []);
    }
}
