//! The adapter, and its link to each namespace.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use socketio_adapter::{
    AdapterError, Body, BoxFuture, ClusterAdapter, Discovery, Inbox, Link, Message, Offset, Seat,
};
use tokio::task::AbortHandle;

use crate::{
    config::MongoConfig,
    error::MongoError,
    publisher::Publisher,
    stream::{self, Members, Membership},
};

/// Joins a server to a cluster over MongoDB. From the first namespace that joins until the adapter
/// is dropped, it reads one change stream. The stream is opened again one second after it was lost,
/// and continues where it ended.
pub struct MongoAdapter {
    config: MongoConfig,
    publisher: Publisher,
    members: Arc<Members>,
    reader: OnceLock<Reader>,
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

    fn join(
        &self,
        seat: Seat,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            // With a second reader, every message would arrive twice.
            self.reader.get_or_init(|| {
                let reader = stream::run(self.config.clone(), self.members.clone());
                Reader(tokio::spawn(reader).abort_handle())
            });
            let membership = self.members.join(seat, inbox);
            let timeout = self.config.timeout;
            let open = tokio::time::timeout(timeout, self.members.open()).await;
            open.map_err(|_| MongoError::Timeout(timeout))??;
            let publisher = self.publisher.clone();
            let link = MongoLink { publisher, left: AtomicBool::new(false), membership };
            Ok(Arc::new(link) as Arc<dyn Link>)
        })
    }
}

struct MongoLink {
    publisher: Publisher,
    left: AtomicBool,
    membership: Membership,
}

impl Link for MongoLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            if self.left.load(Ordering::Acquire) {
                return Err(AdapterError::Left);
            }
            // Node's adapter has no such message, and its number means a session there.
            if !matches!(message.body, Body::AdapterClose) {
                self.publisher.publish(&message).await?;
            }
            Ok(None)
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        // Never called, because nodes are known by their heartbeats.
        Box::pin(async { Ok(1) })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.left.store(true, Ordering::Release);
            self.membership.leave();
        })
    }
}
