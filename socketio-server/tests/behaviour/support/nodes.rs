//! Servers of a cluster that has a log and keeps sessions.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;
use socketio_adapter::{
    AdapterError, BoxFuture, ClusterMember, Discovery, Inbox, Link, MemoryAdapter, MemoryMessage,
    Message, MessageError, NodeId, Offset,
    recovery::{Page, PageSize, SavedSession, SessionStore, TakeOutcome},
};
use socketio_server::{
    ClusterAdapter, ClusterLimits, MemoryCluster, MemoryLog, Recovery, ServerConfig, Socket,
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Client, Running, server_with, sockets, until, within};

pub fn cluster() -> MemoryCluster {
    MemoryCluster::with_log(MemoryLog::default(), || tokio::time::Instant::now().into_std())
}

/// Limits for nodes that reply. By default a node has 625 ms to hand a session over, which a busy
/// machine may exceed.
pub fn patient() -> ClusterLimits {
    ClusterLimits::default().request_timeout(Duration::from_secs(40))
}

/// A cluster whose log skips the messages to the selected nodes while the flag is set.
pub fn skipping(
    is_selected: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (MemoryCluster, Arc<AtomicBool>) {
    let (cluster, skip) = (cluster(), Arc::new(AtomicBool::new(false)));
    let skipped = skip.clone();
    cluster.on_message(move |message| {
        if !(is_selected(message.to) && skipped.load(Ordering::SeqCst)) {
            message.deliver();
        }
    });
    (cluster, skip)
}

/// Returns the next event without its offset, and the offset, if it has one.
pub async fn event(client: &mut Client) -> (serde_json::Value, Option<String>) {
    let text = client.text().await;
    let mut event: Vec<serde_json::Value> =
        serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap();
    let offset = if event.len() > 2 { event.pop() } else { None };
    (event.into(), offset.map(|offset| offset.as_str().unwrap().to_owned()))
}

/// A server of the cluster, and the sockets that connect to it.
pub struct Node {
    pub server: Running,
    connected: UnboundedReceiver<Socket>,
}

impl Node {
    pub async fn of(cluster: &MemoryCluster) -> Self {
        Self::with(cluster.adapter(), Recovery::default(), patient()).await
    }

    pub async fn with(
        adapter: Arc<dyn ClusterAdapter>,
        recovery: Recovery,
        limits: ClusterLimits,
    ) -> Self {
        let config = ServerConfig::default().connection_state_recovery(recovery);
        let server = server_with(config.adapter(adapter).cluster_limits(limits)).await;
        within(server.io.joined()).await;
        let connected = sockets(&server.io.of("/"));
        Self { server, connected }
    }

    /// Connects a client. Returns its socket and its private id too.
    pub async fn client(&mut self) -> (Client, Socket, String) {
        let mut client = self.server.open().await;
        client.send("40").await;
        let (_, pid) = client.recoverable().await;
        (client, self.socket().await, pid)
    }

    /// Connects a client that has received an event. Returns the event's offset too.
    pub async fn client_with_offset(&mut self) -> (Client, Socket, String, String) {
        let (mut client, socket, pid) = self.client().await;
        socket.emit("got", &()).unwrap();
        let offset = client.recorded().await.1;
        (client, socket, pid, offset)
    }

    /// Returns the next socket that connects.
    pub async fn socket(&mut self) -> Socket {
        within(self.connected.recv()).await.unwrap()
    }

    /// Breaks the only client's connection, and waits until the server has detected it.
    pub async fn lose(&self, client: Client) {
        client.reset();
        until(|| self.server.io.of("/").sockets_count() == 0).await;
    }

    /// Connects a client that claims a session.
    pub async fn claims(&self, pid: &str, offset: &str) -> Client {
        let mut client = self.server.open().await;
        client.claim(pid, offset).await;
        client
    }

    /// Waits until all events of this node are in the log. Its request is delivered after them.
    pub async fn settle(&self) {
        within(self.server.io.fetch_sockets()).await.unwrap();
    }
}

/// Messages to one server that are held back.
#[derive(Clone, Default)]
pub struct Held {
    on: Arc<AtomicBool>,
    messages: Arc<Mutex<Vec<MemoryMessage>>>,
}

impl Held {
    /// Intercepts the messages to each server. Returns one value per server.
    pub fn of<const N: usize>(cluster: &MemoryCluster) -> [Self; N] {
        let held = [(); N].map(|()| Self::default());
        let all = held.clone();
        cluster.on_message(move |message| match all.get(message.to) {
            Some(held) if held.on.load(Ordering::SeqCst) => {
                held.messages.lock().unwrap().push(message);
            }
            _ => message.deliver(),
        });
        held
    }

    pub fn hold(&self) {
        self.on.store(true, Ordering::SeqCst);
    }

    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }

    pub fn len(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    /// Delivers the held messages in order.
    pub fn release(&self) {
        for message in std::mem::take(&mut *self.messages.lock().unwrap()) {
            message.deliver();
        }
        self.on.store(false, Ordering::SeqCst);
    }
}

/// A failure of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Trouble {
    #[default]
    None,
    /// Calls of the session store fail.
    Failing,
    /// Calls of the session store never end.
    Stuck,
    /// The store takes out a session and does not reply.
    LateSession,
    /// The store does not finish to write sessions that have an owner.
    SlowOwned,
    /// The store returns sessions, but no log.
    NoLog,
    /// The store works, but messages are refused.
    NoPublishing,
    /// Messages wait.
    SlowPublishing,
    /// There is no connection, and what waits fails.
    NotConnected,
    /// Messages are taken, but the confirmation is lost.
    NoAnswer,
    /// Messages are taken, but the confirmation has no offset.
    NoOffset,
}

