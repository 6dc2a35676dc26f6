//! The change stream, which all namespaces of a server share.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_core::Stream as _;
use mongodb::{
    bson::{RawDocumentBuf, doc},
    change_stream::{
        ChangeStream,
        event::{ChangeStreamEvent, OperationType, ResumeToken},
    },
    error::ErrorKind,
};
use socketio_adapter::{
    ClusterMember, Inbox, Message, MessageError, Offset,
    internal::{is_event, lock},
};
use tokio::sync::watch;

use crate::{
    config::MongoConfig,
    document::{SESSION, decode},
    error::MongoError,
    recovery::EventOrder,
};

/// How long the reader waits before it opens the stream again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The namespaces that have joined, and the state of the stream.
#[derive(Default)]
pub(crate) struct Members {
    members: Mutex<Vec<(ClusterMember, Arc<dyn Inbox>)>>,
    state: watch::Sender<State>,
    pub(crate) order: EventOrder,
}

#[derive(Clone, Default)]
enum State {
    /// The stream is being opened for the first time.
    #[default]
    Opening,
    Open,
    /// The stream could not be opened, for this reason.
    Failed(String),
}

/// A namespace's membership, which ends when this is dropped.
pub(crate) struct Membership {
    members: Weak<Members>,
    member: ClusterMember,
}

impl Members {
    /// Adds a namespace.
    pub(crate) fn join(
        self: &Arc<Self>,
        member: ClusterMember,
        inbox: Arc<dyn Inbox>,
    ) -> Membership {
        lock(&self.members).push((member.clone(), inbox));
        Membership { members: Arc::downgrade(self), member }
    }

    /// Waits until the stream is open.
    pub(crate) async fn open(&self) -> Result<(), MongoError> {
        let mut state = self.state.subscribe();
        // The sender lives in `self`.
        match state.wait_for(|state| !matches!(state, State::Opening)).await.as_deref() {
            Ok(State::Failed(error)) => Err(MongoError::ChangeStream(error.clone())),
            _ => Ok(()),
        }
    }

    /// Delivers a message. A node has already executed its own, except for broadcasts.
    fn deliver(&self, message: &Message, offset: Option<&Offset>) {
        let receivers: Vec<_> = {
            let members = lock(&self.members);
            let others = members.iter().filter(|(member, _)| {
                member.nsp == message.nsp && (member.uid != message.uid || offset.is_some())
            });
            others.map(|(_, inbox)| inbox.clone()).collect()
        };
        for inbox in receivers {
            inbox.receive(message.clone(), offset.cloned());
        }
    }

    /// Reports a malformed document to the namespace that it names.
    fn undecodable(&self, nsp: Option<&str>, error: &MessageError) {
        let members = lock(&self.members);
        let receivers: Vec<_> = members
            .iter()
            .filter(|(member, _)| nsp == Some(member.nsp.as_str()))
            .map(|(_, inbox)| inbox.clone())
            .collect();
        drop(members);
        for inbox in receivers {
            inbox.undecodable(error);
        }
    }
}

impl Membership {
    /// Removes the namespace. Its inbox receives nothing further.
    pub(crate) fn leave(&self) {
        let Some(members) = self.members.upgrade() else { return };
        let mut members = lock(&members.members);
        let at = members.iter().position(|(member, _)| *member == self.member);
        let left = at.map(|at| members.swap_remove(at));
        drop(members);
        drop(left);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

type Events = ChangeStream<ChangeStreamEvent<RawDocumentBuf>>;

/// Reads the change stream forever. Continues after the last document that was read, so messages
/// that are inserted while the stream is interrupted arrive afterwards.
pub(crate) async fn run(config: MongoConfig, members: Arc<Members>) {
    let mut position = None;
    loop {
        let error = match open(&config, position.clone()).await {
            Ok(stream) => {
                members.state.send_replace(State::Open);
                read(&config, &members, stream, &mut position).await
            }
            Err(error) => {
                members.state.send_replace(State::Failed(error.to_string()));
                // The position may no longer be in the oplog.
                let is_lost = matches!(*error.kind, ErrorKind::Command(_))
                    && !error.contains_label("ResumableChangeStreamError");
                if is_lost && position.take().is_some() {
                    members.order.interrupted();
                    tracing::warn!(target: "socketio::cluster", %error, "messages may be lost: the change stream cannot continue where it ended");
                }
                Some(error)
            }
        };
        if let Some(error) = error {
            tracing::warn!(target: "socketio::cluster", %error, "the change stream is interrupted: opening it again");
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn open(
    config: &MongoConfig,
    position: Option<ResumeToken>,
) -> Result<Events, mongodb::error::Error> {
    let collection = config.collection.clone_with_type::<RawDocumentBuf>();
    let operations = doc! { "$in": ["insert", "invalidate"] };
    let wanted = doc! { "operationType": operations, "fullDocument.type": { "$ne": SESSION } };
    let watch = collection.watch().pipeline([doc! { "$match": wanted }]);
    match position {
        // Unlike `resume_after`, this also continues after the collection was dropped.
        Some(position) => watch.start_after(position).await,
        None => watch.await,
    }
}

/// Reads until the stream ends. Returns the error, if there is one.
async fn read(
    config: &MongoConfig,
    members: &Members,
    mut stream: Events,
    position: &mut Option<ResumeToken>,
) -> Option<mongodb::error::Error> {
    loop {
        *position = stream.resume_token();
        let event = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await;
        let document = match event {
            // The collection was dropped. The next stream begins behind that.
            Some(Ok(event)) if event.operation_type == OperationType::Invalidate => {
                *position = Some(event.id);
                return None;
            }
            Some(Ok(event)) => event.full_document,
            Some(Err(error)) => return Some(error),
            None => return None,
        };
        let Some(document) = document else { continue };
        members.order.passed(&document);
        let nsp = document.get_str("nsp").ok().map(str::to_owned);
        let id = document.get_object_id("_id").ok();
        match decode(document, &config.limits) {
            Ok(Some(message)) => {
                let is_event = is_event(&message.body);
                let offset = id.filter(|_| is_event).map(|id| id.to_hex().into());
                members.deliver(&message, offset.as_ref());
            }
            Ok(None) => {}
            Err(error) => members.undecodable(nsp.as_deref(), &error),
        }
    }
}
