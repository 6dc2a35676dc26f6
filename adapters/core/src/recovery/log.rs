//! The bounded log of a namespace, and the sessions that may come back.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytestring::ByteString;

use super::{
    session::Session,
    trail::{Position, Trail},
};
use crate::selection::Room;

/// How much a [`Log`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// How long a session may stay away.
    pub max_disconnection_duration: Duration,
    /// How old an event may be that is still sent again.
    pub max_age: Duration,
    /// Events kept.
    pub max_packets: usize,
    /// Bytes of events kept, their bookkeeping included.
    pub max_bytes: usize,
    /// Sessions kept.
    pub max_sessions: usize,
}

/// As good as for ever, and can be added to any instant.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// An event of the log: `P` in wire form, and whom it was for.
#[derive(Clone, Debug)]
pub struct Entry<P> {
    /// What the client names it by.
    pub offset: u64,
    /// The rooms it was for; everybody where there are none.
    pub rooms: Box<[Room]>,
    /// The rooms it was not for.
    pub except: Box<[Room]>,
    /// The event.
    pub packet: P,
    /// What it takes up, in bytes.
    pub bytes: usize,
}

/// The events of one namespace in the order of their delivery, and the sessions that may come back to it.
///
/// The oldest give way where a limit is reached. Nothing expires by itself: [`expire`](Self::expire) is to be called now
/// and then, and [`next_expiry`](Self::next_expiry) tells when.
///
/// ```
/// use std::time::{Duration, Instant};
/// use socketio_adapter::recovery::{Entry, Log, LogLimits, Session, Trail};
///
/// let (now, minute) = (Instant::now(), Duration::from_secs(60));
/// let mut log = Log::new(LogLimits {
///     max_disconnection_duration: 2 * minute,
///     max_age: 3 * minute,
///     max_packets: 1000,
///     max_bytes: 1_000_000,
///     max_sessions: 100,
/// });
/// let mut event = |log: &mut Log<_, _>, offset, packet| {
///     let (rooms, except) = ([].into(), [].into());
///     log.append(now, Entry { offset, rooms, except, packet, bytes: 100 });
/// };
/// let mut trail = Trail::default();
/// event(&mut log, 1, "one");
/// trail.gave(1);
/// trail.miss(log.next()); // the connection is lost
/// event(&mut log, 2, "two");
/// let (pid, sid) = ("private".into(), "id".into());
/// log.persist(now, Session { pid, sid, rooms: vec!["id".into()], data: (), trail });
///
/// let back = log.take(now + minute, "private", "1").unwrap();
/// let missed = log.missed(&back.session.trail, back.from, &back.session.rooms).unwrap();
/// assert_eq!(missed.map(|entry| entry.packet).collect::<Vec<_>>(), ["two"]);
/// ```
#[derive(Debug)]
pub struct Log<P, D> {
    limits: LogLimits,
    entries: VecDeque<(Instant, Entry<P>)>,
    /// Where the first entry stands.
    first: Position,
    bytes: usize,
    sessions: HashMap<ByteString, Kept<D>>,
    /// The sessions by the order in which they were lost.
    order: BTreeMap<u64, ByteString>,
    persisted: u64,
}

#[derive(Debug)]
struct Kept<D> {
    session: Session<D>,
    until: Instant,
    number: u64,
}

/// A session that came back.
#[derive(Debug)]
pub struct Resumed<D> {
    /// The session.
    pub session: Session<D>,
    /// The first event that the client may not have.
    pub from: Position,
}

impl<P, D> Log<P, D> {
    /// An empty log.
    pub fn new(limits: LogLimits) -> Self {
        let LogLimits { max_disconnection_duration, max_age, .. } = limits;
        Self {
            limits: LogLimits {
                max_disconnection_duration: max_disconnection_duration.min(FOREVER),
                max_age: max_age.min(FOREVER),
                ..limits
            },
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            sessions: HashMap::new(),
            order: BTreeMap::new(),
            persisted: 0,
        }
    }

    /// Where the next event will stand.
    pub fn next(&self) -> Position {
        self.first + self.entries.len() as u64
    }

