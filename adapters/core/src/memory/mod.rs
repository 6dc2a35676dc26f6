//! A cluster of servers in one process, for tests and for programs that run several servers.

mod log;
mod outbox;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;

use self::{
    log::{Log, number},
    outbox::{Delivery, Outbox},
};
use crate::{
    adapter::{
        BoxFuture, ClusterAdapter, ClusterMember, Discovery, Heartbeats, Inbox, Link, RoomInterest,
    },
    error::AdapterError,
    internal::lock,
    limits::ClusterLimits,
    message::{Message, NodeId},
    recovery::{Offset, Page, PageSize, SavedSession, SessionStore, TakeOutcome},
    selection::Room,
};

pub use self::log::MemoryLog;

/// A bus between servers of one process. Messages are encoded and decoded as on any other bus. They
/// are delivered before publishing returns, unless [`on_message`](Self::on_message) intercepts them.
///
/// ```
/// use socketio_adapter::MemoryCluster;
///
/// let cluster = MemoryCluster::new();
/// let (one, two) = (cluster.adapter(), cluster.adapter()); // one for each server
/// # let _ = (one, two);
/// ```
#[derive(Clone)]
pub struct MemoryCluster(Arc<Bus>);

struct Bus {
    discovery: Discovery,
    room_channels: bool,
    keeps_log: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    servers: usize,
    cut_off: HashSet<usize>,
    members: Vec<Member>,
    handler: Option<Arc<MessageHandler>>,
    log: Option<Log>,
    /// With a log: the messages to deliver.
    outbox: Outbox,
}

type MessageHandler = dyn Fn(MemoryMessage) + Send + Sync;

struct Member {
    node: ClusterMember,
    server: usize,
    rooms: HashSet<Room>,
    inbox: Arc<dyn Inbox>,
}

/// A message on its way to one node. Dropping it loses the message.
#[must_use]
pub struct MemoryMessage {
    /// The number of the sending server. Servers are counted from 0 in the order of
    /// [`MemoryCluster::adapter`].
    pub from: usize,
    /// The number of the receiving server.
    pub to: usize,
    bus: Arc<Bus>,
    receiver: ClusterMember,
    inbox: Arc<dyn Inbox>,
    wire: Bytes,
    offset: Option<Offset>,
}

impl Default for MemoryCluster {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryCluster {
    /// Creates a cluster whose nodes are counted.
    pub fn new() -> Self {
        Self::with(Discovery::Count, false)
    }

    /// Creates a cluster whose nodes learn of each other by heartbeats.
    pub fn with_heartbeats(heartbeats: Heartbeats) -> Self {
        Self::with(Discovery::Heartbeats(heartbeats), false)
    }

    /// Creates a cluster with a channel per room, whose nodes are counted. A plain broadcast to one
    /// room reaches only the nodes that have the room.
    pub fn with_room_channels() -> Self {
        Self::with(Discovery::Count, true)
    }

    /// Creates a cluster with a log and a session store, whose nodes are counted. A client can
    /// return to any of its servers ([`recovery`](crate::recovery)). `clock` determines when
    /// sessions expire.
    ///
    /// ```
    /// use std::time::Instant;
    /// use socketio_adapter::{MemoryCluster, MemoryLog};
    ///
    /// let cluster = MemoryCluster::with_log(MemoryLog::default(), Instant::now);
    /// # let _ = cluster;
    /// ```
    pub fn with_log(log: MemoryLog, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        let state = State { log: Some(Log::new(log, Arc::new(clock))), ..State::default() };
        let (discovery, state) = (Discovery::Count, state.into());
        Self(Arc::new(Bus { discovery, room_channels: false, keeps_log: true, state }))
    }

