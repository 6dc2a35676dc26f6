//! The adapter, and its link to each namespace.

use std::{
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use socketio_adapter::{
    AdapterError, BoxFuture, ClusterAdapter, ClusterMember, Discovery, Inbox, Link, Message,
    NodeId, Offset, Room, RoomInterest,
    internal::{is_logged, lock},
    recovery::SessionStore,
};
use tokio::{sync::oneshot, task::AbortHandle};

use crate::{
    config::NatsConfig,
    error::NatsError,
    membership::Membership,
    publisher::Publisher,
    receiver::Receiver,
    recovery::{Events, Log, Reader, Sessions},
    subject::Subjects,
};

/// How often [`NatsAdapter::prepare`] checks for a connection.
const CONNECTION_CHECK: Duration = Duration::from_millis(20);

/// Joins a server to a cluster over NATS. All traffic uses the connection of the given client,
/// which reconnects and resubscribes by itself.
pub struct NatsAdapter {
    config: NatsConfig,
    publisher: Publisher,
    members: Mutex<Vec<Weak<Membership>>>,
}

impl NatsAdapter {
    /// Creates an adapter for one server.
    ///
    /// # Errors
    ///
    /// Returns [`NatsError::InvalidPrefix`] if the configured prefix is invalid.
    pub fn new(config: NatsConfig) -> Result<Arc<Self>, NatsError> {
        let publisher = Publisher::new(config.clone())?;
        Ok(Arc::new(Self { config, publisher, members: Mutex::default() }))
    }

    /// Creates the streams that [connection state recovery](NatsConfig::connection_state_recovery)
    /// needs, if it is enabled. A server also does this when it joins, and retries until it
    /// succeeds. Call this method first to get the error.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection within the `timeout`, if NATS has no JetStream
    /// ([`NatsError::NoJetStream`]), or if JetStream refuses the streams.
    pub async fn prepare(&self) -> Result<(), NatsError> {
        // The first connection of the client may not be established yet.
        let connected = async {
            while self.publisher.check().is_err() {
                tokio::time::sleep(CONNECTION_CHECK).await;
            }
        };
        let connected = tokio::time::timeout(self.config.timeout, connected).await;
        connected.map_err(|_| NatsError::NotConnected)?;
        match self.publisher.log() {
            Some(log) => log.prepare().await.map(drop),
            None => Ok(()),
        }
    }

    /// Returns whether this node receives what other nodes send to `room`. It does so shortly after
    /// the first socket has joined the room.
    pub fn receives(&self, nsp: &str, room: &str) -> bool {
        let members: Vec<_> = lock(&self.members).iter().filter_map(Weak::upgrade).collect();
        members.iter().any(|it| {
            it.member.nsp == *nsp && (!self.config.room_subjects || it.is_subscribed(room))
        })
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
        Sessions { nsp: membership.member.nsp.clone(), events }
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
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            let subjects = Subjects::new(&self.config.prefix, member.nsp.as_str())?;
            self.publisher.check()?;
            let membership = Arc::new(Membership::new(member, inbox));
            let mut tasks = Tasks::default();
            let (sender, subscribed) = oneshot::channel();
            tasks.spawn(self.receiver(&subjects, &membership).run(sender));
            let (sender, reads) = oneshot::channel();
            let sessions = match self.publisher.log() {
                Some(log) => {
                    // Report errors here. The reader would retry forever.
                    log.prepare().await?;
                    log.check_permission(subjects.log()).await?;
                    tasks.spawn(self.reader(log, &subjects, &membership).run(sender));
                    Some(Arc::new(self.sessions(log, &subjects, &membership)))
                }
                None => {
                    let _ = sender.send(());
                    None
                }
            };
            let timeout = self.config.timeout;
            let joined = async { subscribed.await.and(reads.await) };
            let joined = tokio::time::timeout(timeout, joined).await;
            joined
                .map_err(|_| {
                    let subject = membership.awaited_probes().into_iter().next();
                    NatsError::ProbeTimeout { subject: subject.unwrap_or(subjects.log()), timeout }
                })?
                .map_err(|_| NatsError::NotConnected)?;
            let link = NatsLink {
                publisher: self.publisher.clone(),
                room_subjects: self.config.room_subjects,
                left: AtomicBool::new(false),
                tasks,
                membership: membership.clone(),
                sessions,
            };
            let mut members = lock(&self.members);
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

/// The tasks of a link. Dropping them ends the subscriptions.
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
        if self.left.load(Ordering::Acquire) { Err(AdapterError::NotInCluster) } else { Ok(()) }
    }
}

impl Link for NatsLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            self.check()?;
            if let Some(log) = self.publisher.log().filter(|_| is_logged(&message.body)) {
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
        // Never called, because nodes are known by their heartbeats.
        Box::pin(async { Ok(1) })
    }

    fn interest(&self) -> RoomInterest {
        if self.room_subjects { RoomInterest::All } else { RoomInterest::None }
    }

    fn room_appeared(&self, room: &Room) {
        self.membership.set_room_exists(room, true);
    }

    fn room_vanished(&self, room: &Room) {
        self.membership.set_room_exists(room, false);
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        self.sessions.clone().map(|sessions| sessions as Arc<dyn SessionStore>)
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.left.store(true, Ordering::Release);
            // The last message (the node's goodbye) must be written before the client is dropped.
            let _ = self.publisher.flush().await;
            self.tasks.end();
        })
    }
}
