//! One namespace's membership in the cluster: what it publishes, asks and awaits. Knows nothing of sockets.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use socketio_adapter::{
    Ask, Body, Cluster, ClusterAdapter, ClusterLimits, Discovery, Link, Message, NodeId, Outcome,
    Output, RequestId, Room, Seat, Selection, answer_args, recovery::SessionStore,
};
use socketio_parser::{Args, Nsp, Value, Values};
use tokio::sync::{Notify, oneshot, watch};

use super::{
    doubt::Doubt,
    queue::{Outgoing, Queue},
    turns::{Action, Turns},
};
use crate::{error::ClusterError, stats::Counters};

pub(crate) struct Membership {
    pub(super) adapter: Arc<dyn ClusterAdapter>,
    pub(super) seat: Seat,
    pub(super) limits: ClusterLimits,
    machine: Mutex<Cluster<oneshot::Sender<Outcome>>>,
    pub(super) queue: Queue,
    pub(super) link: OnceLock<Arc<dyn Link>>,
    /// Where sessions are kept for all nodes, if they are.
    pub(super) store: OnceLock<Arc<dyn SessionStore>>,
    /// Whether events are published before they are delivered here.
    logged: bool,
    pub(super) turns: Turns,
    pub(super) doubt: Doubt,
    /// Sessions on their way to the store.
    saving: watch::Sender<usize>,
    stage: watch::Sender<Stage>,
    pub(super) started: AtomicBool,
    /// The earliest deadline may have changed.
    pub(super) sooner: Notify,
    /// Rooms that the back-end was told of. Only the membership's own task looks at them.
    pub(super) told: Mutex<HashSet<Room>>,
    /// Handlers of server-side events that run.
    pub(super) handlers: AtomicUsize,
    /// Ends when the last handler of a server-side event has begun.
    last_begun: Mutex<Option<oneshot::Receiver<()>>>,
    pub(super) counters: Arc<Counters>,
}

/// How far the membership got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Stage {
    Joining,
    Joined,
    Leaving,
    Left,
}

/// What became of an event that is to be published before it is delivered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is on its way, and will be delivered here.
    Yes,
    /// The node has left: there is nobody else, and no log.
    Alone,
}

/// What another node wants of this one.
pub(super) type Wanted = (NodeId, Body);

impl Membership {
    pub(crate) fn new(
        nsp: Nsp,
        adapter: Arc<dyn ClusterAdapter>,
        limits: ClusterLimits,
        recovers: bool,
        counters: Arc<Counters>,
    ) -> Self {
        // The standard library's hasher is keyed at random, differently each time.
        let uid = NodeId::from_random(RandomState::new().hash_one(nsp.as_str()));
        let seat = Seat { nsp, uid };
        let machine = Cluster::new(seat.clone(), adapter.discovery(), limits.clone());
        Self {
            machine: machine.into(),
            queue: Queue::new(&limits),
            turns: Turns::new(limits.get_max_queued_messages()),
            doubt: Doubt::new(limits.get_max_queued_messages()),
            seat,
            limits,
            link: OnceLock::new(),
            store: OnceLock::new(),
            logged: recovers && adapter.keeps_log(),
            saving: watch::Sender::new(0),
            stage: watch::Sender::new(Stage::Joining),
            started: AtomicBool::new(false),
            sooner: Notify::new(),
            adapter,
            told: Mutex::default(),
            handlers: AtomicUsize::new(0),
            last_begun: Mutex::default(),
            counters,
        }
    }

    /// Publishes to all other nodes, after everything that was published before.
    pub(crate) fn publish(&self, body: Body) -> Result<(), ClusterError> {
        let message = self.message(body);
        self.push(Outgoing { to: None, message, logged: false })
    }

    /// Whether events that can be recovered are published first, and delivered here where the engine's log gives them
    /// back. `None` where they are not.
    pub(crate) fn logged(self: &Arc<Self>) -> Option<&Arc<Self>> {
        self.logged.then_some(self)
    }

    /// Publishes an event that is to be delivered here as well, in its turn.
    pub(crate) fn publish_event(
        &self,
        args: Args,
        selection: Selection,
    ) -> Result<Published, ClusterError> {
        if self.queue.is_closed() {
            return Ok(Published::Alone);
        }
        let message = self.message(Body::Broadcast { args, selection, request: None });
        let push = || self.push(Outgoing { to: None, message, logged: true });
        self.turns.issue(push).unwrap_or(Err(ClusterError::QueueFull))?;
        Ok(Published::Yes)
    }

