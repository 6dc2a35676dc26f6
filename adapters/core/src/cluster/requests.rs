//! Pending requests, and the replies to them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Instant,
};

use socketio_parser::Args;

use super::ClusterRequest;
use crate::message::{Body, NodeId, RequestId, SocketDetails};

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The replies.
    pub replies: Replies,
    /// Number of nodes that did not reply in time, without nodes that have left or died.
    pub missing_nodes: usize,
    /// Number of clients that got a broadcast and sent no ack, because they were late or their node
    /// died.
    pub missing_clients: u64,
}

/// The replies of nodes or clients.
#[derive(Clone, Debug, PartialEq)]
pub enum Replies {
    /// Replies to [`ClusterRequest::FetchSockets`](super::ClusterRequest::FetchSockets).
    Sockets(Vec<SocketDetails>),
    /// Replies to the other requests.
    Args(Vec<Args>),
}

/// The requests that wait for replies.
#[derive(Debug)]
pub(super) struct Requests<W> {
    limit: usize,
    max_replies: usize,
    pending: HashMap<RequestId, Request<W>>,
    /// The requests by deadline. Only the earliest is inspected.
    deadlines: BTreeMap<(Instant, RequestId), ()>,
}

#[derive(Debug)]
struct Request<W> {
    deadline: Instant,
    awaited: Awaited,
    replies: Replies,
    /// For a broadcast: the number of clients of each node, and of their acks.
    clients: Option<HashMap<NodeId, Clients>>,
    /// Number of clients without an ack when their node was lost.
    lost_clients: u64,
    /// Whether the first reply with a socket completes the request.
    first_only: bool,
    waiter: W,
}

#[derive(Debug, Default)]
struct Clients {
    counted: bool,
    announced: u64,
    acks: u64,
}

/// The nodes that have not replied yet.
#[derive(Debug)]
pub(super) enum Awaited {
    Nodes(HashSet<NodeId>),
    Count { missing: usize, replied: HashSet<NodeId> },
}

impl Awaited {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        match self {
            Self::Nodes(nodes) => nodes.len(),
            Self::Count { missing, .. } => *missing,
        }
    }

    /// Records a reply. Returns whether the reply of this node was still missing.
    fn record(&mut self, uid: &NodeId) -> bool {
        match self {
            Self::Nodes(nodes) => nodes.remove(uid),
            Self::Count { missing, replied } => {
                // Nodes without names cannot be distinguished.
                let first = uid.is_anonymous() || !replied.contains(uid);
                if *missing == 0 || !first {
                    return false;
                }
                replied.insert(uid.clone());
                *missing -= 1;
                true
            }
        }
    }
}

type Done<W> = Option<(W, Outcome)>;

impl<W> Requests<W> {
    pub(super) fn new(limit: usize, max_replies: usize) -> Self {
        Self { limit, max_replies, pending: HashMap::new(), deadlines: BTreeMap::new() }
    }

    /// Adds a request. Returns its outcome if there are no other nodes. Returns the waiter as an
    /// error if there are too many requests.
    pub(super) fn add(
        &mut self,
        id: RequestId,
        deadline: Instant,
        awaited: Awaited,
        request: &ClusterRequest,
        waiter: W,
    ) -> Result<Done<W>, W> {
        let replies = match request {
            ClusterRequest::FetchSockets(_) | ClusterRequest::Handover { .. } => {
                Replies::Sockets(Vec::new())
            }
            ClusterRequest::Broadcast(..) | ClusterRequest::ServerSideEmit(_) => {
                Replies::Args(Vec::new())
            }
        };
        let clients = matches!(request, ClusterRequest::Broadcast(..)).then(HashMap::new);
        let first_only = matches!(request, ClusterRequest::Handover { .. });
        let request =
            Request { deadline, awaited, replies, clients, lost_clients: 0, first_only, waiter };
        if request.is_done() {
            return Ok(Some(request.end()));
        }
        if self.pending.len() >= self.limit {
            return Err(request.waiter);
        }
        self.deadlines.insert((deadline, id.clone()), ());
        self.pending.insert(id, request);
        Ok(None)
    }

    /// Processes a reply. Returns whether it was expected, and the outcome of the request if it is
    /// complete.
    pub(super) fn reply(&mut self, uid: &NodeId, body: Body) -> (bool, Done<W>) {
        let Some(id) = body.replies_to().cloned() else { return (false, None) };
        let Some(request) = self.pending.get_mut(&id) else { return (false, None) };
        let known = request.take(uid, body, self.max_replies);
        let done = if request.is_done() { self.end(&id) } else { None };
        (known, done)
    }

