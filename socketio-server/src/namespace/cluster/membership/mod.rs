//! A namespace's membership in the cluster: its messages and requests to other nodes, and the
//! replies. It does not know sockets. Its task (`node.rs`) does.

mod join_inbox;
#[cfg(all(test, shuttle))]
mod models;
mod node;
mod publish_order;
mod queue;
mod warnings;

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

use socketio_adapter::{
    Body, Cluster, ClusterAdapter, ClusterLimits, ClusterMember, ClusterRequest, Discovery, Link,
    Message, NodeId, Outcome, Output, RequestId, Room, Selection, ack_args,
    recovery::{FormerNode, SessionStore},
};
use socketio_parser::{Args, Nsp, Value, Values};
use tokio::sync::{Notify, oneshot, watch};

pub(crate) use self::publish_order::{EventNumber, InLog, UnloggedEvent};
use self::{
    publish_order::PublishOrder,
    queue::{Outgoing, Queue},
};
use crate::{
    error::ClusterError,
    stats::Counters,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
        lock,
    },
    time::now,
};

pub(crate) struct Membership {
    adapter: Arc<dyn ClusterAdapter>,
    member: ClusterMember,
    limits: ClusterLimits,
    machine: Mutex<Cluster<oneshot::Sender<Outcome>>>,
    queue: Queue,
    link: OnceLock<Arc<dyn Link>>,
    /// The session store that all nodes share, if there is one.
    store: OnceLock<Arc<dyn SessionStore>>,
    /// Whether events are published before they are delivered on this node.
    logged: bool,
    order: PublishOrder,
    /// The number of the next volatile event.
    next_volatile: AtomicU64,
    /// Number of sessions on their way to the store.
    transfers: watch::Sender<usize>,
    stage: watch::Sender<Stage>,
    started: AtomicBool,
    /// Notified when the earliest deadline may have changed.
    deadline_changed: Notify,
    /// Rooms that were reported to the back-end. Only the membership's own task accesses them.
    announced_rooms: Mutex<HashSet<Room>>,
    /// Number of running handlers of server-side events.
    handlers: AtomicUsize,
    /// Resolves when the last handler of a server-side event has started.
    last_started: Mutex<Option<oneshot::Receiver<()>>>,
    counters: Arc<Counters>,
}

/// The stages of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stage {
    Joining,
    Joined,
    Leaving,
    Left,
}

/// How an event that was published is delivered on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocalDelivery {
    /// The sender delivers it at once.
    Now,
    /// The engine's log returns it.
    ByLog,
}

/// A request of another node to this one.
type NodeRequest = (NodeId, Body);

impl Membership {
    pub(crate) fn new(
        nsp: Nsp,
        adapter: Arc<dyn ClusterAdapter>,
        limits: ClusterLimits,
        recovers: bool,
        counters: Arc<Counters>,
    ) -> Self {
        // The hasher of the standard library has a random key, which serves as a source of
        // randomness.
        let uid = NodeId::from_random(RandomState::new().hash_one(nsp.as_str()));
        let member = ClusterMember { nsp, uid };
        let machine = Cluster::new(member.clone(), adapter.discovery(), limits.clone());
        Self {
            machine: Mutex::new(machine),
            queue: Queue::new(&limits),
            order: PublishOrder::new(limits.max_queued_messages, limits.max_queued_bytes),
            next_volatile: AtomicU64::new(0),
            member,
            limits,
            link: OnceLock::new(),
            store: OnceLock::new(),
            logged: recovers && adapter.keeps_log(),
            transfers: watch::Sender::new(0),
            stage: watch::Sender::new(Stage::Joining),
            started: AtomicBool::new(false),
            deadline_changed: Notify::new(),
            adapter,
            announced_rooms: Mutex::default(),
            handlers: AtomicUsize::new(0),
            last_started: Mutex::default(),
            counters,
        }
    }

    /// Publishes a message to all other nodes, after everything that was published before.
    pub(crate) fn publish(&self, body: Body) -> Result<(), ClusterError> {
        let message = self.message(body);
        self.push(Outgoing { to: None, message })
    }

    /// Returns whether events that can be recovered are delivered on this node when the engine's
    /// log returns them.
    pub(crate) fn is_logged(&self) -> bool {
        self.logged
    }

