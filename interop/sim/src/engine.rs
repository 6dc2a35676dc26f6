//! The engine of a cluster, which nodes reach with a delay, or not at all.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use socketio_adapter::{
    AdapterError, BoxFuture, ClusterAdapter, ClusterMember, Discovery, Inbox, Link, MemoryAdapter,
    MemoryCluster, MemoryLog, MemoryMessage, Message, MessageError, NodeId, Offset, Room,
    RoomInterest,
    recovery::{Page, PageSize, SavedSession, SessionStore, TakeOutcome},
};
use socketio_emitter::Publish;
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

use crate::random::Random;

/// How the engine's calls behave while a node cannot reach it, or their responses are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partition {
    /// Its calls fail, and it does not know whether the engine has executed them.
    Refusing,
    /// Its calls fail, because it is not connected.
    NotConnected,
    /// Its calls wait.
    Stuck,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a node reaches the engine. `tokio::sync::watch` would wake its receivers in a random
/// order.
#[derive(Default)]
struct Reach {
    partition: Mutex<Option<Partition>>,
    /// How the engine's responses to calls that it has executed are lost.
    lost_responses: Mutex<Option<Partition>>,
    /// Whether messages to the node wait, although its calls reach the engine.
    stalls_messages: Mutex<bool>,
    changed: Notify,
}

impl Reach {
    fn partition(&self) -> Option<Partition> {
        *lock(&self.partition)
    }

    fn set(&self, partition: Option<Partition>) {
        *lock(&self.partition) = partition;
        self.changed.notify_waiters();
    }

    /// Waits until messages arrive.
    async fn receives(&self) {
        loop {
            let changed = self.changed.notified();
            if self.partition().is_none() && !*lock(&self.stalls_messages) {
                return;
            }
            changed.await;
        }
    }

    async fn reached(&self) {
        loop {
            let changed = self.changed.notified();
            if self.partition().is_none() {
                return;
            }
            changed.await;
        }
    }
}

/// The bus between nodes, with or without a log.
pub(crate) struct Engine {
    cluster: MemoryCluster,
    keeps_log: bool,
    random: Random,
    latency: Duration,
    /// The messages to each adapter, in order.
    messages: Arc<Mutex<Vec<mpsc::UnboundedSender<MemoryMessage>>>>,
}

impl Engine {
    pub(crate) fn new(keeps_log: bool, mut random: Random) -> Self {
        let cluster = if keeps_log {
            let log = MemoryLog { max_entries: 1_000_000, ..MemoryLog::default() };
            MemoryCluster::with_log(log, || tokio::time::Instant::now().into_std())
        } else {
            MemoryCluster::new()
        };
        let messages = Arc::<Mutex<Vec<mpsc::UnboundedSender<MemoryMessage>>>>::default();
        let senders = messages.clone();
        cluster.on_message(move |message| {
            let senders = lock(&senders);
            if let Some(sender) = senders.get(message.to) {
                let _ = sender.send(message);
            }
        });
        let latency = random.millis(0..8);
        Self { cluster, keeps_log, random, latency, messages }
    }

    /// Creates the adapter of one more node.
    pub(crate) fn adapter(&mut self) -> Arc<Access> {
        let (sender, mut messages) = mpsc::unbounded_channel::<MemoryMessage>();
        let server = {
            let mut messages = lock(&self.messages);
            messages.push(sender);
            messages.len() - 1
        };
        let reach = Arc::<Reach>::default();
        let to_node = reach.clone();
        let (keeps_log, mut random) = (self.keeps_log, self.random.fork());
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                sleep(random.millis(0..6)).await;
                if to_node.partition().is_some() && !keeps_log {
                    continue;
                }
                // A node reads the log from where it stopped.
                to_node.receives().await;
                message.deliver();
            }
        });
        let adapter = self.cluster.adapter();
        let gate = Gate { reach, latency: self.latency };
        Arc::new(Access { adapter, server, gate })
    }

    /// Returns a program that publishes on the bus without a server.
    pub(crate) fn publisher(&self) -> Publisher {
        // The engine delivers nothing to it.
        lock(&self.messages).push(mpsc::unbounded_channel().0);
        Publisher { adapter: self.cluster.adapter(), latency: self.latency }
    }

    /// Returns whether a node still receives the messages of a namespace.
    pub(crate) fn has_member(&self, access: &Access, nsp: &str) -> bool {
        self.cluster.reaches(access.server, nsp, "")
    }
}

/// The connection of an emitter to the engine.
pub(crate) struct Publisher {
    adapter: Arc<MemoryAdapter>,
    latency: Duration,
}

impl Publish for Publisher {
    /// Publishes as a member that leaves at once, because nodes count the members.
    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            sleep(self.latency).await;
            let member = ClusterMember { nsp: message.nsp.clone(), uid: message.uid.clone() };
            let link = self.adapter.join(member, Arc::new(NoInbox)).await?;
            let published = link.publish(message.clone()).await;
            link.leave().await;
            published.map(drop)
        })
    }
}

