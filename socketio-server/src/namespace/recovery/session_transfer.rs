//! Transfer of sessions to and from the store that all nodes share. Wherever a transfer is
//! interrupted, the session remains in one place.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytestring::ByteString;
use socketio_adapter::{
    AdapterError, Offset,
    recovery::{FormerNode, SavedSession, SessionStore, TakeOutcome},
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use crate::{
    namespace::{
        Namespace,
        cluster::TransferGuard,
        recovery::{claim::Claim, engine_log::EngineLog, handover::HandoverOutcome},
    },
    socket::inner::SocketInner,
    sync::{Mutex, MutexGuard, lock},
};

/// Number of owners that are asked for a session in turn. Each may have handed it over to the next
/// one in the meantime.
const MAX_OWNERS: usize = 4;

/// The direction in which a session is being transferred.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferDirection {
    IntoStore,
    OutOfStore,
}

/// The sessions that are being written to the store or read from it, by private id.
#[derive(Default)]
pub(super) struct SessionTransfers(Mutex<HashMap<ByteString, Transfer>>);

struct Transfer {
    direction: TransferDirection,
    /// Tasks that need the session wait until the sender is dropped.
    ended: watch::Receiver<()>,
}

impl SessionTransfers {
    fn begin(&self, pid: &ByteString, direction: TransferDirection) -> watch::Sender<()> {
        let (done, ended) = watch::channel(());
        let (mut transfers, transfer) = (self.lock(), Transfer { direction, ended });
        match direction {
            TransferDirection::IntoStore => drop(transfers.insert(pid.clone(), transfer)),
            // If several connections ask for the session, only the first one gets it.
            TransferDirection::OutOfStore => {
                transfers.entry(pid.clone()).or_insert(transfer);
            }
        }
        done
    }

    fn end(&self, pid: &ByteString, done: &watch::Sender<()>) {
        let mut transfers = self.lock();
        // Another transfer of the same session may have begun in the meantime.
        if transfers.get(pid).is_some_and(|it| it.ended.same_channel(&done.subscribe())) {
            transfers.remove(pid);
        }
    }

    /// Waits until no transfer of a session in one of these directions is in progress. Returns
    /// whether there was one.
    pub(super) async fn settled(&self, pid: &str, directions: &[TransferDirection]) -> bool {
        let current = || {
            let transfers = self.lock();
            let transfer = transfers.get(pid).filter(|it| directions.contains(&it.direction));
            transfer.map(|transfer| transfer.ended.clone())
        };
        let mut waited = false;
        while let Some(mut ended) = current() {
            waited = true;
            // No value is ever sent. The wait ends when the sender is dropped.
            let _ = ended.changed().await;
        }
        waited
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ByteString, Transfer>> {
        lock(&self.0)
    }
}

/// A transfer in progress. Tasks that need the session wait for its end, and the node stays in the
/// cluster until then.
struct SessionTransfer {
    namespace: Namespace,
    pid: ByteString,
    done: watch::Sender<()>,
    _saving: TransferGuard,
}

impl Drop for SessionTransfer {
    fn drop(&mut self) {
        if let Some(engine) = self.namespace.0.delivery.engine_log() {
            engine.transfers().end(&self.pid, &self.done);
        }
    }
}

/// A session taken from the store. If it is dropped before a socket has it, it is put back.
pub(crate) struct StoreLease {
    session: Option<SavedSession>,
    transfer: SessionTransfer,
}

impl StoreLease {
    /// Returns the session. The caller is responsible for it from now on.
    pub(super) fn into_session(mut self) -> Option<SavedSession> {
        self.session.take()
    }
}

impl Drop for StoreLease {
    fn drop(&mut self) {
        if let (Some(session), Some(engine)) =
            (self.session.take(), self.transfer.namespace.0.delivery.engine_log())
        {
            engine.save(&self.transfer.namespace, session);
        }
    }
}

impl EngineLog {
    /// Writes a session to the store, in a task of its own. A connection that claims the session
    /// waits for it.
    fn save(&self, namespace: &Namespace, session: SavedSession) {
        let session = SavedSession { owner: None, ..session };
        let transfer =
            self.begin_transfer(namespace, session.pid.clone(), TransferDirection::IntoStore);
        let (membership, lifetime) = (self.membership().clone(), self.session_lifetime());
        let task = async move {
            let engine = transfer.namespace.0.delivery.engine_log();
            let _after_batch = match engine {
                Some(engine) => Some(engine.writer().between_batches().await),
                None => None,
            };
            let save = async {
                match membership.store().await {
                    Some(store) => store.persist(session, lifetime).await,
                    None => Err(AdapterError::NotInCluster),
                }
            };
            if let Err(error) = in_time(membership.request_timeout(), save).await {
                let nsp = transfer.namespace.nsp();
                tracing::warn!(target: "socketio::namespace", %nsp, %error, "a session could not be stored");
            }
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(task);
        }
    }