    /// Publishes a broadcast that requests no ack.
    pub(crate) fn publish_broadcast(
        &self,
        args: Args,
        selection: Selection,
    ) -> Result<LocalDelivery, ClusterError> {
        let volatile = selection.flags.volatile;
        let message = self.message(Body::Broadcast { args, selection, request: None });
        let outgoing = |seq| Outgoing { to: None, message: Message { seq, ..message } };
        if !self.logged {
            return self.push(outgoing(None)).map(|()| LocalDelivery::Now);
        }
        if volatile {
            // Counted before it is delivered on this node: a client that leaves in between misses it.
            let number = self.next_volatile.fetch_add(1, Ordering::AcqRel);
            return self.push(outgoing(Some(number))).map(|()| LocalDelivery::Now);
        }
        let publish = |number| self.queue.push(outgoing(Some(number)));
        match self.order.add_event(publish).unwrap_or(Err(ClusterError::QueueFull)) {
            Ok(()) => Ok(LocalDelivery::ByLog),
            refused => self.pushed(refused).map(|()| LocalDelivery::Now),
        }
    }

    /// Returns this node for the session of a client that leaves it.
    pub(crate) fn as_former_node(&self) -> FormerNode {
        let next_volatile = Some(self.next_volatile.load(Ordering::Acquire));
        FormerNode { node: self.member.uid.clone(), next_volatile }
    }

    /// Returns the events of this node that are on their way through the log.
    pub(crate) fn order(&self) -> &PublishOrder {
        &self.order
    }

    /// Returns the session store that all nodes share. Waits until the node has joined.
    pub(crate) async fn store(&self) -> Option<Arc<dyn SessionStore>> {
        self.joined().await;
        self.store.get().cloned()
    }

    /// Keeps the node in the cluster until the returned guard is dropped, because a session is on
    /// its way to the store.
    pub(crate) fn begin_transfer(self: &Arc<Self>) -> TransferGuard {
        self.transfers.send_modify(|transfers| *transfers += 1);
        TransferGuard(self.clone())
    }

    /// Waits until no session is on its way to the store.
    async fn transfers_ended(&self) {
        // The sender lives in `self`.
        let _ = self.transfers.subscribe().wait_for(|transfers| *transfers == 0).await;
    }

    /// Sends a reply to the node that sent the request. If the queue is full, the reply is dropped,
    /// as if the network had lost it.
    pub(crate) fn reply(&self, to: &NodeId, body: Body) {
        if !to.is_anonymous() {
            let message = self.message(body);
            let _ = self.push(Outgoing { to: Some(to.clone()), message });
        }
    }

