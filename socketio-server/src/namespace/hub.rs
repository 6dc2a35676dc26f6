//! The members of a namespace on this node, and their rooms. Independent of handlers and HTTP.
//!
//! A room is an entry of `rooms` while members have joined it. The room of a member's own id needs
//! no entry. `held` are the rooms that sessions which can be recovered keep for the cluster.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use bytestring::ByteString;
use slab::Slab;
use socketio_adapter::{Room, Selection};
use tokio::sync::{Notify, broadcast};

use crate::{
    error::JoinError,
    namespace::room_change::RoomChange,
    sync::{Mutex, RwLock, lock, read, write},
};

/// Members and rooms. Names are resolved at the API; internally, members are identified by dense
/// numbers.
pub(crate) struct Hub<M> {
    state: RwLock<State<M>>,
    /// Notifies the task that watches the rooms.
    rooms_changed: Arc<Notify>,
    /// Reports changes of rooms, once the application asks for them.
    reporter: OnceLock<Reporter>,
}

struct Reporter {
    sender: broadcast::Sender<RoomChange>,
    /// Held from before a change until it is reported, so that reports have the order of changes.
    order: Mutex<()>,
}

/// How many changes of rooms a receiver may be behind. The channel allocates them at once, which would
/// take a twelfth of an execution of a fuzz target.
const MAX_PENDING_CHANGES: usize = if cfg!(fuzzing) { 16 } else { 1024 };

/// A type that can be a member of a hub. A clone is one reference count.
pub(crate) trait Member: Clone {
    fn id(&self) -> &ByteString;
}

struct State<M> {
    members: Slab<Entry<M>>,
    by_id: HashMap<ById<M>, usize>,
    /// The members of each room, as a dense list.
    rooms: HashMap<Room, Vec<Membership>>,
    /// The rooms that have changed, if a task watches them.
    watched: Option<Watched>,
    /// Rooms of disconnected clients whose session can still be recovered.
    held: HashMap<Room, HeldRoom>,
    /// The changes to report, if they are reported.
    changes: Option<Vec<RoomChange>>,
}

/// A member, found by its id. A map of ids would store each of them a second time.
struct ById<M>(M);

impl<M: Member> Borrow<str> for ById<M> {
    fn borrow(&self) -> &str {
        self.0.id()
    }
}

impl<M: Member> Hash for ById<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(self.borrow(), state);
    }
}

impl<M: Member> PartialEq for ById<M> {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl<M: Member> Eq for ById<M> {}

/// A member of a room. Rooms and members refer to each other by position, so that no list is
/// searched when a member leaves.
#[derive(Clone, Copy)]
struct Membership {
    member: u32,
    /// The position of the room in the member's list.
    at: u32,
}

impl Membership {
    fn new(slot: usize, at: usize) -> Self {
        Self { member: slot as u32, at: at as u32 }
    }

    fn slot(self) -> usize {
        self.member as usize
    }
}

/// A room of a disconnected client whose session can still be recovered.
struct HeldRoom {
    /// The number of clients that hold the room.
    count: usize,
    /// Whether the room is only the room of a member's own id.
    own: bool,
}

/// Rooms that may have appeared or vanished since the last check. Only their state at the next
/// check matters.
struct Watched {
    /// Whether the rooms of the members' own ids are watched too.
    own: bool,
    changed: HashSet<Room>,
}

struct Entry<M> {
    member: M,
    /// The rooms of the member, with its position in each room's list. The room of its own id is
    /// not listed anywhere.
    rooms: Vec<(Room, usize)>,
}

/// The limits of a join.
#[derive(Clone, Copy)]
pub(crate) struct RoomLimits {
    /// Maximum number of rooms.
    pub(crate) count: usize,
    /// Maximum length of a room's name in bytes.
    pub(crate) name: usize,
}

impl RoomLimits {
    /// No limits, for members that return to rooms they were in before.
    pub(crate) const NONE: Self = Self { count: usize::MAX, name: usize::MAX };
}

/// Capacity, in members, below which tables are not shrunk.
const MIN_SHRINK_CAPACITY: usize = 64;

impl<M> Default for Hub<M> {
    fn default() -> Self {
        Self { state: RwLock::default(), rooms_changed: Arc::default(), reporter: OnceLock::new() }
    }
}

impl<M> Default for State<M> {
    fn default() -> Self {
        Self {
            members: Slab::new(),
            by_id: HashMap::new(),
            rooms: HashMap::new(),
            watched: None,
            held: HashMap::new(),
            changes: None,
        }
    }
}

impl<M: Member> Hub<M> {
    pub(crate) fn insert(&self, member: M) {
        self.change(|state| {
            let id = member.id().clone();
            state.mark_own_changed(&id);
            if let Some(changes) = &mut state.changes {
                let room = Room::from(id.clone());
                let is_new = !state.rooms.contains_key(&room);
                report_join(changes, room, id.clone(), is_new);
            }
            let entry = Entry { member: member.clone(), rooms: Vec::new() };
            let slot = state.members.insert(entry);
            state.by_id.insert(ById(member), slot);
        });
    }

