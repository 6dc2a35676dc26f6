//! The namespaces of one connection. Few are searched linearly, more by an index.

use std::collections::HashMap;

use crate::nsp::Nsp;

/// Up to this number, searching is faster than hashing, and the index would take memory.
const MAX_UNINDEXED: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Namespaces {
    entries: Vec<Entry>,
    /// Boxed, because most connections have few namespaces and their servers disconnect none.
    rare: Option<Box<Rare>>,
    next_session: u32,
}

#[derive(Debug, Default)]
struct Rare {
    /// The positions of the entries, if there are more than [`MAX_UNINDEXED`].
    index: HashMap<Nsp, usize>,
    /// Namespaces that the server has left, although the client may not know it yet. Oldest first.
    ended: Vec<Nsp>,
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
        if let Some(rare) = &mut self.rare {
            rare.ended.retain(|ended| ended != nsp);
        }
        if self.entries.is_empty() {
            // Most connections have one namespace.
            self.entries.reserve_exact(1);
        }
        let session = Session(self.next_session);
        self.next_session = self.next_session.wrapping_add(1);
        // The name is copied, because that of a CONNECT is a slice of the whole packet.
        let nsp = Nsp::unchecked(nsp.as_str());
        self.entries.push(Entry { nsp, state: State::Pending, session });
        if self.entries.len() > MAX_UNINDEXED {
            let index = &mut self.rare.get_or_insert_default().index;
            let new = self.entries.iter().enumerate().skip(index.len());
            index.extend(new.map(|(at, entry)| (entry.nsp.clone(), at)));
        }
        true
    }

    /// Records that a CONNECT was granted. Returns `false` if there is none.
    pub(super) fn confirm(&mut self, nsp: &Nsp) -> bool {
        let entry = self.position(nsp).and_then(|at| self.entries.get_mut(at));
        let pending = entry.filter(|entry| entry.state == State::Pending);
        pending.map(|entry| entry.state = State::Connected).is_some()
    }

    pub(super) fn remove(&mut self, nsp: &Nsp) -> Option<Session> {
        let at = self.position(nsp)?;
        let removed = self.entries.swap_remove(at);
        if let Some(Rare { index, .. }) = self.rare.as_deref_mut() {
            index.remove(nsp);
            if self.entries.len() <= MAX_UNINDEXED {
                *index = HashMap::new();
            } else if let Some(moved) = self.entries.get(at) {
                index.insert(moved.nsp.clone(), at);
            }
        }
        Some(removed.session)
    }

    /// Remembers, for at most `limit` namespaces, that packets for a formerly connected one may
    /// still arrive.
    pub(super) fn expect_stragglers(&mut self, nsp: &Nsp, limit: usize) {
        let Some(entry) = self.find(nsp).filter(|entry| entry.state == State::Connected) else {
            return;
        };
        let nsp = entry.nsp.clone();
        let ended = &mut self.rare.get_or_insert_default().ended;
        ended.push(nsp);
        if ended.len() > limit {
            ended.remove(0);
        }
    }

    /// Returns whether packets for a namespace that does not exist may have been sent before the
    /// client knew that it has ended.
    pub(super) fn is_straggler(&self, nsp: &Nsp) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.ended.contains(nsp))
    }

    fn find(&self, nsp: &Nsp) -> Option<&Entry> {
        self.position(nsp).and_then(|at| self.entries.get(at))
    }

    fn position(&self, nsp: &Nsp) -> Option<usize> {
        match &self.rare {
            Some(rare) if !rare.index.is_empty() => rare.index.get(nsp).copied(),
            _ => self.entries.iter().position(|entry| entry.nsp == *nsp),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn many_namespaces_are_found_like_few(
            changes in proptest::collection::vec((0..40_u8, 0..4_u8), 0..400),
        ) {
            let mut namespaces = Namespaces::default();
            let mut expected = BTreeMap::new();
            for (name, change) in changes {
                let nsp = Nsp::new(&name.to_string()).unwrap();
                match change {
                    0 => {
                        prop_assert_eq!(namespaces.remove(&nsp).is_some(), expected.remove(&name).is_some());
                    }
                    1 => {
                        let pending = expected.get_mut(&name).filter(|it| **it == State::Pending);
                        prop_assert_eq!(namespaces.confirm(&nsp), pending.is_some());
                        pending.into_iter().for_each(|it| *it = State::Connected);
                    }
                    _ => {
                        let new = !expected.contains_key(&name);
                        prop_assert_eq!(namespaces.request(&nsp), new);
                        expected.entry(name).or_insert(State::Pending);
                    }
                }
                prop_assert_eq!(namespaces.len(), expected.len());
                let indexed = namespaces.rare.as_ref().is_some_and(|it| !it.index.is_empty());
                prop_assert_eq!(indexed, expected.len() > MAX_UNINDEXED);
                for name in 0..40 {
                    let nsp = Nsp::new(&name.to_string()).unwrap();
                    prop_assert_eq!(namespaces.state(&nsp), expected.get(&name).copied());
                }
            }
        }
    }
}
