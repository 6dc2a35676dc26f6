//! What a link and its task share.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use socketio_adapter::{Inbox, Room, Seat};
use tokio::sync::Notify;

pub(crate) struct Membership {
    pub(crate) seat: Seat,
    pub(crate) inbox: Arc<dyn Inbox>,
    /// Something is to be done.
    pub(crate) woken: Arc<Notify>,
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    /// Whether each room that was mentioned is there.
    changed: HashMap<Room, bool>,
    /// Whose broadcasts arrive.
    heard: HashSet<Room>,
}

impl Membership {
    pub(crate) fn new(seat: Seat, inbox: Arc<dyn Inbox>) -> Self {
        Self { seat, inbox, woken: Arc::default(), rooms: Mutex::default() }
    }

    /// A room is there, or no longer.
    pub(crate) fn mention(&self, room: &Room, there: bool) {
        self.rooms().changed.insert(room.clone(), there);
        self.woken.notify_one();
    }

    pub(crate) fn take_changed(&self) -> HashMap<Room, bool> {
        std::mem::take(&mut self.rooms().changed)
    }

    /// The subscriptions of these rooms are active.
    pub(crate) fn heard(&self, rooms: impl IntoIterator<Item = Room>) {
        self.rooms().heard.extend(rooms);
    }

    pub(crate) fn unheard(&self, room: &Room) {
        self.rooms().heard.remove(room);
    }

    pub(crate) fn hears(&self, room: &str) -> bool {
        self.rooms().heard.contains(room)
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