    /// Removes a member from all rooms and from the namespace, if `is_meant` returns true for it.
    /// Returns whether it was removed.
    pub(crate) fn remove_if(&self, id: &str, is_meant: impl FnOnce(&M) -> bool) -> bool {
        let removed = self.change(|state| {
            let (known, _) = state.by_id.get_key_value(id)?;
            if !is_meant(&known.0) {
                return None;
            }
            let (key, slot) = state.by_id.remove_entry(id)?;
            state.mark_own_changed(id);
            state.leave_all(slot);
            if let Some(changes) = &mut state.changes {
                let room = Room::from(id);
                let is_empty = !state.rooms.contains_key(&room);
                report_leave(changes, room, id.into(), is_empty);
            }
            let removed = state.members.try_remove(slot);
            state.shrink();
            Some((key, removed))
        });
        removed.is_some()
    }

    #[cfg(test)]
    pub(crate) fn remove(&self, id: &str) -> bool {
        self.remove_if(id, |_| true)
    }

    pub(crate) fn join(
        &self,
        id: &str,
        rooms: Vec<Room>,
        limits: RoomLimits,
    ) -> Result<(), JoinError> {
        self.change(|state| {
            let slot = *state.by_id.get(id).ok_or(JoinError::Disconnected)?;
            rooms.into_iter().try_for_each(|room| state.join(slot, room, limits))
        })
    }

    pub(crate) fn leave(&self, id: &str, rooms: &[Room]) {
        self.change(|state| {
            let Some(&slot) = state.by_id.get(id) else { return };
            for room in rooms {
                state.leave(slot, room);
            }
        });
    }

    pub(crate) fn leave_all(&self, id: &str) {
        self.change(|state| {
            if let Some(&slot) = state.by_id.get(id) {
                state.leave_all(slot);
            }
        });
    }

    /// Returns the rooms of a member, including the room of its own id.
    pub(crate) fn rooms_of(&self, id: &str) -> Vec<Room> {
        let state = read(&self.state);
        let entry = state.by_id.get(id).and_then(|slot| state.members.get(*slot));
        let Some(entry) = entry else { return Vec::new() };
        let own = Room::from(entry.member.id().clone());
        std::iter::once(own).chain(entry.rooms.iter().map(|(room, _)| room.clone())).collect()
    }

    pub(crate) fn get(&self, id: &str) -> Option<M> {
        let state = read(&self.state);
        let slot = *state.by_id.get(id)?;
        state.members.get(slot).map(|entry| entry.member.clone())
    }

    pub(crate) fn len(&self) -> usize {
        read(&self.state).members.len()
    }

    /// Returns a receiver of the changes from now on.
    pub(crate) fn room_changes(&self) -> broadcast::Receiver<RoomChange> {
        let reporter = self.reporter.get_or_init(|| Reporter {
            sender: broadcast::Sender::new(MAX_PENDING_CHANGES),
            order: Mutex::default(),
        });
        let receiver = reporter.sender.subscribe();
        write(&self.state).changes.get_or_insert_default();
        receiver
    }

    /// Returns the rooms that members have joined, with the number of members. The room of a
    /// member's own id is there only if others have joined it.
    pub(crate) fn rooms(&self) -> Vec<(Room, usize)> {
        let state = read(&self.state);
        let size = |room: &Room| state.slots(room).count();
        state.rooms.keys().map(|room| (room.clone(), size(room))).collect()
    }

    /// Returns the number of rooms that have members, without the rooms of the members' own ids.
    pub(crate) fn count_rooms(&self) -> usize {
        read(&self.state).rooms.len()
    }