    fn with(discovery: Discovery, room_channels: bool) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Bus { discovery, room_channels, keeps_log: false, state }))
    }

    /// Drops all entries of the log except the latest `entries`. Does nothing without a log.
    pub fn trim(&self, entries: usize) {
        if let Some(log) = &mut lock(&self.0.state).log {
            log.trim(entries);
        }
    }

    /// Creates the adapter of one more server.
    pub fn adapter(&self) -> Arc<MemoryAdapter> {
        let mut state = lock(&self.0.state);
        let server = state.servers;
        state.servers += 1;
        Arc::new(MemoryAdapter { bus: self.0.clone(), server })
    }

    /// Returns the number of stored sessions, including expired ones that were not removed yet.
    /// Returns 0 without a log.
    pub fn sessions(&self) -> usize {
        lock(&self.0.state).log.as_ref().map_or(0, Log::sessions)
    }

    /// Returns whether a server receives messages to a room. Always true unless there are [channels
    /// per room](Self::with_room_channels).
    pub fn reaches(&self, server: usize, nsp: &str, room: &str) -> bool {
        let reached = |member: &Member| {
            member.server == server
                && member.node.nsp == *nsp
                && (!self.0.room_channels || member.rooms.contains(room))
        };
        lock(&self.0.state).members.iter().any(reached)
    }

    /// From now on, passes every message to `handler`, which delivers it immediately, later, or
    /// never.
    pub fn on_message(&self, handler: impl Fn(MemoryMessage) + Send + Sync + 'static) {
        let former = lock(&self.0.state).handler.replace(Arc::new(handler));
        drop(former);
    }
}

impl MemoryMessage {
    /// Delivers the message, unless the sender or the receiver [was killed](MemoryAdapter::kill).
    pub fn deliver(self) {
        let lost = {
            let state = lock(&self.bus.state);
            [self.from, self.to].iter().any(|server| state.cut_off.contains(server))
        };
        if lost {
            return;
        }
        if let Some(offset) = &self.offset
            && let Some(number) = Message::own_event(&self.wire, &self.receiver)
            && self.inbox.receive_own(number, offset)
        {
            return;
        }
        match Message::decode(&self.wire, &ClusterLimits::default()) {
            Ok(message) => self.inbox.receive(message, self.offset),
            Err(error) => self.inbox.undecodable(&error),
        }
    }

    /// Delivers other bytes in place of the message.
    pub fn deliver_as(mut self, wire: impl Into<Bytes>) {
        self.wire = wire.into();
        self.deliver();
    }
}

impl Bus {
    /// Sends a message to all other nodes of the namespace, or to one of them.
    async fn send(
        self: &Arc<Self>,
        from: (usize, &ClusterMember),
        to: Option<&NodeId>,
        message: &Message,
    ) -> Result<Option<Offset>, AdapterError> {
        let (offset, through) = self.append(from, to, message)?;
        if let Some(through) = through {
            Delivery { bus: self, through }.await;
        }
        Ok(offset)
    }

    /// Delivers a message, or appends it to the outbox. Returns its offset, and the message through
    /// which the outbox is to be delivered.
    fn append(
        self: &Arc<Self>,
        (server, node): (usize, &ClusterMember),
        to: Option<&NodeId>,
        message: &Message,
    ) -> Result<(Option<Offset>, Option<u64>), AdapterError> {
        let room = message.body.only_room().filter(|_| self.room_channels);
        let wire = message.encode();
        let (offset, messages) = {
            let mut guard = lock(&self.state);
            let state = &mut *guard;
            if !state.members.iter().any(|other| other.node == *node) {
                return Err(AdapterError::NotInCluster);
            }
            let offset = match &mut state.log {
                Some(_) if state.cut_off.contains(&server) => return Err(cut_off()),
                Some(log) => log.append(message, &wire),
                None => None,
            };
            let others = state.members.iter().filter(|other| {
                other.node.nsp == node.nsp
                    && (other.node.uid != node.uid || offset.is_some())
                    && to.is_none_or(|to| other.node.uid == *to)
                    && room.is_none_or(|room| other.rooms.contains(room))
            });
            let messages: Vec<_> = others
                .map(|other| MemoryMessage {
                    from: server,
                    to: other.server,
                    bus: self.clone(),
                    receiver: other.node.clone(),
                    inbox: other.inbox.clone(),
                    wire: wire.clone(),
                    offset: offset.clone(),
                })
                .collect();
            if self.keeps_log {
                return Ok((offset, Some(state.outbox.append(messages))));
            }
            (offset, messages)
        };
        for message in messages {
            self.deliver(message);
        }
        Ok((offset, None))
    }

    /// Passes a message to the handler, or delivers it if there is none.
    fn deliver(&self, message: MemoryMessage) {
        let handler = lock(&self.state).handler.clone();
        match handler {
            Some(handler) => handler(message),
            None => message.deliver(),
        }
    }
}

