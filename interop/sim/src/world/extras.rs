//! Workloads and faults that were added after seeds had become known. They draw from a generator of
//! their own, so that these seeds keep their plan and their troubles.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use socketio_emitter::Emitter;
use socketio_server::{AckError, BroadcastAckError, DeliveryError, Socket, Value};
use tokio::sync::mpsc;

use crate::{
    NAMESPACES,
    client::Client,
    engine::{Engine, Partition},
    ledger::{Audience, Ledger, Origin, Receiver},
    node::{self, CHANGING, Node, ack_bound},
    payload::attachments,
    plan::{Bus, Plan},
    random::Random,
    topics::{self, TOPICS, Topics},
};

pub(crate) struct Extras {
    random: Random,
    /// Whether events are sent until they are acked, by servers and by clients.
    reliable: bool,
    /// Whether packets have the encoding of `socket.io-msgpack-parser`.
    pub(crate) msgpack: bool,
    /// Whether some events and acks have attachments.
    attaches: bool,
    /// Whether middlewares delay and refuse clients, and servers disconnect sockets.
    dismisses: bool,
    /// Whether middlewares refuse clients at present.
    refuses: Arc<AtomicBool>,
    /// Whether some events are volatile.
    volatile: bool,
    /// Whether nodes send events to each other and fetch their sockets.
    gossips: bool,
    /// Whether responses of the engine are lost.
    loses_responses: bool,
    /// Whether there is an emitter, if there is an engine.
    emits: bool,
    /// Whether a node that cannot reach the engine may know that it is not connected.
    knows_partitions: bool,
    /// Whether messages of the engine are delayed for longer than a request takes.
    stalls_messages: bool,
    /// Whether responses to `join` are lost, and drains end with a crash.
    interrupts: bool,
    /// Whether returning clients pass the middlewares.
    pub(crate) delays_return: bool,
    /// Whether clients use namespaces that exist while they are used.
    topics: bool,
    /// The queue of the emitter: the namespace, the room and the size of each event.
    emitter: Option<mpsc::UnboundedSender<(usize, String, usize)>>,
}

/// The origin of an emitter's streams. It is not a node, so no failure of a node loses its events.
pub(crate) const EMITTER: Origin = (usize::MAX, 0);

impl Extras {
    /// Returns the extras of a seed.
    pub(crate) fn new(seed: u64, workloads: usize) -> Self {
        let basic = workloads == 0;
        let mut random = Random::new(!seed);
        let (reliable, msgpack) = (random.chance(60), random.chance(30));
        let emits = !basic && random.chance(60);
        let (reliable, msgpack) = (reliable && !basic, msgpack && !basic);
        let mut decide = |percent| !basic && random.chance(percent);
        let (attaches, dismisses, volatile) = (decide(50), decide(40), decide(40));
        let (gossips, loses_responses) = (decide(50), decide(40));
        // A generator of their own keeps the runs of seeds that were found before.
        let mut later = Random::new(!seed.rotate_left(32));
        let mut decide = |percent| workloads > 1 && later.chance(percent);
        let (knows_partitions, stalls_messages) = (decide(50), decide(40));
        let (interrupts, delays_return, topics) = (decide(50), decide(40), decide(40));
        Self {
            random,
            reliable,
            msgpack,
            attaches,
            dismisses,
            refuses: Arc::default(),
            volatile,
            gossips,
            loses_responses,
            emits,
            knows_partitions,
            stalls_messages,
            interrupts,
            delays_return,
            topics,
            emitter: None,
        }
    }

    /// Adds the handlers of the extras to a node.
    pub(crate) fn set_up_node(&mut self, node: &mut Node, ledger: &Ledger) {
        node.attaches = self.attaches;
        if self.reliable {
            node.listen_retried(ledger, self.random.fork());
        }
        if self.topics {
            node.declare_topics(ledger, self.random.fork());
        }
        if self.dismisses || self.delays_return {
            node.guard(&self.refuses, self.random.fork());
        }
        node.listen_to_nodes(ledger);
    }

