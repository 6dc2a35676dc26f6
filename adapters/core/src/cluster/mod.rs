//! The state machine of one node in the cluster of one namespace: its peers, its requests and their
//! replies. It does no I/O, reads no clock and draws no randomness: the time is an argument, and
//! [`Cluster::poll_output`] returns the actions to perform.

mod peers;
mod requests;

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use bytestring::ByteString;
use engineio_parser::internal::deadline;
use socketio_parser::{Args, Nsp};

use self::{
    peers::Peers,
    requests::{Awaited, Requests},
};
use crate::{
    adapter::{ClusterMember, Discovery},
    limits::ClusterLimits,
    message::{Body, Message, NodeId, RequestId},
    recovery::HandoverRequest,
    selection::Selection,
};

pub use self::requests::{Outcome, Replies};

/// The state machine of one node in one namespace. `W` identifies a waiter for the outcome of a
/// request. The machine returns each waiter exactly once, in [`Output::Done`] or from
/// [`forget`](Self::forget).
///
/// # Run loop
///
/// Call [`join`](Self::join) when the back-end has joined, [`receive`](Self::receive) for every
/// message, [`ask`](Self::ask) for requests, and [`handle_timeout`](Self::handle_timeout) when the
/// instant of [`poll_timeout`](Self::poll_timeout) has passed. After each of these calls, call
/// [`poll_output`](Self::poll_output) until it returns `None`.
///
/// ```
/// use std::time::{Duration, Instant};
/// use socketio_adapter::{
///     Body, Cluster, ClusterLimits, ClusterMember, ClusterRequest, Discovery, Replies, Message,
///     NodeId, Output, event_args,
/// };
/// use socketio_parser::Nsp;
///
/// let (now, one, two) = (Instant::now(), NodeId::from("1"), NodeId::from("2"));
/// let member = ClusterMember { nsp: Nsp::root(), uid: one };
/// let mut cluster = Cluster::new(member, Discovery::Count, ClusterLimits::default());
///
/// // One other node must reply.
/// let args = event_args("time?", &())?;
/// cluster.ask(now, ClusterRequest::ServerSideEmit(args), 1, Duration::from_secs(5), "who asked").unwrap();
/// let Some(Output::Publish(Message { body, .. })) = cluster.poll_output() else { panic!() };
/// let Body::ServerSideEmit { request: Some(request), .. } = body else { panic!() };
///
/// let args = socketio_adapter::ack_args(&"noon")?;
/// let body = Body::ServerSideEmitResponse { request, args };
/// cluster.receive(now, Message { uid: two, nsp: Nsp::root(), body, seq: None });
/// let Some(Output::Done { waiter, outcome }) = cluster.poll_output() else { panic!() };
/// let Replies::Args(replies) = outcome.replies else { panic!() };
/// assert_eq!((waiter, replies[0].decode::<String>()?), ("who asked", "noon".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Cluster<W> {
    member: ClusterMember,
    limits: ClusterLimits,
    peers: Peers,
    requests: Requests<W>,
    /// The number of requests so far. Together with the node's name it forms an id that is unique
    /// in the cluster.
    request_count: u64,
    outputs: VecDeque<Output<W>>,
    ignored: u64,
    timed_out: u64,
    closed: bool,
}

/// A request to the other nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum ClusterRequest {
    /// A broadcast with acks. The timeout of the selection is transmitted.
    Broadcast(Args, Selection),
    /// A request for the selected sockets.
    FetchSockets(Selection),
    /// An event for the servers that requests replies.
    ServerSideEmit(Args),
    /// A request for a session. It ends with the first reply that is not empty.
    Handover {
        /// The private id of the session.
        pid: ByteString,
        /// The node that owned the session when it was stored, if it was stored.
        owner: Option<NodeId>,
        /// When the client claimed the session.
        began: Instant,
    },
}

/// An action to perform.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<W> {
    /// Publish a message.
    Publish(Message),
    /// Execute a request of another node: a broadcast, joins, leaves, disconnects, a request for
    /// sockets, or a server-side event.
    Execute {
        /// The node to which replies are sent.
        from: NodeId,
        /// The request.
        body: Body,
    },
    /// A request has ended.
    Done {
        /// The waiter.
        waiter: W,
        /// The outcome.
        outcome: Outcome,
    },
}

/// A refused request: its waiter, and the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRefused<W> {
    /// The waiter of the request.
    pub waiter: W,
    /// The limit that was reached (`max_requests`), or `None` if the node has left.
    pub limit: Option<usize>,
}

impl<W> Cluster<W> {
    /// Creates a node that has not joined yet.
    pub fn new(member: ClusterMember, discovery: Discovery, limits: ClusterLimits) -> Self {
        Self {
            member,
            peers: Peers::new(discovery, limits.max_peers),
            requests: Requests::new(limits.max_requests, limits.max_replies),
            limits,
            request_count: 0,
            outputs: VecDeque::new(),
            ignored: 0,
            timed_out: 0,
            closed: false,
        }
    }

    /// Reports that the back-end has joined. If peers are known by heartbeats, the node announces
    /// itself.
    pub fn join(&mut self, now: Instant) {
        if !self.closed && self.peers.join(now) {
            self.publish(Body::InitialHeartbeat);
        }
    }

