//! The adapter and its links.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use socketio_adapter::{
    AdapterError, BoxFuture, ClusterAdapter, Discovery, Inbox, Link, Message, NodeId, Offset, Room,
    RoomInterest, Seat, recovery::SessionStore,
};
use tokio::{sync::oneshot, task::AbortHandle};

use crate::{
    config::NatsConfig,
    error::NatsError,
    membership::Membership,
    publisher::Publisher,
    receiver::Receiver,
    recovery::{Events, Log, Reader, Sessions, is_kept},
    subject::Subjects,
};

/// How often it is looked whether there is a connection.
const LOOK: Duration = Duration::from_millis(20);

/// Joins a server to a cluster by NATS. Its connection is that of the client it was given, which makes it again, and subscribes
/// again, by itself.
pub struct NatsAdapter {
    config: NatsConfig,
    publisher: Publisher,
    members: Mutex<Vec<Weak<Membership>>>,
}

impl NatsAdapter {
    /// An adapter for one server.
    ///
    /// # Errors
    ///
    /// The configuration's prefix is none.
    pub fn new(config: NatsConfig) -> Result<Arc<Self>, NatsError> {
        let publisher = Publisher::new(config.clone())?;
        Ok(Arc::new(Self { config, publisher, members: Mutex::default() }))
    }

    /// Makes what [connection state recovery](NatsConfig::connection_state_recovery) needs, if it is on. A server does so when it
    /// joins, and tries again for as long as it takes; who calls this first learns what is wrong.
    ///
    /// # Errors
    ///
    /// There is no connection within the `timeout`, no JetStream ([`NatsError::NoJetStream`]), or it refuses.
    pub async fn prepare(&self) -> Result<(), NatsError> {
        // The client's first connection may still be on its way.
        let connected = async {
            while self.publisher.check().is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let connected = tokio::time::timeout(self.config.timeout, connected).await;
        connected.map_err(|_| NatsError::Away)?;
        match self.publisher.log() {
            Some(log) => log.prepare().await.map(drop),
            None => Ok(()),
        }
    }

    /// Whether what other nodes send to a room arrives here: a moment after its first socket has joined it.
    pub fn hears(&self, nsp: &str, room: &str) -> bool {
        let members: Vec<_> = self.members().iter().filter_map(Weak::upgrade).collect();
        members
            .iter()
            .any(|it| it.seat.nsp == *nsp && (!self.config.room_subjects || it.hears(room)))
    }

    fn receiver(&self, subjects: &Subjects, membership: &Arc<Membership>) -> Receiver {
        Receiver {
            config: self.config.clone(),
            publisher: self.publisher.clone(),
            subjects: subjects.clone(),
            membership: membership.clone(),
        }
    }

    fn reader(&self, log: &Arc<Log>, subjects: &Subjects, membership: &Arc<Membership>) -> Reader {
        Reader {
            log: log.clone(),
            membership: membership.clone(),
            subject: subjects.log(),
            limits: self.config.limits.clone(),
        }
    }

    fn sessions(
        &self,
        log: &Arc<Log>,
        subjects: &Subjects,
        membership: &Arc<Membership>,
    ) -> Sessions {
        let limits = self.config.limits.clone();
        let events = Events { log: log.clone(), subject: subjects.log(), limits };
        Sessions { nsp: membership.seat.nsp.clone(), events }
    }

    fn members(&self) -> MutexGuard<'_, Vec<Weak<Membership>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for NatsAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsAdapter").field("prefix", &self.config.prefix).finish_non_exhaustive()
    }
}

impl ClusterAdapter for NatsAdapter {
    fn discovery(&self) -> Discovery {
        Discovery::Heartbeats(self.config.heartbeats)
    }

    fn keeps_log(&self) -> bool {
        self.publisher.log().is_some()
    }

    fn join(
        &self,
        seat: Seat,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            let subjects = Subjects::new(&self.config.prefix, seat.nsp.as_str())?;
            self.publisher.check()?;
            let membership = Arc::new(Membership::new(seat, inbox));
            let mut tasks = Tasks::default();
            let (sender, hears) = oneshot::channel();
            tasks.spawn(self.receiver(&subjects, &membership).run(sender));
            let (sender, reads) = oneshot::channel();
            let sessions = match self.publisher.log() {
                Some(log) => {
                    // What is wrong is told, where the reader would try for ever.
                    log.prepare().await?;
                    tasks.spawn(self.reader(log, &subjects, &membership).run(sender));
                    Some(Arc::new(self.sessions(log, &subjects, &membership)))
                }
                None => {
                    let _ = sender.send(());
                    None
                }
            };
            let timeout = self.config.timeout;
            let joined = async { hears.await.and(reads.await) };
            let joined = tokio::time::timeout(timeout, joined).await;
            joined.map_err(|_| NatsError::Timeout(timeout))?.map_err(|_| NatsError::Away)?;
            let link = NatsLink {
                publisher: self.publisher.clone(),
                room_subjects: self.config.room_subjects,
                left: AtomicBool::new(false),
                tasks,
                membership: membership.clone(),
                sessions,
            };
            let mut members = self.members();
            members.retain(|member| member.strong_count() > 0);
            members.push(Arc::downgrade(&membership));
            Ok(Arc::new(link) as Arc<dyn Link>)
        })
    }
}

struct NatsLink {
    publisher: Publisher,
    room_subjects: bool,
    membership: Arc<Membership>,
    left: AtomicBool,
    tasks: Tasks,
    sessions: Option<Arc<Sessions>>,
}

/// The subscriptions end with them.
#[derive(Default)]
struct Tasks(Vec<AbortHandle>);

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(task).abort_handle());
    }

    fn end(&self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.end();
    }
}

impl NatsLink {
    fn check(&self) -> Result<(), AdapterError> {
        if self.left.load(Ordering::Acquire) { Err(AdapterError::Left) } else { Ok(()) }
    }
}

impl Link for NatsLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            self.check()?;
            if let Some(log) = self.publisher.log().filter(|_| is_kept(&message.body)) {
                return Ok(Some(self.publisher.append(log, &message).await?));
            }
            self.publisher.publish(&message).await?;
            Ok(None)
        })
    }

    fn reply<'a>(
        &'a self,
        to: &'a NodeId,
        message: Message,
    ) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async move {
            self.check()?;
            Ok(self.publisher.reply(to, &message).await?)
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        // Nobody asks: nodes are known by their heartbeats.
        Box::pin(async { Ok(1) })
    }

    fn interest(&self) -> RoomInterest {
        if self.room_subjects { RoomInterest::All } else { RoomInterest::None }
    }

    fn room_appeared(&self, room: &Room) {
        self.membership.mention(room, true);
    }

    fn room_vanished(&self, room: &Room) {
        self.membership.mention(room, false);
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        self.sessions.clone().map(|sessions| sessions as Arc<dyn SessionStore>)
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.left.store(true, Ordering::Release);
            // What it said last, the goodbye, is to leave before the client may be dropped.
            let _ = self.publisher.flush().await;
            self.tasks.end();
        })
    }
}
