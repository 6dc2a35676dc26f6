//! The adapter and its links.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use socketio_adapter::{
    AdapterError, BoxFuture, ClusterAdapter, Discovery, Inbox, Link, Message, NodeId, Offset, Room,
    RoomInterest, Seat,
};
use tokio::{sync::oneshot, task::AbortHandle};

use crate::{
    config::NatsConfig, error::NatsError, membership::Membership, publisher::Publisher,
    receiver::Receiver, subject::Subjects,
};

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

    /// Whether what other nodes send to a room arrives here: a moment after its first socket has joined it.
    pub fn hears(&self, nsp: &str, room: &str) -> bool {
        let members: Vec<_> = self.members().iter().filter_map(Weak::upgrade).collect();
        members
            .iter()
            .any(|it| it.seat.nsp == *nsp && (!self.config.room_subjects || it.hears(room)))
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

    fn join(
        &self,
        seat: Seat,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            let subjects = Subjects::new(&self.config.prefix, seat.nsp.as_str())?;
            self.publisher.check()?;
            let membership = Arc::new(Membership::new(seat, inbox));
            let receiver = Receiver {
                config: self.config.clone(),
                publisher: self.publisher.clone(),
                subjects,
                membership: membership.clone(),
            };
            let (sender, joined) = oneshot::channel();
            let link = NatsLink {
                publisher: self.publisher.clone(),
                room_subjects: self.config.room_subjects,
                left: AtomicBool::new(false),
                task: tokio::spawn(receiver.run(sender)).abort_handle(),
                membership: membership.clone(),
            };
            let timeout = self.config.timeout;
            let joined = tokio::time::timeout(timeout, joined).await;
            joined.map_err(|_| NatsError::Timeout(timeout))?.map_err(|_| NatsError::Away)?;
            let mut members = self.members();
            members.retain(|member| member.strong_count() > 0);
            members.push(Arc::downgrade(&membership));
            Ok(Arc::new(link) as Arc<dyn Link>)
        })
    }
}

/// The subscriptions end with it.
struct NatsLink {
    publisher: Publisher,
    room_subjects: bool,
    membership: Arc<Membership>,
    left: AtomicBool,
    task: AbortHandle,
}

impl NatsLink {
    fn check(&self) -> Result<(), AdapterError> {
        if self.left.load(Ordering::Acquire) { Err(AdapterError::Left) } else { Ok(()) }
    }
}

impl Drop for NatsLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link for NatsLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            self.check()?;
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

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.left.store(true, Ordering::Release);
            // What it said last, the goodbye, is to leave before the client may be dropped.
            let _ = self.publisher.flush().await;
            self.task.abort();
        })
    }
}