    /// Opens the sockets of the extras.
    pub(crate) fn set_up_client(&mut self, client: &mut Client, ledger: &Ledger) {
        client.attaches = self.attaches;
        if self.reliable {
            client.open_retried(u32::MAX, ledger);
            client.open_retried(self.random.below(4) as u32, ledger);
        }
        if self.topics {
            client.topics = Some(Topics::new(client.number, &client.manager, ledger));
        }
        if self.dismisses || self.delays_return {
            client.reopen_sockets(self.random.millis(1..3_000));
        }
    }

    /// Sets whether middlewares may refuse clients.
    pub(crate) fn refuse_clients(&self, refuses: bool) {
        self.refuses.store(refuses, Relaxed);
    }

    /// Returns a node whose responses of the engine are lost now, how, and for how long.
    pub(crate) fn lost_responses(
        &mut self,
        nodes: &[Option<Node>],
    ) -> Option<(usize, Partition, Duration)> {
        if !self.loses_responses || !self.random.chance(6) {
            return None;
        }
        let lost = [Partition::Refusing, Partition::Stuck][self.random.below(2)];
        Some((self.random.below(nodes.len()), lost, self.random.millis(100..8_000)))
    }

    /// Returns how a node notices that it cannot reach the engine.
    pub(crate) fn noticed(&mut self, partition: Partition) -> Partition {
        if self.knows_partitions && self.random.chance(50) {
            return Partition::NotConnected;
        }
        partition
    }

    /// Returns a node whose messages from the engine wait now, and for how long.
    pub(crate) fn stalled_messages(&mut self, nodes: &[Option<Node>]) -> Option<(usize, Duration)> {
        if !self.stalls_messages || !self.random.chance(4) {
            return None;
        }
        Some((self.random.below(nodes.len()), self.random.millis(1_000..10_000)))
    }

    /// Returns when a drain that begins now ends with a crash.
    pub(crate) fn interruption(&mut self) -> Option<Duration> {
        (self.interrupts && self.random.chance(50)).then(|| self.random.millis(0..400))
    }

    /// Lets a client enter or leave a topic, or sends events there.
    fn work_in_topic(&mut self, nodes: &[Option<Node>], clients: &[Client], ledger: &Ledger) {
        let at = self.random.below(TOPICS.len());
        match self.random.below(3) {
            0 => {
                let client = self.random.pick(clients);
                let topics = client.and_then(|client| client.topics.as_ref());
                topics.into_iter().for_each(|topics| topics.toggle(at));
            }
            _ => {
                let audience = Audience::Room(topics::FIRST + at, "all".to_owned());
                let node = self.random.pick(nodes).and_then(Option::as_ref);
                for _ in 0..=self.random.below(3) {
                    node.into_iter().for_each(|node| node.emit(ledger, &audience, None, "topic"));
                }
            }
        }
    }

    /// Emits an event from each node to each topic. Returns the clients that must get them.
    pub(crate) fn emit_to_topics(
        &self,
        nodes: &[Option<Node>],
        clients: &[Client],
        ledger: &Ledger,
    ) -> Vec<(Origin, Audience, Receiver)> {
        let mut awaited = Vec::new();
        for node in nodes.iter().flatten() {
            for at in (0..TOPICS.len()).filter(|at| node.topic(*at).is_some()) {
                let audience = Audience::Room(topics::FIRST + at, "all".to_owned());
                node.emit(ledger, &audience, None, "");
                let is_in = |client: &&Client| {
                    client.topics.as_ref().is_some_and(|topics| topics.wants(at))
                };
                awaited.extend(clients.iter().filter(is_in).map(|client| {
                    (node.origin, audience.clone(), (client.number, topics::FIRST + at))
                }));
            }
        }
        awaited
    }

    /// Starts an emitter: a program without a server that publishes on the engine.
    pub(crate) fn start_emitter(&mut self, engine: &Engine, ledger: &Ledger) {
        if !self.emits {
            return;
        }
        let emitter = Emitter::new(engine.publisher());
        let (sender, mut queue) = mpsc::unbounded_channel::<(usize, String, usize)>();
        self.emitter = Some(sender);
        let ledger = ledger.clone();
        tokio::spawn(async move {
            while let Some((nsp, room, pad)) = queue.recv().await {
                let (stream, n) = ledger.stream(EMITTER, Audience::Room(nsp, room.clone()));
                // Nodes may pass the event on before the call returns.
                ledger.sent(stream);
                ledger.note(format!("the emitter emits {n} of stream {stream}"));
                let args = (stream, n, "x".repeat(pad));
                let emitted = emitter.of(NAMESPACES[nsp]).to(room).emit("down", &args).await;
                if let Err(error) = emitted {
                    ledger.violate(format!("the emitter cannot emit: {error}"));
                }
            }
        });
    }