    /// Returns the session of a socket that is about to leave. A connection that claims the session
    /// waits from now on. The session is stored when the lease is dropped, which must be after the
    /// socket has left: a client that returns to this node with the stored session becomes a member
    /// with the same id.
    pub(crate) fn lease_session(&self, socket: &SocketInner, pid: ByteString) -> StoreLease {
        let session = Some(self.session_of(socket, pid.clone()));
        let transfer = self.begin_transfer(&socket.namespace, pid, TransferDirection::IntoStore);
        StoreLease { session, transfer }
    }

    /// Removes the session of a socket that has left for good, if it may be in the store.
    pub(crate) fn forget(&self, socket: &SocketInner) {
        let recoverable = socket.recoverable.as_deref().filter(|it| it.written.ever());
        let (Some(recoverable), Ok(runtime)) = (recoverable, Handle::try_current()) else { return };
        let (pid, epoch) = (recoverable.pid().clone(), recoverable.epoch());
        let transfer = self.begin_transfer(&socket.namespace, pid, TransferDirection::IntoStore);
        runtime.spawn(async move {
            let Some(engine) = transfer.namespace.0.delivery.engine_log() else { return };
            let _after_batch = engine.writer().between_batches().await;
            let membership = engine.membership();
            let Some(store) = membership.store().await else { return };
            if let Err(error) =
                in_time(membership.request_timeout(), store.forget(&transfer.pid, epoch)).await
            {
                let nsp = transfer.namespace.nsp();
                tracing::warn!(target: "socketio::namespace", %nsp, %error, "an ended session stays stored until it expires");
            }
        });
    }

    /// Looks for the session that a client claims, in a task of its own, so that a client that
    /// vanishes in the meantime does not take its session with it. The store may respond within
    /// twice the `request_timeout`.
    pub(super) fn acquire(
        &self,
        namespace: &Namespace,
        store: Arc<dyn SessionStore>,
        claim: &Claim,
    ) -> JoinHandle<Result<Option<StoreLease>, AdapterError>> {
        let (pid, from) = (claim.pid.as_str().into(), claim.offset.clone());
        let (began, address) = (claim.began, claim.address());
        let transfer = self.begin_transfer(namespace, pid, TransferDirection::OutOfStore);
        let namespace = namespace.clone();
        tokio::spawn(async move {
            let Some(engine) = namespace.0.delivery.engine_log() else { return Ok(None) };
            engine.find_session(transfer, &*store, &from, (began, address)).await
        })
    }

    async fn find_session(
        &self,
        transfer: SessionTransfer,
        store: &dyn SessionStore,
        from: &Offset,
        (began, address): (Instant, Option<IpAddr>),
    ) -> Result<Option<StoreLease>, AdapterError> {
        let timeout = self.membership().request_timeout();
        if let Some(handed_over) = self.log().take_over(&transfer.pid, began) {
            let lease = tokio::time::timeout(timeout, handed_over).await;
            return Ok(lease.ok().and_then(Result::ok).flatten());
        }
        let session = self.take(store, &transfer.pid, from, (began, address)).await?;
        let Some(mut session) = session else { return Ok(None) };
        // The stores refuse later writes of another node, which have an earlier epoch.
        session.epoch = session.epoch.saturating_add(1);
        let gone = session.owner.take();
        let kept = self.is_crash_safe() || gone.is_some();
        // A node that is taken for gone may still publish what it has sent to the client.
        if let Some(node) = gone {
            session.add_former_node(FormerNode { node, next_volatile: None });
        }
        session.owner = kept.then(|| self.membership().uid().clone());
        let lease = StoreLease { session: Some(session.clone()), transfer };
        if kept {
            // Until its socket is connected, the session survives this node too.
            let _ = in_time(timeout, store.persist(session, self.stored_lifetime())).await;
        }
        Ok(Some(lease))
    }