    /// Appends the selected members, each once, except the excluded one.
    pub(crate) fn select(
        &self,
        selection: &Selection,
        without: Option<&str>,
        targets: &mut Vec<M>,
    ) {
        if selection.selects_none() {
            return;
        }
        let state = read(&self.state);
        let mut seen: HashSet<usize> = HashSet::new();
        let mut excluded = false;
        for slot in selection.except.iter().flat_map(|room| state.slots(room)) {
            excluded = true;
            seen.insert(slot);
        }
        if let Some(slot) = without.and_then(|id| state.by_id.get(id)) {
            excluded = true;
            seen.insert(*slot);
        }
        match &selection.rooms[..] {
            [] if excluded => targets.extend(
                state
                    .members
                    .iter()
                    .filter(|(slot, _)| !seen.contains(slot))
                    .map(|(_, entry)| entry.member.clone()),
            ),
            [] => targets.extend(state.members.iter().map(|(_, entry)| entry.member.clone())),
            rooms => {
                let several = rooms.len() > 1;
                for room in rooms {
                    let slots = state.slots(room);
                    targets.reserve(slots.size_hint().0);
                    for slot in slots {
                        let skip = match several {
                            true => !seen.insert(slot),
                            false => excluded && seen.contains(&slot),
                        };
                        if !skip && let Some(entry) = state.members.get(slot) {
                            targets.push(entry.member.clone());
                        }
                    }
                }
            }
        }
    }

    /// Starts to record which rooms appear and vanish, including the rooms of the members' own ids
    /// if `own` is set. Existing rooms count as having appeared.
    pub(crate) fn watch_rooms(&self, own: bool) {
        self.change(|state| {
            let ids = state.by_id.keys().filter(|_| own).map(|it| Room::from(it.0.id().clone()));
            let held = state.held.iter().filter(|(_, held)| own || !held.own);
            let held = held.map(|(room, _)| room.clone());
            let changed = state.rooms.keys().cloned().chain(ids).chain(held).collect();
            state.watched = Some(Watched { own, changed });
        });
    }

    /// Returns the notification for a task that watches the rooms. After each notification, the
    /// task [takes](Self::take_changed) the changes.
    pub(crate) fn rooms_changed(&self) -> Arc<Notify> {
        self.rooms_changed.clone()
    }

    /// Takes the rooms that may have changed, with whether each of them exists now.
    pub(crate) fn take_changed(&self) -> Vec<(Room, bool)> {
        let mut state = write(&self.state);
        let changed = state.watched.as_mut().map(|watched| std::mem::take(&mut watched.changed));
        let present = |room: Room| {
            let present = state.slots(&room).next().is_some() || state.held.contains_key(&room);
            (room, present)
        };
        changed.into_iter().flatten().map(present).collect()
    }

    /// Keeps the rooms of a member visible to the task that watches rooms after the member is
    /// removed, until they are [released](Self::release).
    pub(crate) fn hold(&self, id: &str, rooms: &[Room]) {
        self.change(|state| {
            for room in rooms {
                let own = **room == *id;
                let held = state.held.entry(room.clone()).or_insert(HeldRoom { count: 0, own });
                held.count += 1;
                held.own &= own;
            }
        });
    }

    /// Releases the rooms of a client that has returned or can no longer return.
    pub(crate) fn release(&self, id: &str, rooms: &[Room]) {
        self.change(|state| {
            for room in rooms {
                let Some(held) = state.held.get_mut(room) else { continue };
                held.count -= 1;
                if held.count > 0 {
                    continue;
                }
                state.held.remove(room);
                if **room == *id {
                    state.mark_own_changed(id);
                } else {
                    mark_changed(&mut state.watched, room);
                }
            }
            state.shrink();
        });
    }

