//! One node's part in the cluster of one namespace: who is there, what is asked, who has answered. No I/O, no clock, no
//! randomness: the time is an argument, and what is to be done comes out of [`Cluster::poll_output`].

mod peers;
mod requests;

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use socketio_parser::{Args, Nsp};

use self::{
    peers::Peers,
    requests::{Awaited, Requests},
};
use crate::{
    adapter::{Discovery, Seat},
    limits::ClusterLimits,
    message::{Body, Message, NodeId, RequestId},
    selection::Selection,
};

pub use self::requests::{Gathered, Outcome};

/// The machine of one node in one namespace. `W` is whoever waits for the outcome of a request; the machine hands it back
/// exactly once, by [`Output::Done`] or by [`forget`](Self::forget).
///
/// # Run loop
///
/// Call [`join`](Self::join) when the back-end has joined, [`receive`](Self::receive) for every message,
/// [`ask`](Self::ask) for requests, [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) has
/// passed; and after each of them [`poll_output`](Self::poll_output) until it is empty.
///
/// ```
/// use std::time::{Duration, Instant};
/// use socketio_adapter::{
///     Ask, Body, Cluster, ClusterLimits, Discovery, Gathered, Message, NodeId, Output, Seat, event_args,
/// };
///
/// let (now, one, two) = (Instant::now(), NodeId::from("1"), NodeId::from("2"));
/// let seat = Seat { nsp: "/".into(), uid: one };
/// let mut cluster = Cluster::new(seat, Discovery::Count, ClusterLimits::default());
///
/// // One other node is to answer.
/// let args = event_args("time?", &())?;
/// cluster.ask(now, Ask::ServerSideEmit(args), 1, Duration::from_secs(5), "who asked").unwrap();
/// let Some(Output::Publish(Message { body, .. })) = cluster.poll_output() else { panic!() };
/// let Body::ServerSideEmit { request: Some(request), .. } = body else { panic!() };
///
/// let answer = socketio_adapter::answer_args(&"noon")?;
/// let body = Body::ServerSideEmitResponse { request, answer };
/// cluster.receive(now, Message { uid: two, nsp: "/".into(), body });
/// let Some(Output::Done { waiter, outcome }) = cluster.poll_output() else { panic!() };
/// let Gathered::Answers(answers) = outcome.gathered else { panic!() };
/// assert_eq!((waiter, answers[0].decode::<String>()?), ("who asked", "noon".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Cluster<W> {
    seat: Seat,
    limits: ClusterLimits,
    peers: Peers,
    requests: Requests<W>,
    /// How many requests there have been: with the node's name, an id that is unique in the cluster.
    asked: u64,
    outputs: VecDeque<Output<W>>,
    ignored: u64,
    timed_out: u64,
    closed: bool,
}

/// What a node asks of the others.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A broadcast whose recipients' answers are wanted. The selection's timeout travels with it.
    Broadcast(Args, Selection),
    /// Which sockets are there?
    FetchSockets(Selection),
    /// An event for the servers, whose answers are wanted.
    ServerSideEmit(Args),
}

/// What is to be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<W> {
    /// A message is to be published.
    Publish(Message),
    /// Another node wants something of this one: a broadcast, joins, leaves, disconnections, sockets, a server-side event.
    Do {
        /// Who; replies go there.
        from: NodeId,
        /// What.
        body: Body,
    },
    /// A request has ended.
    Done {
        /// Who waited.
        waiter: W,
        /// What came of it.
        outcome: Outcome,
    },
}

/// The waiter of a request that was refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<W> {
    /// Who would have waited.
    pub waiter: W,
    /// The limit (`max_requests`), or `None` where the node has left.
    pub limit: Option<usize>,
}

impl<W> Cluster<W> {
    /// A node that has not joined yet.
    pub fn new(seat: Seat, discovery: Discovery, limits: ClusterLimits) -> Self {
        Self {
            seat,
            peers: Peers::new(discovery, limits.get_max_peers()),
            requests: Requests::new(limits.get_max_requests(), limits.get_max_answers()),
            limits,
            asked: 0,
            outputs: VecDeque::new(),
            ignored: 0,
            timed_out: 0,
            closed: false,
        }
    }

    /// The back-end has joined: the node makes itself known, where nodes do.
    pub fn join(&mut self, now: Instant) {
        if !self.closed && self.peers.join(now) {
            self.publish(Body::InitialHeartbeat);
        }
    }