    /// Where the oldest event stands that is kept.
    pub fn first(&self) -> Position {
        self.first
    }

    /// Events and bytes kept.
    pub fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// How many sessions are kept.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Appends an event; the oldest ones give way.
    pub fn append(&mut self, now: Instant, entry: Entry<P>) {
        self.bytes += entry.bytes;
        self.entries.push_back((now, entry));
        while self.entries.len() > self.limits.max_packets || self.bytes > self.limits.max_bytes {
            self.forget_first();
        }
        self.forget_old(now);
    }

    /// Keeps a session. Where there are too many, the one that was lost first is given back.
    pub fn persist(&mut self, now: Instant, mut session: Session<D>) -> Option<Session<D>> {
        session.trail.miss(self.next());
        let number = self.persisted;
        self.persisted += 1;
        let until = now + self.limits.max_disconnection_duration;
        self.order.insert(number, session.pid.clone());
        let kept = Kept { session, until, number };
        let former = self.sessions.insert(kept.session.pid.clone(), kept);
        if let Some(former) = former {
            self.order.remove(&former.number);
            return Some(former.session);
        }
        if self.sessions.len() > self.limits.max_sessions {
            let (_, pid) = self.order.pop_first()?;
            return self.sessions.remove(&pid).map(|kept| kept.session);
        }
        None
    }

    /// Whether a session may still come back.
    pub fn keeps(&self, now: Instant, pid: &str) -> bool {
        self.sessions.get(pid).is_some_and(|kept| now < kept.until)
    }

    /// Takes a session out, for a client that says which event it got last. `None`, and nothing is taken out, where the
    /// session is unknown or expired, or it cannot be told what the client has missed.
    pub fn take(&mut self, now: Instant, pid: &str, offset: &str) -> Option<Resumed<D>> {
        self.forget_old(now);
        let kept = self.sessions.get(pid).filter(|kept| now < kept.until)?;
        let from = self.after(&kept.session.trail, offset.parse().ok()?)?;
        let kept = self.sessions.remove(pid)?;
        self.order.remove(&kept.number);
        Some(Resumed { session: kept.session, from })
    }

    /// Takes a session out that cannot come back, whatever its client says: what it missed is not known any more.
    pub fn give_up(&mut self, pid: &str) -> Option<Session<D>> {
        let missed = self.sessions.get(pid)?.session.trail.missed();
        if missed.is_some_and(|missed| missed < self.first) { self.reclaim(pid) } else { None }
    }

    /// Takes a session out whose events are in a log elsewhere.
    pub fn reclaim(&mut self, pid: &str) -> Option<Session<D>> {
        let kept = self.sessions.remove(pid)?;
        self.order.remove(&kept.number);
        Some(kept.session)
    }