    /// Runs an action after the events that were published before it have been delivered here: at once, where there are none.
    /// It waits for the engine twice the `request_timeout` at most. Where too much waits, the action comes back.
    pub(crate) fn in_turn(&self, action: Action) -> Result<(), Action> {
        if self.logged {
            return self.turns.after(action);
        }
        action();
        Ok(())
    }

    /// The same, for those who can wait.
    pub(crate) async fn turn(&self) {
        let (done, turn) = oneshot::channel();
        let _ = self.in_turn(Box::new(move || drop(done)));
        let _: Result<(), _> = turn.await;
    }

    /// Where sessions are kept for all nodes; waits until the node has joined.
    pub(crate) async fn store(&self) -> Option<Arc<dyn SessionStore>> {
        self.joined().await;
        self.store.get().cloned()
    }

    /// A session is on its way to the store until this is dropped: the node stays as long.
    pub(crate) fn saving(self: &Arc<Self>) -> Saving {
        self.saving.send_modify(|saving| *saving += 1);
        Saving(self.clone())
    }

    /// Waits until no session is on its way.
    pub(super) async fn saved(&self) {
        // The sender lives in `self`.
        let _ = self.saving.subscribe().wait_for(|saving| *saving == 0).await;
    }

    /// Replies to the node that asked. What there is no room for is lost to it, as if the network had lost it.
    pub(crate) fn reply(&self, to: &NodeId, body: Body) {
        if !to.is_anonymous() {
            let message = self.message(body);
            let _ = self.push(Outgoing { to: Some(to.clone()), message, logged: false });
        }
    }

    /// Asks the other nodes. The answer is waited for by [`Asked::outcome`].
    pub(crate) async fn ask(
        self: &Arc<Self>,
        ask: Ask,
        patience: Duration,
    ) -> Result<Asked, ClusterError> {
        let others = match self.adapter.discovery() {
            Discovery::Heartbeats(_) => 0,
            Discovery::Count => {
                let counted = tokio::time::timeout(patience, self.count()).await;
                counted.map_err(|_| ClusterError::Unreachable)??.saturating_sub(1)
            }
        };
        let (waiter, outcome) = oneshot::channel();
        let (asked, outputs) =
            self.with(|machine| machine.ask(now(), ask, others, patience, waiter));
        let request = asked.map_err(|refused| match refused.limit {
            Some(limit) => ClusterError::TooManyRequests { limit },
            None => ClusterError::Left,
        })?;
        let asked = Asked { membership: self.clone(), request, outcome };
        self.process(outputs)?;
        self.sooner.notify_one();
        Ok(asked)
    }

    /// How many nodes there are.
    pub(crate) async fn count(&self) -> Result<usize, ClusterError> {
        self.joined().await;
        if let Some(nodes) = self.with(|machine| machine.nodes()).0 {
            return Ok(nodes);
        }
        match self.link.get() {
            Some(link) => Ok(link.count().await?),
            None => Err(ClusterError::Left),
        }
    }

    /// How long nodes may take to answer where nothing else is said.
    pub(crate) fn patience(&self) -> Duration {
        self.limits.get_request_timeout()
    }

    /// Waits until messages of other nodes arrive.
    pub(crate) async fn joined(&self) {
        self.reached(Stage::Joined).await;
    }

    /// Waits until the others have been told that this node has left. At once, if it never came.
    pub(crate) async fn left(&self) {
        if self.started.load(Ordering::Acquire) {
            self.reached(Stage::Left).await;
        }
    }

    /// Leaves the cluster. Whoever waits for other nodes gets what has come.
    pub(crate) fn close(&self) {
        let ((), outputs) = self.with(Cluster::close);
        let _ = self.process(outputs);
        self.queue.close();
        self.set_stage(Stage::Leaving);
        if !self.started.load(Ordering::Acquire) {
            self.turns.close();
        }
    }

    /// The turn of one more handler: what it drops when it has begun, and what it waits for until the one before has.
    pub(super) fn next_handler(&self) -> (oneshot::Sender<()>, Option<oneshot::Receiver<()>>) {
        let (begun, after) = oneshot::channel();
        let mut last = self.last_begun.lock().unwrap_or_else(PoisonError::into_inner);
        (begun, last.replace(after))
    }

    /// Takes a message; what it asks of this node is given back.
    pub(super) fn receive(&self, message: Message) -> Vec<Wanted> {
        let ((), outputs) = self.with(|machine| machine.receive(now(), message));
        self.process(outputs).unwrap_or_default()
    }