    /// Sends a request to the other nodes. [`PendingRequest::outcome`] waits for the replies. Both
    /// together take at most `timeout`.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        request: ClusterRequest,
        timeout: Duration,
    ) -> Result<PendingRequest, ClusterError> {
        let began = now();
        let others = match self.adapter.discovery() {
            Discovery::Heartbeats(_) => 0,
            Discovery::Count => {
                let counted = tokio::time::timeout(timeout, self.count()).await;
                counted.map_err(|_| ClusterError::Unreachable)??.saturating_sub(1)
            }
        };
        let timeout = timeout.saturating_sub(now() - began);
        let (waiter, outcome) = oneshot::channel();
        let (request, outputs) =
            self.with(|machine| machine.ask(now(), request, others, timeout, waiter));
        let request = request.map_err(|refused| match refused.limit {
            Some(limit) => ClusterError::TooManyRequests { limit },
            None => ClusterError::NotInCluster,
        })?;
        let pending = PendingRequest { membership: self.clone(), request, outcome };
        self.process(outputs)?;
        self.deadline_changed.notify_one();
        Ok(pending)
    }

    /// Returns the number of nodes.
    pub(crate) async fn count(&self) -> Result<usize, ClusterError> {
        self.joined().await;
        if let Some(nodes) = self.with(|machine| machine.node_count()).0 {
            return Ok(nodes);
        }
        match self.link.get() {
            Some(link) => Ok(link.count().await?),
            None => Err(ClusterError::NotInCluster),
        }
    }

    pub(crate) fn nsp(&self) -> &Nsp {
        &self.member.nsp
    }

    /// Returns the name of this node in the namespace.
    pub(crate) fn uid(&self) -> &NodeId {
        &self.member.uid
    }

    /// Returns the default time limit for replies of other nodes.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.limits.request_timeout
    }

    /// Waits until the node receives messages of other nodes.
    pub(crate) async fn joined(&self) {
        self.reached(Stage::Joined).await;
    }

    /// Waits until the other nodes have been told that this node has left. Returns at once if it
    /// never joined.
    pub(crate) async fn left(&self) {
        if self.started.load(Ordering::Acquire) {
            self.reached(Stage::Left).await;
        }
    }

    /// Leaves the cluster. Pending requests end with the replies so far.
    pub(crate) fn close(&self) {
        let ((), outputs) = self.with(Cluster::close);
        let _ = self.process(outputs);
        self.queue.close();
        self.set_stage(Stage::Leaving);
        if !self.started.load(Ordering::Acquire) {
            self.order.close();
        }
    }

    /// Lets a handler of a server-side event run until the returned value is dropped. Returns `None`
    /// if `max_handlers` are running.
    pub(super) fn begin_handler(self: &Arc<Self>) -> Option<RunningHandler> {
        let handler = RunningHandler(self.clone());
        if self.handlers.fetch_add(1, Ordering::AcqRel) < self.limits.max_handlers {
            return Some(handler);
        }
        self.counters.here().cluster.too_many_handlers.one();
        None
    }

    /// Orders the starts of handlers. Returns a sender to drop when the handler has started, and a
    /// receiver that resolves when the previous one has started.
    pub(super) fn next_handler(&self) -> (oneshot::Sender<()>, Option<oneshot::Receiver<()>>) {
        let (started, after) = oneshot::channel();
        let mut last = lock(&self.last_started);
        (started, last.replace(after))
    }

    /// Processes a message. Returns the requests that this node must execute.
    fn receive(&self, message: Message) -> Vec<NodeRequest> {
        let ((), outputs) = self.with(|machine| machine.receive(now(), message));
        self.process(outputs).unwrap_or_default()
    }

    /// Handles due timeouts. Returns when the next one is due.
    fn tick(&self) -> Option<Instant> {
        let ((next, timed_out), outputs) = self.with(|machine| {
            let before = machine.timed_out_requests();
            machine.handle_timeout(now());
            (machine.poll_timeout(), machine.timed_out_requests() - before)
        });
        self.counters.here().cluster.timed_out.add(timed_out);
        let _ = self.process(outputs);
        next
    }

    /// Returns the number of requests that wait for other nodes.
    pub(crate) fn pending(&self) -> usize {
        lock(&self.machine).pending_requests()
    }

    /// Returns the messages to send when the node's subscriptions are active.
    fn join_messages(&self) -> Vec<Message> {
        let ((), outputs) = self.with(|machine| machine.join(now()));
        let published = |output| match output {
            Output::Publish(message) => Some(message),
            _ => None,
        };
        outputs.into_iter().filter_map(published).collect()
    }

    async fn reached(&self, stage: Stage) {
        // The sender lives in `self`.
        let _ = self.stage.subscribe().wait_for(|current| *current >= stage).await;
    }

    fn set_stage(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            let later = *current < stage;
            if later {
                *current = stage;
            }
            later
        });
    }

    fn message(&self, body: Body) -> Message {
        Message { uid: self.member.uid.clone(), nsp: self.member.nsp.clone(), body, seq: None }
    }

    /// Adds a message to the queue. Drops it silently after the node has left.
    fn push(&self, outgoing: Outgoing) -> Result<(), ClusterError> {
        self.pushed(self.queue.push(outgoing))
    }

    /// Reports that the queue is full. The caller holds no lock, because a subscriber of `tracing`
    /// is user code. That the node has left is not an error.
    fn pushed(&self, result: Result<(), ClusterError>) -> Result<(), ClusterError> {
        if let Err(ClusterError::NotInCluster) = result {
            return Ok(());
        }
        result.inspect_err(|_| {
            self.counters.here().cluster.queue_full.one();
            tracing::warn!(
                target: "socketio::cluster",
                nsp = %self.member.nsp,
                "the queue to the other nodes is full, so a message was refused"
            );
        })
    }

    /// Changes the state machine. Its outputs are processed after the lock is released.
    fn with<R>(
        &self,
        change: impl FnOnce(&mut Cluster<oneshot::Sender<Outcome>>) -> R,
    ) -> (R, Vec<Output<oneshot::Sender<Outcome>>>) {
        let mut machine = lock(&self.machine);
        let result = change(&mut machine);
        let outputs = std::iter::from_fn(|| machine.poll_output()).collect();
        (result, outputs)
    }

    fn process(
        &self,
        outputs: Vec<Output<oneshot::Sender<Outcome>>>,
    ) -> Result<Vec<NodeRequest>, ClusterError> {
        let (mut requests, mut result) = (Vec::new(), Ok(()));
        for output in outputs {
            match output {
                Output::Publish(message) => {
                    let outgoing = Outgoing { to: None, message };
                    result = result.and(self.push(outgoing));
                }
                Output::Execute { from, body } => requests.push((from, body)),
                // The waiter may have been dropped.
                Output::Done { waiter, outcome } => drop(waiter.send(outcome)),
                _ => {}
            }
        }
        result.map(|()| requests)
    }
}