    /// The events from a position on that are for a socket with this trail, which is in `rooms` now. `None` where they are
    /// not known any more.
    pub fn missed<'a>(
        &'a self,
        trail: &'a Trail,
        from: Position,
        rooms: &'a [Room],
    ) -> Option<impl Iterator<Item = &'a Entry<P>>> {
        if !trail.knows(from) {
            return None;
        }
        let skip = usize::try_from(from.checked_sub(self.first)?).ok()?;
        let mut walk = trail.walk(from, rooms);
        let later = self.entries.iter().skip(skip).zip(from..);
        Some(later.filter_map(move |((_, entry), position)| {
            walk.reaches(position, &entry.rooms, &entry.except).then_some(entry)
        }))
    }

    /// Forgets what is too old. The sessions are given back: their data ends where the caller wants it to.
    #[must_use]
    pub fn expire(&mut self, now: Instant) -> Vec<Session<D>> {
        self.forget_old(now);
        let mut expired = Vec::new();
        while let Some(first) = self.order.first_entry()
            && self.sessions.get(first.get()).is_none_or(|kept| kept.until <= now)
        {
            let pid = first.remove();
            expired.extend(self.sessions.remove(&pid).map(|kept| kept.session));
        }
        if self.sessions.is_empty() {
            self.sessions.shrink_to_fit();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
        expired
    }

    /// When [`expire`](Self::expire) will next find something; `None` while nothing is kept.
    pub fn next_expiry(&self) -> Option<Instant> {
        let session = self.order.values().next().and_then(|pid| self.sessions.get(pid));
        let entry = self.entries.front().map(|(at, _)| *at + self.limits.max_age);
        session.map(|kept| kept.until).into_iter().chain(entry).min()
    }

    /// The first event that a client may not have which got the one with this offset last.
    fn after(&self, trail: &Trail, offset: u64) -> Option<Position> {
        let from = match trail.missed() {
            // It has all it was given: that an idle client's last event is forgotten does not matter.
            Some(missed) if trail.last() == Some(offset) => missed,
            _ => {
                // From the end: what is passed is what it has missed.
                let back = self.entries.iter().rev().position(|(_, it)| it.offset == offset)?;
                self.next() - back as u64
            }
        };
        (from >= self.first && trail.knows(from)).then_some(from)
    }

    fn forget_old(&mut self, now: Instant) {
        while self.entries.front().is_some_and(|(at, _)| *at + self.limits.max_age <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, entry)) = self.entries.pop_front() {
            self.bytes -= entry.bytes;
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> LogLimits {
        LogLimits {
            max_disconnection_duration: 10 * SECOND,
            max_age: 15 * SECOND,
            max_packets: 1000,
            max_bytes: 100_000,
            max_sessions: 10,
        }
    }

    fn entry(offset: u64) -> Entry<u64> {
        Entry { offset, rooms: [].into(), except: [].into(), packet: offset, bytes: 10 }
    }

    fn session(pid: &str, last: u64) -> Session<()> {
        let mut trail = Trail::default();
        trail.gave(last);
        let (pid, sid) = (pid.into(), format!("s{pid}").into());
        Session { pid, sid, rooms: vec!["s".into()], data: (), trail }
    }

    fn comes_back(log: &mut Log<u64, ()>, now: Instant, pid: &str, last: u64) -> Option<Vec<u64>> {
        let back = log.take(now, pid, &last.to_string())?;
        let Session { trail, rooms, .. } = &back.session;
        let missed = log.missed(trail, back.from, rooms).unwrap();
        Some(missed.map(|entry| entry.packet).collect())
    }

    #[test]
    fn each_limit_holds() {
        let now = Instant::now();
        let mut log = Log::<_, ()>::new(LogLimits { max_packets: 3, ..limits() });
        (1..=5).for_each(|n| log.append(now, entry(n)));
        assert_eq!((log.first(), log.next(), log.size()), (2, 5, (3, 30)));

        let mut log = Log::<_, ()>::new(LogLimits { max_bytes: 25, ..limits() });
        (1..=5).for_each(|n| log.append(now, entry(n)));
        assert_eq!((log.first(), log.size()), (3, (2, 20)));

        let mut log = Log::<_, ()>::new(limits());
        (0..20).for_each(|n| log.append(now + SECOND * n, entry(n.into())));
        assert_eq!(log.first(), 5, "those of the last 15 seconds are kept");

        let mut log = Log::<u64, ()>::new(LogLimits { max_sessions: 2, ..limits() });
        assert!(log.persist(now, session("a", 1)).is_none());
        assert!(log.persist(now, session("b", 1)).is_none());
        assert_eq!(log.persist(now, session("c", 1)).unwrap().pid, "a");
        assert_eq!(log.sessions(), 2);
    }

    #[test]
    fn a_session_comes_back_once_and_in_time() {
        let now = Instant::now();
        let mut log = Log::new(limits());
        log.append(now, entry(1));
        log.persist(now, session("a", 1));
        log.append(now, entry(2));
        assert_eq!(comes_back(&mut log, now, "b", 1), None);
        assert_eq!(comes_back(&mut log, now, "a", 7), None, "an offset nobody was given");
        assert!(log.take(now, "a", "").is_none() && log.take(now, "a", "x1").is_none());
        assert_eq!(comes_back(&mut log, now + 9 * SECOND, "a", 1), Some(vec![2]));
        assert_eq!(comes_back(&mut log, now + 9 * SECOND, "a", 1), None);
        log.persist(now, session("a", 1));
        assert!(log.keeps(now, "a") && !log.keeps(now + 10 * SECOND, "a"));
        assert_eq!(comes_back(&mut log, now + 10 * SECOND, "a", 1), None);
    }

    #[test]
    fn an_idle_client_comes_back_long_after_its_last_event() {
        let now = Instant::now();
        let mut log = Log::new(limits());
        log.append(now, entry(1));
        let later = now + 100 * SECOND;
        log.persist(later, session("a", 1));
        log.append(later, entry(2));
        assert_eq!(comes_back(&mut log, later + SECOND, "a", 1), Some(vec![2]));
    }

    #[test]
    fn a_hole_is_no_recovery() {
        let now = Instant::now();
        let mut log = Log::new(LogLimits { max_packets: 2, ..limits() });
        log.append(now, entry(1));
        log.persist(now, session("a", 1));
        (2..=4).for_each(|n| log.append(now, entry(n)));
        assert_eq!(comes_back(&mut log, now, "a", 1), None);
    }

    #[test]
    fn a_limit_may_be_for_ever() {
        let (now, ever) = (Instant::now(), Duration::MAX);
        let limits = LogLimits { max_disconnection_duration: ever, max_age: ever, ..limits() };
        let mut log = Log::new(limits);
        log.append(now, entry(1));
        log.persist(now, session("a", 1));
        assert!(log.expire(now + 100_000 * SECOND).is_empty());
        assert_eq!(comes_back(&mut log, now + 100_000 * SECOND, "a", 1), Some(vec![]));
    }

    #[test]
    fn what_is_kept_expires() {
        let now = Instant::now();
        let mut log = Log::new(limits());
        assert_eq!(log.next_expiry(), None);
        log.append(now, entry(1));
        assert_eq!(log.next_expiry(), Some(now + 15 * SECOND));
        log.persist(now, session("a", 1));
        log.persist(now + SECOND, session("b", 1));
        assert_eq!(log.next_expiry(), Some(now + 10 * SECOND));
        let expired = log.expire(now + 10 * SECOND);
        assert_eq!(expired.iter().map(|session| &*session.pid).collect::<Vec<_>>(), ["a"]);
        assert_eq!(log.expire(now + 15 * SECOND).len(), 1);
        assert_eq!((log.size(), log.sessions(), log.next_expiry()), ((0, 0), 0, None));
    }

    /// Sockets that join, leave, lose their connections and come back, some of what they were sent being lost.
    #[derive(Clone, Debug)]
    enum Step {
        Send {
            rooms: Vec<u8>,
            except: Vec<u8>,
        },
        Join {
            socket: usize,
            room: u8,
        },
        Leave {
            socket: usize,
            room: u8,
        },
        /// The connection is lost, and with it the last events on their way.
        Drop {
            socket: usize,
            lost: usize,
        },
        Restore {
            socket: usize,
        },
        Wait {
            seconds: u32,
        },
    }

    #[derive(Debug)]
    struct Socket {
        rooms: Vec<Room>,
        trail: Trail,
        /// What the client is to get, and what it has got.
        due: Vec<u64>,
        got: Vec<u64>,
        connected: bool,
    }

    const SOCKETS: usize = 3;

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let rooms = || prop::collection::vec(0..3_u8, 0..3);
        let socket = || 0..SOCKETS;
        let step = prop_oneof![
            6 => (rooms(), rooms()).prop_map(|(rooms, except)| Step::Send { rooms, except }),
            2 => (socket(), 0..3_u8).prop_map(|(socket, room)| Step::Join { socket, room }),
            2 => (socket(), 0..3_u8).prop_map(|(socket, room)| Step::Leave { socket, room }),
            2 => (socket(), 0..4_usize).prop_map(|(socket, lost)| Step::Drop { socket, lost }),
            3 => socket().prop_map(|socket| Step::Restore { socket }),
            1 => (0..9_u32).prop_map(|seconds| Step::Wait { seconds }),
        ];
        prop::collection::vec(step, 0..150)
    }

    fn names(rooms: &[u8]) -> Box<[Room]> {
        rooms.iter().map(|room| Room::from(format!("r{room}"))).collect()
    }

    fn change(log: &Log<u64, usize>, socket: &mut Socket, room: u8, join: bool) {
        let (before, room) = (socket.rooms.clone(), Room::from(format!("r{room}")));
        socket.rooms.retain(|known| *known != room);
        if join {
            socket.rooms.push(room);
        }
        socket.trail.rooms_changed(log.next(), log.first(), &before, &socket.rooms);
    }

    fn send(log: &mut Log<u64, usize>, now: Instant, sockets: &mut [Socket], entry: Entry<u64>) {
        let any = |socket: &Socket, rooms: &[Room]| rooms.iter().any(|r| socket.rooms.contains(r));
        for socket in sockets {
            let for_it = entry.rooms.is_empty() || any(socket, &entry.rooms);
            if !for_it || any(socket, &entry.except) {
                continue;
            }
            socket.due.push(entry.packet);
            if socket.connected {
                socket.got.push(entry.packet);
                socket.trail.gave(entry.offset);
            }
        }
        log.append(now, entry);
    }

    fn restore(log: &mut Log<u64, usize>, now: Instant, socket: &mut Socket, index: usize) {
        let Some(last) = socket.got.last().copied() else { return };
        let Some(back) = log.take(now, &index.to_string(), &last.to_string()) else { return };
        socket.trail = back.session.trail;
        let missed = log.missed(&socket.trail, back.from, &socket.rooms).unwrap();
        let missed: Vec<_> = missed.map(|entry| entry.packet).collect();
        for packet in missed {
            socket.got.push(packet);
            socket.trail.gave(packet);
        }
        assert_eq!(socket.got, socket.due, "socket {index}");
        socket.trail.caught_up();
        socket.connected = true;
    }

    proptest! {
        #[test]
        fn nothing_is_lost_repeated_or_reordered(steps in steps(), small in any::<bool>()) {
            let mut now = Instant::now();
            let max_packets = if small { 5 } else { 1000 };
            let mut log = Log::new(LogLimits { max_packets, ..limits() });
            let mut offset = 0;
            let mut sockets: Vec<_> = (0..SOCKETS).map(|index| Socket {
                rooms: vec![format!("s{index}").into()],
                trail: Trail::default(),
                due: Vec::new(),
                got: Vec::new(),
                connected: true,
            }).collect();
            for step in steps {
                match step {
                    Step::Send { rooms, except } => {
                        offset += 1;
                        let (rooms, except) = (names(&rooms), names(&except));
                        let entry = Entry { offset, rooms, except, packet: offset, bytes: 1 };
                        send(&mut log, now, &mut sockets, entry);
                    }
                    Step::Join { socket, room } if sockets[socket].connected => {
                        change(&log, &mut sockets[socket], room, true);
                    }
                    Step::Leave { socket, room } if sockets[socket].connected => {
                        change(&log, &mut sockets[socket], room, false);
                    }
                    Step::Drop { socket: index, lost } if sockets[index].connected => {
                        let socket = &mut sockets[index];
                        socket.connected = false;
                        socket.trail.miss(log.next());
                        let kept = socket.got.len().saturating_sub(lost).max(1);
                        socket.got.truncate(kept);
                        let (rooms, trail) = (socket.rooms.clone(), socket.trail.clone());
                        let (pid, sid) = (index.to_string().into(), format!("s{index}").into());
                        log.persist(now, Session { pid, sid, rooms, data: index, trail });
                    }
                    Step::Restore { socket: index } if !sockets[index].connected => {
                        restore(&mut log, now, &mut sockets[index], index);
                    }
                    Step::Wait { seconds } => now += SECOND * seconds,
                    _ => {}
                }
            }
            for (index, socket) in sockets.iter().enumerate() {
                if socket.connected {
                    prop_assert_eq!(&socket.got, &socket.due, "socket {}", index);
                }
            }
        }
    }
}
