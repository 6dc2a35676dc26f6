//! A session that can be recovered, and the record of the events that its socket was sent.

use std::collections::{HashSet, VecDeque};

use bytestring::ByteString;

use crate::selection::Room;

/// The state of a socket whose connection was lost. `D` is the data of the application.
#[derive(Clone, Debug)]
pub struct Session<D> {
    /// The private id, known only to the client and the server.
    pub pid: ByteString,
    /// The id of the socket.
    pub sid: ByteString,
    /// The rooms it was in, including the one of its own id.
    pub rooms: Vec<Room>,
    /// The data of the application.
    pub data: D,
    /// The events it was sent.
    pub trail: Trail,
}

/// A position in a [`Log`](super::Log): the number of events that were logged before it.
pub type Position = u64;

/// Number of room changes remembered per socket. A socket that changes rooms more often within the
/// age of the log cannot recover the events before the remembered changes.
const MAX_CHANGES: usize = 1024;

/// The record of one socket in the [`Log`](super::Log) of its namespace: the last event it was
/// sent, the first one it missed, and when it joined and left rooms. The owner updates it in the
/// order of the log.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    last: Option<u64>,
    missed: Option<Position>,
    changes: VecDeque<Change>,
    /// The position from which the remembered changes are complete.
    since: Position,
}

/// A room was joined or left before the event at position `at`.
#[derive(Clone, Debug)]
struct Change {
    at: Position,
    room: Room,
    joined: bool,
}

impl Trail {
    /// Records that the socket was sent the event with this offset.
    pub fn record_sent(&mut self, offset: u64) {
        self.last = Some(offset);
    }

    /// Returns the offset of the last event that the socket was sent.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Records that the socket missed the event at `position` and all after it.
    pub fn miss(&mut self, position: Position) {
        self.missed.get_or_insert(position);
    }

    /// Returns the position of the first missed event if the connection is lost.
    pub fn missed(&self) -> Option<Position> {
        self.missed
    }

    /// Records that the socket has been sent all missed events, up to the end of the log.
    pub fn caught_up(&mut self) {
        self.missed = None;
    }

    /// Records that the rooms changed from `before` to `after` before the event at position `at`.
    /// Drops changes from before the first event of the log, at position `first`.
    pub fn rooms_changed(
        &mut self,
        at: Position,
        first: Position,
        before: &[Room],
        after: &[Room],
    ) {
        while self.changes.front().is_some_and(|change| change.at <= first) {
            self.changes.pop_front();
        }
        // Sets, because a socket may be in a thousand rooms and the caller holds a lock.
        let (old, new): (HashSet<_>, HashSet<_>) =
            (before.iter().collect(), after.iter().collect());
        let left = before.iter().filter(|room| !new.contains(room)).map(|room| (room, false));
        let joined = after.iter().filter(|room| !old.contains(room)).map(|room| (room, true));
        for (room, joined) in left.chain(joined) {
            self.changes.push_back(Change { at, room: room.clone(), joined });
        }
        while self.changes.len() > MAX_CHANGES {
            let dropped = self.changes.pop_front();
            self.since = dropped.map_or(self.since, |change| change.at);
        }
    }

    /// Returns whether the rooms at a position are still known.
    pub(super) fn knows(&self, position: Position) -> bool {
        self.since <= position
    }

    /// Returns the rooms from `position` on, for a socket that is in `rooms` now.
    pub(super) fn walk<'a>(&'a self, position: Position, rooms: &'a [Room]) -> Walk<'a> {
        let mut now: HashSet<&Room> = rooms.iter().collect();
        let later = self.changes.iter().position(|change| change.at > position);
        let later = later.unwrap_or(self.changes.len());
        for change in self.changes.range(later..).rev() {
            if change.joined {
                now.remove(&change.room);
            } else {
                now.insert(&change.room);
            }
        }
        Walk { trail: self, now, next: later }
    }
}

/// The rooms of a socket at successive events.
pub(super) struct Walk<'a> {
    trail: &'a Trail,
    now: HashSet<&'a Room>,
    next: usize,
}

impl Walk<'_> {
    /// Advances to an event. Returns whether the event was for the socket.
    pub(super) fn reaches(&mut self, position: Position, rooms: &[Room], except: &[Room]) -> bool {
        while let Some(change) = self.trail.changes.get(self.next)
            && change.at <= position
        {
            if change.joined {
                self.now.insert(&change.room);
            } else {
                self.now.remove(&change.room);
            }
            self.next += 1;
        }
        (rooms.is_empty() || rooms.iter().any(|room| self.now.contains(room)))
            && !except.iter().any(|room| self.now.contains(room))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rooms(names: &[&str]) -> Vec<Room> {
        names.iter().map(|name| Room::from(*name)).collect()
    }

    #[test]
    fn past_rooms_are_reconstructed() {
        let mut trail = Trail::default();
        trail.rooms_changed(3, 0, &rooms(&["s"]), &rooms(&["s", "a"]));
        trail.rooms_changed(5, 0, &rooms(&["s", "a"]), &rooms(&["s", "b"]));
        let last = rooms(&["s", "b"]);
        let was_in = |room: &str| {
            let mut walk = trail.walk(1, &last);
            (1..8).filter(|at| walk.reaches(*at, &rooms(&[room]), &[])).collect::<Vec<_>>()
        };
        assert_eq!(was_in("s"), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(was_in("a"), [3, 4]);
        assert_eq!(was_in("b"), [5, 6, 7]);
        let mut walk = trail.walk(4, &last);
        assert!(walk.reaches(4, &[], &rooms(&["b"])));
        assert!(!walk.reaches(5, &[], &rooms(&["b"])));
    }

    #[test]
    fn room_changes_are_limited() {
        let mut trail = Trail::default();
        let (with, without) = (rooms(&["s", "a"]), rooms(&["s"]));
        for at in 0..2 * MAX_CHANGES as u64 {
            let (before, after) = if at % 2 == 0 { (&without, &with) } else { (&with, &without) };
            trail.rooms_changed(at + 1, 0, before, after);
        }
        assert_eq!(trail.changes.len(), MAX_CHANGES);
        assert!(!trail.knows(MAX_CHANGES as u64 - 1));
        assert!(trail.knows(MAX_CHANGES as u64));
        trail.rooms_changed(5000, 4000, &without, &with);
        assert_eq!(trail.changes.len(), 1, "changes before the log are dropped");
    }

    proptest! {
        #[test]
        fn the_changes_are_the_rooms_left_then_the_rooms_joined(
            before in prop::collection::vec("[a-e]", 0..6),
            after in prop::collection::vec("[a-e]", 0..6),
        ) {
            let mut trail = Trail::default();
            let names = |list: &[String]| list.iter().map(|name| name.as_str().into()).collect();
            let (old, new): (Vec<Room>, Vec<Room>) = (names(&before), names(&after));
            trail.rooms_changed(1, 0, &old, &new);
            let left = old.iter().filter(|room| !new.contains(room)).map(|room| (room, false));
            let joined = new.iter().filter(|room| !old.contains(room)).map(|room| (room, true));
            let recorded = trail.changes.iter().map(|change| (&change.room, change.joined));
            prop_assert!(recorded.eq(left.chain(joined)));
        }
    }
}
