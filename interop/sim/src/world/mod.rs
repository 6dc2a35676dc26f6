//! A run: the troubles and the workload, step by step, and the checks after each round.

mod extras;
mod faults;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use socketio_server::{BroadcastAckError, Parser};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use self::extras::{EMITTER, Extras};
use crate::{
    NAMESPACES, Options, Outcome, RETRIED, Violation,
    client::Client,
    engine::{Access, Engine},
    ledger::{Audience, LOSS_TIME, Ledger},
    network::Network,
    node::{self, CHANGING, Node, WINDOW, WallClock, ack_bound},
    plan::{Bus, Plan},
    random::Random,
    topics::TOPICS,
};

/// Within this time without troubles, each client has connected.
const CONNECTED: Duration = Duration::from_secs(60);

/// Within this time without troubles, each event has arrived.
const ARRIVED: Duration = Duration::from_secs(30);

/// The troubles of whole nodes, by the bits of [`Plan::troubles`].
const NODES: usize = 0b111 << 9;

struct World {
    plan: Plan,
    random: Random,
    ledger: Ledger,
    network: Network,
    clock: WallClock,
    engine: Option<Engine>,
    /// The nodes that run, and how often each was started.
    nodes: Vec<Option<Node>>,
    starts: Vec<usize>,
    /// Nodes that have crashed or were drained.
    former: Vec<Node>,
    clients: Vec<Client>,
    away: BTreeSet<usize>,
    /// The actions that end present troubles, each with its instant.
    later: Vec<(Instant, Later)>,
    extras: Extras,
}

#[derive(Clone, Debug)]
enum Later {
    Start(usize),
    /// The node may have been drained since.
    Reach(usize, Arc<Access>),
    Unblock(usize, usize),
    ComeBack(usize),
    /// The engine's responses arrive again.
    Respond(usize, usize, Arc<Access>),
    /// The engine's messages arrive again.
    Receive(Arc<Access>),
    /// The former node with this number crashes.
    Crash(usize),
}

pub(crate) async fn run(seed: u64, options: Options) -> Result<Outcome, Violation> {
    let start = Instant::now();
    let idle = Handle::current().metrics().num_alive_tasks();
    let ledger = Ledger::new(options);
    let result = live(seed, options, &ledger).await;
    if let Err(error) = result {
        ledger.violate(error.to_string());
    }
    // The last tasks end.
    sleep(Duration::from_secs(30)).await;
    let left = Handle::current().metrics().num_alive_tasks() - idle;
    if left > 0 {
        ledger.violate(format!("nothing left: {left} tasks"));
    }
    match ledger.violation() {
        None => {
            let (counts, trace) = (ledger.counts(), ledger.hash());
            Ok(Outcome { counts, time: start.elapsed(), trace })
        }
        Some((invariant, trace)) => Err(Violation { seed, invariant, trace }),
    }
}

async fn live(
    seed: u64,
    options: Options,
    ledger: &Ledger,
) -> Result<(), socketio_client::ClientError> {
    let mut random = Random::new(seed);
    let mut plan = Plan::new(&mut random);
    if options.nodes_stay {
        plan.troubles &= !NODES;
    }
    let extras = Extras::new(seed, options.workloads);
    plan.delays_return = extras.delays_return;
    if extras.msgpack {
        plan.parser = Parser::MsgPack;
    }
    ledger.note(format!("{plan:?}"));
    let network = Network::new(random.fork(), plan.nodes, plan.clients);
    let engine = (plan.bus != Bus::None).then(|| Engine::new(plan.bus == Bus::Log, random.fork()));
    let nodes = plan.nodes;
    let mut world = World {
        plan,
        random,
        ledger: ledger.clone(),
        network,
        clock: WallClock::default(),
        engine,
        nodes: (0..nodes).map(|_| None).collect(),
        starts: vec![0; nodes],
        former: Vec::new(),
        clients: Vec::new(),
        away: BTreeSet::new(),
        later: Vec::new(),
        extras,
    };
    for node in 0..nodes {
        world.start_node(node);
    }
    if let Some(engine) = &world.engine {
        world.extras.start_emitter(engine, ledger);
    }
    for number in 0..world.plan.clients {
        let mut client =
            Client::start(number, world.plan.parser, &world.network, ledger, &mut world.random)?;
        world.extras.set_up_client(&mut client, ledger);
        world.clients.push(client);
    }
    for _ in 0..world.plan.rounds {
        world.network.make_faulty();
        world.extras.refuse_clients(true);
        for _ in 0..world.plan.steps {
            world.step().await;
            if ledger.violation().is_some() {
                return Ok(());
            }
        }
        world.heal().await;
        world.check_peace().await;
        if ledger.violation().is_some() {
            return Ok(());
        }
    }
    world.end().await;
    Ok(())
}