fn cut_off() -> AdapterError {
    AdapterError::Engine("the server is cut off".into())
}

/// The adapter of one server in a [`MemoryCluster`].
pub struct MemoryAdapter {
    bus: Arc<Bus>,
    server: usize,
}

impl MemoryAdapter {
    /// Disconnects the server from the cluster, as if its machine had crashed. The server receives
    /// nothing and sends nothing. It does not announce that it leaves.
    pub fn kill(&self) {
        lock(&self.bus.state).cut_off.insert(self.server);
    }
}

impl fmt::Debug for MemoryAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAdapter").field("server", &self.server).finish_non_exhaustive()
    }
}

impl ClusterAdapter for MemoryAdapter {
    fn discovery(&self) -> Discovery {
        self.bus.discovery
    }

    fn keeps_log(&self) -> bool {
        self.bus.keeps_log
    }

    fn join(
        &self,
        node: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            let (server, rooms) = (self.server, HashSet::new());
            let member = Member { node: node.clone(), server, rooms, inbox };
            lock(&self.bus.state).members.push(member);
            Ok(Arc::new(MemoryLink { bus: self.bus.clone(), server, node }) as Arc<dyn Link>)
        })
    }
}

struct MemoryLink {
    bus: Arc<Bus>,
    server: usize,
    node: ClusterMember,
}

impl MemoryLink {
    fn change_rooms(&self, change: impl FnOnce(&mut HashSet<Room>)) {
        let mut state = lock(&self.bus.state);
        if let Some(own) = state.members.iter_mut().find(|other| other.node == self.node) {
            change(&mut own.rooms);
        }
    }
}

impl Link for MemoryLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move { self.bus.send((self.server, &self.node), None, &message).await })
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            self.bus.send((self.server, &self.node), Some(to), &message).await.map(drop)
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async move {
            let state = lock(&self.bus.state);
            let here = |other: &&Member| {
                other.node.nsp == self.node.nsp && !state.cut_off.contains(&other.server)
            };
            Ok(state.members.iter().filter(here).count())
        })
    }

    fn interest(&self) -> RoomInterest {
        if self.bus.room_channels { RoomInterest::All } else { RoomInterest::None }
    }

    fn room_appeared(&self, room: &Room) {
        self.change_rooms(|rooms| {
            rooms.insert(room.clone());
        });
    }

    fn room_vanished(&self, room: &Room) {
        self.change_rooms(|rooms| {
            rooms.remove(room);
        });
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        let Self { bus, server, node } = self;
        let store = || Store { bus: bus.clone(), server: *server, node: node.clone() };
        bus.keeps_log.then(|| Arc::new(store()) as Arc<dyn SessionStore>)
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let left = {
                let mut state = lock(&self.bus.state);
                let at = state.members.iter().position(|other| other.node == self.node);
                at.map(|at| state.members.swap_remove(at))
            };
            drop(left);
        })
    }
}

struct Store {
    bus: Arc<Bus>,
    server: usize,
    node: ClusterMember,
}

impl Store {
    fn with<R>(
        &self,
        act: impl FnOnce(&mut Log, Instant) -> Result<R, AdapterError>,
    ) -> Result<R, AdapterError> {
        let clock = lock(&self.bus.state).log.as_ref().map(|log| log.clock.clone());
        let now = clock.ok_or_else(cut_off)?();
        let mut state = lock(&self.bus.state);
        match &state.cut_off.contains(&self.server) {
            false => state.log.as_mut().map_or_else(|| Err(cut_off()), |log| act(log, now)),
            true => Err(cut_off()),
        }
    }
}

impl SessionStore for Store {
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            self.with(|log, now| {
                log.persist(now, &session, ttl);
                Ok(())
            })
        })
    }

    fn forget<'a>(&'a self, pid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            self.with(|log, _| {
                log.forget(pid, epoch);
                Ok(())
            })
        })
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
        gone: Option<&'a NodeId>,
    ) -> BoxFuture<'a, Result<TakeOutcome, AdapterError>> {
        Box::pin(
            async move { self.with(|log, now| log.take(now, &self.node.nsp, (pid, offset), gone)) },
        )
    }

    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move { self.with(|log, _| log.missed(&self.node.nsp, offset, size)) })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        number(offset) > number(other)
    }
}