    /// Takes a session out of the store, after the node that has it has stored it there. A session
    /// with an owner stays stored until the owner has replied or is known to be gone, so that it
    /// survives if this node is killed in the meantime.
    async fn take(
        &self,
        store: &dyn SessionStore,
        pid: &ByteString,
        from: &Offset,
        (began, address): (Instant, Option<IpAddr>),
    ) -> Result<Option<SavedSession>, AdapterError> {
        let timeout = self.membership().request_timeout().saturating_mul(2);
        let (mut asked, mut gone, mut counted) = (None, None, false);
        for _ in 0..MAX_OWNERS {
            let owner = match in_time(timeout, store.take(pid, from, gone.as_ref())).await? {
                TakeOutcome::Session(session) => {
                    if counted {
                        self.handovers().discount(address);
                    }
                    return Ok(Some(session));
                }
                // Another claim came first, or no node had the session.
                TakeOutcome::Missing if asked.is_some() => return Ok(None),
                TakeOutcome::Missing => None,
                TakeOutcome::Owned(owner) => Some(owner),
            };
            // The owner keeps the session, or has not stored it in time.
            if asked.as_ref() == Some(&owner) || owner.as_ref() == Some(self.membership().uid()) {
                return Ok(None);
            }
            let outcome = match &owner {
                Some(_) => self.request_handover(pid.clone(), owner.clone(), began).await?,
                None => {
                    counted = true;
                    self.request_unowned(pid.clone(), (began, address)).await?
                }
            };
            gone = match outcome {
                HandoverOutcome::Stored => None,
                // The reply may have been lost, and the session stored. Or it was stored before the
                // request came.
                HandoverOutcome::Unknown | HandoverOutcome::NoReply => owner.clone(),
            };
            asked = Some(owner);
        }
        Ok(None)
    }

    fn begin_transfer(
        &self,
        namespace: &Namespace,
        pid: ByteString,
        direction: TransferDirection,
    ) -> SessionTransfer {
        let done = self.transfers().begin(&pid, direction);
        let _saving = self.membership().begin_transfer();
        SessionTransfer { namespace: namespace.clone(), pid, done, _saving }
    }
}

pub(super) async fn in_time<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, AdapterError>>,
) -> Result<T, AdapterError> {
    let answer = tokio::time::timeout(timeout, call).await;
    answer.unwrap_or_else(|_| Err(AdapterError::Engine("no answer in time".into())))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use socketio_adapter::{MemoryCluster, MemoryLog};

    use super::*;
    use crate::{
        config::{ServerConfig, recovery::Recovery},
        namespace::recovery::Lease,
        server::Server,
        socket::Socket,
        testing::TestClient,
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_session_is_stored_after_its_socket_has_left() {
        let cluster = MemoryCluster::with_log(MemoryLog::default(), std::time::Instant::now);
        let config = ServerConfig::default().adapter(cluster.adapter());
        let io = Server::with_config(config.connection_state_recovery(Recovery::default()));
        io.joined().await;
        let (sender, mut connected) = tokio::sync::mpsc::unbounded_channel();
        io.on_connection(move |socket: Socket| {
            let _ = sender.send(socket);
            async {}
        });
        let _client = TestClient::connect(&io, "/", &()).await.unwrap();
        let socket = connected.recv().await.unwrap();
        let engine = socket.namespace().0.delivery.engine_log().unwrap();
        let runtime = Handle::current();
        let stored_early = thread::scope(|scope| {
            let _log = engine.log().lock();
            scope.spawn(|| {
                let _runtime = runtime.enter();
                socket.namespace().remove(&socket.0, true, Lease::default())
            });
            while engine.transfers().lock().is_empty() && cluster.sessions() == 0 {
                thread::yield_now();
            }
            // The socket cannot leave while the log is locked.
            (0..10_000).any(|_| {
                thread::yield_now();
                cluster.sessions() > 0
            })
        });
        assert!(!stored_early);
        assert_eq!(io.of("/").sockets_count(), 0);
        while cluster.sessions() == 0 {
            tokio::task::yield_now().await;
        }
    }
}