/// Guards a session on its way to the store.
pub(crate) struct TransferGuard(Arc<Membership>);

impl Drop for TransferGuard {
    fn drop(&mut self) {
        self.0.transfers.send_modify(|transfers| *transfers -= 1);
    }
}

/// A pending request. Dropping it cancels the request.
pub(crate) struct PendingRequest {
    membership: Arc<Membership>,
    request: RequestId,
    outcome: oneshot::Receiver<Outcome>,
}

impl PendingRequest {
    /// Waits for the outcome, at most until the deadline.
    pub(crate) async fn outcome(mut self) -> Result<Outcome, ClusterError> {
        (&mut self.outcome).await.map_err(|_| ClusterError::NotInCluster)
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        let waiter = lock(&self.membership.machine).forget(&self.request);
        drop(waiter);
    }
}

/// A handler of a server-side event that is running. Their number is limited.
pub(super) struct RunningHandler(Arc<Membership>);

impl Drop for RunningHandler {
    fn drop(&mut self) {
        self.0.handlers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Forwards the ack of a client to the node that requested it.
pub(crate) struct Relay {
    membership: Arc<Membership>,
    to: NodeId,
    request: RequestId,
}

impl Relay {
    /// Sends the first value of the ack to the requesting node, in the same form for every encoding
    /// of the client. An ack with at most one value is passed on unchanged.
    pub(crate) fn send(self, args: &Args) {
        let first = match args.iter().nth(1) {
            None => Ok(args.clone()),
            Some(_) => args
                .decode()
                .map_err(drop)
                .and_then(|(first,): (Value,)| ack_args(&Values(vec![first])).map_err(drop)),
        };
        if let Ok(args) = first {
            self.membership.reply(&self.to, Body::BroadcastAck { request: self.request, args });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use socketio_adapter::{MemoryCluster, MemoryLog};

    use super::*;

    #[test]
    fn an_event_that_is_published_while_the_node_leaves_is_delivered_locally() {
        let cluster = MemoryCluster::with_log(MemoryLog::default(), Instant::now);
        let (adapter, limits) = (cluster.adapter(), ClusterLimits::default());
        let membership = Membership::new(Nsp::root(), adapter, limits, true, Arc::default());
        let args = socketio_adapter::event_args("event", &()).unwrap();
        let (sender, started) = mpsc::channel();
        let result = thread::scope(|scope| {
            let publish = || {
                sender.send(()).unwrap();
                membership.publish_broadcast(args, Selection::default())
            };
            let mut publisher = None;
            // The publisher waits for the lock of the order while the queue is closed.
            let _ = membership.order.add_event(|_| {
                publisher = Some(scope.spawn(publish));
                started.recv().unwrap();
                (0..1000).for_each(|_| thread::yield_now());
                membership.queue.close();
                Err(())
            });
            publisher.unwrap().join().unwrap()
        });
        assert_eq!(result.unwrap(), LocalDelivery::Now);
    }
    #[test]
    fn an_event_for_the_log_that_a_full_queue_refuses_is_counted() {
        let cluster = MemoryCluster::with_log(MemoryLog::default(), Instant::now);
        let limits = ClusterLimits::default().max_queued_messages(1);
        let counters = Arc::<Counters>::default();
        let membership =
            Membership::new(Nsp::root(), cluster.adapter(), limits, true, counters.clone());
        let publish = || {
            let args = socketio_adapter::event_args("event", &()).unwrap();
            membership.publish_broadcast(args, Selection::default())
        };
        assert_eq!(publish().unwrap(), LocalDelivery::ByLog);
        assert!(matches!(publish(), Err(ClusterError::QueueFull)));
        assert_eq!(counters.here().cluster.queue_full.get(), 1);
    }
}