    /// Removes a lost node from all requests. Returns the requests that are complete without it.
    pub(super) fn remove_node(&mut self, uid: &NodeId) -> impl Iterator<Item = (W, Outcome)> {
        for request in self.pending.values_mut() {
            request.remove_node(uid);
        }
        let done = self.pending.iter().filter(|(_, request)| request.is_done());
        let done: Vec<_> = done.map(|(id, _)| id.clone()).collect();
        done.into_iter().filter_map(|id| self.end(&id))
    }

    pub(super) fn expire(&mut self, now: Instant) -> impl Iterator<Item = (W, Outcome)> {
        std::iter::from_fn(move || {
            let ((deadline, id), ()) = self.deadlines.first_key_value()?;
            if *deadline > now {
                return None;
            }
            let id = id.clone();
            self.end(&id)
        })
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = (W, Outcome)> {
        self.deadlines.clear();
        self.pending.drain().map(|(_, request)| request.end())
    }

    pub(super) fn forget(&mut self, id: &RequestId) -> Option<W> {
        self.remove(id).map(|request| request.waiter)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first_key_value().map(|((deadline, _), ())| *deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    fn end(&mut self, id: &RequestId) -> Done<W> {
        self.remove(id).map(Request::end)
    }

    fn remove(&mut self, id: &RequestId) -> Option<Request<W>> {
        let request = self.pending.remove(id)?;
        self.deadlines.remove(&(request.deadline, id.clone()));
        Some(request)
    }
}

impl<W> Request<W> {
    /// Records a reply. Returns whether it was expected. Only the first reply of each node counts.
    fn take(&mut self, uid: &NodeId, body: Body, max_replies: usize) -> bool {
        match (body, &mut self.replies, &mut self.clients) {
            (Body::FetchSocketsResponse { sockets, .. }, Replies::Sockets(all), _) => {
                let expected = self.awaited.record(uid);
                if expected {
                    let room = max_replies.saturating_sub(all.len());
                    all.extend(sockets.into_iter().take(room));
                }
                expected
            }
            (Body::ServerSideEmitResponse { args, .. }, Replies::Args(all), None) => {
                let expected = self.awaited.record(uid) && all.len() < max_replies;
                if expected {
                    all.push(args);
                }
                expected
            }
            (Body::BroadcastClientCount { clients, .. }, _, Some(nodes)) => {
                if nodes.len() >= max_replies && !nodes.contains_key(uid) {
                    return false;
                }
                let awaited = self.awaited.record(uid);
                let node = nodes.entry(uid.clone()).or_default();
                // A node that was not known when the request was sent also counts.
                let counts = awaited || !(node.counted || uid.is_anonymous());
                if counts {
                    node.counted = true;
                    node.announced = node.announced.saturating_add(clients);
                }
                counts
            }
            // With engines that have several channels, an ack may arrive before the count.
            (Body::BroadcastAck { args, .. }, Replies::Args(all), Some(nodes)) => {
                if all.len() >= max_replies {
                    return false;
                }
                nodes.entry(uid.clone()).or_default().acks += 1;
                all.push(args);
                true
            }
            _ => false,
        }
    }

    fn remove_node(&mut self, uid: &NodeId) {
        if let Awaited::Nodes(nodes) = &mut self.awaited {
            nodes.remove(uid);
        }
        if let Some(node) = self.clients.as_mut().and_then(|nodes| nodes.remove(uid)) {
            self.lost_clients += node.announced.saturating_sub(node.acks);
        }
    }

    fn is_done(&self) -> bool {
        self.awaited.is_empty() && self.open_clients() == 0
            || self.first_only && matches!(&self.replies, Replies::Sockets(all) if !all.is_empty())
    }

    /// Returns the number of clients whose acks are still expected.
    fn open_clients(&self) -> u64 {
        let nodes = self.clients.iter().flat_map(HashMap::values);
        nodes.fold(0, |sum, node| sum.saturating_add(node.announced.saturating_sub(node.acks)))
    }

    fn end(self) -> (W, Outcome) {
        let missing_clients = self.open_clients().saturating_add(self.lost_clients);
        let missing_nodes = self.awaited.len();
        (self.waiter, Outcome { replies: self.replies, missing_nodes, missing_clients })
    }
}
