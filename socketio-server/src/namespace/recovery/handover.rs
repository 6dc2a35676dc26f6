//! Sessions that nodes request of each other, because the client has returned to another node.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use bytestring::ByteString;
use socketio_adapter::{
    AdapterError, Ask, Gathered, NodeId, SocketDetails,
    recovery::{Handover, HandoverRequest, SavedSession},
};
use socketio_parser::Value;
use tokio::sync::Semaphore;

use crate::{
    namespace::recovery::{
        engine_log::EngineLog,
        session_transfer::{StoreLease, TransferDirection, in_time},
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
    /// Records that a node lives. If it was only slow to reply, it is asked again.
    pub(crate) fn heard_from(&self, node: &NodeId) {
        lock(&self.handovers().gone).retain(|(gone, _)| gone != node);
    }

    /// Asks the other nodes to hand over a session. Fails if they cannot be asked: the owner may
    /// live.
    pub(super) async fn request_handover(
        &self,
        pid: ByteString,
        owner: Option<NodeId>,
        began: Instant,
    ) -> Result<Handover, AdapterError> {
        if owner.as_ref() == Some(self.membership().uid()) {
            return Ok(Handover::Stored);
        }
        let handovers = self.handovers();
        // A claim whose client has been given a new session does not keep others waiting.
        let rest = self.membership().request_timeout().saturating_sub(now() - began);
        let permit = async { handovers.permits.acquire().await.map_err(|_| AdapterError::Left) };
        let _permit = in_time(rest, permit).await?;
        if owner.as_ref().is_some_and(|owner| handovers.is_gone(owner)) {
            return Ok(Handover::Unknown);
        }
        let ask = Ask::Handover { pid, owner: owner.clone(), began };
        let asked = self.membership().ask(ask, self.handover_timeout()).await;
        let outcome = match asked {
            Ok(pending) => pending.outcome().await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| AdapterError::Engine(error.into()))?;
        let Gathered::Sockets(sockets) = outcome.gathered else { return Ok(Handover::Unknown) };
        let handover = Handover::from_sockets(sockets);
        if let (Handover::Unknown, Some(owner)) = (&handover, owner) {
            handovers.note_gone(owner);
        }
        Ok(handover)
    }

    /// Responds to the request of another node, whose client claims a session.
    pub(crate) async fn release(&self, request: HandoverRequest) -> Handover {
        let HandoverRequest { pid, owner, age } = request;
        let began = now().checked_sub(age.saturating_add(LATENCY)).unwrap_or_else(now);
        if let Some(handed_over) = self.log().take_over(&pid, began) {
            // If this takes too long, the session is stored. The reply must arrive in time, because
            // the other node takes this one for gone otherwise.
            let lease = tokio::time::timeout(self.handover_timeout() / 2, handed_over).await;
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
        let settled = self.transfers().settled(&pid, &[TransferDirection::IntoStore]);
        let stored = tokio::time::timeout(self.handover_timeout() / 2, settled).await;
        let stored = stored.unwrap_or(true);
        let owned = owner.as_ref() == Some(self.membership().uid());
        if stored || owned { Handover::Stored } else { Handover::Unknown }
    }

    /// How long another node may take to hand over a session: an eighth of the `request_timeout`.
    fn handover_timeout(&self) -> Duration {
        self.membership().request_timeout() / 8
    }
}

#[cfg(test)]
mod tests {
    use socketio_adapter::{MemoryCluster, MemoryLog};

    use super::*;
    use crate::{
        config::{ServerConfig, recovery::Recovery},
        server::Server,
    };

    #[tokio::test(start_paused = true)]
    async fn a_claim_waits_for_its_turn_to_ask_only_as_long_as_its_client_waits() {
        let cluster = MemoryCluster::with_log(MemoryLog::default(), Instant::now);
        let config = ServerConfig::default().adapter(cluster.adapter());
        let io = Server::with_config(config.connection_state_recovery(Recovery::default()));
        io.joined().await;
        let namespace = io.of("/");
        let engine = namespace.0.delivery.engine_log().unwrap();
        let others = u32::try_from(MAX_REQUESTS).unwrap();
        let others = engine.handovers().permits.acquire_many(others).await.unwrap();
        let request = || engine.request_handover("pid".into(), None, now());
        let asked = tokio::time::timeout(Duration::from_secs(3600), request()).await;
        asked.unwrap().unwrap_err();
        drop(others);
        assert_eq!(request().await.unwrap(), Handover::Unknown);
    }
}
