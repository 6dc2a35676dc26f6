//! State shared by a link and its tasks.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use socketio_adapter::{ClusterMember, Inbox, Room, internal::lock};
use tokio::sync::Notify;

pub(crate) struct Membership {
    pub(crate) member: ClusterMember,
    pub(crate) inbox: Arc<dyn Inbox>,
    /// Wakes the receiver's task.
    pub(crate) woken: Arc<Notify>,
    rooms: Mutex<Rooms>,
    /// Subjects from which the node has not received its own probe yet, while it joins.
    awaited_probes: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Rooms {
    /// Rooms that appeared (`true`) or vanished (`false`) since the receiver last checked.
    changed: HashMap<Room, bool>,
    /// Rooms with an active subscription.
    subscribed: HashSet<Room>,
}

impl Membership {
    pub(crate) fn new(member: ClusterMember, inbox: Arc<dyn Inbox>) -> Self {
        Self {
            member,
            inbox,
            woken: Arc::default(),
            rooms: Mutex::default(),
            awaited_probes: Mutex::default(),
        }
    }

    /// Sets the subjects from which the node must receive a probe before it has joined.
    pub(crate) fn await_probes(&self, subjects: Vec<String>) {
        *lock(&self.awaited_probes) = subjects;
    }

    /// Returns the subjects from which no probe has arrived.
    pub(crate) fn awaited_probes(&self) -> Vec<String> {
        lock(&self.awaited_probes).clone()
    }

    /// Records a probe from `subject`. Returns whether it was the last one.
    pub(crate) fn record_probe(&self, subject: &str) -> bool {
        let mut awaited = lock(&self.awaited_probes);
        awaited.retain(|it| it != subject);
        awaited.is_empty()
    }

    /// Records that a room has appeared or vanished.
    pub(crate) fn set_room_exists(&self, room: &Room, exists: bool) {
        lock(&self.rooms).changed.insert(room.clone(), exists);
        self.woken.notify_one();
    }

    pub(crate) fn take_changed(&self) -> HashMap<Room, bool> {
        std::mem::take(&mut lock(&self.rooms).changed)
    }

    /// Marks the subscriptions of these rooms as active.
    pub(crate) fn mark_subscribed(&self, rooms: impl IntoIterator<Item = Room>) {
        lock(&self.rooms).subscribed.extend(rooms);
    }

    pub(crate) fn mark_unsubscribed(&self, room: &Room) {
        lock(&self.rooms).subscribed.remove(room);
    }

    pub(crate) fn is_subscribed(&self, room: &str) -> bool {
        lock(&self.rooms).subscribed.contains(room)
    }
}
