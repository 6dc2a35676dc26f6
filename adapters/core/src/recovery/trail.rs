//! What one socket was given of the events of its namespace.

use std::collections::{HashSet, VecDeque};

use crate::selection::Room;

/// A place in a [`Log`](super::Log): how many events were logged before it.
pub type Position = u64;

/// Changes of rooms that are remembered per socket. Who changes rooms more often than this within the age of the log's
/// events cannot be given the events of before.
const MAX_CHANGES: usize = 1024;

/// The trail of one socket through its namespace's [`Log`](super::Log): the last event it was given, the first one it
/// was not, and in which rooms it was at which time. Its owner changes it in the order of the log.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    last: Option<u64>,
    missed: Option<Position>,
    changes: VecDeque<Change>,
    /// Where the remembered changes begin.
    since: Position,
}

/// A room was joined or left before the event at `at`.
#[derive(Clone, Debug)]
struct Change {
    at: Position,
    room: Room,
    joined: bool,
}

impl Trail {
    /// The socket was given the event with this offset.
    pub fn gave(&mut self, offset: u64) {
        self.last = Some(offset);
    }

    /// The offset of the last event that the socket was given.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// The event at `position`, and all after it, cannot be given to the socket any more.
    pub fn miss(&mut self, position: Position) {
        self.missed.get_or_insert(position);
    }

    /// The first event that the socket could not be given, where its connection is lost.
    pub fn missed(&self) -> Option<Position> {
        self.missed
    }

    /// The socket has been given what it missed, up to the end of the log.
    pub fn caught_up(&mut self) {
        self.missed = None;
    }

    /// Rooms changed before the event at `at` was delivered: those of `before` became those of `after`. Changes before
    /// the first event of the log, at `first`, are forgotten.
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
        let left = before.iter().filter(|room| !after.contains(room)).map(|room| (room, false));
        let joined = after.iter().filter(|room| !before.contains(room)).map(|room| (room, true));
        for (room, joined) in left.chain(joined) {
            self.changes.push_back(Change { at, room: room.clone(), joined });
        }
        while self.changes.len() > MAX_CHANGES {
            let forgotten = self.changes.pop_front();
            self.since = forgotten.map_or(self.since, |change| change.at);
        }
    }

    /// Whether the rooms of that time are still known.
    pub(super) fn knows(&self, position: Position) -> bool {
        self.since <= position
    }

    /// The rooms from `position` on, of a socket that is in `rooms` at last.
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

/// The rooms of a socket, from event to event.
pub(super) struct Walk<'a> {
    trail: &'a Trail,
    now: HashSet<&'a Room>,
    next: usize,
}

impl Walk<'_> {
    /// Goes on to an event, and says whether that was for the socket.
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
    use super::*;

    fn rooms(names: &[&str]) -> Vec<Room> {
        names.iter().map(|name| Room::from(*name)).collect()
    }

    #[test]
    fn rooms_are_those_of_the_time() {
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
    fn changes_are_bounded() {
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
        assert_eq!(trail.changes.len(), 1, "what was before the log is forgotten");
    }
}
