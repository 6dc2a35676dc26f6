//! Sessions that nodes request of each other, because the client has returned to another node.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use bytestring::ByteString;
use socketio_adapter::{
    Ask, Gathered, NodeId, SocketDetails,
    recovery::{Handover, HandoverRequest, SavedSession},
};
use socketio_parser::Value;
use tokio::sync::Semaphore;

use crate::{
    namespace::recovery::{
        engine_log::EngineLog,
        session_transfer::{StoreLease, TransferDirection},
    },
    sync::lock,
    time::now,
};

/// Number of requests of one namespace at a time. Further ones wait.
const MAX_REQUESTS: usize = 128;

/// How long a node that did not reply is taken for gone, so that the many clients of a killed node
/// do not each wait for its reply.
const GONE: Duration = Duration::from_secs(10);

/// How long a request may have been on its way. A socket that was restored less long before it came
/// is not taken over, because both clients may have claimed the session at the same time.
const LATENCY: Duration = Duration::from_millis(5);

/// Number of gone nodes that are remembered; the oldest are forgotten.
const MAX_GONE: usize = 64;

/// The requests to other nodes for sessions.
pub(super) struct Handovers {
    permits: Semaphore,
    gone: Mutex<Vec<(NodeId, Instant)>>,
}

impl Default for Handovers {
    fn default() -> Self {
        Self { permits: Semaphore::new(MAX_REQUESTS), gone: Mutex::default() }
    }
}

impl Handovers {
    fn is_gone(&self, owner: &NodeId) -> bool {
        let mut gone = lock(&self.gone);
        gone.retain(|(_, at)| now().duration_since(*at) < GONE);
        gone.iter().any(|(node, _)| node == owner)
    }

    fn note_gone(&self, owner: NodeId) {
        let mut gone = lock(&self.gone);
        if gone.len() >= MAX_GONE {
            gone.remove(0);
        }
        gone.push((owner, now()));
    }
}

impl EngineLog {
    /// Asks the other nodes to hand over a session.
    pub(super) async fn request_handover(
        &self,
        pid: ByteString,
        owner: Option<NodeId>,
        began: Instant,
    ) -> Handover {
        if owner.as_ref() == Some(self.membership().uid()) {
            return Handover::Stored;
        }
        let handovers = self.handovers();
        // The semaphore is never closed.
        let _permit = handovers.permits.acquire().await;
        if owner.as_ref().is_some_and(|owner| handovers.is_gone(owner)) {
            return Handover::Unknown;
        }
        let ask = Ask::Handover { pid, owner: owner.clone(), began };
        let asked = self.membership().ask(ask, self.handover_timeout()).await;
        let outcome = match asked {
            Ok(pending) => pending.outcome().await,
            Err(error) => Err(error),
        };
        match outcome.map(|outcome| outcome.gathered) {
            Ok(Gathered::Sockets(sockets)) => {
                let handover = Handover::from_sockets(sockets);
                if let (Handover::Unknown, Some(owner)) = (&handover, owner) {
                    handovers.note_gone(owner);
                }
                handover
            }
            _ => Handover::Unknown,
        }
    }

    /// Responds to the request of another node, whose client claims a session.
    pub(crate) async fn release(&self, request: HandoverRequest) -> Handover {
        let HandoverRequest { pid, owner, age } = request;
        let began = now().checked_sub(age.saturating_add(LATENCY)).unwrap_or_else(now);
        if let Some(handed_over) = self.log().take_over(&pid, began) {
            // If this takes too long, the other node has given up, and the session is stored.
            let lease = tokio::time::timeout(self.handover_timeout(), handed_over).await;
            let session = lease.ok().and_then(Result::ok).flatten();
            if let Some(writer) = self.writer() {
                // The other node will store the session too.
                drop(writer.between_batches().await);
            }
            return match session.and_then(StoreLease::into_session) {
                Some(SavedSession { sid, rooms, data, .. }) => {
                    let handshake = Value::Null;
                    Handover::Session(SocketDetails { id: sid, handshake, rooms, data })
                }
                None => Handover::Stored,
            };
        }
        let stored = self.transfers().settled(&pid, &[TransferDirection::IntoStore]).await;
        let owned = owner.as_ref() == Some(self.membership().uid());
        if stored || owned { Handover::Stored } else { Handover::Unknown }
    }

    /// How long another node may take to hand over a session: an eighth of the `request_timeout`.
    fn handover_timeout(&self) -> Duration {
        self.membership().request_timeout() / 8
    }
}