    /// Does what is due, and tells when something is due again.
    pub(super) fn tick(&self) -> Option<Instant> {
        let ((next, timed_out), outputs) = self.with(|machine| {
            let before = machine.timed_out();
            machine.handle_timeout(now());
            (machine.poll_timeout(), machine.timed_out() - before)
        });
        self.counters.here().cluster.timed_out.add(timed_out);
        let _ = self.process(outputs);
        next
    }

    /// Requests that wait for other nodes.
    pub(crate) fn pending(&self) -> usize {
        self.machine().pending()
    }

    /// What the node says when its subscriptions are active.
    pub(super) fn greet(&self) -> Vec<Message> {
        let ((), outputs) = self.with(|machine| machine.join(now()));
        let greeting = |output| match output {
            Output::Publish(message) => Some(message),
            _ => None,
        };
        outputs.into_iter().filter_map(greeting).collect()
    }

    pub(super) async fn reached(&self, stage: Stage) {
        // The sender lives in `self`.
        let _ = self.stage.subscribe().wait_for(|current| *current >= stage).await;
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            let later = *current < stage;
            if later {
                *current = stage;
            }
            later
        });
    }

    fn message(&self, body: Body) -> Message {
        Message { uid: self.seat.uid.clone(), nsp: self.seat.nsp.clone(), body }
    }

    fn push(&self, outgoing: Outgoing) -> Result<(), ClusterError> {
        self.queue.push(outgoing).inspect_err(|_| {
            self.counters.here().cluster.queue_full.one();
            tracing::warn!(
                target: "socketio::cluster",
                nsp = %self.seat.nsp, "the queue to the other nodes is full"
            );
        })
    }

    /// Changes the machine; what it has to tell is dealt with where it is not locked.
    fn with<R>(
        &self,
        change: impl FnOnce(&mut Cluster<oneshot::Sender<Outcome>>) -> R,
    ) -> (R, Vec<Output<oneshot::Sender<Outcome>>>) {
        let mut machine = self.machine();
        let result = change(&mut machine);
        let outputs = std::iter::from_fn(|| machine.poll_output()).collect();
        (result, outputs)
    }

    fn process(
        &self,
        outputs: Vec<Output<oneshot::Sender<Outcome>>>,
    ) -> Result<Vec<Wanted>, ClusterError> {
        let (mut wanted, mut result) = (Vec::new(), Ok(()));
        for output in outputs {
            match output {
                Output::Publish(message) => {
                    let outgoing = Outgoing { to: None, message, logged: false };
                    result = result.and(self.push(outgoing));
                }
                Output::Do { from, body } => wanted.push((from, body)),
                // Whoever waited may have stopped waiting.
                Output::Done { waiter, outcome } => drop(waiter.send(outcome)),
                _ => {}
            }
        }
        result.map(|()| wanted)
    }

    fn machine(&self) -> MutexGuard<'_, Cluster<oneshot::Sender<Outcome>>> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of the runtime, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A session on its way to the store.
pub(crate) struct Saving(Arc<Membership>);

impl Drop for Saving {
    fn drop(&mut self) {
        self.0.saving.send_modify(|saving| *saving -= 1);
    }
}

/// A request on its way. Dropping it gives the answer up.
pub(crate) struct Asked {
    membership: Arc<Membership>,
    request: RequestId,
    outcome: oneshot::Receiver<Outcome>,
}

impl Asked {
    /// What came of it, at the latest at its deadline.
    pub(crate) async fn outcome(mut self) -> Result<Outcome, ClusterError> {
        (&mut self.outcome).await.map_err(|_| ClusterError::Left)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let waiter = self.membership.machine().forget(&self.request);
        drop(waiter);
    }
}

/// The namespace's hold on its membership: it ends with the namespace.
pub(crate) struct Clustered(pub(crate) Arc<Membership>);

impl Drop for Clustered {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Passes the answer of a client on to the node that asked.
pub(crate) struct Relay {
    pub(super) membership: Arc<Membership>,
    pub(super) to: NodeId,
    pub(super) request: RequestId,
}

impl Relay {
    /// Only the first value travels, and always as JSON inside, whatever the client speaks. An only
    /// value stays the text that it is.
    pub(crate) fn answer(self, args: &Args) {
        let answer = match args.iter().nth(1) {
            None => Ok(args.clone()),
            Some(_) => args
                .decode()
                .map_err(drop)
                .and_then(|(first,): (Value,)| answer_args(&Values(vec![first])).map_err(drop)),
        };
        if let Ok(answer) = answer {
            self.membership.reply(&self.to, Body::BroadcastAck { request: self.request, answer });
        }
    }
}
