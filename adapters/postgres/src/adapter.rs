//! The adapter and its links.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use socketio_adapter::{
    AdapterError, BoxFuture, ClusterAdapter, Discovery, Inbox, Link, Message, Offset, Seat,
};
use tokio::task::AbortHandle;

use crate::{
    config::PostgresConfig,
    error::PostgresError,
    listener::Listener,
    publisher::Publisher,
    registry::{Registry, Seated},
};

/// Joins a server to a cluster by PostgreSQL. It has two connections, one that listens and one that speaks, from the first
/// namespace that joins until the adapter is dropped; each is made again for ever, after 1 to 3 s.
pub struct PostgresAdapter {
    config: PostgresConfig,
    registry: Arc<Registry>,
    started: OnceLock<Started>,
}

struct Started {
    publisher: Arc<Publisher>,
    listener: AbortHandle,
}

impl PostgresAdapter {
    /// An adapter for one server. Nothing is connected before the server is started.
    ///
    /// # Errors
    ///
    /// The configuration names a table or a prefix that PostgreSQL does not take.
    pub fn new(config: PostgresConfig) -> Result<Arc<Self>, PostgresError> {
        config.check()?;
        Ok(Arc::new(Self { config, registry: Arc::default(), started: OnceLock::new() }))
    }

    /// Once, however many namespaces join at the same time: a second listener would hear everything a second time.
    fn start(&self) -> &Arc<Publisher> {
        let started = self.started.get_or_init(|| {
            let publisher = Arc::new(Publisher::begin(self.config.clone()));
            let listener = Listener {
                config: self.config.clone(),
                registry: self.registry.clone(),
                publisher: publisher.clone(),
            };
            Started { publisher, listener: tokio::spawn(listener.run()).abort_handle() }
        });
        &started.publisher
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl fmt::Debug for PostgresAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresAdapter").field("config", &self.config).finish_non_exhaustive()
    }
}

impl ClusterAdapter for PostgresAdapter {
    fn discovery(&self) -> Discovery {
        Discovery::Heartbeats(self.config.heartbeats)
    }

    fn join(
        &self,
        seat: Seat,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            let channel = self.config.channel(seat.nsp.as_str())?;
            let publisher = self.start().clone();
            // Given up again where this is not waited for, or takes too long.
            let (seated, listened) = self.registry.sit(channel, seat, inbox);
            let timeout = self.config.timeout;
            let joined = tokio::time::timeout(timeout, async {
                listened.await.map_err(|_| PostgresError::Away)?;
                publisher.connected().await
            });
            joined.await.map_err(|_| match publisher.away() {
                PostgresError::Away => PostgresError::Timeout(timeout),
                lost => lost,
            })??;
            let link = PostgresLink { publisher, left: AtomicBool::new(false), seated };
            Ok(Arc::new(link) as Arc<dyn Link>)
        })
    }
}

struct PostgresLink {
    publisher: Arc<Publisher>,
    left: AtomicBool,
    seated: Seated,
}

impl Link for PostgresLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            if self.left.load(Ordering::Acquire) {
                return Err(AdapterError::Left);
            }
            self.publisher.publish(&message).await?;
            Ok(None)
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        // Nobody asks: nodes are known by their heartbeats.
        Box::pin(async { Ok(1) })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.left.store(true, Ordering::Release);
            self.seated.leave();
        })
    }
}
