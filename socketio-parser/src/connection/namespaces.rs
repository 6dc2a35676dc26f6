//! The namespaces of one connection. There are few, so they are searched linearly.

use crate::nsp::Nsp;

#[derive(Debug, Default)]
pub(super) struct Namespaces {
    entries: Vec<Entry>,
    /// Namespaces that the server has left, although the client may not know it yet. Oldest first.
    ended: Vec<Nsp>,
    next_session: u32,
}

#[derive(Debug)]
struct Entry {
    nsp: Nsp,
    state: State,
    session: Session,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// CONNECT was sent, and the response is outstanding.
    Pending,
    Connected,
}

/// One session in a namespace. Acks of an earlier session never match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Session(pub(super) u32);

impl Namespaces {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Nsp, State)> {
        self.entries.iter().map(|entry| (&entry.nsp, entry.state))
    }

    pub(super) fn state(&self, nsp: &Nsp) -> Option<State> {
        self.find(nsp).map(|entry| entry.state)
    }

    pub(super) fn session(&self, nsp: &Nsp) -> Option<Session> {
        self.find(nsp).map(|entry| entry.session)
    }

    /// Records a CONNECT. Returns `false` if the namespace exists already.
    pub(super) fn request(&mut self, nsp: &Nsp) -> bool {
        if self.find(nsp).is_some() {
            return false;
        }
        self.ended.retain(|ended| ended != nsp);
        // Most connections have one namespace.
        self.entries.reserve_exact(1);
        let session = Session(self.next_session);
        self.next_session = self.next_session.wrapping_add(1);
        // The name is copied, because that of a CONNECT is a slice of the whole packet.
        self.entries.push(Entry {
            nsp: Nsp::unchecked(nsp.as_str()),
            state: State::Pending,
            session,
        });
        true
    }

    /// Records that a CONNECT was granted. Returns `false` if there is none.
    pub(super) fn confirm(&mut self, nsp: &Nsp) -> bool {
        let pending = |entry: &&mut Entry| entry.nsp == *nsp && entry.state == State::Pending;
        match self.entries.iter_mut().find(pending) {
            Some(entry) => {
                entry.state = State::Connected;
                true
            }
            None => false,
        }
    }

    pub(super) fn remove(&mut self, nsp: &Nsp) -> Option<Session> {
        let index = self.entries.iter().position(|entry| entry.nsp == *nsp)?;
        Some(self.entries.swap_remove(index).session)
    }

    /// Remembers, for at most `limit` namespaces, that packets for a formerly connected one may
    /// still arrive.
    pub(super) fn expect_stragglers(&mut self, nsp: &Nsp, limit: usize) {
        let Some(entry) = self.find(nsp).filter(|entry| entry.state == State::Connected) else {
            return;
        };
        self.ended.push(entry.nsp.clone());
        if self.ended.len() > limit {
            self.ended.remove(0);
        }
    }

    /// Returns whether packets for a namespace that does not exist may have been sent before the
    /// client knew that it has ended.
    pub(super) fn is_straggler(&self, nsp: &Nsp) -> bool {
        self.ended.contains(nsp)
    }

    fn find(&self, nsp: &Nsp) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.nsp == *nsp)
    }
}