/// An adapter whose engine can fail.
pub struct Troubled {
    adapter: Arc<MemoryAdapter>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    trouble: Mutex<Trouble>,
    /// The private ids of the sessions that were written, in order.
    written: Mutex<Vec<ByteString>>,
    /// Number of sessions that the store is slow to write.
    writing: AtomicUsize,
    /// The private id of the session that the store refuses.
    refused: Mutex<Option<ByteString>>,
    refusals: AtomicUsize,
    /// Number of events of the node itself that it got with their content.
    decoded: AtomicUsize,
    during_write: Mutex<Option<DuringWrite>>,
}

/// Called with the private id of each session while it is written.
type DuringWrite = Box<dyn FnMut(&ByteString) + Send>;

impl Troubled {
    pub fn new(cluster: &MemoryCluster) -> Arc<Self> {
        Arc::new(Self { adapter: cluster.adapter(), state: Arc::default() })
    }

    /// Returns how many sessions have been written to the store.
    pub fn written(&self) -> usize {
        self.state.written.lock().unwrap().len()
    }

    /// Returns how often the session with this private id has been written to the store.
    pub fn written_for(&self, pid: &str) -> usize {
        self.state.written.lock().unwrap().iter().filter(|it| **it == pid).count()
    }

    /// Returns how many sessions the store was slow to write.
    pub fn writing(&self) -> usize {
        self.state.writing.load(Ordering::SeqCst)
    }

    /// Lets the store refuse the session with this private id.
    pub fn refuse(&self, pid: &str) {
        *self.state.refused.lock().unwrap() = Some(pid.into());
    }

    /// Returns how often the store has refused a session.
    pub fn refusals(&self) -> usize {
        self.state.refusals.load(Ordering::SeqCst)
    }

    /// Returns how many of its own events the node got from the log with their content.
    pub fn decoded(&self) -> usize {
        self.state.decoded.load(Ordering::SeqCst)
    }

    /// Calls a function with the private id of each session while it is written.
    pub fn during_write(&self, during: impl FnMut(&ByteString) + Send + 'static) {
        *self.state.during_write.lock().unwrap() = Some(Box::new(during));
    }

    /// Cuts the node off, as if it had been killed.
    pub fn kill(&self) {
        self.adapter.kill();
    }

    pub fn set(&self, trouble: Trouble) {
        *self.state.trouble.lock().unwrap() = trouble;
    }
}

impl fmt::Debug for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Troubled").finish_non_exhaustive()
    }
}

impl ClusterAdapter for Troubled {
    fn discovery(&self) -> Discovery {
        self.adapter.discovery()
    }

    fn keeps_log(&self) -> bool {
        true
    }

    fn join(
        &self,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            let (uid, state) = (member.uid.clone(), self.state.clone());
            let link = self.adapter.join(member, Arc::new(Watched { inbox, uid, state })).await?;
            Ok(Arc::new(Line { link, state: self.state.clone() }) as Arc<dyn Link>)
        })
    }
}

