//! Rooms, exceptions and flags of a broadcast.

use std::{borrow::Borrow, fmt, ops::Deref, time::Duration};

use bytestring::ByteString;

/// The name of a room. A clone costs one reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room(ByteString);

impl Room {
    /// The name.
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

/// One room or several: `"a"`, `["a", "b"]`, a `Vec` or a slice of names.
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
    /// Dropped for recipients whose transport is not writable, instead of queued.
    pub volatile: bool,
    /// Only to sockets of this node.
    pub local: bool,
    /// Whether transports that compress may compress it; `None` is yes.
    pub compress: Option<bool>,
    /// How long acknowledgements may take.
    pub timeout: Option<Duration>,
}

/// Who a broadcast is for: the union of the rooms, or everybody if no room was ever asked for; without the sockets that
/// are in one of `except`. A socket's own id counts as a room with that socket alone.
///
/// Rooms that were asked for with an empty list are an empty union: such a selection [is nobody](Self::is_nobody). On the
/// wire of Node's adapters no rooms means everybody, so a message with that selection must not be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Rooms to reach.
    pub rooms: Vec<Room>,
    /// Rooms to leave out.
    pub except: Vec<Room>,
    /// How to send.
    pub flags: Flags,
    /// Rooms were asked for, and there were none.
    pub(crate) nobody: bool,
}

impl Selection {
    /// Adds rooms to reach. An empty list adds nobody.
    pub fn to(&mut self, rooms: impl IntoRooms) {
        rooms.append_to(&mut self.rooms);
        self.nobody = self.rooms.is_empty();
    }

    /// Whether it reaches nobody: [`to`](Self::to) was called with empty lists only.
    pub fn is_nobody(&self) -> bool {
        self.nobody && self.rooms.is_empty()
    }

    /// Adds rooms to leave out. An empty list leaves nobody out.
    pub fn except(&mut self, rooms: impl IntoRooms) {
        rooms.append_to(&mut self.except);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_named_one_by_one_or_many_at_once() {
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
    fn an_empty_list_of_rooms_selects_nobody() {
        let mut selection = Selection::default();
        assert!(!selection.is_nobody(), "everybody, as nobody asked for rooms");
        selection.except(Vec::<Room>::new());
        assert!(!selection.is_nobody());
        selection.to(Vec::<Room>::new());
        assert!(selection.is_nobody());
        selection.to("a");
        assert!(!selection.is_nobody(), "the union with a room is that room");
        selection.to(Vec::<Room>::new());
        assert!(!selection.is_nobody());
    }
}
