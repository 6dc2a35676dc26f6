//! The adapter, and its link to each namespace.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use socketio_adapter::{
    AdapterError, Body, BoxFuture, ClusterAdapter, ClusterMember, Discovery, Inbox, Link, Message,
    Offset, internal::is_event, recovery::SessionStore,
};
use tokio::task::AbortHandle;

use crate::{
    config::MongoConfig,
    error::MongoError,
    id::new_id,
    publisher::Publisher,
    recovery::{Events, Sessions, Store},
    stream::{self, Members, Membership},
};

/// Joins a server to a cluster over MongoDB. From the first namespace that joins until the adapter
/// and its namespaces are dropped, the adapter reads one change stream. It opens the stream again
/// one second after the stream was lost, and continues where the stream ended.
pub struct MongoAdapter {
    config: MongoConfig,
    publisher: Publisher,
    members: Arc<Members>,
    reader: OnceLock<Arc<Reader>>,
}

struct Reader(AbortHandle);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl MongoAdapter {
    /// Creates an adapter for one server.
    pub fn new(config: MongoConfig) -> Arc<Self> {
        let publisher = Publisher::new(config.clone());
        Arc::new(Self { config, publisher, members: Arc::default(), reader: OnceLock::new() })
    }
}

impl fmt::Debug for MongoAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoAdapter").field("config", &self.config).finish_non_exhaustive()
    }
}

impl ClusterAdapter for MongoAdapter {
    fn discovery(&self) -> Discovery {
        Discovery::Heartbeats(self.config.heartbeats)
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
            // With a second reader, every message would arrive twice.
            let reader = self.reader.get_or_init(|| {
                let reader = stream::run(self.config.clone(), self.members.clone());
                Arc::new(Reader(tokio::spawn(reader).abort_handle()))
            });
            let membership = self.members.join(member.clone(), inbox);
            let timeout = self.config.timeout;
            let open = tokio::time::timeout(timeout, self.members.open()).await;
            open.map_err(|_| MongoError::Timeout(timeout))??;
            let (publisher, members) = (self.publisher.clone(), self.members.clone());
            let left = AtomicBool::new(false);
            let _reader = reader.clone();
            let link = MongoLink { publisher, members, member, left, membership, _reader };
            Ok(Arc::new(link) as Arc<dyn Link>)
        })
    }
}

struct MongoLink {
    publisher: Publisher,
    members: Arc<Members>,
    member: ClusterMember,
    left: AtomicBool,
    membership: Membership,
    _reader: Arc<Reader>,
}

impl Link for MongoLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            if self.left.load(Ordering::Acquire) {
                return Err(AdapterError::NotInCluster);
            }
            // Node's adapter has no such message, and its number means a session there.
            if matches!(message.body, Body::AdapterClose) {
                return Ok(None);
            }
            let id = new_id();
            let is_event = is_event(&message.body);
            if is_event {
                self.members.order.publishing(id);
            }
            self.publisher.insert(id, &message).await?;
            Ok(is_event.then(|| id.to_hex().into()))
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        // Never called, because nodes are known by their heartbeats.
        Box::pin(async { Ok(1) })
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        let (publisher, members, member) = (&self.publisher, &self.members, &self.member);
        members.order.record(publisher.config.max_events);
        let sessions = Sessions { publisher: publisher.clone(), member: member.clone() };
        let (publisher, members, member) = (publisher.clone(), members.clone(), member.clone());
        let events = Events { publisher, members, member };
        Some(Arc::new(Store { events, sessions }))
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.left.store(true, Ordering::Release);
            self.membership.leave();
        })
    }
}
