//! The users of each room, and its messages.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// The room that every user joins at first.
pub(crate) const LOBBY: &str = "lobby";
const MAX_ROOMS: usize = 100;
const MAX_HISTORY: usize = 50;

/// The nickname of a user, and the key of the tab that connects.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    nickname: String,
    /// A random key that only this tab knows. With it, a reloaded page keeps its nickname.
    tab: Option<String>,
}

impl Credentials {
    fn same_tab(&self, other: &Self) -> bool {
        self.tab.is_some() && self.tab == other.tab
    }
}

/// A user who is online.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct User {
    id: String,
    nickname: String,
}

/// A message in a room.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message {
    id: u64,
    room: String,
    from: User,
    text: String,
    at: u64,
}

impl Message {
    pub(crate) fn new(room: &str, from: User, text: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, room: room.to_owned(), from, text: text.to_owned(), at: now() }
    }
}

#[derive(Serialize)]
pub(crate) struct RoomInfo {
    name: String,
    count: usize,
}

/// The data for a user who joins a room.
pub(crate) struct Joined {
    pub(crate) new: bool,
    pub(crate) nickname: String,
    pub(crate) history: Vec<Message>,
    pub(crate) users: Vec<User>,
}

/// The rooms that a user has left, with their remaining users.
pub(crate) struct Gone {
    pub(crate) nickname: String,
    pub(crate) rooms: Vec<(String, Vec<User>)>,
}

#[derive(Default)]
pub(crate) struct Rooms(Mutex<State>);

#[derive(Default)]
struct State {
    /// The credentials of the connected users, by the ids of their sockets.
    online: HashMap<String, Credentials>,
    rooms: BTreeMap<String, Room>,
}

impl State {
    fn check(&self, credentials: &Credentials) -> Result<(), &'static str> {
        let nickname = credentials.nickname.trim();
        if nickname.is_empty() || nickname.chars().count() > 32 {
            return Err("a nickname has 1 to 32 characters");
        }
        let is_taken = |it: &Credentials| {
            it.nickname.trim().eq_ignore_ascii_case(nickname) && !it.same_tab(credentials)
        };
        if self.online.values().any(is_taken) {
            return Err("this nickname is taken");
        }
        Ok(())
    }
}

#[derive(Default)]
struct Room {
    history: VecDeque<Message>,
    users: Vec<User>,
}

impl Rooms {
    /// Refuses a nickname that is no nickname, or that another tab has.
    pub(crate) fn check(&self, credentials: &Credentials) -> Result<(), &'static str> {
        self.lock().check(credentials)
    }

    /// Gives the socket its nickname, and returns the tab's earlier sockets. The server has not
    /// noticed yet that their connections are gone, for example because the page was reloaded.
    pub(crate) fn register(
        &self,
        id: &str,
        credentials: Credentials,
    ) -> Result<Vec<String>, &'static str> {
        let mut state = self.lock();
        state.check(&credentials)?;
        let earlier =
            state.online.iter().filter(|(other, it)| *other != id && it.same_tab(&credentials));
        let earlier = earlier.map(|(other, _)| other.clone()).collect();
        state.online.insert(id.to_owned(), credentials);
        Ok(earlier)
    }

    pub(crate) fn forget(&self, id: &str) -> Gone {
        let mut state = self.lock();
        let nickname = state.online.remove(id).map(|it| it.nickname).unwrap_or_default();
        let mut rooms = Vec::new();
        for (name, room) in &mut state.rooms {
            if let Some(at) = room.users.iter().position(|user| user.id == id) {
                room.users.remove(at);
                rooms.push((name.clone(), room.users.clone()));
            }
        }
        // Other rooms than the lobby are removed with their last user.
        state.rooms.retain(|name, room| name == LOBBY || !room.users.is_empty());
        Gone { nickname, rooms }
    }

    pub(crate) fn user(&self, id: &str) -> Option<User> {
        let state = self.lock();
        let nickname = state.online.get(id)?.nickname.trim().to_owned();
        Some(User { id: id.to_owned(), nickname })
    }

    pub(crate) fn join(&self, id: &str, name: &str) -> Result<Joined, &'static str> {
        let user = self.user(id).ok_or("who are you?")?;
        if name.chars().count() > 40 {
            return Err("a room's name has at most 40 characters");
        }
        let mut state = self.lock();
        if !state.rooms.contains_key(name) && state.rooms.len() >= MAX_ROOMS {
            return Err("there are too many rooms");
        }
        let room = state.rooms.entry(name.to_owned()).or_default();
        let nickname = user.nickname.clone();
        let new = !room.users.iter().any(|member| member.id == id);
        if new {
            room.users.push(user);
        }
        let history = room.history.iter().cloned().collect();
        Ok(Joined { new, nickname, history, users: room.users.clone() })
    }

    pub(crate) fn remember(&self, message: Message) {
        let mut state = self.lock();
        if let Some(room) = state.rooms.get_mut(&message.room) {
            if room.history.len() == MAX_HISTORY {
                room.history.pop_front();
            }
            room.history.push_back(message);
        }
    }

    pub(crate) fn list(&self) -> Vec<RoomInfo> {
        let state = self.lock();
        let info = |(name, room): (&String, &Room)| RoomInfo {
            name: name.clone(),
            count: room.users.len(),
        };
        state.rooms.iter().map(info).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns milliseconds since 1970, as in JavaScript.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
