//! Transfer of sessions to and from the store that all nodes share. Wherever a transfer is
//! interrupted, the session remains in one place.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use bytestring::ByteString;
use socketio_adapter::{
    AdapterError, Offset,
    recovery::{SavedSession, SessionStore},
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use crate::namespace::{
    Namespace,
    cluster::{Membership, Saving},
    recovery::{Recorder, Way},
};

/// A session taken from the store. If it is dropped before a socket has it, it is put back.
pub(crate) struct Taken {
    session: Option<SavedSession>,
    transfer: SessionTransfer,
}

impl Taken {
    pub(crate) fn session(&self) -> Option<&SavedSession> {
        self.session.as_ref()
    }

    /// Returns the session. The caller is responsible for it from now on.
    pub(crate) fn arrived(mut self) -> Option<SavedSession> {
        self.session.take()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.transfer.namespace.save(&self.transfer.membership, session);
        }
    }
}

impl Namespace {
    /// Writes a session to the store, in a task of its own.
    pub(crate) fn save(&self, membership: &Arc<Membership>, session: SavedSession) {
        let Ok(runtime) = Handle::try_current() else { return };
        let Some(recorder) = &self.0.recorder else { return };
        let transfer =
            SessionTransfer::begin(self, recorder, membership, session.pid.clone(), Way::IntoStore);
        let (membership, duration) = (membership.clone(), recorder.duration);
        runtime.spawn(async move {
            let save = async {
                match membership.store().await {
                    Some(store) => store.persist(session, duration).await,
                    None => Err(AdapterError::Left),
                }
            };
            if let Err(error) = in_time(membership.patience(), save).await {
                let nsp = transfer.namespace.nsp();
                tracing::warn!(target: "socketio::namespace", %nsp, %error, "a session could not be stored");
            }
        });
    }

    /// Takes a session from the store, in a task of its own, so that a client that vanishes in the
    /// meantime does not take its session with it. The store may respond within twice the
    /// `request_timeout`.
    pub(crate) fn take(
        &self,
        recorder: &Recorder,
        membership: &Arc<Membership>,
        store: Arc<dyn SessionStore>,
        pid: String,
        from: Offset,
    ) -> JoinHandle<Result<Option<Taken>, AdapterError>> {
        let transfer =
            SessionTransfer::begin(self, recorder, membership, pid.into(), Way::OutOfStore);
        let patience = membership.patience().saturating_mul(2);
        tokio::spawn(async move {
            let taken = in_time(patience, store.take(&transfer.pid, &from)).await?;
            Ok(taken.map(|session| Taken { session: Some(session), transfer }))
        })
    }
}

async fn in_time<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, AdapterError>>,
) -> Result<T, AdapterError> {
    let answer = tokio::time::timeout(patience, call).await;
    answer.unwrap_or_else(|_| Err(AdapterError::Engine("no answer in time".into())))
}

/// A transfer in progress. Tasks that need the session wait for its end, and the node stays in the
/// cluster until then.
struct SessionTransfer {
    namespace: Namespace,
    membership: Arc<Membership>,
    pid: ByteString,
    done: watch::Sender<()>,
    _stays: Saving,
}

impl SessionTransfer {
    fn begin(
        namespace: &Namespace,
        recorder: &Recorder,
        membership: &Arc<Membership>,
        pid: ByteString,
        way: Way,
    ) -> Self {
        let (done, ends) = watch::channel(());
        {
            let mut journeys = recorder.journeys.lock().unwrap_or_else(PoisonError::into_inner);
            match way {
                Way::IntoStore => drop(journeys.insert(pid.clone(), (way, ends))),
                // If several connections ask for the session, only the first one gets it.
                Way::OutOfStore => drop(journeys.entry(pid.clone()).or_insert((way, ends))),
            }
        }
        let (namespace, membership) = (namespace.clone(), membership.clone());
        Self { _stays: membership.saving(), namespace, membership, pid, done }
    }
}

impl Drop for SessionTransfer {
    fn drop(&mut self) {
        let Some(recorder) = &self.namespace.0.recorder else { return };
        let mut journeys = recorder.journeys.lock().unwrap_or_else(PoisonError::into_inner);
        // Another transfer of the same session may have begun in the meantime.
        if journeys.get(&self.pid).is_some_and(|it| it.1.same_channel(&self.done.subscribe())) {
            journeys.remove(&self.pid);
        }
    }
}

impl Recorder {
    /// Waits until no transfer of a session in one of these directions is in progress. Returns
    /// whether there was one.
    pub(crate) async fn settled(&self, pid: &str, ways: &[Way]) -> bool {
        let on_its_way = || {
            let journeys = self.journeys.lock().unwrap_or_else(PoisonError::into_inner);
            journeys.get(pid).filter(|(way, _)| ways.contains(way)).map(|(_, ends)| ends.clone())
        };
        let mut was = false;
        while let Some(mut ends) = on_its_way() {
            was = true;
            // No value is ever sent. The wait ends when the sender is dropped.
            let _ = ends.changed().await;
        }
        was
    }
}
