//! Rooms, exceptions and flags of a broadcast.

use std::{borrow::Borrow, fmt, ops::Deref, time::Duration};

use bytestring::ByteString;

/// The name of a room. A clone costs one reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room(ByteString);

impl Room {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Room {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Room {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<&str> for Room {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Room {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<ByteString> for Room {
    fn from(name: ByteString) -> Self {
        Self(name)
    }
}

/// Converts to rooms: `"a"`, `["a", "b"]`, a `Vec` or a slice of names.
pub trait IntoRooms {
    /// Appends the rooms.
    fn append_to(self, rooms: &mut Vec<Room>);
}

macro_rules! one_room {
    ($($name:ty),*) => { $(
        impl IntoRooms for $name {
            fn append_to(self, rooms: &mut Vec<Room>) {
                rooms.push(self.into());
            }
        }
    )* };
}

one_room!(&str, String, ByteString, Room);

impl IntoRooms for &String {
    fn append_to(self, rooms: &mut Vec<Room>) {
        rooms.push(self.as_str().into());
    }
}

impl IntoRooms for &Room {
    fn append_to(self, rooms: &mut Vec<Room>) {
        rooms.push(self.clone());
    }
}

impl<T: Into<Room>, const N: usize> IntoRooms for [T; N] {
    fn append_to(self, rooms: &mut Vec<Room>) {
        rooms.extend(self.into_iter().map(Into::into));
    }
}

impl<T: Into<Room>> IntoRooms for Vec<T> {
    fn append_to(self, rooms: &mut Vec<Room>) {
        rooms.extend(self.into_iter().map(Into::into));
    }
}

impl<T: Clone + Into<Room>> IntoRooms for &[T] {
    fn append_to(self, rooms: &mut Vec<Room>) {
        rooms.extend(self.iter().cloned().map(Into::into));
    }
}

/// How a broadcast is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flags {
    /// Drops the event for recipients whose transport is not writable, instead of queueing it.
    pub volatile: bool,
    /// Sends only to sockets of this node.
    pub local: bool,
    /// Whether transports may compress the event. `None` means yes.
    pub compress: Option<bool>,
    /// The time limit for acks.
    pub timeout: Option<Duration>,
}

/// The recipients of a broadcast: the union of `rooms`, or all clients if no rooms were requested,
/// without the sockets that are in a room of `except`. The id of a socket is a room that contains
/// only this socket.
///
/// If rooms were requested with empty lists only, the union is empty and the selection [reaches no
/// socket](Self::selects_none). On the wire of Node's adapters, no rooms means all clients. A
/// message with such a selection must therefore not be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The rooms to reach.
    pub rooms: Vec<Room>,
    /// The rooms to exclude.
    pub except: Vec<Room>,
    /// How to send.
    pub flags: Flags,
    /// Rooms were requested, but all lists were empty.
    pub(crate) none: bool,
}

impl Selection {
    /// Adds rooms to reach. An empty list adds no recipients.
    pub fn to(&mut self, rooms: impl IntoRooms) {
        rooms.append_to(&mut self.rooms);
        self.none = self.rooms.is_empty();
    }

    /// Returns whether the selection has no recipients because [`to`](Self::to) was called with
    /// empty lists only.
    pub fn selects_none(&self) -> bool {
        self.none && self.rooms.is_empty()
    }

    /// Adds rooms to exclude. An empty list excludes no socket.
    pub fn except(&mut self, rooms: impl IntoRooms) {
        rooms.append_to(&mut self.except);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_added_one_by_one_or_as_lists() {
        let (text, room) = (String::from("c"), Room::from("d"));
        let mut selection = Selection::default();
        selection.to("a");
        selection.to(["b", "a"]);
        selection.to(&text);
        selection.to(&room);
        selection.to(vec![text]);
        selection.except(&[room][..]);
        let names: Vec<_> = selection.rooms.iter().map(Room::as_str).collect();
        assert_eq!(names, ["a", "b", "a", "c", "d", "c"]);
        assert_eq!(selection.except, [Room::from("d")]);
    }

    #[test]
    fn an_empty_list_of_rooms_selects_no_socket() {
        let mut selection = Selection::default();
        assert!(!selection.selects_none(), "without requested rooms, all clients are selected");
        selection.except(Vec::<Room>::new());
        assert!(!selection.selects_none());
        selection.to(Vec::<Room>::new());
        assert!(selection.selects_none());
        selection.to("a");
        assert!(!selection.selects_none(), "the union with a room is that room");
        selection.to(Vec::<Room>::new());
        assert!(!selection.selects_none());
    }
}