    /// Changes the state, and then notifies the task that watches the rooms if any of them has
    /// changed.
    fn change<R>(&self, change: impl FnOnce(&mut State<M>) -> R) -> R {
        let reporter = self.reporter.get();
        let order = reporter.map(|it| lock(&it.order));
        let (result, has_changes, changes) = {
            let mut state = write(&self.state);
            if reporter.is_some_and(|it| it.sender.receiver_count() == 0) {
                state.changes = None;
            }
            let result = change(&mut state);
            let has_changes =
                state.watched.as_ref().is_some_and(|watched| !watched.changed.is_empty());
            // Without the order's lock they wait for the next change.
            let changes = state.changes.as_mut().filter(|_| order.is_some()).map(std::mem::take);
            (result, has_changes, changes)
        };
        if let Some(reporter) = reporter {
            for change in changes.into_iter().flatten() {
                let _ = reporter.sender.send(change);
            }
        }
        drop(order);
        if has_changes {
            self.rooms_changed.notify_one();
        }
        result
    }
}

impl<M: Member> State<M> {
    /// Returns the members of a room. A member's id is a room that contains only that member.
    fn slots(&self, room: &str) -> impl Iterator<Item = usize> {
        let members = self.rooms.get(room).map(Vec::as_slice).unwrap_or_default();
        members.iter().map(|it| it.slot()).chain(self.by_id.get(room).copied())
    }

    /// Returns the position of a room in the list of a member. Searches the shorter list.
    fn position(&self, slot: usize, room: &Room) -> Option<usize> {
        let own = &self.members.get(slot)?.rooms;
        if own.is_empty() {
            return None;
        }
        let members = self.rooms.get(room)?;
        #[cfg(test)]
        tests::SEARCHED.with(|sum| sum.set(sum.get() + own.len().min(members.len())));
        if members.len() < own.len() {
            return members.iter().find(|it| it.slot() == slot).map(|it| it.at as usize);
        }
        own.iter().position(|(known, _)| known == room)
    }

    fn join(&mut self, slot: usize, room: Room, limits: RoomLimits) -> Result<(), JoinError> {
        let known = self.position(slot, &room).is_some();
        let Some(entry) = self.members.get_mut(slot) else { return Err(JoinError::Disconnected) };
        if *room == **entry.member.id() || known {
            return Ok(());
        }
        if room.len() > limits.name {
            return Err(JoinError::NameTooLong { limit: limits.name });
        }
        if entry.rooms.len() >= limits.count {
            return Err(JoinError::TooManyRooms { limit: limits.count });
        }
        // All members share the stored name.
        let room = self.rooms.get_key_value(&room).map_or(room, |(stored, _)| stored.clone());
        let list = self.rooms.entry(room.clone()).or_default();
        if list.is_empty() {
            mark_changed(&mut self.watched, &room);
        }
        if let Some(changes) = &mut self.changes {
            let is_new = list.is_empty() && !self.by_id.contains_key(&*room);
            report_join(changes, room.clone(), entry.member.id().clone(), is_new);
        }
        let membership = Membership::new(slot, entry.rooms.len());
        entry.rooms.push((room, list.len()));
        list.push(membership);
        Ok(())
    }

    fn leave(&mut self, slot: usize, room: &Room) {
        let Some(at) = self.position(slot, room) else { return };
        let Some(entry) = self.members.get_mut(slot) else { return };
        let (room, place) = entry.rooms.swap_remove(at);
        if let Some((moved, place)) = entry.rooms.get(at)
            && let Some(membership) = self.rooms.get_mut(moved).and_then(|it| it.get_mut(*place))
        {
            membership.at = at as u32;
        }
        self.vacate(slot, &room, place);
    }

    fn leave_all(&mut self, slot: usize) {
        let Some(entry) = self.members.get_mut(slot) else { return };
        for (room, place) in std::mem::take(&mut entry.rooms) {
            self.vacate(slot, &room, place);
        }
    }

    /// Frees a member's position in a room's list by moving the last member there.
    fn vacate(&mut self, member: usize, room: &Room, place: usize) {
        let Some(list) = self.rooms.get_mut(room) else { return };
        if let (Some(changes), Some(entry)) = (&mut self.changes, self.members.get(member)) {
            let is_empty = list.len() == 1 && !self.by_id.contains_key(&**room);
            report_leave(changes, room.clone(), entry.member.id().clone(), is_empty);
        }
        if place < list.len() {
            list.swap_remove(place);
        }
        if list.is_empty() {
            mark_changed(&mut self.watched, room);
            self.rooms.remove(room);
        } else if let Some(moved) = list.get(place).copied()
            && let Some(entry) = self.members.get_mut(moved.slot())
            && let Some((_, its_place)) = entry.rooms.get_mut(moved.at as usize)
        {
            *its_place = place;
        }
    }