/// Counts the events of its own node that it gets with their content.
struct Watched {
    inbox: Arc<dyn Inbox>,
    uid: NodeId,
    state: Arc<State>,
}

impl Inbox for Watched {
    fn receive(&self, message: Message, offset: Option<Offset>) {
        if message.uid == self.uid {
            self.state.decoded.fetch_add(1, Ordering::SeqCst);
        }
        self.inbox.receive(message, offset);
    }

    fn receive_own(&self, number: u64, offset: &Offset) -> bool {
        self.inbox.receive_own(number, offset)
    }

    fn undecodable(&self, error: &MessageError) {
        self.inbox.undecodable(error);
    }
}

struct Line {
    link: Arc<dyn Link>,
    state: Arc<State>,
}

fn failure() -> AdapterError {
    AdapterError::Engine("in trouble".into())
}

impl Link for Line {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        let trouble = *self.state.trouble.lock().unwrap();
        match trouble {
            Trouble::NoPublishing => Box::pin(async { Err(failure()) }),
            Trouble::SlowPublishing => Box::pin(async {
                until(|| *self.state.trouble.lock().unwrap() != Trouble::SlowPublishing).await;
                let trouble = *self.state.trouble.lock().unwrap();
                if trouble == Trouble::NotConnected {
                    return Err(failure());
                }
                self.link.publish(message).await
            }),
            Trouble::NotConnected => {
                Box::pin(async { Err(AdapterError::NotConnected("not connected".into())) })
            }
            Trouble::NoAnswer => Box::pin(async {
                self.link.publish(message).await?;
                Err(failure())
            }),
            Trouble::NoOffset => Box::pin(async { Ok(None) }),
            _ => self.link.publish(message),
        }
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        self.link.reply(to, message)
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        self.link.count()
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        Some(Arc::new(Sessions { store: self.link.sessions()?, state: self.state.clone() }))
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        self.link.leave()
    }
}

struct Sessions {
    store: Arc<dyn SessionStore>,
    state: Arc<State>,
}

impl Sessions {
    async fn suffer(&self) -> Result<(), AdapterError> {
        let trouble = *self.state.trouble.lock().unwrap();
        match trouble {
            Trouble::Failing => Err(failure()),
            Trouble::Stuck => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

impl SessionStore for Sessions {
    fn persist(
        &self,
        session: SavedSession,
        ttl: std::time::Duration,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            self.suffer().await?;
            let pid = session.pid.clone();
            if self.state.refused.lock().unwrap().as_ref() == Some(&pid) {
                self.state.refusals.fetch_add(1, Ordering::SeqCst);
                return Err(AdapterError::Refused("too large".into()));
            }
            if session.owner.is_some() && *self.state.trouble.lock().unwrap() == Trouble::SlowOwned
            {
                self.state.writing.fetch_add(1, Ordering::SeqCst);
                until(|| *self.state.trouble.lock().unwrap() != Trouble::SlowOwned).await;
            }
            if let Some(during) = &mut *self.state.during_write.lock().unwrap() {
                during(&pid);
            }
            self.store.persist(session, ttl).await?;
            self.state.written.lock().unwrap().push(pid);
            Ok(())
        })
    }

    fn forget<'a>(&'a self, pid: &'a str, epoch: u64) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            self.suffer().await?;
            self.store.forget(pid, epoch).await
        })
    }

    fn take<'a>(
        &'a self,
        pid: &'a str,
        offset: &'a Offset,
        gone: Option<&'a NodeId>,
    ) -> BoxFuture<'a, Result<TakeOutcome, AdapterError>> {
        Box::pin(async move {
            self.suffer().await?;
            let taken = self.store.take(pid, offset, gone).await;
            until(|| *self.state.trouble.lock().unwrap() != Trouble::LateSession).await;
            taken
        })
    }

    fn missed<'a>(
        &'a self,
        offset: &'a Offset,
        size: PageSize,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            let trouble = *self.state.trouble.lock().unwrap();
            if trouble == Trouble::NoLog {
                std::future::pending::<()>().await;
            }
            // Pages are small, so that there are several.
            self.store.missed(offset, PageSize { packets: size.packets.min(3), ..size }).await
        })
    }

    fn is_after(&self, offset: &Offset, other: &Offset) -> bool {
        self.store.is_after(offset, other)
    }
}