    /// Takes a message of another node.
    pub fn receive(&mut self, now: Instant, message: Message) {
        let Message { uid, nsp, body } = message;
        if self.closed || uid == self.seat.uid || nsp != self.seat.nsp {
            self.ignored += 1;
            return;
        }
        if !matches!(body, Body::AdapterClose) {
            self.peers.heard(now, &uid);
        }
        match body {
            Body::InitialHeartbeat if self.peers.by_heartbeats() => self.publish(Body::Heartbeat),
            Body::InitialHeartbeat | Body::Heartbeat => {}
            Body::AdapterClose => self.lost(&uid),
            body if body.replies_to().is_some() => {
                let (known, done) = self.requests.reply(&uid, body);
                self.ignored += u64::from(!known);
                self.outputs.extend(done.map(|(waiter, outcome)| Output::Done { waiter, outcome }));
            }
            body => self.outputs.push_back(Output::Do { from: uid, body }),
        }
    }

    /// Asks the other nodes. `others` is how many there are where the engine counts them; heartbeats know it themselves.
    /// The outcome comes by [`Output::Done`], at the latest `patience` from now, at once where nobody is there.
    ///
    /// # Errors
    ///
    /// As many requests wait as may (`max_requests`), or the node has left.
    pub fn ask(
        &mut self,
        now: Instant,
        ask: Ask,
        others: usize,
        patience: Duration,
        waiter: W,
    ) -> Result<RequestId, Refused<W>> {
        if self.closed {
            return Err(Refused { waiter, limit: None });
        }
        let awaited = match self.peers.known() {
            Some(known) => Awaited::Nodes(known),
            None => Awaited::Count { missing: others, heard: HashSet::new() },
        };
        self.asked += 1;
        let id = RequestId::from(format!("{}.{:x}", self.seat.uid, self.asked));
        let gathered = match &ask {
            Ask::FetchSockets(_) => Gathered::Sockets(Vec::new()),
            Ask::Broadcast(..) | Ask::ServerSideEmit(_) => Gathered::Answers(Vec::new()),
        };
        let clients = matches!(ask, Ask::Broadcast(..));
        let alone = awaited.is_empty();
        // A day is as good as for ever, and can be added to any instant.
        let deadline = now + patience.min(Duration::from_secs(86_400));
        let done = match self.requests.add(id.clone(), deadline, awaited, gathered, clients, waiter)
        {
            Ok(done) => done,
            Err(waiter) => {
                return Err(Refused { waiter, limit: Some(self.limits.get_max_requests()) });
            }
        };
        let request = id.clone();
        match ask {
            Ask::Broadcast(args, selection) => {
                // Also to nobody that is known: who has just come may have clients already.
                self.publish(Body::Broadcast { args, selection, request: Some(request) });
            }
            Ask::FetchSockets(_) | Ask::ServerSideEmit(_) if alone => {}
            Ask::FetchSockets(selection) => self.publish(Body::FetchSockets { selection, request }),
            Ask::ServerSideEmit(args) => {
                self.publish(Body::ServerSideEmit { args, request: Some(request) });
            }
        }
        self.outputs.extend(done.map(|(waiter, outcome)| Output::Done { waiter, outcome }));
        Ok(id)
    }

    /// Nobody waits for a request any more.
    pub fn forget(&mut self, request: &RequestId) -> Option<W> {
        self.requests.forget(request)
    }

    /// What has to be done now that time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        if self.peers.heartbeat_due(now) {
            self.publish(Body::Heartbeat);
        }
        for gone in self.peers.expire(now) {
            self.lost(&gone);
        }
        for (waiter, outcome) in self.requests.expire(now) {
            self.timed_out += 1;
            self.outputs.push_back(Output::Done { waiter, outcome });
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.peers.next_timeout().into_iter().chain(self.requests.next_timeout()).min()
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output<W>> {
        self.outputs.pop_front()
    }

    /// The node leaves: it says so where nodes do, and every request ends with what has come.
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

    /// How many nodes there are, this one included; `None` where only the engine knows.
    pub fn nodes(&self) -> Option<usize> {
        self.peers.by_heartbeats().then(|| self.peers.count() + 1)
    }

    /// How many requests wait for other nodes.
    pub fn pending(&self) -> usize {
        self.requests.len()
    }

    /// How many requests ended at their deadline, with what had come.
    pub fn timed_out(&self) -> u64 {
        self.timed_out
    }

    /// How many messages were of no use: of the node itself, of another namespace, replies to nothing that is asked any more,
    /// and answers beyond `max_answers`.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// A message of this node.
    pub fn message(&self, body: Body) -> Message {
        Message { uid: self.seat.uid.clone(), nsp: self.seat.nsp.clone(), body }
    }

    /// The namespace.
    pub fn nsp(&self) -> &Nsp {
        &self.seat.nsp
    }

    fn publish(&mut self, body: Body) {
        let message = self.message(body);
        self.outputs.push_back(Output::Publish(message));
    }

    fn lost(&mut self, uid: &NodeId) {
        self.peers.remove(uid);
        let done = self.requests.lost(uid);
        self.outputs.extend(done.map(|(waiter, outcome)| Output::Done { waiter, outcome }));
    }
}