    fn mark_own_changed(&mut self, id: &str) {
        if let Some(watched) = self.watched.as_mut().filter(|watched| watched.own) {
            watched.changed.insert(id.into());
        }
    }

    /// Shrinks the tables after many members have left.
    fn shrink(&mut self) {
        if self.members.is_empty() && self.members.capacity() > MIN_SHRINK_CAPACITY {
            let (watched, held) = (self.watched.take(), std::mem::take(&mut self.held));
            *self = Self { watched, held, changes: self.changes.take(), ..Self::default() };
        } else if self.by_id.capacity() > MIN_SHRINK_CAPACITY
            && self.by_id.len() < self.by_id.capacity() / 4
        {
            self.by_id.shrink_to(self.by_id.len() * 2);
            self.rooms.shrink_to(self.rooms.len() * 2);
            self.members.shrink_to_fit();
        }
        if self.held.capacity() > MIN_SHRINK_CAPACITY && self.held.len() < self.held.capacity() / 4
        {
            self.held.shrink_to(self.held.len() * 2);
        }
    }
}

fn report_join(changes: &mut Vec<RoomChange>, room: Room, id: ByteString, is_new: bool) {
    if is_new {
        changes.push(RoomChange::Created { room: room.clone() });
    }
    changes.push(RoomChange::Joined { room, id });
}

fn report_leave(changes: &mut Vec<RoomChange>, room: Room, id: ByteString, is_empty: bool) {
    changes.push(RoomChange::Left { room: room.clone(), id });
    if is_empty {
        changes.push(RoomChange::Deleted { room });
    }
}

fn mark_changed(watched: &mut Option<Watched>, room: &Room) {
    if let Some(watched) = watched {
        watched.changed.insert(room.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        /// How many entries of lists were searched.
        pub(super) static SEARCHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[derive(Clone, Debug)]
    struct Named(ByteString);

    impl Member for Named {
        fn id(&self) -> &ByteString {
            &self.0
        }
    }

    const LIMIT: usize = 3;
    const LIMITS: RoomLimits = RoomLimits { count: LIMIT, name: 100 };

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8),
        Remove(u8),
        Join(u8, Vec<String>),
        Leave(u8, Vec<String>),
        LeaveAll(u8),
        /// No room list selects all members, an empty list none.
        Select(Option<Vec<String>>, Vec<String>, Option<u8>),
    }

    /// Member ids are rooms too, and a room may be named after a member that does not exist.
    fn room() -> impl Strategy<Value = String> {
        prop_oneof![(0..5_u8).prop_map(|n| format!("r{n}")), (0..6_u8).prop_map(id)]
    }

    fn id(member: u8) -> String {
        format!("m{member}")
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let rooms = || prop::collection::vec(room(), 0..4);
        let member = 0..6_u8;
        let step = prop_oneof![
            3 => member.clone().prop_map(Step::Insert),
            2 => member.clone().prop_map(Step::Remove),
            6 => (member.clone(), rooms()).prop_map(|(m, r)| Step::Join(m, r)),
            4 => (member.clone(), rooms()).prop_map(|(m, r)| Step::Leave(m, r)),
            1 => member.clone().prop_map(Step::LeaveAll),
            4 => (prop::option::of(rooms()), rooms(), prop::option::of(member))
                .prop_map(|(to, except, without)| Step::Select(to, except, without)),
        ];
        prop::collection::vec(step, 0..120)
    }

    /// The naive model: the members, each with its rooms.
    type Model = BTreeMap<String, BTreeSet<String>>;

    fn matches(model: &Model, member: &str, room: &str) -> bool {
        member == room || model.get(member).is_some_and(|rooms| rooms.contains(room))
    }

    fn rooms(names: &[String]) -> Vec<Room> {
        names.iter().map(|name| name.as_str().into()).collect()
    }

    fn apply(hub: &Hub<Named>, model: &mut Model, step: Step) {
        match step {
            Step::Insert(member) => {
                model.entry(id(member)).or_insert_with(|| {
                    hub.insert(Named(id(member).into()));
                    BTreeSet::new()
                });
            }
            Step::Remove(member) => {
                hub.remove(&id(member));
                model.remove(&id(member));
            }
            Step::Join(member, names) => {
                let expected =
                    model.get_mut(&id(member)).map_or(Err(JoinError::Disconnected), |own| {
                        names.iter().filter(|name| **name != id(member)).try_for_each(|name| {
                            if !own.contains(name) && own.len() == LIMIT {
                                return Err(JoinError::TooManyRooms { limit: LIMIT });
                            }
                            own.insert(name.clone());
                            Ok(())
                        })
                    });
                assert_eq!(hub.join(&id(member), rooms(&names), LIMITS), expected);
            }
            Step::Leave(member, names) => {
                hub.leave(&id(member), &rooms(&names));
                if let Some(own) = model.get_mut(&id(member)) {
                    own.retain(|room| !names.contains(room));
                }
            }
            Step::LeaveAll(member) => {
                hub.leave_all(&id(member));
                if let Some(own) = model.get_mut(&id(member)) {
                    own.clear();
                }
            }
            Step::Select(to, except, without) => {
                let mut selection = Selection::default();
                if let Some(to) = &to {
                    selection.to(rooms(to));
                }
                selection.except(rooms(&except));
                let without = without.map(id);
                let mut selected = Vec::new();
                hub.select(&selection, without.as_deref(), &mut selected);
                let mut selected: Vec<_> = selected.iter().map(|it| it.0.to_string()).collect();
                selected.sort();
                let named = |names: &[String], member: &str| {
                    names.iter().any(|room| matches(model, member, room))
                };
                let expected: Vec<_> = model
                    .keys()
                    .filter(|member| to.as_ref().is_none_or(|to| named(to, member)))
                    .filter(|member| !named(&except, member) && without.as_ref() != Some(member))
                    .cloned()
                    .collect();
                assert_eq!(selected, expected, "to {to:?} except {except:?} without {without:?}");
            }
        }
    }

    fn check(hub: &Hub<Named>, model: &Model) {
        assert_eq!(hub.len(), model.len());
        for (member, own) in model {
            assert_eq!(hub.get(member).unwrap().0, **member);
            let listed: Vec<_> = hub.rooms_of(member).iter().map(Room::to_string).collect();
            assert_eq!(listed[0], *member);
            assert_eq!(listed[1..].iter().cloned().collect::<BTreeSet<_>>(), *own);
        }
        let rooms: BTreeSet<_> = model.values().flatten().collect();
        assert_eq!(hub.count_rooms(), rooms.len(), "empty rooms are kept, or used ones missing");
    }

    proptest! {
        #[test]
        fn a_hub_agrees_with_the_naive_model(steps in steps()) {
            let (hub, mut model) = (Hub::default(), Model::new());
            for step in steps {
                apply(&hub, &mut model, step);
                check(&hub, &model);
            }
        }
    }

    #[test]
    fn rooms_of_disconnected_members_stay_visible_until_released() {
        for own in [false, true] {
            let hub = Hub::default();
            hub.watch_rooms(own);
            for id in ["a", "b"] {
                hub.insert(Named(id.into()));
                hub.join(id, vec!["r".into()], LIMITS).unwrap();
            }
            let changed = || -> Vec<_> {
                let mut changed = hub.take_changed();
                changed.sort_unstable();
                changed.retain(|(room, _)| **room != *"b");
                changed.into_iter().map(|(room, present)| (room.to_string(), present)).collect()
            };
            let expected = |present| -> Vec<_> {
                let rooms = if own { &["a", "r"][..] } else { &["r"] };
                rooms.iter().map(|room| ((*room).to_owned(), present)).collect()
            };
            assert_eq!(changed(), expected(true));
            let rooms = hub.rooms_of("a");
            for id in ["a", "b"] {
                hub.hold(id, &hub.rooms_of(id));
                hub.remove(id);
            }
            assert_eq!(changed(), expected(true));
            hub.watch_rooms(own);
            assert_eq!(changed(), expected(true), "also to who begins to watch");
            hub.release("b", &["b".into(), "r".into()]);
            assert_eq!(changed(), expected(true)[..0], "one still holds it");
            hub.release("a", &rooms);
            assert_eq!(changed(), expected(false));
            assert!(read(&hub.state).held.is_empty());
        }
    }

    #[test]
    fn a_room_change_costs_the_same_in_any_number_of_rooms() {
        let searched_with = |count: usize| {
            let hub = Hub::default();
            let names: Vec<_> = (0..count).map(|n| format!("r{n}")).collect();
            for id in ["a", "b", "c"] {
                hub.insert(Named(id.into()));
            }
            SEARCHED.set(0);
            for id in ["a", "b", "c"] {
                hub.join(id, rooms(&names), RoomLimits::NONE).unwrap();
            }
            hub.leave("a", &rooms(&names));
            hub.leave_all("b");
            hub.remove("c");
            SEARCHED.get()
        };
        let (few, many) = (searched_with(100), searched_with(1000));
        assert!(many <= 10 * few + 100, "{few} entries for 100 rooms, {many} for 1000");
    }

    #[test]
    fn a_wave_of_members_leaves_no_tables_behind() {
        let hub = Hub::default();
        let names: Vec<_> = (0..10_000).map(|n| format!("m{n}")).collect();
        for name in &names {
            hub.insert(Named(name.as_str().into()));
            hub.join(name, rooms(&[format!("of {name}")]), LIMITS).unwrap();
        }
        names.iter().for_each(|name| assert!(hub.remove(name)));
        let state = read(&hub.state);
        let capacities = [state.members.capacity(), state.by_id.capacity(), state.rooms.capacity()];
        assert!(capacities.iter().all(|capacity| *capacity <= 256), "{capacities:?}");
    }

    fn changes(receiver: &mut broadcast::Receiver<RoomChange>) -> Vec<String> {
        let mut changes = Vec::new();
        while let Ok(change) = receiver.try_recv() {
            changes.push(match change {
                RoomChange::Created { room } => format!("+{room}"),
                RoomChange::Joined { room, id } => format!("{id}→{room}"),
                RoomChange::Left { room, id } => format!("{id}←{room}"),
                RoomChange::Deleted { room } => format!("-{room}"),
                RoomChange::Missed { count } => format!("missed {count}"),
            });
        }
        changes
    }

    #[test]
    fn a_room_of_a_members_id_exists_while_it_has_members() {
        let hub = Hub::default();
        let mut receiver = hub.room_changes();
        let join = |id: &str, room: &str| hub.join(id, vec![room.into()], RoomLimits::NONE);
        hub.insert(Named("a".into()));
        hub.insert(Named("b".into()));
        assert_eq!(changes(&mut receiver), ["+a", "a→a", "+b", "b→b"]);
        join("b", "a").unwrap();
        assert_eq!(hub.rooms(), [("a".into(), 2)]);
        hub.leave("b", &["a".into()]);
        assert_eq!(changes(&mut receiver), ["b→a", "b←a"]);
        join("b", "a").unwrap();
        hub.remove("a");
        assert_eq!(hub.rooms(), [("a".into(), 1)]);
        hub.remove("b");
        assert_eq!(changes(&mut receiver), ["b→a", "a←a", "b←a", "-a", "b←b", "-b"]);
    }

    #[test]
    fn changes_of_rooms_are_recorded_only_for_a_receiver() {
        let hub = Hub::default();
        hub.insert(Named("a".into()));
        drop(hub.room_changes());
        hub.insert(Named("b".into()));
        assert!(read(&hub.state).changes.is_none());
        let mut receiver = hub.room_changes();
        hub.remove("b");
        assert_eq!(changes(&mut receiver), ["b←b", "-b"]);
    }

    #[test]
    fn changes_of_rooms_by_several_threads_are_reported_in_their_order() {
        for _ in 0..20 {
            let hub = Hub::default();
            let mut receiver = hub.room_changes();
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let hub = &hub;
                    scope.spawn(move || {
                        let id = format!("m{thread}");
                        hub.insert(Named(id.clone().into()));
                        for _ in 0..30 {
                            hub.join(&id, vec!["room".into()], RoomLimits::NONE).unwrap();
                            hub.leave(&id, &["room".into()]);
                        }
                    });
                }
            });
            let mut members: BTreeSet<String> = BTreeSet::new();
            for change in changes(&mut receiver) {
                if let Some(id) = change.strip_suffix("→room") {
                    assert!(members.insert(id.to_owned()), "{change}");
                } else if let Some(id) = change.strip_suffix("←room") {
                    assert!(members.remove(id), "{change}");
                } else if change == "+room" || change == "-room" {
                    assert!(members.is_empty(), "{change} with {members:?}");
                }
            }
        }
    }
}