impl World {
    fn start_node(&mut self, node: usize) {
        self.ledger.note(format!("node {node} starts"));
        let origin = (node, self.starts[node]);
        self.starts[node] += 1;
        let (engine, random) = (self.engine.as_mut(), self.random.fork());
        let mut started = Node::start(
            &self.plan,
            origin,
            engine,
            &self.network,
            &self.ledger,
            &self.clock,
            random,
        );
        self.extras.set_up_node(&mut started, &self.ledger);
        self.nodes[node] = Some(started);
    }

    fn later(&mut self, range: std::ops::Range<usize>, what: Later) {
        let at = Instant::now() + self.random.millis(range);
        self.later.push((at, what));
    }

    fn end_troubles(&mut self, all: bool) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.later).into_iter().partition(|(at, _)| all || *at <= now);
        self.later = later;
        for (_, what) in due {
            match what {
                Later::Start(node) if self.nodes[node].is_none() => self.start_node(node),
                Later::Start(_) => {}
                Later::Reach(node, access) => {
                    access.partition(None);
                    let losing_node = self.losing_node(node);
                    self.ledger.end_losses(losing_node, 0, LOSS_TIME);
                }
                Later::Respond(node, first_nsp, access) => {
                    access.lose_responses(None);
                    self.ledger.end_losses(Some(node), first_nsp, LOSS_TIME);
                }
                Later::Receive(access) => access.stall_messages(false),
                Later::Crash(former) => self.crash_former(former),
                Later::Unblock(client, node) => self.network.block(client, node, false),
                Later::ComeBack(client) => {
                    self.away.remove(&client);
                    self.clients[client].come_back();
                }
            }
        }
    }

    /// Returns the node whose events may be lost if `node` cannot reach the engine. `None`: all of
    /// them, because messages to this node are lost too.
    fn losing_node(&self, node: usize) -> Option<usize> {
        (self.plan.bus == Bus::Log).then_some(node)
    }

    async fn step(&mut self) {
        let pause = self.random.millis(5..1200);
        sleep(pause).await;
        self.end_troubles(false);
        if self.random.chance(35) {
            self.trouble().await;
        }
        self.lose_responses();
        self.stall_messages();
        for _ in 0..self.random.below(4) {
            self.work();
        }
        self.extras.work(&self.plan, &self.nodes, &self.clients, &self.ledger);
        for node in self.nodes.iter().flatten() {
            node.check_limits(&self.ledger);
        }
    }

    /// A piece of the workload.
    fn work(&mut self) {
        let nsp = self.random.below(NAMESPACES.len());
        let number = self.random.below(self.clients.len());
        if self.random.chance(40) {
            let ack = self.random.chance(50).then(|| self.random.millis(500..8_000));
            self.clients[number].emit(nsp, ack, &self.ledger);
            return;
        }
        let index = self.random.below(self.nodes.len());
        let Some(node) = &self.nodes[index] else { return };
        let room = node::rooms(number)[self.random.below(2)].clone();
        let size = if self.random.chance(30) { 4_000 } else { 20 };
        let pad = "x".repeat(self.random.below(size));
        match self.random.below(8) {
            0 | 1 => node.emit(&self.ledger, &Audience::Room(nsp, room), None, &pad),
            2 => {
                // More than a slow client can take.
                for _ in 0..self.random.below(12) {
                    node.emit(&self.ledger, &Audience::Room(nsp, room.clone()), None, &pad);
                }
            }
            3 => node.emit(&self.ledger, &Audience::Room(nsp, CHANGING.to_owned()), None, &pad),
            4 => {
                // Of sockets on all nodes.
                let sockets = node.io.of(NAMESPACES[nsp]).in_(room);
                let joins = self.random.chance(60);
                self.ledger.note(format!("node {:?} changes rooms: {joins}", node.origin));
                let result = if joins {
                    sockets.sockets_join(CHANGING)
                } else {
                    sockets.sockets_leave(CHANGING)
                };
                // The node may be unable to reach the others.
                drop(result);
            }
            5 => {
                if let Some((socket, connection, ..)) = self.random.pick(&node.connected()) {
                    let audience = Audience::Socket(*connection);
                    node.emit(&self.ledger, &audience, Some(socket), &pad);
                }
            }
            6 => {
                let time = self.random.millis(500..5_000);
                let broadcast = node.io.of(NAMESPACES[nsp]).to(room).timeout(time);
                let ledger = self.ledger.clone();
                ledger.asked();
                tokio::spawn(async move {
                    let acks = broadcast.emit_with_ack::<usize>("ask", &());
                    let acks = match ledger.ends_within(ack_bound(time), acks).await {
                        Some(Ok(acks)) => acks,
                        Some(Err(BroadcastAckError::Partial { responses, .. })) => responses,
                        Some(Err(_)) => Vec::new(),
                        None => {
                            let bound = ack_bound(time);
                            return ledger
                                .violate(format!("acks: a broadcast has not ended in {bound:?}"));
                        }
                    };
                    ledger.answered(!acks.is_empty());
                });
            }
            _ => {
                if let Some((socket, connection, client, _)) = self.random.pick(&node.connected()) {
                    let (socket, connection, client) = (socket.clone(), *connection, *client);
                    let (ledger, time) = (self.ledger.clone(), self.random.millis(500..5_000));
                    ledger.asked();
                    tokio::spawn(async move {
                        let emitter = socket.timeout(time);
                        let ack = emitter.emit_with_ack::<usize>("ask", &());
                        match ledger.ends_within(ack_bound(time), ack).await {
                            Some(Ok(value)) if value == client => ledger.answered(true),
                            Some(Ok(value)) => {
                                ledger.violate(format!("acks: client {client} sent {value}"));
                            }
                            Some(Err(_)) => ledger.answered(false),
                            None => ledger.violate(format!(
                                "acks: connection {connection} neither acks nor fails"
                            )),
                        }
                    });
                }
            }
        }
    }

    /// Ends all troubles, and waits until their consequences have passed.
    async fn heal(&mut self) {
        self.ledger.note("PEACE");
        self.end_troubles(true);
        self.network.heal();
        self.extras.refuse_clients(false);
        sleep(CONNECTED).await;
    }

    async fn check_peace(&mut self) {
        for client in self.clients.iter().filter(|client| !client.is_connected()) {
            let number = client.number;
            let time = CONNECTED;
            self.ledger
                .violate(format!("liveness: client {number} is not connected after {time:?}"));
        }
        if self.ledger.violation().is_some() {
            return;
        }
        self.extras.check_sockets(&self.nodes, &self.clients, &self.ledger).await;
        let mut awaited = self.extras.emit_to_topics(&self.nodes, &self.clients, &self.ledger);
        for nsp in 0..NAMESPACES.len() {
            if self.extras.emit(nsp, "all", 0) {
                let sockets = self.clients.iter().filter(|it| nsp < it.sockets.len());
                let audience = Audience::Room(nsp, "all".to_owned());
                awaited.extend(sockets.map(|it| (EMITTER, audience.clone(), (it.number, nsp))));
            }
        }
        for node in self.nodes.iter().flatten() {
            for (nsp, name) in NAMESPACES.iter().enumerate() {
                let _ = name;
                for room in ["all", "group 0", "group 1"] {
                    let audience = Audience::Room(nsp, room.to_owned());
                    node.emit(&self.ledger, &audience, None, "");
                    for client in self.clients.iter().filter(|it| nsp < it.sockets.len()) {
                        if node::rooms(client.number).iter().any(|own| own == room) {
                            awaited.push((node.origin, audience.clone(), (client.number, nsp)));
                        }
                    }
                }
            }
        }
        sleep(ARRIVED).await;
        self.clients.iter().for_each(|client| client.check_retried(&self.ledger));
        self.check_acks();
        for (origin, audience, receiver) in awaited {
            if let Some(stream) = self.ledger.missing(origin, &audience, receiver) {
                self.ledger.violate(format!(
                    "exactly once: the last event of stream {stream} (node {origin:?}, {audience:?}) \
                     has not reached client {receiver:?}"
                ));
            }
        }
    }

    fn check_acks(&self) {
        let counts = self.ledger.counts();
        if counts.asked != counts.acked + counts.unacked {
            self.ledger.violate(format!("acks: not each request has ended: {counts:?}"));
        }
    }

    /// Lets all clients leave and all nodes end, and checks that nothing is left.
    async fn end(mut self) {
        self.ledger.note("END");
        self.clients.iter().for_each(Client::leave);
        for client in &self.clients {
            client.manager.closed().await;
        }
        self.clients.clear();
        sleep(WINDOW + Duration::from_secs(20)).await;
        let nodes = || self.nodes.iter().flatten().chain(&self.former);
        nodes().for_each(|node| node.check_empty(&self.ledger));
        let open = self.network.open_connections();
        if open > 0 {
            self.ledger.violate(format!("nothing left: {open} connections"));
        }
        self.check_acks();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            self.network.listen(index, None);
            if let Some(node) = node {
                node.io.close();
                node.io.ended().await;
                node.stop();
            }
        }
        sleep(Duration::from_secs(10)).await;
        let Some(engine) = &self.engine else { return };
        for node in self.nodes.iter().flatten().chain(&self.former) {
            let Some(access) = &node.access else { continue };
            let names = NAMESPACES.iter().chain(&RETRIED).chain(&TOPICS);
            for nsp in names.filter(|nsp| engine.has_member(access, nsp)) {
                let origin = node.origin;
                self.ledger.violate(format!("nothing left: node {origin:?} is a member of {nsp}"));
            }
        }
    }
}
