//! The bounded log of a namespace, and the sessions that can be recovered.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytestring::ByteString;
use engineio_parser::internal::deadline;

use super::trail::{Position, Session, Trail};
use crate::selection::Room;

/// Limits of a [`Log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// How long a session can be recovered after its connection was lost.
    pub max_disconnection_duration: Duration,
    /// Largest age of an event that can be sent again.
    pub max_age: Duration,
    /// Number of events.
    pub max_packets: usize,
    /// Size of the events in bytes, including bookkeeping.
    pub max_bytes: usize,
    /// Number of sessions.
    pub max_sessions: usize,
}

/// An event in the log. `P` is its encoded packet.
#[derive(Clone, Debug)]
pub struct Entry<P> {
    /// The offset by which the client refers to the event.
    pub offset: u64,
    /// The rooms of the recipients. Empty if the event was for all clients.
    pub rooms: Box<[Room]>,
    /// The excluded rooms.
    pub except: Box<[Room]>,
    /// The event.
    pub packet: P,
    /// The size in bytes.
    pub bytes: usize,
}

/// The events of one namespace in the order of delivery, and the sessions that can be recovered.
///
/// When a limit is reached, the oldest entries are dropped. Expired entries are dropped by
/// [`expire`](Self::expire), which the caller must call at [`next_expiry`](Self::next_expiry).
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
/// trail.record_sent(1);
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
    /// The position of the first entry.
    first: Position,
    bytes: usize,
    sessions: HashMap<ByteString, RetainedSession<D>>,
    /// The sessions in the order in which their connections were lost.
    order: BTreeMap<u64, ByteString>,
    persisted: u64,
}

#[derive(Debug)]
struct RetainedSession<D> {
    session: Session<D>,
    until: Instant,
    number: u64,
}

/// A recovered session.
#[derive(Debug)]
pub struct Resumed<D> {
    /// The session.
    pub session: Session<D>,
    /// The position of the first event that the client may have missed.
    pub from: Position,
}

