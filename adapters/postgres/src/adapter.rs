//! The adapter, and its link to each namespace.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use socketio_adapter::{
    AdapterError, BoxFuture, ClusterAdapter, ClusterMember, Discovery, Inbox, Link, Message,
    Offset, recovery::SessionStore,
};
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    config::PostgresConfig,
    error::PostgresError,
    listener::Listener,
    publisher::Publisher,
    recovery::Sessions,
    registry::{Membership, Registry},
};

/// Joins a server to a cluster over PostgreSQL. From the first namespace that joins until the
/// adapter is dropped, it has two connections: one listens, one publishes. Each reconnects forever,
/// 1 to 3 s after a loss.
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
    /// Creates an adapter for one server. It connects when the server starts.
    ///
    /// # Errors
    ///
    /// Returns an error if PostgreSQL does not accept the configured name of the table or the
    /// prefix of the channels.
    pub fn new(config: PostgresConfig) -> Result<Arc<Self>, PostgresError> {
        config.check()?;
        Ok(Arc::new(Self { config, registry: Arc::default(), started: OnceLock::new() }))
    }

    /// Starts both connections on the first call only. With a second listener, every message would
    /// arrive twice.
    fn start(&self) -> &Arc<Publisher> {
        let started = self.started.get_or_init(|| {
            let publisher = Arc::new(Publisher::spawn(self.config.clone()));
            let listener = Listener {
                config: self.config.clone(),
                registry: self.registry.clone(),
                publisher: publisher.clone(),
                subscribed: Notify::new(),
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

    fn keeps_log(&self) -> bool {
        self.config.log.is_some()
    }

    fn join(
        &self,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        Box::pin(async move {
            let channel = self.config.channel(member.nsp.as_str())?;
            let publisher = self.start().clone();
            let timeout = self.config.timeout;
            let joined = tokio::time::timeout(timeout, async {
                if self.config.log.is_some() {
                    publisher.log().await?.check_privileges().await?;
                }
                // Dropping `membership` leaves again, if the caller stops waiting or the join times
                // out.
                let (membership, subscribed) = self.registry.join(channel.clone(), member, inbox);
                let subscribed = subscribed.await.map_err(|_| PostgresError::NotConnected)?;
                subscribed.map_err(|error| PostgresError::Denied { channel, error })?;
                publisher.connected().await?;
                Ok::<_, PostgresError>(membership)
            });
            let membership = joined.await.map_err(|_| match publisher.not_connected() {
                PostgresError::NotConnected => PostgresError::Timeout(timeout),
                lost => lost,
            })??;
            let store = Sessions { publisher: publisher.clone(), nsp: membership.nsp().clone() };
            let sessions = self.config.log.is_some().then(|| Arc::new(store));
            let link =
                PostgresLink { publisher, left: AtomicBool::new(false), membership, sessions };
            Ok(Arc::new(link) as Arc<dyn Link>)
        })
    }
}

struct PostgresLink {
    publisher: Arc<Publisher>,
    left: AtomicBool,
    membership: Membership,
    sessions: Option<Arc<Sessions>>,
}

impl Link for PostgresLink {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        Box::pin(async move {
            if self.left.load(Ordering::Acquire) {
                return Err(AdapterError::NotInCluster);
            }
            let offset = self.publisher.send(&message).await?;
            Ok(offset.map(|offset| offset.to_string().into()))
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        // Never called, because nodes are known by their heartbeats.
        Box::pin(async { Ok(1) })
    }

    fn sessions(&self) -> Option<Arc<dyn SessionStore>> {
        self.sessions.clone().map(|sessions| sessions as Arc<dyn SessionStore>)
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.left.store(true, Ordering::Release);
            self.membership.leave();
        })
    }
}