    /// Processes a message of another node.
    pub fn receive(&mut self, now: Instant, message: Message) {
        let Message { uid, nsp, body, .. } = message;
        if self.closed || uid == self.member.uid || nsp != self.member.nsp {
            self.ignored += 1;
            return;
        }
        if !matches!(body, Body::AdapterClose) {
            self.peers.note_heard(now, &uid);
        }
        match body {
            Body::InitialHeartbeat if self.peers.by_heartbeats() => self.publish(Body::Heartbeat),
            Body::InitialHeartbeat | Body::Heartbeat => {}
            Body::AdapterClose => self.remove_node(&uid),
            body if body.replies_to().is_some() => {
                let (known, done) = self.requests.reply(&uid, body);
                self.ignored += u64::from(!known);
                self.outputs.extend(done.map(|(waiter, outcome)| Output::Done { waiter, outcome }));
            }
            body => self.outputs.push_back(Output::Execute { from: uid, body }),
        }
    }

    /// Sends a request to the other nodes. `others` is the number of other nodes if the engine
    /// counts them. With heartbeats it is ignored. [`Output::Done`] returns the outcome: at once if
    /// there are no other nodes, otherwise at most `timeout` from now.
    ///
    /// # Errors
    ///
    /// Returns the waiter if `max_requests` requests are pending or the node has left.
    pub fn ask(
        &mut self,
        now: Instant,
        request: ClusterRequest,
        others: usize,
        timeout: Duration,
        waiter: W,
    ) -> Result<RequestId, RequestRefused<W>> {
        if self.closed {
            return Err(RequestRefused { waiter, limit: None });
        }
        let awaited = match self.peers.known() {
            Some(known) => Awaited::Nodes(known),
            None => Awaited::Count { missing: others, replied: HashSet::new() },
        };
        self.request_count += 1;
        let id = RequestId::from(format!("{}.{:x}", self.member.uid, self.request_count));
        let alone = awaited.is_empty();
        let deadline = deadline(now, timeout);
        let done = match self.requests.add(id.clone(), deadline, awaited, &request, waiter) {
            Ok(done) => done,
            Err(waiter) => {
                return Err(RequestRefused { waiter, limit: Some(self.limits.max_requests) });
            }
        };
        match request {
            ClusterRequest::Broadcast(args, selection) => {
                // The broadcast is published even if no node is known. A node that has just joined
                // may already have clients.
                self.publish(Body::Broadcast { args, selection, request: Some(id.clone()) });
            }
            ClusterRequest::FetchSockets(_)
            | ClusterRequest::Handover { .. }
            | ClusterRequest::ServerSideEmit(_)
                if alone => {}
            ClusterRequest::FetchSockets(selection) => {
                self.publish(Body::FetchSockets { selection, request: id.clone() })
            }
            ClusterRequest::Handover { pid, owner, began } => {
                let age = now.saturating_duration_since(began);
                let selection = HandoverRequest { pid, owner, age }.to_selection();
                self.publish(Body::FetchSockets { selection, request: id.clone() });
            }
            ClusterRequest::ServerSideEmit(args) => {
                self.publish(Body::ServerSideEmit { args, request: Some(id.clone()) });
            }
        }
        self.outputs.extend(done.map(|(waiter, outcome)| Output::Done { waiter, outcome }));
        Ok(id)
    }

    /// Cancels a request. Returns its waiter.
    pub fn forget(&mut self, request: &RequestId) -> Option<W> {
        self.requests.forget(request)
    }

    /// Processes the passage of time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        if self.peers.heartbeat_due(now) {
            self.publish(Body::Heartbeat);
        }
        for silent in self.peers.expire(now) {
            self.remove_node(&silent);
        }
        for (waiter, outcome) in self.requests.expire(now) {
            self.timed_out += 1;
            self.outputs.push_back(Output::Done { waiter, outcome });
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) must be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.peers.next_timeout().into_iter().chain(self.requests.next_timeout()).min()
    }

    /// Returns the next action.
    pub fn poll_output(&mut self) -> Option<Output<W>> {
        self.outputs.pop_front()
    }

    /// Leaves the cluster. If peers are known by heartbeats, the node announces this. Every request
    /// ends with the replies so far.
    pub fn close(&mut self) {
        if self.closed {
            return;
        }
        if self.peers.leave() {
            self.publish(Body::AdapterClose);
        }
        self.closed = true;
        let done = self.requests.drain();
        self.outputs.extend(done.map(|(waiter, outcome)| Output::Done { waiter, outcome }));
    }

    /// Returns the number of nodes, including this one. `None` if only the engine knows it.
    pub fn node_count(&self) -> Option<usize> {
        self.peers.by_heartbeats().then(|| self.peers.count() + 1)
    }

    /// Returns the number of pending requests.
    pub fn pending_requests(&self) -> usize {
        self.requests.len()
    }

    /// Returns how many requests ended at their deadline with the replies so far.
    pub fn timed_out_requests(&self) -> u64 {
        self.timed_out
    }

    /// Returns how many messages were ignored: the node's own messages, messages of other
    /// namespaces, replies to requests that have ended, and replies beyond `max_replies`.
    pub fn ignored_messages(&self) -> u64 {
        self.ignored
    }

    /// Creates a message of this node.
    pub fn message(&self, body: Body) -> Message {
        Message { uid: self.member.uid.clone(), nsp: self.member.nsp.clone(), body, seq: None }
    }

    /// Returns the namespace.
    pub fn nsp(&self) -> &Nsp {
        &self.member.nsp
    }

    fn publish(&mut self, body: Body) {
        let message = self.message(body);
        self.outputs.push_back(Output::Publish(message));
    }

    fn remove_node(&mut self, uid: &NodeId) {
        self.peers.remove(uid);
        let done = self.requests.remove_node(uid);
        self.outputs.extend(done.map(|(waiter, outcome)| Output::Done { waiter, outcome }));
    }
}
