//! Workloads that were added after seeds had become known. They draw from a generator of their own,
//! so that these seeds keep their plan and their troubles.

use socketio_emitter::Emitter;
use socketio_server::{AckError, DeliveryError, Socket};
use tokio::sync::mpsc;

use crate::{
    NAMESPACES,
    client::Client,
    engine::Engine,
    ledger::{Audience, Ledger, Origin},
    node::{self, CHANGING, Node},
    plan::Plan,
    random::Random,
};

pub(crate) struct Extras {
    random: Random,
    /// Whether events are sent until they are acked, by servers and by clients.
    pub(crate) reliable: bool,
    /// Whether packets have the encoding of `socket.io-msgpack-parser`.
    pub(crate) msgpack: bool,
    /// Whether there is an emitter, if there is an engine.
    emits: bool,
    /// The queue of the emitter: the namespace, the room and the size of each event.
    emitter: Option<mpsc::UnboundedSender<(usize, String, usize)>>,
}

/// The origin of an emitter's streams. It is not a node, so no failure of a node loses its events.
pub(crate) const EMITTER: Origin = (usize::MAX, 0);

impl Extras {
    /// Returns the extras of a seed. `basic`: none of them.
    pub(crate) fn new(seed: u64, basic: bool) -> Self {
        let mut random = Random::new(!seed);
        let (reliable, msgpack) = (random.chance(60), random.chance(30));
        let emits = !basic && random.chance(60);
        let (reliable, msgpack) = (reliable && !basic, msgpack && !basic);
        Self { random, reliable, msgpack, emits, emitter: None }
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

    /// Returns a generator for one part of the extras.
    pub(crate) fn fork(&mut self) -> Random {
        self.random.fork()
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
                client.emit_retried(self.random.chance(50), ledger);
            }
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
