//! Sessions on their way to the store that all nodes have, and out of it. Whatever is cut off on the way, a session is in one
//! place or the other.

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

use crate::{
    cluster::{Membership, Saving},
    model::Namespace,
    recovery::{Recorder, Way},
};

/// A session that was taken out of the store. Where it is dropped before somebody has it, it is put back.
pub(crate) struct Taken {
    session: Option<SavedSession>,
    journey: Journey,
}

impl Taken {
    pub(crate) fn session(&self) -> Option<&SavedSession> {
        self.session.as_ref()
    }

    /// The session, which is in its caller's care now.
    pub(crate) fn arrived(mut self) -> Option<SavedSession> {
        self.session.take()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.journey.namespace.save(&self.journey.membership, session);
        }
    }
}

impl Namespace {
    /// Hands a session to the store, in a task of its own.
    pub(crate) fn save(&self, membership: &Arc<Membership>, session: SavedSession) {
        let Ok(runtime) = Handle::try_current() else { return };
        let Some(recorder) = &self.0.recorder else { return };
        let journey =
            Journey::begin(self, recorder, membership, session.pid.clone(), Way::IntoStore);
        let (membership, duration) = (membership.clone(), recorder.duration);
        runtime.spawn(async move {
            let save = async {
                match membership.store().await {
                    Some(store) => store.persist(session, duration).await,
                    None => Err(AdapterError::Left),
                }
            };
            if let Err(error) = in_time(membership.patience(), save).await {
                let nsp = journey.namespace.nsp();
                tracing::warn!(target: "socketio::namespace", %nsp, %error, "a session is not kept");
            }
        });
    }

    /// Takes a session out of the store, in a task of its own: a client that vanishes while the store answers must not take
    /// its session with it. The answer may be as late as it likes to be within twice the `request_timeout`.
    pub(crate) fn take(
        &self,
        recorder: &Recorder,
        membership: &Arc<Membership>,
        store: Arc<dyn SessionStore>,
        pid: String,
        from: Offset,
    ) -> JoinHandle<Result<Option<Taken>, AdapterError>> {
        let journey = Journey::begin(self, recorder, membership, pid.into(), Way::OutOfStore);
        let patience = membership.patience().saturating_mul(2);
        tokio::spawn(async move {
            let taken = in_time(patience, store.take(&journey.pid, &from)).await?;
            Ok(taken.map(|session| Taken { session: Some(session), journey }))
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

/// A session that is neither here nor there: whoever wants it waits, and the node stays as long.
struct Journey {
    namespace: Namespace,
    membership: Arc<Membership>,
    pid: ByteString,
    done: watch::Sender<()>,
    _stays: Saving,
}

impl Journey {
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
                // Of several who ask, the first one gets an answer.
                Way::OutOfStore => drop(journeys.entry(pid.clone()).or_insert((way, ends))),
            }
        }
        let (namespace, membership) = (namespace.clone(), membership.clone());
        Self { _stays: membership.saving(), namespace, membership, pid, done }
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        let Some(recorder) = &self.namespace.0.recorder else { return };
        let mut journeys = recorder.journeys.lock().unwrap_or_else(PoisonError::into_inner);
        // The same session may have begun another journey meanwhile.
        if journeys.get(&self.pid).is_some_and(|it| it.1.same_channel(&self.done.subscribe())) {
            journeys.remove(&self.pid);
        }
    }
}

impl Recorder {
    /// Waits while a session is on such a way. Whether it was.
    pub(crate) async fn settled(&self, pid: &str, ways: &[Way]) -> bool {
        let on_its_way = || {
            let journeys = self.journeys.lock().unwrap_or_else(PoisonError::into_inner);
            journeys.get(pid).filter(|(way, _)| ways.contains(way)).map(|(_, ends)| ends.clone())
        };
        let mut was = false;
        while let Some(mut ends) = on_its_way() {
            was = true;
            // Nothing is ever sent: this ends with the sender.
            let _ = ends.changed().await;
        }
        was
    }
}