impl<P, D> Log<P, D> {
    /// Creates an empty log.
    pub fn new(limits: LogLimits) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            sessions: HashMap::new(),
            order: BTreeMap::new(),
            persisted: 0,
        }
    }

    /// Returns the position of the next event.
    pub fn next(&self) -> Position {
        self.first + self.entries.len() as u64
    }

    /// Returns the position of the oldest event.
    pub fn first(&self) -> Position {
        self.first
    }

    /// Returns the number of events, and their size in bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Returns the number of sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Appends an event. Drops the oldest events if a limit is exceeded.
    pub fn append(&mut self, now: Instant, entry: Entry<P>) {
        self.bytes += entry.bytes;
        self.entries.push_back((now, entry));
        while self.entries.len() > self.limits.max_packets || self.bytes > self.limits.max_bytes {
            self.drop_first();
        }
        self.drop_expired(now);
    }

    /// Stores a session. Returns the session that it replaces, or the oldest one if there are too
    /// many.
    pub fn persist(&mut self, now: Instant, mut session: Session<D>) -> Option<Session<D>> {
        session.trail.miss(self.next());
        let number = self.persisted;
        self.persisted += 1;
        let until = deadline(now, self.limits.max_disconnection_duration);
        self.order.insert(number, session.pid.clone());
        let retained = RetainedSession { session, until, number };
        let former = self.sessions.insert(retained.session.pid.clone(), retained);
        if let Some(former) = former {
            self.order.remove(&former.number);
            return Some(former.session);
        }
        if self.sessions.len() > self.limits.max_sessions {
            let (_, pid) = self.order.pop_first()?;
            return self.sessions.remove(&pid).map(|retained| retained.session);
        }
        None
    }

    /// Returns whether a session can still be recovered.
    pub fn keeps(&self, now: Instant, pid: &str) -> bool {
        self.sessions.get(pid).is_some_and(|retained| now < retained.until)
    }

    /// Takes a session out, for a client that reports the offset of its last event. Returns `None`
    /// if the session is unknown or expired, or if the missed events cannot be determined. The
    /// session then stays stored.
    pub fn take(&mut self, now: Instant, pid: &str, offset: &str) -> Option<Resumed<D>> {
        self.drop_expired(now);
        let retained = self.sessions.get(pid).filter(|retained| now < retained.until)?;
        let from = self.after(&retained.session.trail, offset.parse().ok()?)?;
        let retained = self.sessions.remove(pid)?;
        self.order.remove(&retained.number);
        Some(Resumed { session: retained.session, from })
    }

    /// Takes a session out if its missed events have been dropped, so that it cannot be recovered
    /// with any offset.
    pub fn give_up(&mut self, pid: &str) -> Option<Session<D>> {
        let missed = self.sessions.get(pid)?.session.trail.missed();
        if missed.is_some_and(|missed| missed < self.first) { self.reclaim(pid) } else { None }
    }

    /// Takes a session out unconditionally, for a session whose events are in another log.
    pub fn reclaim(&mut self, pid: &str) -> Option<Session<D>> {
        let retained = self.sessions.remove(pid)?;
        self.order.remove(&retained.number);
        Some(retained.session)
    }

    /// Returns the events from position `from` on for a socket with this trail, which is in `rooms`
    /// now. Returns `None` if they have been dropped.
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

    /// Drops what has expired. Returns the expired sessions, so that the caller can choose where to
    /// drop their data.
    #[must_use]
    pub fn expire(&mut self, now: Instant) -> Vec<Session<D>> {
        self.drop_expired(now);
        let mut expired = Vec::new();
        while let Some(first) = self.order.first_entry()
            && self.sessions.get(first.get()).is_none_or(|retained| retained.until <= now)
        {
            let pid = first.remove();
            expired.extend(self.sessions.remove(&pid).map(|retained| retained.session));
        }
        if self.sessions.is_empty() {
            self.sessions.shrink_to_fit();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
        expired
    }

    /// Returns when [`expire`](Self::expire) will next find something. `None` if the log is empty.
    pub fn next_expiry(&self) -> Option<Instant> {
        let session = self.order.values().next().and_then(|pid| self.sessions.get(pid));
        let entry = self.entries.front().map(|(at, _)| deadline(*at, self.limits.max_age));
        session.map(|retained| retained.until).into_iter().chain(entry).min()
    }

    /// Returns the position of the first event that a client may have missed, given the offset of
    /// its last event.
    fn after(&self, trail: &Trail, offset: u64) -> Option<Position> {
        let from = match trail.missed() {
            // The client has all events that were sent to it. The log need not contain the last
            // event of an idle client.
            Some(missed) if trail.last() == Some(offset) => missed,
            _ => {
                // Search from the end, because the distance from the end is the number of missed
                // events.
                let back = self.entries.iter().rev().position(|(_, it)| it.offset == offset)?;
                self.next() - back as u64
            }
        };
        (from >= self.first && trail.knows(from)).then_some(from)
    }

    fn drop_expired(&mut self, now: Instant) {
        while self.entries.front().is_some_and(|(at, _)| deadline(*at, self.limits.max_age) <= now)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
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
        trail.record_sent(last);
        let (pid, sid) = (pid.into(), format!("s{pid}").into());
        Session { pid, sid, rooms: vec!["s".into()], data: (), trail }
    }

    fn recover(log: &mut Log<u64, ()>, now: Instant, pid: &str, last: u64) -> Option<Vec<u64>> {
        let back = log.take(now, pid, &last.to_string())?;
        let Session { trail, rooms, .. } = &back.session;
        let missed = log.missed(trail, back.from, rooms).unwrap();
        Some(missed.map(|entry| entry.packet).collect())
    }

    #[test]
    fn limits_are_enforced() {
        let now = Instant::now();
        let mut log = Log::<_, ()>::new(LogLimits { max_packets: 3, ..limits() });
        (1..=5).for_each(|n| log.append(now, entry(n)));
        assert_eq!((log.first(), log.next(), log.size()), (2, 5, (3, 30)));

        let mut log = Log::<_, ()>::new(LogLimits { max_bytes: 25, ..limits() });
        (1..=5).for_each(|n| log.append(now, entry(n)));
        assert_eq!((log.first(), log.size()), (3, (2, 20)));

        let mut log = Log::<_, ()>::new(limits());
        (0..20).for_each(|n| log.append(now + SECOND * n, entry(n.into())));
        assert_eq!(log.first(), 5, "events of the last 15 seconds are retained");

        let mut log = Log::<u64, ()>::new(LogLimits { max_sessions: 2, ..limits() });
        assert!(log.persist(now, session("a", 1)).is_none());
        assert!(log.persist(now, session("b", 1)).is_none());
        assert_eq!(log.persist(now, session("c", 1)).unwrap().pid, "a");
        assert_eq!(log.sessions(), 2);
    }

    #[test]
    fn a_session_is_recovered_once_and_before_it_expires() {
        let now = Instant::now();
        let mut log = Log::new(limits());
        log.append(now, entry(1));
        log.persist(now, session("a", 1));
        log.append(now, entry(2));
        assert_eq!(recover(&mut log, now, "b", 1), None);
        assert_eq!(recover(&mut log, now, "a", 7), None, "no event has this offset");
        assert!(log.take(now, "a", "").is_none() && log.take(now, "a", "x1").is_none());
        assert_eq!(recover(&mut log, now + 9 * SECOND, "a", 1), Some(vec![2]));
        assert_eq!(recover(&mut log, now + 9 * SECOND, "a", 1), None);
        log.persist(now, session("a", 1));
        assert!(log.keeps(now, "a") && !log.keeps(now + 10 * SECOND, "a"));
        assert_eq!(recover(&mut log, now + 10 * SECOND, "a", 1), None);
    }

    #[test]
    fn an_idle_client_is_recovered_long_after_its_last_event() {
        let now = Instant::now();
        let mut log = Log::new(limits());
        log.append(now, entry(1));
        let later = now + 100 * SECOND;
        log.persist(later, session("a", 1));
        log.append(later, entry(2));
        assert_eq!(recover(&mut log, later + SECOND, "a", 1), Some(vec![2]));
    }

    #[test]
    fn a_session_with_dropped_events_is_not_recovered() {
        let now = Instant::now();
        let mut log = Log::new(LogLimits { max_packets: 2, ..limits() });
        log.append(now, entry(1));
        log.persist(now, session("a", 1));
        (2..=4).for_each(|n| log.append(now, entry(n)));
        assert_eq!(recover(&mut log, now, "a", 1), None);
    }

    #[test]
    fn a_duration_may_be_unlimited() {
        let (now, ever) = (Instant::now(), Duration::MAX);
        let limits = LogLimits { max_disconnection_duration: ever, max_age: ever, ..limits() };
        let mut log = Log::new(limits);
        log.append(now, entry(1));
        log.persist(now, session("a", 1));
        assert!(log.expire(now + 100_000 * SECOND).is_empty());
        assert_eq!(recover(&mut log, now + 100_000 * SECOND, "a", 1), Some(vec![]));
    }

    #[test]
    fn events_and_sessions_expire() {
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

    /// Sockets join and leave rooms, lose their connections with the last events under way, and
    /// return.
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
        /// The connection is lost together with the last events under way.
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
        /// The events that the client must get, and those it has got.
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
                socket.trail.record_sent(entry.offset);
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
            socket.trail.record_sent(packet);
        }
        assert_eq!(socket.got, socket.due, "socket {index}");
        socket.trail.caught_up();
        socket.connected = true;
    }

    proptest! {
        #[test]
        fn no_event_is_lost_repeated_or_reordered(steps in steps(), small in any::<bool>()) {
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
                        let retained = socket.got.len().saturating_sub(lost).max(1);
                        socket.got.truncate(retained);
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
