//! Sessions that nodes request of each other, because the client has returned to another node.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use bytestring::ByteString;
use socketio_adapter::{
    AdapterError, ClusterRequest, NodeId, Replies,
    recovery::{Handover, HandoverRequest},
};
use tokio::sync::Semaphore;

use crate::{
    namespace::recovery::{
        engine_log::EngineLog,
        session_transfer::{TransferDirection, in_time},
    },
    sync::{Mutex, lock},
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

/// The period in which an address may have `max_failed_claims` failed claims.
const PERIOD: Duration = Duration::from_secs(10);

/// Number of addresses whose failed claims are counted. Further addresses share one count.
const MAX_ADDRESSES: usize = 4096;

/// The requests to other nodes for sessions.
pub(super) struct Handovers {
    permits: Semaphore,
    gone: Mutex<Vec<(NodeId, Instant)>>,
    max_failed: u32,
    failed: Mutex<FailedClaims>,
}

/// The claims of each address in the current period that no node could satisfy.
struct FailedClaims {
    since: Instant,
    counts: HashMap<Option<IpAddr>, u32>,
}

/// The result of a request to hand over a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandoverOutcome {
    /// The session is in the store, unless its owner keeps it.
    Stored,
    /// No node has the session.
    Unknown,
    /// Some nodes have not replied, and the others do not have the session.
    NoReply,
}

impl Handovers {
    pub(super) fn new(max_failed: u32) -> Self {
        let failed = FailedClaims { since: now(), counts: HashMap::new() };
        let permits = Semaphore::new(MAX_REQUESTS);
        Self { permits, gone: Mutex::default(), max_failed, failed: Mutex::new(failed) }
    }

    /// Counts a claim as failed. Returns whether the address may have it.
    fn count_failed(&self, address: Option<IpAddr>) -> bool {
        let address = address.map(network);
        let mut failed = lock(&self.failed);
        if now().duration_since(failed.since) >= PERIOD {
            *failed = FailedClaims { since: now(), counts: HashMap::new() };
        }
        let is_new = !failed.counts.contains_key(&address);
        let address = address.filter(|_| !is_new || failed.counts.len() < MAX_ADDRESSES);
        let count = failed.counts.entry(address).or_default();
        *count = count.saturating_add(1);
        *count <= self.max_failed
    }

    /// Takes a failed claim back.
    pub(super) fn discount(&self, address: Option<IpAddr>) {
        if let Some(count) = lock(&self.failed).counts.get_mut(&address.map(network)) {
            *count = count.saturating_sub(1);
        }
    }

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
    ) -> Result<HandoverOutcome, AdapterError> {
        let handovers = self.handovers();
        // A claim whose client has been given a new session does not keep others waiting.
        let rest = self.membership().request_timeout().saturating_sub(now() - began);
        let permit =
            async { handovers.permits.acquire().await.map_err(|_| AdapterError::NotInCluster) };
        let _permit = in_time(rest, permit).await?;
        if owner.as_ref().is_some_and(|owner| handovers.is_gone(owner)) {
            return Ok(HandoverOutcome::NoReply);
        }
        let request = ClusterRequest::Handover { pid, owner: owner.clone(), began };
        let request = self.membership().ask(request, self.handover_timeout()).await;
        let outcome = match request {
            Ok(pending) => pending.outcome().await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| AdapterError::Engine(error.into()))?;
        if let Replies::Sockets(sockets) = &outcome.replies
            && Handover::from_sockets(sockets) == Handover::Stored
        {
            return Ok(HandoverOutcome::Stored);
        }
        owner.into_iter().for_each(|owner| handovers.note_gone(owner));
        match outcome.missing_nodes {
            0 => Ok(HandoverOutcome::Unknown),
            _ => Ok(HandoverOutcome::NoReply),
        }
    }

    /// Asks the other nodes for a session that is not in the store. This is all that a claim of a
    /// guessed private id costs them, so each address may do it only so often in vain. The claim
    /// counts as failed until the caller [discounts](Handovers::discount) it.
    pub(super) async fn request_unowned(
        &self,
        pid: ByteString,
        (began, address): (Instant, Option<IpAddr>),
    ) -> Result<HandoverOutcome, AdapterError> {
        if !self.handovers().count_failed(address) {
            let limit = self.handovers().max_failed;
            tracing::debug!(target: "socketio::namespace", ?address, limit, "an address exceeded `max_failed_claims`: not asking the other nodes for its session");
            return Ok(HandoverOutcome::Unknown);
        }
        self.request_handover(pid, None, began).await
    }

    /// Responds to the request of another node, whose client claims a session.
    pub(crate) async fn release(&self, request: HandoverRequest) -> Handover {
        let HandoverRequest { pid, owner, age } = request;
        let began = now().checked_sub(age.saturating_add(LATENCY)).unwrap_or_else(now);
        let taken_over = self.log().take_over(&pid, began);
        let owned = taken_over.is_some() || owner.as_ref() == Some(self.membership().uid());
        let settled = async {
            if let Some(handed_over) = taken_over {
                // The lease that is dropped here stores the session.
                drop(handed_over.await);
            }
            self.transfers().settled(&pid, &[TransferDirection::IntoStore]).await
        };
        // The reply must arrive in time, because the other node takes this one for gone otherwise.
        let stored = tokio::time::timeout(self.handover_timeout() / 2, settled).await;
        if owned || stored.unwrap_or(true) { Handover::Stored } else { Handover::Unknown }
    }

    /// Returns how long another node may take to hand over a session: an eighth of the
    /// `request_timeout`.
    fn handover_timeout(&self) -> Duration {
        self.membership().request_timeout() / 8
    }
}

/// Returns what counts as one address: the network of 64 bits that IPv6 gives to one customer.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
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
        assert_eq!(request().await.unwrap(), HandoverOutcome::Unknown);
    }
}