/// Emitters receive nothing.
struct NoInbox;

impl Inbox for NoInbox {
    fn receive(&self, _: Message, _: Option<Offset>) {}

    fn undecodable(&self, _: &MessageError) {}
}

#[derive(Clone)]
struct Gate {
    reach: Arc<Reach>,
    latency: Duration,
}

impl Gate {
    async fn pass(&self) -> Result<(), AdapterError> {
        sleep(self.latency).await;
        match self.reach.partition() {
            Some(Partition::Refusing) => Err(AdapterError::Engine("partition".into())),
            Some(Partition::NotConnected) => Err(AdapterError::NotConnected("partition".into())),
            Some(Partition::Stuck) => {
                self.reach.reached().await;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Returns the response to a call that the engine has executed, unless it is lost.
    async fn respond<T>(&self, result: Result<T, AdapterError>) -> Result<T, AdapterError> {
        loop {
            let changed = self.reach.changed.notified();
            let lost = *lock(&self.reach.lost_responses);
            match lost {
                None => return result,
                Some(Partition::Refusing | Partition::NotConnected) => {
                    return Err(AdapterError::Engine("the response is lost".into()));
                }
                Some(Partition::Stuck) => changed.await,
            }
        }
    }
}

/// A node's access to the engine.
pub(crate) struct Access {
    adapter: Arc<MemoryAdapter>,
    /// The number of the adapter in its cluster.
    server: usize,
    gate: Gate,
}

impl Access {
    pub(crate) fn partition(&self, partition: Option<Partition>) {
        self.gate.reach.set(partition);
    }

    pub(crate) fn lose_responses(&self, lost: Option<Partition>) {
        *lock(&self.gate.reach.lost_responses) = lost;
        self.gate.reach.changed.notify_waiters();
    }

    /// Delays the messages to the node, or passes them on again.
    pub(crate) fn stall_messages(&self, stalls: bool) {
        *lock(&self.gate.reach.stalls_messages) = stalls;
        self.gate.reach.changed.notify_waiters();
    }

    /// Cuts the node off for good.
    pub(crate) fn kill(&self) {
        self.adapter.kill();
        self.partition(None);
        self.lose_responses(None);
        self.stall_messages(false);
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.adapter.fmt(f)
    }
}

impl ClusterAdapter for Access {
    fn discovery(&self) -> Discovery {
        self.adapter.discovery()
    }

    fn keeps_log(&self) -> bool {
        self.adapter.keeps_log()
    }

    fn join(
        &self,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            self.gate.pass().await?;
            let joined = Joined(Some(self.adapter.join(member, inbox).await?));
            self.gate.respond(Ok(())).await?;
            let link = joined.into_link().ok_or(AdapterError::NotInCluster)?;
            Ok(Arc::new(GatedLink { link, gate: self.gate.clone() }) as Arc<dyn Link>)
        })
    }
}

/// A member whose node has no response of the engine yet. If it gets none, it leaves: its
/// subscription ends with the connection.
struct Joined(Option<Arc<dyn Link>>);

impl Joined {
    fn into_link(mut self) -> Option<Arc<dyn Link>> {
        self.0.take()
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            tokio::spawn(async move { link.leave().await });
        }
    }
}

struct GatedLink {
    link: Arc<dyn Link>,
    gate: Gate,
}

impl Link for GatedLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            self.gate.pass().await?;
            self.gate.respond(self.link.publish(message).await).await
        })
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            self.gate.pass().await?;
            self.gate.respond(self.link.reply(to, message).await).await
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async move {
            self.gate.pass().await?;
            self.gate.respond(self.link.count().await).await
        })
    }

    fn interest(&self) -> RoomInterest {
        self.link.interest()
    }

    fn room_appeared(&self, room: &Room) {
        self.link.room_appeared(room);
    }

    fn room_vanished(&self, room: &Room) {
        self.link.room_vanished(room);
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        let store = self.link.sessions()?;
        Some(Arc::new(GatedStore { store, gate: self.gate.clone() }))
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        self.link.leave()
    }
}

struct GatedStore {
    store: Arc<dyn SessionStore>,
    gate: Gate,
}

impl SessionStore for GatedStore {
    fn persist(
        &self,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            self.gate.pass().await?;
            self.gate.respond(self.store.persist(session, ttl).await).await
        })
    }

    fn forget<'a>(&'a self, pid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            self.gate.pass().await?;
            self.gate.respond(self.store.forget(pid, epoch).await).await
        })
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
        gone: Option<&'a NodeId>,
    ) -> BoxFuture<'a, Result<TakeOutcome, AdapterError>> {
        Box::pin(async move {
            self.gate.pass().await?;
            self.gate.respond(self.store.take(pid, offset, gone).await).await
        })
    }

    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            self.gate.pass().await?;
            // Pages are small, so that there are several.
            let size = PageSize { packets: size.packets.min(3), ..size };
            self.gate.respond(self.store.missed(offset, size).await).await
        })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        self.store.is_after(offset, other)
    }
}