    /// Emits an event from the emitter. Returns false if there is no emitter.
    pub(crate) fn emit(&self, nsp: usize, room: &str, pad: usize) -> bool {
        self.emitter.as_ref().is_some_and(|it| it.send((nsp, room.to_owned(), pad)).is_ok())
    }

    /// A piece of the workload.
    pub(crate) fn work(
        &mut self,
        plan: &Plan,
        nodes: &[Option<Node>],
        clients: &[Client],
        ledger: &Ledger,
    ) {
        if self.emitter.is_some() && self.random.chance(50) {
            let nsp = self.random.below(NAMESPACES.len());
            let [all, group] = node::rooms(self.random.below(2));
            let room = [all, group, CHANGING.to_owned()][self.random.below(3)].clone();
            for _ in 0..=self.random.below(4) {
                let pad = self.random.below(400);
                self.emit(nsp, &room, pad);
            }
        }
        if self.reliable && self.random.chance(40) {
            for _ in 0..=self.random.below(3) {
                let Some(client) = self.random.pick(clients) else { return };
                client.emit_retried(self.random.below(2), self.random.chance(50), ledger);
            }
        }
        self.work_of_node(nodes, ledger);
        if self.topics && self.random.chance(40) {
            self.work_in_topic(nodes, clients, ledger);
        }
        if self.gossips && plan.bus != Bus::None && self.random.chance(30) {
            let node = self.random.pick(nodes).and_then(Option::as_ref);
            node.into_iter().for_each(|node| self.gossip(node, ledger));
        }
        if self.reliable && self.random.chance(40) {
            let node = self.random.pick(nodes).and_then(Option::as_ref);
            let connected = node.map(Node::connected).unwrap_or_default();
            if let Some((socket, _, client, nsp)) = self.random.pick(&connected) {
                let sequence = ledger.reliable_sequence((*client, *nsp));
                // For how long the client handles each event.
                let delays: Vec<_> = (0..=self.random.below(4))
                    .map(|_| if self.random.chance(50) { 0 } else { self.random.below(4_000) })
                    .collect();
                let recovers = plan.recovery;
                tokio::spawn(emit_reliably(socket.clone(), sequence, delays, recovers, ledger));
            }
        }
    }
}

impl Extras {
    /// A piece of the workload of one node.
    fn work_of_node(&mut self, nodes: &[Option<Node>], ledger: &Ledger) {
        let Some(node) = self.random.pick(nodes).and_then(Option::as_ref) else { return };
        let (nsp, room) = (self.random.below(NAMESPACES.len()), self.random.below(2));
        let room = node::rooms(room)[self.random.below(2)].clone();
        if self.volatile && self.random.chance(40) {
            for _ in 0..=self.random.below(3) {
                let pad = "x".repeat(self.random.below(2_000));
                node.emit(ledger, &Audience::Volatile(nsp, room.clone()), None, &pad);
            }
        }
        if self.attaches && self.random.chance(40) {
            let payload = attachments(self.random.below(1_000) as u32, self.random.below(3_000));
            let time = self.random.millis(500..5_000);
            let broadcast = node.io.of(NAMESPACES[nsp]).to(room.clone()).timeout(time);
            let ledger = ledger.clone();
            ledger.asked();
            tokio::spawn(async move {
                let acks = broadcast.emit_with_ack::<Value>("return", &payload);
                let acks = match ledger.ends_within(ack_bound(time), acks).await {
                    Some(Ok(acks)) => acks,
                    Some(Err(BroadcastAckError::Partial { responses, .. })) => responses,
                    Some(Err(_)) => Vec::new(),
                    None => return ledger.violate("acks: a broadcast has not ended"),
                };
                if acks.iter().any(|ack| *ack != payload) {
                    ledger.violate("acks: a broadcast got damaged attachments");
                }
                ledger.answered(!acks.is_empty());
            });
        }
        if self.dismisses && self.random.chance(8) {
            let connected = node.connected();
            match (self.random.below(3), self.random.pick(&connected)) {
                (0, _) => {
                    ledger.note(format!("node {:?} disconnects {room}", node.origin));
                    // The queue to the other nodes may be full.
                    drop(node.io.of(NAMESPACES[nsp]).in_(room).disconnect_sockets());
                }
                (kind, Some((socket, connection, ..))) => {
                    ledger.note(format!("disconnects {connection}, or closes it: {kind}"));
                    if kind == 1 { socket.disconnect() } else { socket.close_connection() }
                }
                _ => {}
            }
        }
    }

    /// A node sends an event to the other nodes, or fetches their sockets.
    fn gossip(&mut self, node: &Node, ledger: &Ledger) {
        let (io, origin, ledger) = (node.io.clone(), node.origin, ledger.clone());
        let time = ack_bound(Duration::from_secs(3));
        match self.random.below(3) {
            0 => {
                for _ in 0..=self.random.below(3) {
                    // The queue to the other nodes may be full.
                    drop(io.server_side_emit("gossip", &(origin, ledger.next_gossip(origin))));
                }
            }
            1 => {
                ledger.asked();
                tokio::spawn(async move {
                    let replies = io.server_side_emit_with_ack::<Origin>("roll call", &());
                    let Some(replies) = ledger.ends_within(time, replies).await else {
                        return ledger.violate("acks: a request to the other nodes has not ended");
                    };
                    let replies = replies.unwrap_or_default();
                    let nodes: BTreeSet<_> = replies.iter().collect();
                    if nodes.len() < replies.len() || nodes.contains(&origin) {
                        ledger.violate(format!("acks: node {origin:?} got {replies:?}"));
                    }
                    ledger.answered(!replies.is_empty());
                });
            }
            _ => {
                ledger.asked();
                tokio::spawn(async move {
                    match ledger.ends_within(time, io.fetch_sockets()).await {
                        Some(sockets) => ledger.answered(sockets.is_ok()),
                        None => ledger.violate("acks: the fetch of all sockets has not ended"),
                    }
                });
            }
        }
    }

    /// Checks that each node finds the sockets of all clients.
    pub(crate) async fn check_sockets(
        &self,
        nodes: &[Option<Node>],
        clients: &[Client],
        ledger: &Ledger,
    ) {
        if !self.gossips {
            return;
        }
        for node in nodes.iter().flatten() {
            for (nsp, name) in NAMESPACES.iter().enumerate() {
                let expected = clients.iter().filter(|it| nsp < it.sockets.len()).count();
                let found = node.io.of(name).fetch_sockets().await;
                let ids = found.as_ref().map(|sockets| {
                    sockets.iter().map(|it| it.id().to_owned()).collect::<BTreeSet<_>>().len()
                });
                if ids.as_ref().ok() != Some(&expected) {
                    let origin = node.origin;
                    ledger.violate(format!(
                        "liveness: node {origin:?} finds {ids:?} of {expected} sockets of {name}"
                    ));
                }
            }
        }
    }
}

/// Emits a sequence of reliable events, one after the other.
fn emit_reliably(
    socket: Socket,
    sequence: usize,
    delays: Vec<usize>,
    recovers: bool,
    ledger: &Ledger,
) -> impl Future<Output = ()> + 'static {
    let ledger = ledger.clone();
    async move {
        for (n, delay) in (0..).zip(delays) {
            ledger.asked();
            let result = socket.emit_reliably::<u32>("pay", &(sequence, n, delay)).await;
            ledger.note(format!("reliable sequence {sequence}: {n} ends with {result:?}"));
            match result {
                Ok(value) if value == n && ledger.was_reliable_handled(sequence, n) => {
                    ledger.answered(true);
                }
                Ok(value) => {
                    return ledger.violate(format!(
                        "at least once: {n} of reliable sequence {sequence} was not handled, but \
                         acked with {value}"
                    ));
                }
                Err(DeliveryError::Ack(AckError::Disconnected)) if recovers => {
                    return ledger.violate(format!(
                        "at least once: {n} of reliable sequence {sequence} did not wait for the \
                         client's return"
                    ));
                }
                Err(_) => return ledger.answered(false),
            }
        }
    }
}
